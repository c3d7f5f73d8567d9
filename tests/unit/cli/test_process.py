"""The command in a process of its own: exit statuses, pipes, Ctrl-C."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from tests.support.patience import PATIENCE_S

pytestmark = pytest.mark.processes

WHEN_RUNNING = """
import sys
from alga_runner.engine.guest import Guest
poll = Guest.poll
def announced(self, **how):
    done = poll(self, **how)
    if self.handling and not done:
        print("running", file=sys.stderr, flush=True)
        Guest.poll = poll
    return done
Guest.poll = announced
from alga_runner.cli import main
main(prog_name="alga-runner")
"""
"""``alga-runner`` that prints a line when a guest's handler starts, so that no test waits on the clock."""


def test_a_pipe_gets_plain_lines_however_long(process, sample: str) -> None:
    ended = process("invoke", sample, "POST", "/setup", "--grant", "scheduler.manage", env={"COLUMNS": "20"})

    assert ended.returncode == 0
    assert "\x1b" not in ended.stdout
    replies = [
        line for line in ended.stdout.splitlines() if line.startswith('    <- {"ok": {"endpoints": [{"id"')
    ]
    assert len(replies) == 1
    assert all(line == line.rstrip() for line in ended.stdout.splitlines())


def test_tables_in_a_pipe_are_neither_wrapped_nor_padded(process, sample: str) -> None:
    ended = process("inspect", sample, env={"COLUMNS": "20", "TERM": "xterm-256color"})

    assert "  cap:scheduler.manage  declared         for alga:scheduler create, delete, get" in ended.stdout
    assert all(line == line.rstrip() for line in ended.stdout.splitlines())


def test_a_stream_that_cannot_say_everything_gets_escapes(process, extension) -> None:
    path = extension(
        manifest={"name": "sch\N{LATIN SMALL LETTER O WITH DIAERESIS}n", "version": "1.0.0", "runtime": "a@1"}
    )

    ended = process("inspect", path, env={"PYTHONIOENCODING": "ascii"})

    assert ended.returncode == 0
    assert ended.stdout.startswith("sch\\xf6n 1.0.0\n")


def test_a_failure_leaves_one_sentence_and_status_1(process, extension) -> None:
    ended = process("invoke", extension("unreachable"), "POST", "/go")

    assert ended.returncode == 1
    assert ended.stderr.startswith("error[guest_trap]: The guest trapped")
    assert "Traceback" not in ended.stderr


def test_debug_shows_the_traceback(process, tmp_path) -> None:
    ended = process("inspect", str(tmp_path / "nothing"), env={"ALGA_RUNNER_DEBUG": "1"})

    assert ended.returncode == 1
    assert "Traceback" in ended.stderr


def test_bad_usage_has_status_2(process) -> None:
    assert process("invoke").returncode == 2


def test_a_fault_of_the_command_itself_is_a_sentence_too(process, sample: str) -> None:
    script = (
        "from alga_runner.cli import main\n"
        "import alga_runner.cli.demo.play as demo\n"
        "def play(): raise ZeroDivisionError('oops')\n"
        "demo.play = play\n"
        "main(['demo'])"
    )

    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)

    assert ended.returncode == 1
    assert ended.stderr.startswith("error[internal]: ZeroDivisionError: oops\nhint: ")
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize("arguments", [["demo"], ["--help"]])
def test_a_reader_that_is_gone_is_no_news(arguments: list[str]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    script = f"from alga_runner.cli import main; main({arguments!r})"

    ended = subprocess.run(
        [sys.executable, "-c", script], stdout=writer, stderr=subprocess.PIPE, text=True, check=False
    )
    os.close(writer)

    assert ended.stderr == ""
    assert ended.returncode == 1


@pytest.mark.parametrize("again", [1, 3])
def test_ctrl_c_ends_a_spinning_guest_quietly(extension, again: int) -> None:
    path = extension("(loop (br 0))")
    process = subprocess.Popen(
        [
            sys.executable,
            "-X",
            "faulthandler",
            "-c",
            WHEN_RUNNING,
            "invoke",
            path,
            "POST",
            "/go",
            "--timeout",
            "60000",
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    assert process.stderr.readline() == "running\n"

    for _ in range(again):
        process.send_signal(signal.SIGINT)
    try:
        shown, said = process.communicate(timeout=PATIENCE_S)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGABRT)  # its threads' stacks, from faulthandler
        pytest.fail("It did not end.\n" + process.communicate()[1])

    assert (shown, said) == ("", "")
    # The shell reports 130 for both: an exit with 130, and, of a process interrupted again while it ends, the signal.
    assert process.returncode in ({130} if again == 1 else {130, -signal.SIGINT})


INTERRUPTED = """
import signal, sys
import anyio
import alga_runner.cli.invoke.invocation as invocation
async def carry_out(_):
    signal.raise_signal(signal.SIGINT)
    try:
        await anyio.sleep_forever()
    finally:
        end()
invocation._carry_out = carry_out
from alga_runner.cli import main
"""
"""``alga-runner invoke`` that gets Ctrl-C, and calls ``end()`` as it ends."""


def test_a_second_ctrl_c_ends_a_command_in_the_middle_of_its_ending(extension) -> None:
    script = f"""{INTERRUPTED}
def end():
    try:
        signal.raise_signal(signal.SIGINT)
    except KeyboardInterrupt:
        print("interrupted in the middle", file=sys.stderr)
main(["invoke", {extension()!r}, "POST", "/go"])
"""

    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)

    assert (ended.returncode, ended.stdout, ended.stderr) == (-signal.SIGINT, "", "")


def test_what_goes_wrong_after_ctrl_c_is_no_news(extension) -> None:
    script = f"""{INTERRUPTED}
def end(): raise RuntimeError("oops")
main(["invoke", {extension()!r}, "POST", "/go"])
"""

    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)

    assert (ended.returncode, ended.stdout, ended.stderr) == (130, "", "")


def test_ctrl_c_while_a_body_is_typed_ends_quietly(extension) -> None:
    script = (
        "import signal, sys\n"
        "import alga_common.cli.options as options\n"
        "def read(file): signal.raise_signal(signal.SIGINT)\n"
        "options._read = read\n"
        "from alga_runner.cli import main\n"
        f"main(['invoke', {extension()!r}, 'POST', '/go', '--body', '@-'])"
    )

    ended = subprocess.run(
        [sys.executable, "-c", script], input="", capture_output=True, text=True, check=False
    )

    assert ended.returncode == 130
    assert ended.stderr == ""
