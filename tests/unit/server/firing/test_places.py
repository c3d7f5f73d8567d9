"""How the places for runs are shared between tenants."""

from __future__ import annotations

import pytest

from alga_server.firing.due import DueSchedule
from alga_server.firing.places import Places


def due(tenant: str, count: int = 1, *, running: bool = False) -> list[DueSchedule]:
    return [DueSchedule(tenant, "install", f"{tenant}-{at}", running) for at in range(count)]


def fill(places: Places, tenant: str) -> int:
    """Give the tenant all that it may have; how many it then has."""
    while places.has_room(tenant):
        places.take(tenant)
    return places.held.get(tenant, 0)


@pytest.mark.parametrize(("most", "alone"), [(1, 1), (2, 2), (3, 3), (4, 3), (8, 6), (50, 38), (1000, 750)])
def test_a_tenant_alone_leaves_a_quarter_to_the_next(most: int, alone: int) -> None:
    assert fill(Places(most), "a") == alone


def test_some_places_are_left_for_each_further_tenant() -> None:
    places = Places(50)

    assert [fill(places, tenant) for tenant in "abc"] == [38, 9, 3]
    assert places.free == 0


def test_who_has_much_takes_none_of_the_places_that_become_free_and_the_next_does() -> None:
    places = Places(50)
    fill(places, "a")
    fill(places, "b")
    for _ in range(5):
        places.leave("a")

    assert (places.has_room("a"), places.has_room("b")) == (False, True)


def test_tenants_that_all_want_more_end_up_with_equally_many() -> None:
    places = Places(50)
    fill(places, "a")
    for _ in range(100):
        fill(places, "b")
        places.leave("a")
        fill(places, "b")
        fill(places, "a")

    assert abs(places.held["a"] - places.held["b"]) <= 2


def test_tenants_take_turns_when_there_is_not_room_for_all() -> None:
    places = Places(4)
    places.take("a")

    turns = places.in_turn([*due("a", 2), *due("b", 3), *due("c")])

    assert [one.schedule_id for one in turns] == ["b-0", "c-0", "a-0", "b-1", "a-1", "b-2"]


def test_the_order_of_time_stays_where_there_is_room_for_all() -> None:
    late = [*due("a", 2), *due("b", 2)]

    assert Places(4).in_turn(late) == late


def test_what_takes_no_place_is_picked_though_none_is_free() -> None:
    places = Places(1)
    places.take("a")
    running = due("b", running=True)

    assert places.pick([*due("a"), *running, *due("c")], 10) == (running, [*due("a"), *due("c")])


def test_no_more_are_picked_than_have_room_and_than_are_asked_for() -> None:
    places = Places(8)
    asked = [*due("a", 10), *due("b", 2)]

    picked, others = places.pick(asked, 10)
    few, rest = places.pick(asked, 3)

    assert picked == [*due("a", 6), *due("b", 2)]
    assert others == due("a", 10)[6:]
    assert few + rest == asked
    assert len(few) == 3


def test_a_closed_server_has_no_place() -> None:
    places = Places(8)
    places.closed = True

    assert (places.free, places.has_room("a")) == (0, False)
    assert places.pick(due("a"), 1) == ([], due("a"))
