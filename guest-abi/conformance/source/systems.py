"""Cases about WASI preview 1 and AssemblyScript's ``env``."""

from __future__ import annotations

import struct

from alga_runner.guests.assemblyscript import ASSEMBLYSCRIPT_IMPORTS
from alga_runner.guests.wasi import WASI_IMPORTS

from .cases import FREE, Case, Cases, Script, at_least, case, ends, run
from .crossing import OK
from .guests import ABI, HANDLER, MEMORY, Function, import_text, small

SECTION = "WASI and env"
WASI = "wasi_snapshot_preview1"
BADF, NOSYS, SPIPE = 8, 52, 70
_DEVICE = 2


def wasi_functions() -> tuple[Function, ...]:
    """What the probe of WASI imports: all of preview 1."""
    return (
        *ABI,
        *(
            Function(WASI, one.function.name, one.function.signature.params, one.function.signature.results)
            for one in WASI_IMPORTS
        ),
    )


class _Wasi(Script):
    def __init__(self) -> None:
        super().__init__(wasi_functions())

    def wasi(self, name: str, *arguments: int, gives: object = 0) -> _Wasi:
        self.call(f"{WASI} {name}", *arguments, gives=gives)
        return self

    def writes(self, descriptor: int, *parts: bytes) -> _Wasi:
        """Write ``parts`` by one ``fd_write``; how many bytes it took is at ``FREE``."""
        at, vectors = FREE + 0x1000, b""
        for part in parts:
            self.write(at, part)
            vectors += struct.pack("<II", at, len(part))
            at += len(part)
        self.write(FREE + 8, vectors)
        self.wasi("fd_write", descriptor, FREE + 8, len(parts), FREE)
        self.show(FREE, 4, struct.pack("<I", sum(map(len, parts))))
        return self


def _run(name: str, rule: str, script: Script, **members: object) -> Case:
    return run(f"wasi/{name}", SECTION, rule, "wasi", script, **members)


def wasi() -> Cases:
    """Each row of the table of WASI."""
    clocks = "| `clock_*`, `random_get` | work; at most 64 KiB of random bytes a call |"
    for clock in (0, 1):
        script = _Wasi().wasi("clock_time_get", clock, 1, FREE)
        yield _run(f"clock {clock}", clocks, script.differs(FREE, 8, bytes(8)))
    yield _run(
        "the clocks' resolution", clocks, _Wasi().wasi("clock_res_get", 0, FREE).differs(FREE, 8, bytes(8))
    )
    yield _run("random bytes", clocks, _Wasi().wasi("random_get", FREE, 32).differs(FREE, 32, bytes(32)))
    yield _run("64 KiB of random bytes", clocks, _Wasi().wasi("random_get", FREE, 65536))
    yield _run(
        "more than 64 KiB of random bytes", clocks, _Wasi().wasi("random_get", FREE, 65537, gives=at_least(1))
    )
    writes = "| `fd_write` | to 1 and 2: log lines at info and error, by line"
    yield _run(
        "lines of stdout",
        writes,
        _Wasi().writes(1, b"one\ntwo\nthree"),
        log=[["info", "one"], ["info", "two"], ["info", "three"]],
    )
    yield _run("lines of stderr", writes, _Wasi().writes(2, b"one\n"), log=[["error", "one"]])
    yield _run(
        "a line of several vectors", writes, _Wasi().writes(1, b"o", b"n", b"e\n"), log=[["info", "one"]]
    )
    yield _run(
        "a line of several calls", writes, _Wasi().writes(1, b"o").writes(1, b"ne\n"), log=[["info", "one"]]
    )
    yield _run("1,025 vectors", writes, _Wasi().wasi("fd_write", 1, FREE + 8, 1025, FREE, gives=at_least(1)))
    yield _run("to another descriptor", writes, _Wasi().wasi("fd_write", 3, FREE + 8, 0, FREE, gives=BADF))
    line = "A line of stdout or stderr is finished by its line break, or by the guest's end"
    script = (
        _Wasi()
        .writes(1, b"first ")
        .write(FREE, b"second")
        .call("alga:log emit", 1, FREE, 6)
        .writes(1, b"third\n")
    )
    yield run(
        "wasi/an unfinished line waits",
        "Lifetimes",
        line,
        "wasi",
        script,
        log=[["info", "second"], ["info", "first third"]],
    )
    yield run(
        "wasi/an unfinished line at a trap",
        "Lifetimes",
        line,
        "wasi",
        _Wasi().writes(2, b"panic").trap(),
        expect=ends("guest_trap"),
        log=[["error", "panic"]],
    )
    yield from _exits()
    yield from _descriptors()
    polls = "| `poll_oneoff` | on clocks: waits, within the deadline |"
    for name, wait, clock in (("a millisecond", 1_000_000, 1), ("no time", 0, 0)):
        subscription = struct.pack("<QB7xI4xQQH6x", 7, 0, clock, wait, 0, 0)
        script = _Wasi().write(FREE, subscription).wasi("poll_oneoff", FREE, FREE + 64, 1, FREE + 128)
        yield _run(
            f"poll_oneoff: {name}",
            polls,
            script.show(FREE + 128, 4, b"\1\0\0\0").show(FREE + 64, 8, b"\7" + bytes(7)),
        )
    subscription = struct.pack("<QB7xI4xQQH6x", 7, 0, 1, 60_000_000_000, 0, 0)
    script = _Wasi().write(FREE, subscription).wasi("poll_oneoff", FREE, FREE + 64, 1, FREE + 128)
    yield _run(
        "poll_oneoff: beyond the deadline",
        polls,
        script,
        limits={"timeoutMs": 50},
        expect=ends("deadline_exceeded"),
    )
    yield _run("sched_yield", "| `sched_yield` | does nothing |", _Wasi().wasi("sched_yield"))
    script = _Wasi()
    known = {"fd_close", "fd_sync", "fd_datasync", "fd_seek", "fd_tell", "fd_write", "fd_read", "poll_oneoff"}
    known |= {
        "sched_yield",
        "random_get",
        "proc_exit",
        "fd_fdstat_get",
        "fd_fdstat_set_flags",
        "fd_filestat_get",
    }
    for function in wasi_functions()[len(ABI) :]:
        if function.name not in known and not function.name.startswith(
            ("clock_", "args_", "environ_", "fd_prestat_")
        ):
            script.wasi(function.name, *[0] * len(function.params), gives=NOSYS)
    yield _run("files and sockets", "| the rest | ENOSYS: no files, no sockets |", script)
    yield from _borders()


def _exits() -> Cases:
    rule = "| `proc_exit` | ends the execution: with 0 after `respond` a success, else `guest_exit` |"
    responded = lambda: _Wasi().write(FREE, OK).call("alga:abi respond", FREE, len(OK))  # noqa: E731
    exit_ = f"{WASI} proc_exit"
    yield _run(
        "proc_exit: 0 after respond", rule, responded().call(exit_, 0), expect={"response": {"status": 202}}
    )
    yield _run("proc_exit: 3 after respond", rule, responded().call(exit_, 3), expect=ends("guest_exit"))
    yield _run("proc_exit: 0 without a response", rule, _Wasi().call(exit_, 0), expect=ends("guest_exit"))


def _descriptors() -> Cases:
    empty = "| `args_*`, `environ_*` | empty |"
    for name in ("args", "environ"):
        script = _Wasi().fill(FREE, 8, 0x55)
        script.call(f"{WASI} {name}_sizes_get", FREE, FREE + 4, gives=0).show(FREE, 8, bytes(8))
        yield _run(f"{name} are empty", empty, script.call(f"{WASI} {name}_get", FREE, FREE, gives=0))
    script = _Wasi().write(FREE + 8, struct.pack("<II", FREE + 32, 16)).fill(FREE, 4, 0x55)
    script.call(f"{WASI} fd_read", 0, FREE + 8, 1, FREE, gives=0).show(FREE, 4, bytes(4))
    yield _run("fd_read: the end of the file", "| `fd_read` on 0 | end of file |", script)
    rule = "and the like on 0 to 2 | answer as for a character device |"
    script = _Wasi()
    for descriptor in range(3):
        script.fill(FREE, 24, 0x55).call(f"{WASI} fd_fdstat_get", descriptor, FREE, gives=0)
        script.show(FREE, 1, bytes([_DEVICE]))
        script.fill(FREE, 64, 0x55).call(f"{WASI} fd_filestat_get", descriptor, FREE, gives=0)
        script.show(FREE + 16, 1, bytes([_DEVICE]))
        script.call(f"{WASI} fd_seek", descriptor, 0, 0, FREE, gives=SPIPE)
        script.call(f"{WASI} fd_sync", descriptor, gives=0).call(f"{WASI} fd_close", descriptor, gives=0)
    yield _run("descriptors 0 to 2", rule, script)
    script = _Wasi()
    for name, count in (
        ("fd_fdstat_get", 2),
        ("fd_filestat_get", 2),
        ("fd_close", 1),
        ("fd_sync", 1),
        ("fd_seek", 4),
    ):
        script.call(f"{WASI} {name}", 9, *[FREE] * (count - 1), gives=BADF)
    yield _run("other descriptors", rule, script)
    script = _Wasi().call(f"{WASI} fd_prestat_get", 3, FREE, gives=BADF)
    yield _run(
        "no directories",
        "| `fd_prestat_*` | EBADF: no directories |",
        script.call(f"{WASI} fd_prestat_dir_name", 3, FREE, 8, gives=BADF),
    )


def _borders() -> Cases:
    for name, arguments in (
        ("clock_time_get", (0, 0, MEMORY - 4)),
        ("random_get", (MEMORY - 4, 8)),
        ("fd_write", (1, MEMORY - 4, 1, FREE)),
        ("args_sizes_get", (MEMORY, FREE)),
    ):
        yield run(
            f"wasi/{name}: a range outside memory",
            "What ends an execution",
            "| `out_of_bounds` | a range outside memory |",
            "wasi",
            _Wasi().call(f"{WASI} {name}", *arguments),
            expect=ends("out_of_bounds"),
        )
    write = Function(WASI, "fd_write", "iiii", "i")
    vector = struct.pack("<II", 80, 6) + bytes(8) + b"early\n"
    yield case(
        "wasi/before the handler",
        "Exports",
        "only `alga:log`, `alga:abi` `fail`, WASI and `env` work",
        (
            "early-wasi",
            small(
                """(func (export "_initialize")
                (drop (call $f1 (i32.const 1) (i32.const 64) (i32.const 1) (i32.const 100))))""",
                imports=import_text(write, 1),
                data=vector,
            ),
        ),
        {"response": {"status": 200}},
        log=[["info", "early"]],
    )
    script = _Wasi().write(FREE, OK).call("alga:abi respond", FREE, len(OK)).writes(1, b"late\n").leave()
    yield run(
        "wasi/after respond",
        "Lifetimes",
        "from then on only `alga:log`, `alga:abi` `fail`, WASI and `env` work",
        "wasi",
        script,
        expect={"response": {"status": 202}},
        log=[["info", "late"]],
    )


def _text(text: str) -> bytes:
    """A text as AssemblyScript has it: its size in bytes, then UTF-16."""
    data = text.encode("utf-16-le")
    return struct.pack("<I", len(data)) + data


def env() -> Cases:
    """AssemblyScript's ``env``."""
    rule = "AssemblyScript's `env` is there, too: `abort`, whose message and position become the error"
    types = {"f": "f32", "i": "i32", "d": "f64"}
    functions = [one.function for one in ASSEMBLYSCRIPT_IMPORTS]
    imports = " ".join(
        f'(import "{one.module}" "{one.name}" (func'
        + "".join(f" (param {types[letter]})" for letter in one.signature.params)
        + "".join(f" (result {types[letter]})" for letter in one.signature.results)
        + "))"
        for one in functions
    )
    yield case(
        "env/all of it links",
        SECTION,
        "`trace`, `seed`, `console.*`, `Date.now`, `Math.*`",
        ("env", small(imports=imports)),
        {"response": {"status": 200}},
    )
    message = _text("out of cheese")
    call = f"(call $f1 (i32.const 68) (i32.const {64 + len(message) + 4}) (i32.const 12) (i32.const 34))"
    yield case(
        "env/abort, with message and position",
        SECTION,
        rule,
        (
            "env-abort",
            small(
                imports=import_text(Function("env", "abort", "iiii"), 1),
                handler=call,
                data=message + _text("main.ts"),
            ),
        ),
        ends("guest_abort", "out of cheese", "main.ts", "12", "34"),
    )
    numbers = [
        Function("env", "Date.now", "", "d"),
        Function("env", "seed", "", "d"),
        Function("env", "Math.sqrt", "d", "d"),
    ]
    yield case(
        "env/clock, seed and mathematics",
        SECTION,
        "`trace`, `seed`, `console.*`, `Date.now`, `Math.*`",
        (
            "env-numbers",
            small(
                imports=" ".join(import_text(one, number) for number, one in enumerate(numbers)),
                handler=f"""(if (f64.lt (call $f0) (f64.const 1e12)) (then unreachable))
                (drop (call $f1))
                (if (f64.ne (call $f2 (f64.const 9)) (f64.const 3)) (then unreachable)) {HANDLER}""",
            ),
        ),
        {"response": {"status": 200}},
    )
    for name, level in (
        ("log", "info"),
        ("debug", "debug"),
        ("info", "info"),
        ("warn", "warn"),
        ("error", "error"),
    ):
        yield case(
            f"env/console.{name}",
            SECTION,
            "`trace`, `seed`, `console.*`, `Date.now`, `Math.*`",
            (
                f"env-console-{name}",
                small(
                    imports=import_text(Function("env", f"console.{name}", "i"), 1),
                    handler=f"(call $f1 (i32.const 68)) {HANDLER}",
                    data=_text("über"),
                ),
            ),
            {"response": {"status": 200}},
            log=[[level, "über"]],
        )
