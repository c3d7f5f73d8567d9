"""A stack to read: on lines, or on one."""

from __future__ import annotations

from alga_runner.frames import Frame, stack_line, stack_lines

PLACED = Frame("divide", 0x77, "a.c", 5, 12)
DIG = Frame("dig", 0x10)


def test_a_frame_names_what_is_known_of_its_place() -> None:
    frames = [PLACED, Frame("spin", 0x77, "a.c", 5), DIG, Frame("start")]

    assert [str(frame) for frame in frames] == [
        "divide (a.c:5:12)",
        "spin (a.c:5)",
        "dig (offset 0x10)",
        "start",
    ]


def test_the_same_frame_in_a_row_is_counted() -> None:
    assert stack_lines([DIG, DIG, DIG, PLACED, DIG]) == [
        "dig (offset 0x10), 3 times",
        "divide (a.c:5:12)",
        "dig (offset 0x10)",
    ]


def test_one_line_shows_the_innermost_and_counts_the_rest() -> None:
    frames = [Frame(f"f{number}") for number in range(7)]

    assert stack_line(frames) == "f0 < f1 < f2 < f3 < f4 < 2 more"
    assert stack_line(frames[:5]) == "f0 < f1 < f2 < f3 < f4"
    assert stack_line([DIG] * 20) == "dig (offset 0x10), 20 times"
