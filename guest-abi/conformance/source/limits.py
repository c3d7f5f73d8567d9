"""Cases about limits: granted as far as every host grants them, and how an execution ends beyond its own."""

from __future__ import annotations

import struct

from .cases import FREE, NOTHING, REPLY_AT, Case, Cases, Script, at_least, case, ends, run
from .crossing import EMIT, REQUEST, RESPOND, script
from .guests import HANDLER, LIVE_BYTES, MEMORY, Function, import_text, small
from .systems import WASI, wasi_functions

SECTION, ENDS = "Limits that every host grants", "What ends an execution"
PAGE, MIB = 65536, 1024 * 1024
_OK = {"response": {"status": 200}}
_UNCHECKED = None
"""A log that is not compared."""


def granted() -> Cases:
    """Each limit, as far as every host grants it."""

    def one(name: str, row: str, steps: Script, **members: object) -> Case:
        return run(f"limits/{name}", SECTION, row, members.pop("group", "scheduler"), steps, **members)

    yield one(
        "64 MiB of memory", "| linear memory, MiB | 64 |", script().grow(1024 - MEMORY // PAGE, gives=8)
    )
    yield one(
        "10,000 elements of the table",
        "| elements of the table | 10,000 |",
        script().grow_table(9_999, gives=1),
    )
    levels = 850_000 // LIVE_BYTES
    yield one(
        "a native stack with 850,000 bytes of values",
        "| native stack, KiB | 1,024 |",
        script().recurse(levels),
    )
    yield one(
        "1,000 calls of alga functions",
        "| calls of `alga:*` functions | 1,000 |",
        script().repeat(998).call(REQUEST, 0, 0, gives=at_least(1)),
    )
    yield one(
        "100,000 calls of any functions",
        "| calls of functions of any kind | 100,000 |",
        Script(wasi_functions()).repeat(99_990).call(f"{WASI} sched_yield", gives=0),
        group="wasi",
        slow=True,
    )
    grown = MEMORY + 17 * PAGE  # the probe has grown for the request
    copies = (
        script()
        .grow(17, gives=grown // PAGE)
        .repeat(61)
        .call(REQUEST, grown, MIB + PAGE, gives=at_least(MIB))
    )
    yield one("60 MiB copied", "| bytes copied, MiB | 64 |", copies, bodyPaddedTo=MIB, slow=True)
    yield one(
        "a body of 8 MiB in the request",
        "| body of a request or response, MiB | 8 |",
        script().call(REQUEST, 0, 0, gives=at_least(8 * MIB)),
        bodyPaddedTo=8 * MIB,
        slow=True,
    )
    head = b"\x82\xa6status\xcc\xc8\xa4body\xc6" + (8 * MIB).to_bytes(4, "big")
    yield one(
        "a body of 8 MiB in the response",
        "| body of a request or response, MiB | 8 |",
        script().grow(130).write(MEMORY, head).call(RESPOND, MEMORY, len(head) + 8 * MIB).leave(),
        expect={"response": {"status": 200, "body": {"length": 8 * MIB}}},
        slow=True,
    )
    request = b"\x81\xa1x\xc6" + (65_536 - 8).to_bytes(4, "big")
    yield one(
        "a request of 64 KiB",
        "| request of a host call, KiB | 64 |",
        script()
        .grow(2)
        .write(MEMORY, request)
        .ask("alga:scheduler list", MEMORY, 65_536, REPLY_AT, 1000, reply={"ok": {}}),
        grants=["cap:scheduler.manage"],
        answers={"scheduler.list": {"ok": {"schedules": []}}},
        asked=[{"operation": "scheduler.list"}],
    )
    members = b"\x81\xa1x\xdc" + (10_000).to_bytes(2, "big")
    for name, item in (("10,000 members", b"\1"), ("9,998 containers in it", b"\x90")):
        count = 10_000 if item == b"\1" else 9_998
        data = members[:4] + count.to_bytes(2, "big")
        yield one(
            f"an array of {name}",
            "| containers in a message, members in each | 10,000 |",
            script()
            .write(FREE, data)
            .fill(FREE + 6, count, item[0])
            .ask("alga:scheduler list", FREE, 6 + count, REPLY_AT, 1000, reply={"ok": {}}),
            grants=["cap:scheduler.manage"],
            answers={"scheduler.list": {"ok": {"schedules": []}}},
            asked=[{"operation": "scheduler.list"}],
        )
    lines = (
        Script(wasi_functions()).fill(FREE + 16, 1000, 0x0A).write(FREE, struct.pack("<II", FREE + 16, 1000))
    )
    yield one(
        "1,000 lines of log",
        "| lines of log | 1,000 |",
        lines.call(f"{WASI} fd_write", 1, FREE, 1, FREE + 8, gives=0),
        group="wasi",
        log=[["info", ""]] * 1000,
    )
    yield one(
        "1,024 KiB of log",
        "| log, KiB | 1,024 |",
        script().fill(FREE, 8192, 0x61).repeat(128).call(EMIT, 1, FREE, 8192),
        log=_UNCHECKED,
    )
    yield case(
        "limits/a module of 32 MiB",
        SECTION,
        "| module, MiB | 32 |",
        ("a-small-guest", small()),
        _OK,
        paddedTo=32 * MIB,
        slow=True,
    )
    clock = Function(WASI, "clock_time_get", "iIi", "i")
    yield case(
        "limits/CPU time of 4.5 seconds",
        SECTION,
        "| CPU time, ms | 5,000 |",
        (
            "busy",
            small(
                """(func $now (result i64)
                  (drop (call $f1 (i32.const 1) (i64.const 1) (i32.const 1024))) (i64.load (i32.const 1024)))""",
                imports=import_text(clock, 1),
                handler=f"""(local $end i64) (local $turns i32)
                (local.set $end (i64.add (call $now) (i64.const 4500000000)))
                (loop $again
                  (local.set $turns (i32.const 1000000))
                  (loop $count (br_if $count (local.tee $turns (i32.sub (local.get $turns) (i32.const 1)))))
                  (br_if $again (i64.lt_u (call $now) (local.get $end)))) {HANDLER}""",
            ),
        ),
        _OK,
        slow=True,
    )
    wait = struct.pack("<QB7xI4xQQH6x", 7, 0, 1, 9_500_000_000, 0, 0)
    yield one(
        "wall time of 9.5 seconds",
        "| wall time, ms | 10,000 |",
        Script(wasi_functions())
        .write(FREE, wait)
        .call(f"{WASI} poll_oneoff", FREE, FREE + 64, 1, FREE + 128, gives=0),
        group="wasi",
        slow=True,
    )


def exceeded() -> Cases:
    """How an execution ends that goes beyond each of its limits, wherever these are."""

    def one(name: str, code: str, steps: Script, **members: object) -> Case:
        expect = members.pop("expect", ends(code))
        return run(
            f"ends/{name}",
            ENDS,
            f"`{code}`",
            members.pop("group", "scheduler"),
            steps,
            expect=expect,
            **members,
        )

    yield one("a trap", "guest_trap", script().trap())
    yield one("a guest that spins", "cpu_limit", script().spin(), limits={"cpuMs": 50})
    yield one(
        "a guest that spins past the deadline", "deadline_exceeded", script().spin(), limits={"timeoutMs": 50}
    )
    yield one("endless recursion", "stack_limit", script().recurse(NOTHING), log=[])
    yield one("alga functions without end", "host_call_limit", script().repeat(NOTHING).call(REQUEST, 0, 0))
    yield one(
        "functions of WASI without end",
        "host_call_limit",
        Script(wasi_functions()).repeat(NOTHING).call(f"{WASI} sched_yield"),
        group="wasi",
        slow=True,
    )
    grown = MEMORY + 17 * PAGE
    yield one(
        "copies without end",
        "copy_limit",
        script().grow(17).repeat(NOTHING).call(REQUEST, grown, MIB + PAGE),
        bodyPaddedTo=MIB,
        slow=True,
    )
    yield one(
        "lines of log without end",
        "log_limit",
        script().fill(FREE, 8192, 0x61).repeat(NOTHING).call(EMIT, 1, FREE, 8192),
        log=_UNCHECKED,
    )
    yield one(
        "a response of 40 MiB", "message_limit", script().grow(640).call(RESPOND, 0, 40 * MIB), slow=True
    )
    yield one(
        "a memory that may not grow",
        "memory_limit",
        script().grow(100, gives=NOTHING),
        limits={"memoryMb": 1},
        expect={"transcript": [{"result": NOTHING}]},
    )
    memory = '(memory (export "memory") 200)'
    yield case(
        "ends/a memory larger than allowed",
        ENDS,
        "`memory_limit`",
        ("memory-200", small(memory=memory)),
        ends("memory_limit"),
        limits={"memoryMb": 1},
    )
    table = "(table 100000000 funcref)"
    yield case(
        "ends/a table larger than allowed",
        ENDS,
        "`table_limit`",
        ("table-large", small(table)),
        ends("table_limit"),
    )
    yield one(
        "a table that may not grow",
        "table_limit",
        script().grow_table(100_000_000, gives=NOTHING),
        expect={"transcript": [{"result": NOTHING}]},
    )
    for part in ("headers", "value"):
        size = 300_000
        pad = b"\xdb" + size.to_bytes(4, "big") if part == "value" else b"\xc6" + size.to_bytes(4, "big")
        data = b"\x82\xa6status\xcc\xc8\xa7headers\x91\x82\xa4name\xa1x\xa5value" + pad
        steps = script().grow(6).fill(MEMORY, size + 100, 0x61).write(MEMORY, data)
        yield run(
            f"ends/300,000 bytes besides the body, in {part}",
            "Messages",
            "Besides its\nbody a response has at most 256 KiB.",
            "scheduler",
            steps.call(RESPOND, MEMORY, len(data) + size).leave(),
            expect=ends("invalid_response"),
        )
