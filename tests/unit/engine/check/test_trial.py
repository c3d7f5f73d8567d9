"""A wasmtime that crashes or hangs does so in a process of its own, and the command ends with a sentence."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest

from tests.support.patience import PATIENCE_S

PRELUDE = """
import ctypes, os, signal, sys, time
from alga_runner.engine import _capi, check_in_subprocess
from alga_runner.engine.check import selfcheck, trial
from alga_runner.errors import EngineUnavailable

def tried(check=selfcheck.check):
    selfcheck.check = check
    try:
        check_in_subprocess()
    except EngineUnavailable as error:
        return str(error)
    return "sound"

replaced = ctypes.CFUNCTYPE(ctypes.c_bool, ctypes.c_void_p)

def no_children():
    try:
        return os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        return "none left"
"""


def outcome(program: str) -> tuple[int, str, str]:
    source = PRELUDE + textwrap.dedent(program)
    ran = subprocess.run(
        [sys.executable, "-c", source], capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )
    return ran.returncode, ran.stdout.strip(), ran.stderr


def test_the_installed_wasmtime_passes() -> None:
    assert outcome("print(tried(), no_children())") == (0, "sound none left", "")


@pytest.mark.parametrize(
    ("way", "ending"),
    [
        pytest.param("ctypes.string_at(0)", "crashed with SIGSEGV", id="a wild pointer"),
        pytest.param("os.abort()", "crashed with SIGABRT", id="an abort"),
        pytest.param("os.kill(os.getpid(), signal.SIGKILL)", "crashed with SIGKILL", id="out of memory"),
        pytest.param("os._exit(3)", "ended the process with status 3", id="an exit"),
        pytest.param("raise KeyError", "ended the process with status 1", id="a fault of ours"),
    ],
)
def test_the_error_of_a_crash_names_the_step(way: str, ending: str) -> None:
    code, out, err = outcome(f"""
        def check(engine, begins):
            begins("to run into a trap")
            {way}
        print(tried(check))
        print(no_children())
    """)

    assert (code, err) == (0, "")
    assert out.endswith(f" cannot be used here: when asked to run into a trap, it {ending}.\nnone left")


def test_the_error_of_a_hang_names_the_step() -> None:
    code, out, err = outcome("""
        import os, select
        from types import SimpleNamespace

        hangs, hanging = os.pipe()

        def check(engine, begins):
            begins("to kill a guest, wherever it is")
            os.write(hanging, b"!")
            time.sleep(3600)

        def until_it_hangs(readers, writers, others, patience):
            # Patience ends once all that was written before is read, not before on a slow machine.
            ready = select.select([*readers, hangs], [], [], patience)[0]
            return [one for one in ready if one != hangs], [], []

        trial.select = SimpleNamespace(select=until_it_hangs)
        print(tried(check))
        print(no_children())
    """)

    assert (code, err) == (0, "")
    assert out.endswith(
        "when asked to kill a guest, wherever it is, it did not come back within 10 s.\nnone left"
    )


def test_the_error_of_a_misbehaviour_is_that_of_the_check() -> None:
    code, out, _ = outcome("""
        _capi.future_poll = replaced(lambda future: False)
        print(tried())
    """)

    assert code == 0
    assert (
        "does not do what the engine relies on. When asked to answer a host call immediately, it came to no end"
        in out
    )


@pytest.mark.parametrize(
    "before",
    [
        pytest.param(
            "import threading; threading.Thread(target=time.sleep, args=(3600,), daemon=True).start()",
            id="threads",
        ),
        pytest.param(
            "from alga_runner.engine import *; engine_context.engine(EngineConfig(max_guests=1))",
            id="an engine",
        ),
    ],
)
def test_a_process_that_must_not_be_forked_is_left_alone(before: str) -> None:
    code, out, err = outcome(f"""
        {before}
        os.fork = None
        print(tried(lambda *_: os.abort()))
    """)

    assert (code, out, err) == (0, "sound", "")


def test_where_no_process_can_be_had_nothing_is_tried() -> None:
    code, out, err = outcome("""
        def no_process():
            raise BlockingIOError
        os.fork = no_process
        open_before = len(os.listdir("/proc/self/fd"))
        print(tried(), len(os.listdir("/proc/self/fd")) - open_before)
    """)

    assert (code, out, err) == (0, "sound 0", "")


def test_an_interrupted_wait_leaves_no_process() -> None:
    code, out, err = outcome("""
        def check(engine, begins):
            os.kill(os.getppid(), signal.SIGINT)
            time.sleep(3600)
        try:
            tried(check)
        except KeyboardInterrupt:
            print("interrupted", no_children())
    """)

    assert (code, out, err) == (0, "interrupted none left", "")


@pytest.mark.parametrize(
    ("arguments", "way"),
    [
        pytest.param(
            ["serve", "--dev", "--port", "0", "--bundle-store", "."],
            "_capi.future_poll = replaced(lambda future: False)",
            id="serve",
        ),
        pytest.param(
            ["invoke", "sample-extensions/scheduler-demo", "POST", "/status"],
            "_capi.future_poll = replaced(lambda future: os.abort())",
            id="invoke",
        ),
    ],
)
def test_a_command_ends_with_the_sentence(arguments: list[str], way: str) -> None:
    code, out, err = outcome(f"""
        {way}
        from alga_runner.cli import main
        main({arguments!r})
    """)

    assert (code, out) == (1, "")
    assert err.startswith("error[engine_unavailable]: wasmtime ")
    assert "hint: Install the versions of requirements/runtime.txt." in err
    assert "Traceback" not in err


def test_the_signals_of_the_parent_are_as_they_were() -> None:
    code, out, _ = outcome("""
        before = [signal.getsignal(number) for number in signal.valid_signals()]
        tried()
        print(before == [signal.getsignal(number) for number in signal.valid_signals()])
    """)

    assert (code, out) == (0, "True")
