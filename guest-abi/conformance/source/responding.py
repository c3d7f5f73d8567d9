"""Cases about what the guest hands over: the response and its headers, a failure, the log."""

from __future__ import annotations

import msgpack

from .cases import FREE, REPLY_AT, REPLY_CAPACITY, Cases, ends, run
from .crossing import (
    EMIT,
    FAIL,
    IMPORTS,
    LIFETIMES,
    LIST,
    LISTED,
    NO_SCHEDULES,
    OK,
    ONE_LIST,
    REQUEST,
    RESPOND,
    RIGHT,
    SCHEDULER,
    responded,
    script,
)


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
        responded().leave(),
        expect={"response": {"status": 202}},
    )
    yield run(
        "respond/twice",
        LIFETIMES,
        "a second `respond` with `second_response`",
        "scheduler",
        responded().call(RESPOND, FREE, len(OK)),
        expect=ends("second_response", "respond"),
    )
    yield run(
        "respond/then a host call",
        LIFETIMES,
        "so that nothing takes effect after the response was given. Any other host function ends the execution "
        "with `too_late`",
        "scheduler",
        responded().call(LIST, FREE, 1, REPLY_AT, 100),
        grants=SCHEDULER,
        answers=NO_SCHEDULES,
        expect=ends("too_late", "list"),
        asked=[],
    )
    yield run(
        "respond/then a line of log",
        LIFETIMES,
        RIGHT,
        "scheduler",
        responded().write(FREE, b"late").call(EMIT, 2, FREE, 4).leave(),
        grants=["cap:log.emit"],
        expect={"response": {"status": 202}},
        log=[["warn", "late"]],
    )
    yield run(
        "respond/then fail",
        LIFETIMES,
        RIGHT,
        "scheduler",
        responded().write(FREE, b"after all").call(FAIL, FREE, 9),
        expect=ends("guest_failed", "after all"),
    )
    yield run(
        "respond/then a trap",
        "Exports",
        "A trap after `respond` is still a trap.",
        "scheduler",
        responded().trap(),
        expect=ends("guest_trap"),
    )
    yield run(
        "respond/memory may change afterwards",
        LIFETIMES,
        "| the response | taken at `respond`: memory may change afterwards.",
        "scheduler",
        responded().fill(FREE, len(OK), 0xC1).leave(),
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
