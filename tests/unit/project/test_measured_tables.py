"""The documents' tables of measured values: rows come from the last results, and an older value is marked."""

from __future__ import annotations

from benchmarks.document import rendered

RESULTS = """<!-- measured: results -->
| key | what it is | value | quartiles | goal |  |
| --- | --- | --- | --- | --- | --- |
| `execute.vs_extism_reused` | old words | 1.9 | 1.8 - 2 | <= 1.5 | missed |
| `leak.kb_per_200k` | old words | 380 |  |  |  * |
| `gone.key` | of a part that is gone | 1 |  |  |  |
<!-- end -->
"""
SIZES = """<!-- measured: sizes -->
| what | figure | key there |
| --- | --- | --- |
| executions a second | 6,492 | `ours per s` |
| schedules created a second | 900 | `server.create_rps` |
| lists a second | 2,000 | `server.list_rps` |
<!-- end -->
"""


def entry(value: float, **figures: object) -> dict[str, object]:
    return {"value": value, "met": True, "figures": figures}


def row(page: str, key: str) -> str:
    (line,) = [line for line in page.splitlines() if f"`{key}`" in line]
    return line


def test_a_key_that_was_measured_has_its_value_and_the_others_keep_theirs_with_a_star() -> None:
    page = rendered(RESULTS, {"about": {}, "server.create_rps": entry(1_015)}, [])

    assert row(page, "server.create_rps").endswith("| 1,015 |  | >= 800 | met |")
    assert (
        row(page, "execute.vs_extism_reused")
        == "| `execute.vs_extism_reused` | old words | 1.9 | 1.8 - 2 | <= 1.5 | missed * |"
    )
    assert row(page, "leak.kb_per_200k") == "| `leak.kb_per_200k` | old words | 380 |  |  | * |"


def test_a_key_that_is_measured_again_loses_its_star() -> None:
    page = rendered(RESULTS, {"leak.kb_per_200k": {**entry(12), "met": None}}, [])

    assert row(page, "leak.kb_per_200k").endswith("| 12 |  |  |  |")


def test_a_key_that_is_gone_has_no_row() -> None:
    assert "gone.key" not in rendered(RESULTS, {"server.create_rps": entry(1)}, [])


def test_the_table_of_results_stays_as_it_is_where_nothing_was_measured() -> None:
    assert rendered(RESULTS, {}, []) == RESULTS


def test_sizes_are_those_of_the_keys_and_figures_that_their_rows_name() -> None:
    results = {
        "server.create_rps": entry(1_015),
        "http.vs_bare_asgi": entry(0.8, ours_per_s={"median": 6_600, "q1": 1, "q3": 2, "samples": 2}),
    }

    page = rendered(SIZES, results, [])

    assert row(page, "ours per s") == "| executions a second | 6,600 | `ours per s` |"
    assert row(page, "server.create_rps") == "| schedules created a second | 1,015 | `server.create_rps` |"
    assert row(page, "server.list_rps") == "| lists a second | 2,000 | `server.list_rps` |"
