"""What a guest writes to stderr before it ends itself is its error's message."""

from __future__ import annotations

import struct

import pytest

from alga_runner.errors import AlgaError, GuestExit, GuestTrap, MemoryLimit

pytestmark = pytest.mark.anyio

GO = (
    "a line of the log\npanic: The guest gives up: 東京.\n\n"
    "goroutine 7 [running]:\nmain.(*Shop).sync(0x1, {0x2, 0x3})\n\thello/main.go:62 +0x2\n"
    "created by main.handler in goroutine 1\n\thello/main.go:60 +0xb4\nexit status 2\n"
)
RUST = "\nthread 'main' (1) panicked at src/lib.rs:3:5:\nindex out of bounds\n"
TRAP, EXIT = "unreachable", "(call $exit (i32.const 2))"
OUTSIDE = "(drop (i32.load (i32.const 0x7fffffff)))"


@pytest.fixture
def ended(observe, guest_wat):
    """The error of a guest that writes ``text`` to a descriptor, and then ends by the instruction ``end``."""

    async def run(
        text: str, end: str, *, descriptor: int = 2, pages: int = 1, responds: bool = False
    ) -> AlgaError:
        written = text.encode()
        guest = guest_wat(
            f"(drop (call $write (i32.const {descriptor}) (i32.const 1024) (i32.const 1) (i32.const 1020)))"
            f"{'(call $respond (i32.const 0) (global.get $ok))' if responds else ''}{end}",
            imports='(import "wasi_snapshot_preview1" "fd_write"'
            " (func $write (param i32 i32 i32 i32) (result i32)))"
            '(import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))',
            data=struct.pack("<II", 1032, len(written)) + written,
            pages=pages,
        )
        error: AlgaError = (await observe(guest)).error
        return error

    return run


async def test_a_panic_of_go_is_the_message_with_its_stack(ended) -> None:
    error = await ended(GO, TRAP)

    assert isinstance(error, GuestTrap)
    assert str(error) == (
        "The handler failed: panic: The guest gives up: 東京.\n"
        "    main.(*Shop).sync at hello/main.go:62\n"
        "    created by main.handler in goroutine 1 at hello/main.go:60"
    )


async def test_a_panic_of_rust_is_the_message(ended) -> None:
    assert str(await ended(RUST, TRAP)) == "The handler failed: index out of bounds"


async def test_the_message_of_an_exit_has_its_status_and_its_reason(ended) -> None:
    error = await ended("assertion failed: n > 0\n", EXIT)

    assert isinstance(error, GuestExit)
    assert str(error) == "The guest exited with status 2: assertion failed: n > 0"


async def test_an_exit_after_a_response_has_its_reason_too(ended) -> None:
    assert "status 2: too late" in str(await ended("too late", EXIT, responds=True))


async def test_a_trap_that_is_no_way_out_of_a_runtime_s_keeps_its_reason(ended) -> None:
    error = await ended("starting\n", OUTSIDE)

    assert isinstance(error, GuestTrap)
    assert str(error) == (
        "The guest trapped: it touched memory outside its bounds. It wrote to stderr: starting"
    )


async def test_a_guest_that_wrote_to_stdout_alone_ends_as_before(ended) -> None:
    assert str(await ended("starting\n", TRAP, descriptor=1)) == (
        "The guest trapped: it reached code marked unreachable."
    )


async def test_a_runtime_that_has_no_memory_left_is_told_as_that(ended) -> None:
    error = await ended("runtime: out of memory: cannot allocate\nfatal error: out of memory\n", EXIT)

    assert isinstance(error, MemoryLimit)


async def test_a_long_text_is_cut_to_its_end(ended) -> None:
    message = str(await ended("a" * 40_000 + "b" * 100, TRAP, pages=2))

    assert message.endswith("b" * 100)
    assert len(message) < 2_100
