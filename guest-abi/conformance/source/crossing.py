"""Cases about what crosses the border: pointers, the request, replies, the response, lifetimes, the log."""

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
_RIGHT = "| the right to call the host | until `respond`"


def script() -> Script:
    """A script for the probe of the scheduler."""
    return Script(_FUNCTIONS)


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
        _responded().call(REQUEST, 0, 0),
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
        _RIGHT,
        "scheduler",
        _responded().call(REPLY, 0, 0),
        expect=ends("too_late", "reply"),
    )


OK = msgpack.packb({"status": 202})


def _responded() -> Script:
    return script().write(FREE, OK).call(RESPOND, FREE, len(OK))


def responses() -> Cases:
    """``alga:abi respond`` and what follows it."""
    yield run(
        "respond/none",
        "Exports",
        "Returning without a response is `no_response`.",
        "scheduler",
        script().leave(),
        expect=ends("no_response"),
    )
    yield run(
        "respond/once",
        IMPORTS,
        "the response; once",
        "scheduler",
        _responded().leave(),
        expect={"response": {"status": 202}},
    )
    yield run(
        "respond/twice",
        LIFETIMES,
        "a second `respond` with `second_response`",
        "scheduler",
        _responded().call(RESPOND, FREE, len(OK)),
        expect=ends("second_response", "respond"),
    )
    yield run(
        "respond/then a host call",
        LIFETIMES,
        "so that nothing takes effect after the response was given. Any other host function ends the execution "
        "with `too_late`",
        "scheduler",
        _responded().call(LIST, FREE, 1, REPLY_AT, 100),
        grants=SCHEDULER,
        answers=NO_SCHEDULES,
        expect=ends("too_late", "list"),
        asked=[],
    )
    yield run(
        "respond/then a line of log",
        LIFETIMES,
        _RIGHT,
        "scheduler",
        _responded().write(FREE, b"late").call(EMIT, 2, FREE, 4).leave(),
        grants=["cap:log.emit"],
        expect={"response": {"status": 202}},
        log=[["warn", "late"]],
    )
    yield run(
        "respond/then fail",
        LIFETIMES,
        _RIGHT,
        "scheduler",
        _responded().write(FREE, b"after all").call(FAIL, FREE, 9),
        expect=ends("guest_failed", "after all"),
    )
    yield run(
        "respond/then a trap",
        "Exports",
        "A trap after `respond` is still a trap.",
        "scheduler",
        _responded().trap(),
        expect=ends("guest_trap"),
    )
    yield run(
        "respond/memory may change afterwards",
        LIFETIMES,
        "| the response | taken at `respond`: memory may change afterwards.",
        "scheduler",
        _responded().fill(FREE, len(OK), 0xC1).leave(),
        expect={"response": {"status": 202}},
    )
    for status in (204, 205, 304):
        data = msgpack.packb({"status": status, "body": b"dropped"})
        yield run(
            f"respond/no body with {status}",
            "Messages",
            "204, 205 and 304 and in the response to HEAD, the host drops the one that is given.",
            "scheduler",
            script().write(FREE, data).call(RESPOND, FREE, len(data)).leave(),
            expect={"response": {"status": status, "body": None}},
        )
    data = msgpack.packb({"status": 200, "body": b"dropped"})
    yield run(
        "respond/no body to HEAD",
        "Messages",
        "204, 205 and 304 and in the response to HEAD, the host drops the one that is given.",
        "scheduler",
        script().write(FREE, data).call(RESPOND, FREE, len(data)).leave(),
        http={"method": "HEAD"},
        expect={"response": {"status": 200, "body": None}},
    )


def failing() -> Cases:
    """``alga:abi fail``."""
    rule = "ends the execution with the guest's own message, UTF-8, at any time: `guest_failed`"
    for name, data, shown in (
        ("its message", "cannot go on: ü".encode(), "cannot go on: ü"),
        ("no message", b"", ""),
        ("invalid bytes are replaced", b"a\xff\xfeb", "a\ufffd\ufffdb"),
    ):
        rules = "invalid bytes are replaced" if "invalid" in name else rule
        yield run(
            f"fail/{name}",
            IMPORTS,
            rules,
            "scheduler",
            script().write(FREE, data).call(FAIL, FREE, len(data)),
            expect=ends("guest_failed", shown),
        )
    yield run(
        "fail/a long message is cut",
        IMPORTS,
        "Over 1,000 characters it is cut",
        "scheduler",
        script().fill(FREE, 5000, 0x61).call(FAIL, FREE, 5000),
        expect=ends("guest_failed", "a" * 900, longest=1500),
    )
    yield run(
        "fail/after a host call",
        IMPORTS,
        rule,
        "scheduler",
        script().host_call(LIST, {}, LISTED).write(FREE, b"then").call(FAIL, FREE, 4),
        grants=SCHEDULER,
        answers=NO_SCHEDULES,
        expect=ends("guest_failed", "then"),
        asked=ONE_LIST,
    )


def logging() -> Cases:
    """``alga:log emit``."""
    rule = "one line of UTF-8: level 0 debug, 1 info, 2 warn, 3 error, any other counts as info"
    granted = {"grants": ["cap:log.emit"]}
    levels = {0: "debug", 1: "info", 2: "warn", 3: "error", 4: "info", 0xFFFFFFFF: "info"}
    for number, level in levels.items():
        yield run(
            f"log/level {number} is {level}",
            IMPORTS,
            rule,
            "scheduler",
            script().write(FREE, "grüße".encode()).call(EMIT, number, FREE, 7),
            **granted,
            log=[[level, "grüße"]],
        )
    yield run(
        "log/a long line is cut on a character",
        IMPORTS,
        "Over 8 KiB it is cut on a character",
        "scheduler",
        script().fill(FREE, 8191, 0x61).write(FREE + 8191, "ü".encode()).call(EMIT, 1, FREE, 8193),
        **granted,
        log=[["info", "a" * 8191]],
    )
    yield run(
        "log/a line of 8 KiB is whole",
        "Limits that every host grants",
        "| line of log, KiB | 8 |",
        "scheduler",
        script().fill(FREE, 8192, 0x61).call(EMIT, 1, FREE, 8192),
        **granted,
        log=[["info", "a" * 8192]],
    )
    yield run(
        "log/invalid bytes are replaced",
        IMPORTS,
        "invalid bytes are replaced",
        "scheduler",
        script().write(FREE, b"a\xffb").call(EMIT, 1, FREE, 3),
        **granted,
        log=[["info", "a\ufffdb"]],
    )
    yield run(
        "log/lines keep their order",
        LIFETIMES,
        "lines are in the order in which they were finished",
        "scheduler",
        script().write(FREE, b"12").call(EMIT, 1, FREE, 1).call(EMIT, 3, FREE + 1, 1).call(EMIT, 1, FREE, 1),
        **granted,
        log=[["info", "1"], ["error", "2"], ["info", "1"]],
    )


def headers() -> Cases:
    """Headers of a response: their case, order and repetition."""
    rule = "order and repetition\nare kept, so two `set-cookie` are two."
    pairs = [["Set-Cookie", "a=1"], ["X-One", "1"], ["set-cookie", "b=2"], ["x-one", "2"]]
    data = msgpack.packb(
        {"status": 200, "headers": [{"name": name, "value": value} for name, value in pairs]}
    )
    yield run(
        "headers/case, order and repetition of a response",
        "Messages",
        rule,
        "scheduler",
        script().write(FREE, data).call(RESPOND, FREE, len(data)).leave(),
        expect={"response": {"status": 200, "headers": pairs}},
    )
    listed = [{"name": name, "value": value} for name, value in pairs]
    yield run(
        "headers/case, order and repetition of a request",
        "Messages",
        rule,
        "scheduler",
        script().ask(REQUEST, REPLY_AT, REPLY_CAPACITY, reply={"http": {"headers": listed}}),
        http={"headers": listed},
    )
    for count, fits in ((256, True), (257, False)):
        data = msgpack.packb(
            {"status": 200, "headers": [{"name": "x", "value": str(n)} for n in range(count)]}
        )
        yield run(
            f"headers/{count} of a response",
            "Messages",
            "It has at most 256 headers.",
            "scheduler",
            script().write(FREE, data).call(RESPOND, FREE, len(data)).leave(),
            expect={"response": {"status": 200}} if fits else ends("invalid_response"),
        )
