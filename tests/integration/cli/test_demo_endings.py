"""However the demonstration ends, nothing of it is left."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from tests.support.patience import PATIENCE_S

pytestmark = pytest.mark.processes

HINT = "hint: Run `alga-runner doctor`, and the demo once more; report what both print if it fails again.\n"

START = "An Alga server and a runner start"

Play = Callable[..., "Playing"]


class Playing:
    """A demonstration in a process of its own; its folder is made in ``folder``, its processes carry ``mark``."""

    def __init__(self, folder: Path, program: str, arguments: list[str], **environment: str) -> None:
        self.folder = folder
        self.mark = f"DEMO_MARK={uuid4()}"
        name, _, value = self.mark.partition("=")
        self.process = subprocess.Popen(
            [*arguments, sys.executable, "-c", program],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "TMPDIR": str(folder), name: value, **environment},
        )
        self.said = ""

    def until(self, text: str) -> None:
        """Read what it prints until a line has ``text``."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.said += line
            if text in line:
                return
        pytest.fail(f"it never said {text!r}: {self.said}")

    def end(self) -> tuple[int, str]:
        """Its exit status and what it wrote to stderr."""
        said, complaints = self.process.communicate(timeout=PATIENCE_S)
        self.said += said or ""
        return self.process.returncode, complaints

    def processes(self) -> list[int]:
        """The processes that carry the mark."""
        return [int(path.name) for path in Path("/proc").glob("[0-9]*") if self._carries_mark(path)]

    def left(self) -> list[object]:
        """Return its leftovers: processes, files, ports that still answer."""
        ports = [int(port) for port in re.findall(r"--port (\d+)", self.said)]
        return [*self.processes(), *self.folder.iterdir(), *filter(_answers, ports)]

    def _carries_mark(self, process: Path) -> bool:
        try:
            return self.mark.encode() in (process / "environ").read_bytes().split(b"\0")
        except OSError:
            return False


def _answers(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture
def play(tmp_path: Path) -> Iterator[Play]:
    """Start it; ``before`` is Python that runs first, ``arguments`` stand before the program."""
    begun: list[Playing] = []

    def call(before: str = "", *, arguments: tuple[str, ...] = (), **environment: str) -> Playing:
        program = f"{before}\nfrom alga_runner.cli import main; main(['demo'], prog_name='alga-runner')"
        begun.append(Playing(tmp_path, program, list(arguments), **environment))
        return begun[-1]

    yield call
    for demo in begun:
        for process in demo.processes():
            os.kill(process, signal.SIGKILL)
        demo.process.communicate()


@pytest.mark.parametrize(
    ("moment", "number", "status"),
    [
        (START, signal.SIGINT, 130),
        ("both answer", signal.SIGTERM, 143),
        ("POST /setup", signal.SIGINT, 130),
        ("The clock moves", signal.SIGHUP, 129),
        ("asked to end", signal.SIGINT, 130),
    ],
)
def test_a_signal_in_the_middle_leaves_nothing(
    play: Play, moment: str, number: signal.Signals, status: int
) -> None:
    playing = play()
    playing.until(moment)

    playing.process.send_signal(number)

    assert playing.end() == (status, "")
    assert playing.left() == []


def test_ctrl_c_again_and_again_leaves_nothing(play: Play) -> None:
    playing = play()
    playing.until("POST /setup")

    playing.process.send_signal(signal.SIGINT)
    while playing.process.poll() is None:
        playing.process.send_signal(signal.SIGINT)

    status, _ = playing.end()
    assert status in {130, -signal.SIGINT}  # the last one may meet an interpreter that is past its own end
    assert playing.left() == []


def test_both_are_processes_of_their_own_until_it_ends(play: Play) -> None:
    playing = play()
    playing.until("both answer")
    assert len(playing.processes()) == 5  # the demo, the server, the runner and its two workers

    assert playing.end() == (0, "")
    assert playing.said.splitlines()[-1].startswith("Every step held.")
    assert playing.left() == []


def test_a_step_that_fails_leaves_nothing(play: Play) -> None:
    playing = play(
        "from alga_runner.cli.demo import play\n"
        "def step(stage): stage.expect(1, 2, 'The answer')\n"
        "play.STEPS = (*play.STEPS[:3], step)"
    )

    assert playing.end() == (1, f"error: The answer is 1, not 2.\n{HINT}")
    assert playing.left() == []


def test_a_step_that_breaks_leaves_nothing(play: Play) -> None:
    playing = play(
        "from alga_runner.cli.demo import play\n"
        "def step(stage): raise RuntimeError('broken')\n"
        "play.STEPS = (step,)"
    )

    status, complaints = playing.end()
    assert status == 1
    assert complaints.startswith("error[internal]: RuntimeError: broken\n")
    assert playing.left() == []


def test_a_process_that_does_not_heed_sigterm_is_killed(play: Play) -> None:
    playing = play(
        "import os, signal\n"
        "from alga_runner.cli.demo import play, processes\n"
        "processes.END_S = 0.05\n"
        "def step(stage): os.killpg(stage.pair.runner._process.pid, signal.SIGSTOP)\n"
        "play.STEPS = (step,)"
    )

    status, complaints = playing.end()
    assert status == 1
    assert re.fullmatch(
        r"error: The exit statuses of server and runner is \[.*, -9\], not \[0, 0\]\.\n" + re.escape(HINT),
        complaints,
    )
    assert playing.left() == []


@pytest.mark.parametrize(
    ("name", "module"), [("alga-server", "alga_server.cli"), ("alga-runner", "alga_runner.cli")]
)
def test_a_process_that_does_not_come_up_is_one_sentence(play: Play, name: str, module: str) -> None:
    """A missing module, as one of the causes that keep a program from starting."""
    playing = play(
        f"from alga_runner.cli.demo import processes\nprocesses._MODULES['{name}'] = '{module}.nowhere'"
    )

    status, complaints = playing.end()
    assert status == 1
    assert re.fullmatch(
        rf"error: {name} did not start \(exit status 1\)\. Its last words: .*No module named {module}\.nowhere\n"
        + re.escape(HINT),
        complaints,
    )
    assert playing.left() == []


def test_settings_of_somebody_else_s_server_do_not_disturb_it(play: Play) -> None:
    playing = play(
        ALGA_SERVER_DATABASE_URL="sqlite:////nowhere/alga.db",
        ALGA_RUNNER_LOG_LEVEL="error",
        RUNNER_SERVICE_TOKEN="foreign",
        PORT="1",
    )

    assert playing.end() == (0, "")


def test_a_module_in_the_current_folder_is_not_taken_for_one_of_ours(
    play: Play, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cwd").mkdir()
    (tmp_path / "cwd" / "click.py").write_text("raise SystemExit('foreign')")
    playing = play(f"import os, click; os.chdir({str(tmp_path / 'cwd')!r})")

    assert playing.end()[0] == 0


def test_a_reader_of_a_pipe_that_is_gone_leaves_nothing(play: Play) -> None:
    playing = play()
    playing.until("both answer")
    assert playing.process.stdout is not None
    playing.process.stdout.close()
    playing.process.stdout = None

    playing.end()
    assert playing.left() == []
