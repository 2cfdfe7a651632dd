"""A server's process: known by pid and start time, never mistaken for another, ended with its owner."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from servers.daemon import Daemon, ServerError, marked, start_time, wait_for

SLEEP = [sys.executable, "-c", "import time; time.sleep(600)"]
SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
Make = Callable[..., Daemon]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "server"
    folder.mkdir()
    return folder


@pytest.fixture
def daemon(folder: Path) -> Iterator[Make]:
    """Makes daemons of one name in one folder; what runs of them ends with the test."""
    made = []

    def make(command: Sequence[str] = SLEEP, answers: bool = True) -> Daemon:
        made.append(Daemon("sleeper", folder, lambda: command, lambda: answers))
        return made[-1]

    yield make
    for each in made:
        each.kill()


def test_another_object_finds_the_running_process(daemon: Make) -> None:
    """A second `up` reuses what runs: the pid file is enough."""
    first, second = daemon(), daemon()
    first.start()
    second.start()
    assert second.pid == first.pid is not None


def test_a_recycled_pid_is_not_taken_for_ours(daemon: Make, folder: Path) -> None:
    """A living process with the pid of the file and another start time: it counts as not ours and is not killed."""
    with subprocess.Popen(SLEEP) as stranger:
        (folder / "sleeper.pid").write_text(
            json.dumps({"pid": stranger.pid, "start": (start_time(stranger.pid) or 0) + 1})
        )
        recycled = daemon()
        assert not recycled.alive
        recycled.kill()
        assert stranger.poll() is None
        stranger.kill()


def test_stop_holds_it_and_cont_lets_it_go(daemon: Make) -> None:
    """SIGSTOP leaves it alive and stopped; a stopped one can be killed."""
    sleeper = daemon()
    sleeper.start()
    sleeper.stop()
    assert sleeper.alive
    assert sleeper.stopped
    sleeper.cont()
    wait_for(lambda: not sleeper.stopped, 5, "it to go on")
    sleeper.stop()
    sleeper.kill()
    assert not sleeper.alive


def test_a_process_that_ends_at_once_shows_the_end_of_its_log(daemon: Make) -> None:
    """Whoever waits for it reads why."""
    broken = daemon([sys.executable, "-c", "raise SystemExit('the port is taken')"], answers=False)
    broken.start()
    with pytest.raises(ServerError, match="the port is taken"):
        broken.wait_ready()


def test_a_process_that_never_answers_is_given_up(daemon: Make) -> None:
    """The deadline names it."""
    mute = daemon(answers=False)
    mute.start()
    with pytest.raises(ServerError, match=r"sleeper did not answer within 0\.2 s"):
        mute.wait_ready(0.2)


def test_everything_ends_when_its_owner_is_killed(tmp_path: Path, folder: Path) -> None:
    """SIGKILL of the owner leaves it no chance to clean up: the watcher does."""
    program = (
        "import sys, time; from pathlib import Path\n"
        "from servers.cluster import Sandbox; from servers.daemon import Daemon\n"
        "data = Path(sys.argv[1]); Sandbox(data).end_with_me()\n"
        "command = [sys.executable, '-c', 'import time; time.sleep(600)']\n"
        "Daemon('sleeper', data / 'server', lambda: command, lambda: True).start()\n"
        "print('started', flush=True); time.sleep(600)\n"
    )
    owner = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)],
        env={**os.environ, "PYTHONPATH": str(SCRIPTS)},
        stdout=subprocess.PIPE,
    )
    assert owner.stdout is not None
    with owner.stdout:
        assert owner.stdout.readline() == b"started\n"
    assert len(marked(tmp_path)) == 1
    owner.kill()
    owner.wait()
    wait_for(lambda: not marked(tmp_path), 10, "the process to end with its owner")
