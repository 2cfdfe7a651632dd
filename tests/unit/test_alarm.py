"""The alarm of sink.timeout.ms: when it rings, what it interrupts, and that it leaves no trace.  Real signals."""

from __future__ import annotations

import faulthandler
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest

from streaming.sinks import alarm
from streaming.sinks.alarm import Alarm, Hung

SOON = 0.05
FOREVER = 300.0  # of which none passes


def armed() -> bool:
    return signal.getitimer(signal.ITIMER_REAL)[0] > 0


@pytest.fixture(autouse=True)
def bystander() -> Iterator[None]:
    """A handler and a timer of somebody else's: afterwards they are there again."""
    handler = signal.signal(signal.SIGALRM, note)
    timer = signal.setitimer(signal.ITIMER_REAL, 1000)
    try:
        yield
        assert signal.getsignal(signal.SIGALRM) is note
        assert signal.getitimer(signal.ITIMER_REAL)[0] > 900
    finally:
        faulthandler.cancel_dump_traceback_later()
        signal.signal(signal.SIGALRM, handler)
        signal.setitimer(signal.ITIMER_REAL, *timer)


def note(*_: object) -> None: ...


def test_it_interrupts_what_waits() -> None:
    """However it waits, and whatever it does with Exceptions."""

    def sink() -> None:
        while True:
            with suppress(Exception):
                time.sleep(FOREVER)

    bell = Alarm(SOON)
    with pytest.raises(Hung), bell.set():
        sink()
    assert bell.rang_at


def test_it_rings_again_in_a_clean_up_that_hangs() -> None:
    """What swallows the first one, or waits on its way out, is not waited for either."""

    def sink() -> None:
        try:
            threading.Event().wait(FOREVER)
        finally:
            time.sleep(FOREVER)

    with pytest.raises(Hung), Alarm(SOON).set():
        sink()


def test_what_is_done_in_time_hears_nothing() -> None:
    """Also not later."""
    bell = Alarm(FOREVER)
    with bell.set():
        assert armed()
    assert bell.rang_at == ""


def test_without_a_time_nothing_is_set() -> None:
    """None: no timer, no handler."""
    with Alarm(None).set():
        assert signal.getsignal(signal.SIGALRM) is note
        assert list(Alarm(None).waiting([1, 2])) == [1, 2]


def test_what_it_waits_for_is_not_the_sinks_time() -> None:
    """The clock stands still while the next item is fetched, and goes on where it was."""
    clock: list[bool] = []

    def fetched() -> Iterator[int]:
        for n in range(3):
            clock.append(signal.getitimer(signal.ITIMER_REAL)[1] > 0)  # ours repeats, the bystander's does not
            yield n

    bell = Alarm(FOREVER)
    with bell.set():
        first = signal.getitimer(signal.ITIMER_REAL)[0]
        for _ in bell.waiting(fetched()):
            assert armed()
        left = signal.getitimer(signal.ITIMER_REAL)[0]
    assert clock == [False] * 3
    assert 0 < left <= first


def test_an_error_of_what_it_waits_for_goes_through() -> None:
    """And the clock goes on for what the sink does with it."""

    def fetched() -> Iterator[int]:
        raise ValueError("lost")
        yield 0

    bell = Alarm(FOREVER)
    with bell.set():
        with pytest.raises(ValueError, match="lost"):
            next(bell.waiting(fetched()))
        assert armed()


def test_what_no_signal_interrupts_ends_with_its_process() -> None:
    """C code that never comes back to Python: the process is ended, its stack is on stderr."""
    code = (
        "import hashlib\nfrom streaming.sinks import alarm\nalarm.MARGIN_SECONDS = 0.2\n"
        "def hang():\n    hashlib.pbkdf2_hmac('sha256', b'', b'', 2**31 - 1)\n"
        "with alarm.Alarm(0.05).set():\n    hang()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 1
    assert "in hang" in done.stderr
    assert alarm.MARGIN_SECONDS == 10
