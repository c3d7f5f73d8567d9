"""The native ticker and the engine outlive nothing and outlast everything: processes end as they should."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap

import pytest

from tests.support.patience import PATIENCE_S

PRELUDE = """
import asyncio, atexit, os, signal, sys, threading
import anyio, anyio._backends._asyncio
from wasmtime import wat2wasm
from alga_runner.engine import *

WAT = '''(module (import "host" "call" (func $call (param i32)))
  (memory (export "memory") 1)
  (func (export "spin") (param i32) (loop (br 0)))
  (func (export "calls") (param i32) (loop (call $call (i32.const 1)) (br 0)))
  (func (export "call") (param i32) (call $call (local.get 0))))'''

def link(guests=4):
    engine = engine_context.engine(EngineConfig(max_guests=guests, max_memory_bytes=1 << 20))
    return Linker(engine, [HostFunction("host", "call", Signature("i"))]).link(Module(engine, bytes(wat2wasm(WAT))))

async def run(linked, export, answer=lambda function, arguments: None):
    with linked.new_guest(GuestLimits(1 << 20, 10)) as guest:
        guest.instantiate()
        await run_call(guest, answer)
        guest.call(export, 1)
        await run_call(guest, answer)
"""


def python(program: str, **options) -> subprocess.Popen:
    source = PRELUDE + textwrap.dedent(program)
    return subprocess.Popen(
        [sys.executable, "-c", source], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options
    )


def ended(process: subprocess.Popen) -> tuple[str, str]:
    """The output of a process until its end. One that does not end is killed: it may spin."""
    try:
        return process.communicate(timeout=PATIENCE_S)
    finally:
        process.kill()


def outcome(program: str) -> tuple[int, str, str]:
    process = python(program)
    out, err = ended(process)
    return process.returncode, out.strip(), err


def test_a_process_that_ran_guests_ends_normally():
    code, out, err = outcome("""
        linked = link()
        anyio.run(run, linked, "call")
        print("ran", linked.engine.ticker.live)
    """)

    assert (code, out, err) == (0, "ran 0", "")


def test_a_process_may_end_while_a_guest_lives():
    code, out, err = outcome("""
        guest = link().new_guest(GuestLimits(1 << 20, 10))
        guest.instantiate(); guest.poll(); guest.call("spin", 1); guest.poll()
        print(guest.linked.engine.ticker.live)
    """)

    assert (code, out, err) == (0, "1", "")


def test_a_process_may_end_while_the_timers_of_several_engines_run():
    code, out, err = outcome("""
        guests = [link(number).new_guest(GuestLimits(1 << 20, 10)) for number in (2, 3, 4)]
        for guest in guests:
            guest.instantiate(); guest.poll(); guest.call("spin", 1); guest.poll()
        print("ends")
    """)

    assert (code, out, err) == (0, "ends", "")


SPINNING = """
async def until_in_the_cpu_thread(*tasks):
    from alga_runner.engine.context import engine_context
    while engine_context.cpu_thread.waiting + (engine_context.cpu_thread._running is not None) < len(tasks):
        await asyncio.sleep(0)
"""


def test_a_process_may_end_while_guests_compute_beside_a_loop_that_stopped():
    code, out, err = outcome(
        SPINNING
        + """
loop = asyncio.new_event_loop()
loop.set_exception_handler(lambda *_: None)
tasks = [loop.create_task(run(link(2), "spin")), loop.create_task(run(link(3), "spin"))]
loop.run_until_complete(until_in_the_cpu_thread(*tasks))
print("ends")
"""
    )

    assert (code, out, err) == (0, "ends", "")


@pytest.mark.parametrize("export", ["spin", "calls"])
def test_a_process_may_end_while_a_daemon_thread_s_loop_runs_guests(export: str):
    code, out, _ = outcome(f"""
        started = threading.Event()
        linked = link()

        def answer(function, arguments):
            started.set()

        async def both():
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(run, linked, "calls", answer)
                tasks.start_soon(run, linked, {export!r})
        threading.Thread(target=asyncio.run, args=(both(),), daemon=True).start()
        started.wait()
        print("ends")
    """)

    assert (code, out) == (0, "ends")


def test_a_child_forked_while_a_guest_computes_has_nothing_to_do_with_it():
    code, out, err = outcome(
        SPINNING
        + """
async def main():
    from alga_runner.engine.context import engine_context
    guest = link().new_guest(GuestLimits(1 << 20, 10))
    guest.instantiate()
    guest.poll()
    guest.call("spin", 1)
    task = asyncio.ensure_future(run_call(guest, None))
    await until_in_the_cpu_thread(task)
    while engine_context.cpu_thread._running is None:
        await asyncio.sleep(0)
    child = os.fork()
    if child == 0:
        print("child", engine_context.cpu_thread._thread, engine_context.cpu_thread.waiting, flush=True)
        guest.close()
        atexit._run_exitfuncs()
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), "parent", task.done())
    task.cancel()

asyncio.run(main())
"""
    )

    assert (code, out) == (0, "child None 0\n0 parent False"), err


@pytest.mark.parametrize("interrupts", [1, 2])
def test_ctrl_c_while_guests_compute_beside_the_loop_ends_the_process_as_an_interrupt(interrupts: int):
    code, out, err = outcome(
        SPINNING
        + f"""
async def main():
    linked = link()
    tasks = [asyncio.ensure_future(run(linked, "spin")) for _ in range(3)]
    await until_in_the_cpu_thread(*tasks)
    with deferred_interrupts():
        for _ in range({interrupts}):
            signal.raise_signal(signal.SIGINT)
        await asyncio.wait(tasks)

try:
    asyncio.run(main())
except KeyboardInterrupt:
    print("interrupted", link().engine.ticker.live)
"""
    )

    assert (code, out, err) == (0, "interrupted 0", "")


def test_ctrl_c_as_the_loop_is_about_to_wait_is_not_left_until_the_guest_ends():
    code, out, err = outcome(
        SPINNING
        + """
LONG_S = 20
about_to_wait = threading.Event()

def interrupt():  # in a thread of its own, since it is not to end the system call that waits
    about_to_wait.wait()
    signal.pthread_kill(threading.get_ident(), signal.SIGINT)

async def main():
    linked = link()
    with deferred_interrupts():
        task = asyncio.ensure_future(run(linked, "spin"))
        await until_in_the_cpu_thread(task)
        sys.setswitchinterval(100)  # no thread runs before this one waits
        for _ in range(100):
            await asyncio.sleep(0)
        selector = asyncio.get_running_loop()._selector
        select = selector.select
        def announced(timeout):
            if timeout != 0:
                about_to_wait.set()
            ready = select(timeout)
            if timeout != 0 and not ready:
                print("late")
            return ready
        threading.Thread(target=interrupt).start()
        selector.select = announced
        await asyncio.wait([task], timeout=LONG_S)

try:
    asyncio.run(main())
except KeyboardInterrupt:
    print("interrupted")
"""
    )

    assert (code, out, err) == (0, "interrupted", "")


def test_two_loops_in_two_threads_run_guests_side_by_side():
    code, out, err = outcome("""
        linked = link()
        ended = []

        async def live(number):
            async def answer(function, arguments):
                assert threading.current_thread().name == number
            for _ in range(50):
                with anyio.move_on_after(0.002):
                    await run(linked, "spin" if number == "0" else "calls", answer)
                await run(linked, "call", answer)
            ended.append(number)

        threads = [threading.Thread(target=asyncio.run, args=(live(name),), name=name) for name in "01"]
        for thread in threads: thread.start()
        for thread in threads: thread.join()
        print(sorted(ended), linked.engine.ticker.live)
    """)

    assert (code, out, err) == (0, "['0', '1'] 0", "")


def test_two_engines_tick_in_one_process():
    code, out, err = outcome("""
        async def both():
            for linked in (link(2), link(3)):
                with anyio.move_on_after(0.02) as scope:
                    await run(linked, "spin")
                print(scope.cancelled_caught, linked.engine.ticker.live)
        anyio.run(both)
    """)

    assert (code, out, err) == (0, "True 0\nTrue 0", "")


def test_the_engine_for_one_configuration_is_shared():
    code, out, _ = outcome("print(link(2).engine is link(2).engine, link(2).engine is link(3).engine)")

    assert (code, out) == (0, "True False")


def test_a_spawned_child_has_an_engine_of_its_own(tmp_path):
    module = tmp_path / "spawning.py"
    module.write_text(
        PRELUDE
        + textwrap.dedent("""
        import multiprocessing

        def child():
            async def spin():
                with anyio.move_on_after(0.02) as scope:
                    await run(link(), "spin")
                assert scope.cancelled_caught
            anyio.run(spin)

        if __name__ == "__main__":
            anyio.run(run, link(), "call")
            process = multiprocessing.get_context("spawn").Process(target=child)
            process.start(); process.join()
            print("child ended with", process.exitcode)
        """)
    )
    done = subprocess.run(
        [sys.executable, str(module)], capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )

    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, "child ended with 0", "")


def test_a_forked_child_is_told_that_nothing_would_interrupt_its_guests():
    code, out, _ = outcome("""
        linked = link()
        anyio.run(run, linked, "call")
        child = os.fork()
        if child == 0:
            try:
                linked.new_guest(GuestLimits(1 << 20, 10))
            except Exception as error:
                print(error.code, flush=True)
            os._exit(0)
        os.waitpid(child, 0)
    """)

    assert (code, out) == (0, "engine_forked")


def test_a_child_forked_while_a_guest_lived_is_told_so_too():
    code, out, _ = outcome("""
        linked = link()
        guest = linked.new_guest(GuestLimits(1 << 20, 10))
        child = os.fork()
        if child == 0:
            try:
                linked.new_guest(GuestLimits(1 << 20, 10))
            except Exception as error:
                print(error.code, flush=True)
            os._exit(0)
        os.waitpid(child, 0)
    """)

    assert (code, out) == (0, "engine_forked")


def test_a_forked_child_that_asks_for_an_engine_is_refused_not_hung():
    code, out, _ = outcome("""
        linked = link()
        child = os.fork()
        if child == 0:
            try:
                link()
            except Exception as error:
                print(error.code, error.hint, flush=True)
            os._exit(0)
        os.waitpid(child, 0)
    """)

    assert (code, out) == (
        0,
        "engine_forked Start workers with the spawn method, or make the Runner in the worker.",
    )


@pytest.mark.parametrize("export", ["spin", "calls"])
@pytest.mark.parametrize(
    "loop", ["anyio.run(run_guarded)", "asyncio.new_event_loop().run_until_complete(run_guarded())"]
)
def test_ctrl_c_ends_a_running_guest_as_an_interrupt(export: str, loop: str):
    process = python(f"""
        linked = link()
        async def run_guarded():
            with deferred_interrupts():
                print("running", flush=True)
                await run(linked, {export!r})
        try:
            {loop}
        except KeyboardInterrupt:
            print("interrupted")
    """)
    assert process.stdout.readline() == "running\n"

    process.send_signal(signal.SIGINT)
    out, err = ended(process)

    assert (process.returncode, out, err) == (0, "interrupted\n", "")


def test_faulthandler_enabled_later_does_not_turn_a_trap_into_a_crash():
    code, out, err = outcome("""
        import faulthandler
        engine = engine_context.engine(EngineConfig(max_guests=2, max_memory_bytes=1 << 20))
        faulthandler.enable()
        wat = '(module (memory (export "memory") 1) (func (export "oob") (param i32) (drop (i32.load (i32.const -4)))))'
        linked = Linker(engine, []).link(Module(engine, bytes(wat2wasm(wat))))
        try:
            anyio.run(run, linked, "oob")
        except Exception as error:
            print(error.code)
    """)

    assert (code, out, err) == (0, "guest_trap", "")


def test_trio_is_told_what_to_use():
    code, out, _ = outcome("""
        from alga_runner import Runner, Settings
        async def start():
            async with Runner(Settings(max_guests=2)): pass
        coroutine = start()
        try:
            coroutine.send(None)  # a coroutine driven without an asyncio loop, as trio would
        except Exception as error:
            print(error.code, error.hint)
    """)

    assert (code, out) == (0, 'engine_unavailable Use anyio.run(..., backend="asyncio").')


def test_wasmtime_reads_no_debug_information_whatever_the_environment_says():
    code, out, err = outcome("""
        os.environ["WASMTIME_BACKTRACE_DETAILS"] = "1"
        name = b".debug_line"
        section = bytes([len(name)]) + name + bytes(9)
        module = Module(link().engine, bytes(wat2wasm(WAT)) + bytes([0, len(section)]) + section)
        print(name in bytes(module.native.serialize()), os.environ["WASMTIME_BACKTRACE_DETAILS"])
    """)

    assert (code, out, err) == (0, "False 1", "")


def test_an_engine_outlasts_what_the_interpreter_frees_as_it_next_scheduled():
    code, out, err = outcome("""
        linked = link()
        linked.engine.wasmtime.close()
        anyio.run(run, linked, "call")
        print("ran")
    """)

    assert (code, out, err) == (0, "ran", "")
