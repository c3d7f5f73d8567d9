"""Cases about what the host hands over: ranges of memory, the request, replies, and how long each is there."""

from __future__ import annotations

import msgpack

from . import cases
from .cases import FREE, NOTHING, REPLY_AT, REPLY_CAPACITY, Cases, Script, ends, run
from .guests import MEMORY

RULES, LIFETIMES, IMPORTS, HOST_CALLS = "Rules", "Lifetimes", "Imports", "Host calls"
LIST, CONTEXT = "alga:scheduler list", "alga:context get"
REQUEST, REPLY, RESPOND, FAIL, EMIT = (
    *("alga:abi request", "alga:abi reply", "alga:abi respond", "alga:abi fail"),
    "alga:log emit",
)
SCHEDULER = ["cap:scheduler.manage"]
NO_SCHEDULES = {"scheduler.list": {"ok": {"schedules": []}}}
ONE_LIST = [{"operation": "scheduler.list", "input": {}}]
LISTED = {"ok": {"schedules": []}}

_FUNCTIONS = cases.probe_functions("scheduler")
_IN_MEMORY = "`ptr + len`, and the whole of `reply_ptr + reply_cap`, must lie in memory"
_UNSIGNED = "All integers are unsigned."
_END = "A range of length zero may start at memory's end, not beyond it."
RIGHT = "| the right to call the host | until `respond`"


def script() -> Script:
    """A script for the probe of the scheduler."""
    return Script(_FUNCTIONS)


OK = msgpack.packb({"status": 202})


def responded() -> Script:
    """A script whose guest has responded."""
    return script().write(FREE, OK).call(RESPOND, FREE, len(OK))


def pointers() -> Cases:
    """Ranges outside memory, at its end, and wrapped around."""
    ranges = {
        "one byte beyond the end": (MEMORY - 9, 10),
        "wrapped around": (0xFFFFFFFF, 2),
        "all of 32 bits": (0xFFFFFFFF, 0xFFFFFFFF),
        "of length zero beyond the end": (MEMORY + 1, 0),
        "of a negative length": (0, 0xFFFFFFFF),
    }
    for function in (REQUEST, REPLY, RESPOND, FAIL, EMIT):
        first = (1,) if function == EMIT else ()
        for name, (at, length) in ranges.items():
            yield run(
                f"pointers/{function}: {name}",
                RULES,
                _END if "zero" in name else _UNSIGNED if name != "one byte beyond the end" else _IN_MEMORY,
                "scheduler",
                script().call(function, *first, at, length),
                grants=["cap:log.emit"],
                expect=ends("out_of_bounds", function.split(" ")[1]),
            )
    yield run(
        "pointers/request: of length zero at memory's end",
        RULES,
        _END,
        "scheduler",
        script().call(REQUEST, MEMORY, 0, gives=cases.at_least(1)).call(REPLY, MEMORY, 0, gives=NOTHING),
    )
    yield run(
        "pointers/alga:abi fail: of length zero at memory's end",
        RULES,
        _END,
        "scheduler",
        script().call(FAIL, MEMORY, 0),
        expect=ends("guest_failed"),
    )
    yield run(
        "pointers/alga:log emit: of length zero at memory's end",
        RULES,
        _END,
        "scheduler",
        script().call(EMIT, 1, MEMORY, 0, gives=0),
        grants=["cap:log.emit"],
        log=[["info", ""]],
    )
    yield run(
        "pointers/host call: of length zero at memory's end is an empty message",
        RULES,
        _END,
        "scheduler",
        script().call(LIST, MEMORY, 0, MEMORY, 0),
        grants=SCHEDULER,
        expect=ends("broken_framing"),
    )
    empty = b"\x80"
    yield run(
        "pointers/host call: the last byte of memory",
        RULES,
        _IN_MEMORY,
        "scheduler",
        script().write(MEMORY - 1, empty).ask(LIST, MEMORY - 1, 1, REPLY_AT, REPLY_CAPACITY, reply=LISTED),
        grants=SCHEDULER,
        answers=NO_SCHEDULES,
        asked=ONE_LIST,
    )
    yield run(
        "pointers/host call: a reply at memory's end",
        RULES,
        _IN_MEMORY,
        "scheduler",
        script().write(FREE, empty).ask(LIST, FREE, 1, MEMORY - 100, 100, reply=LISTED),
        grants=SCHEDULER,
        answers=NO_SCHEDULES,
        asked=ONE_LIST,
    )
    yield run(
        "pointers/host call: memory that has grown",
        RULES,
        _IN_MEMORY,
        "scheduler",
        script()
        .grow(1, gives=MEMORY // 65536)
        .write(MEMORY + 65535, empty)
        .ask(LIST, MEMORY + 65535, 1, MEMORY, 1000, reply=LISTED),
        grants=SCHEDULER,
        answers=NO_SCHEDULES,
        asked=ONE_LIST,
    )
    yield run(
        "pointers/host call: request and reply overlap",
        RULES,
        "The request is copied\nout before the reply is copied in, so the two ranges may overlap.",
        "scheduler",
        script().write(FREE, empty).ask(LIST, FREE, 1, FREE, 1000, reply=LISTED),
        grants=SCHEDULER,
        answers=NO_SCHEDULES,
        asked=ONE_LIST,
    )
    for name, arguments in {
        "the request's range": (MEMORY, 1, REPLY_AT, 100),
        "the request's range, wrapped": (0xFFFFFFF0, 0x20, REPLY_AT, 100),
        "the reply's range, though the reply would fit": (FREE, 1, MEMORY - 100, 101),
        "the reply's range, wrapped": (FREE, 1, 0xFFFFFFF0, 0x20),
        "the reply's range, empty and beyond": (FREE, 1, MEMORY + 1, 0),
    }.items():
        yield run(
            f"pointers/host call: {name}",
            RULES,
            "that is checked first, so a\ncall that ends the execution has done nothing",
            "scheduler",
            script().write(FREE, empty).call(LIST, *arguments),
            grants=SCHEDULER,
            answers=NO_SCHEDULES,
            expect=ends("out_of_bounds", "list"),
            asked=[],
        )


def the_request() -> Cases:
    """``alga:abi request``."""
    rule = "the request's length `n`; copied to `ptr` if `n <= cap`. Any number of times"
    yield run(
        "request/any number of times",
        IMPORTS,
        rule,
        "scheduler",
        script()
        .call(REQUEST, 0, 0, gives=cases.at_least(50))
        .ask(REQUEST, REPLY_AT, REPLY_CAPACITY, reply={"http": {"method": "POST"}}, **{"as": 0})
        .ask(REQUEST, REPLY_AT, REPLY_CAPACITY, reply={"http": {"method": "POST"}}, **{"as": 0}),
    )
    yield run(
        "request/a buffer that is too small stays as it is",
        IMPORTS,
        rule,
        "scheduler",
        script()
        .fill(FREE, 16, 0x55)
        .call(REQUEST, FREE, 8, gives=cases.at_least(50))
        .show(FREE, 16, b"\x55" * 16),
    )
    yield run(
        "request/after host calls",
        LIFETIMES,
        "| the request | from the start of `alga_handle` until `respond` |",
        "scheduler",
        script()
        .host_call(LIST, {}, LISTED)
        .ask(REQUEST, REPLY_AT, REPLY_CAPACITY, reply={"http": {"method": "POST"}}),
        grants=SCHEDULER,
        answers=NO_SCHEDULES,
        asked=ONE_LIST,
    )
    yield run(
        "request/after respond",
        LIFETIMES,
        "| the request | from the start of `alga_handle` until `respond` |",
        "scheduler",
        responded().call(REQUEST, 0, 0),
        expect=ends("too_late", "request"),
    )


def replies() -> Cases:
    """``alga:abi reply`` and buffers of host calls."""
    rule = (
        "the last reply that did not fit, likewise, until the next host call; `-1` (`0xffffffff`) without one"
    )
    life = (
        "| a reply that did not fit | until the next host call, of any group; logging is no host call here |"
    )
    asked = {"grants": [*SCHEDULER, "cap:context.read"], "answers": NO_SCHEDULES}
    yield run("reply/none yet", IMPORTS, rule, "scheduler", script().call(REPLY, FREE, 100, gives=NOTHING))
    yield run(
        "reply/one that fitted is not kept",
        IMPORTS,
        rule,
        "scheduler",
        script().host_call(LIST, {}, LISTED).call(REPLY, FREE, 100, gives=NOTHING),
        **asked,
        asked=ONE_LIST,
    )
    unfit = "If `n <= reply_cap` the\nreply is at `reply_ptr`. Else nothing was written"
    yield run(
        "reply/fetched any number of times, and the call is not repeated",
        HOST_CALLS,
        "`reply_cap` may be 0.",
        "scheduler",
        script()
        .write(FREE, b"\x80")
        .call(LIST, FREE, 1, 0, 0, gives=cases.at_least(5))
        .call(REPLY, 0, 0, gives=cases.at_least(5))
        .ask(REPLY, REPLY_AT, REPLY_CAPACITY, reply=LISTED, **{"as": 0})
        .ask(REPLY, REPLY_AT, REPLY_CAPACITY, reply=LISTED, **{"as": 0}),
        **asked,
        asked=ONE_LIST,
    )
    yield run(
        "reply/a buffer that is too small stays as it is",
        HOST_CALLS,
        unfit,
        "scheduler",
        script()
        .write(FREE, b"\x80")
        .fill(REPLY_AT, 8, 0x55)
        .call(LIST, FREE, 1, REPLY_AT, 4, gives=cases.at_least(5))
        .show(REPLY_AT, 8, b"\x55" * 8)
        .call(REPLY, REPLY_AT, 4, gives=cases.at_least(5))
        .show(REPLY_AT, 8, b"\x55" * 8),
        **asked,
        asked=ONE_LIST,
    )
    yield run(
        "reply/gone with the next host call",
        LIFETIMES,
        life,
        "scheduler",
        script()
        .write(FREE, b"\x80")
        .call(LIST, FREE, 1, 0, 0, gives=cases.at_least(5))
        .host_call(LIST, {}, LISTED)
        .call(REPLY, FREE, 100, gives=NOTHING),
        **asked,
        asked=ONE_LIST * 2,
    )
    yield run(
        "reply/gone with a host call that is denied",
        LIFETIMES,
        life,
        "scheduler",
        script()
        .write(FREE, b"\x80")
        .call(LIST, FREE, 1, 0, 0, gives=cases.at_least(5))
        .call(LIST, FREE, 1, REPLY_AT, REPLY_CAPACITY, gives=cases.at_least(5))
        .call(REPLY, FREE, 100, gives=NOTHING),
    )
    yield run(
        "reply/host calls one after the other",
        LIFETIMES,
        "until it has returned: a guest has one at a time",
        "scheduler",
        script()
        .host_call(LIST, {}, LISTED)
        .host_call("alga:scheduler delete", {"scheduleId": "s-1"}, {"ok": {}}),
        grants=SCHEDULER,
        answers={**NO_SCHEDULES, "scheduler.delete": {"ok": {}}},
        asked=[*ONE_LIST, {"operation": "scheduler.delete", "input": {"scheduleId": "s-1"}}],
    )
    yield run(
        "reply/kept while lines are logged",
        LIFETIMES,
        life,
        "scheduler",
        script()
        .write(FREE, b"\x80line")
        .call(LIST, FREE, 1, 0, 0, gives=cases.at_least(5))
        .call(EMIT, 1, FREE + 1, 4)
        .ask(REPLY, REPLY_AT, REPLY_CAPACITY, reply=LISTED, **{"as": 0}),
        grants=[*SCHEDULER, "cap:log.emit"],
        answers=NO_SCHEDULES,
        asked=ONE_LIST,
        log=[["info", "line"]],
    )
    yield run(
        "reply/after respond",
        LIFETIMES,
        RIGHT,
        "scheduler",
        responded().call(REPLY, 0, 0),
        expect=ends("too_late", "reply"),
    )
