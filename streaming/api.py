"""Jobs as a function call, for scripts and notebooks: what `run_stream.py` does, without a command line."""

from __future__ import annotations

import importlib
import signal
import sys
import threading
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from os import PathLike, fspath
from typing import Any

from offsets.errors import ConfigError, StreamError
from streaming.commands.console import read_config
from streaming.config.job import JobConfig
from streaming.config.values import duration as in_seconds
from streaming.run.launch import Launch
from streaming.run.options import Options
from streaming.run.progress import RunProgress
from streaming.run.reports import final_report
from streaming.run.runner import Drain
from streaming.sinks.direct import opened
from streaming.spark.shipping import beside


def run_job(
    job_file: str | PathLike[str],
    *,
    available_now: bool = True,
    duration: str | None = None,
    overrides: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Runs a job once in this process, which becomes its Spark driver; the summary that run_stream.py prints last.

    `available_now`: stop at the end offsets seen at the start; otherwise it goes on until SIGTERM or Ctrl-C, which
    drain it.  `duration` (90s, 10m, 2h or 1d): stop so long after the first batch.  `overrides`: settings changed for
    this run, {"section.key": "value"}.  Raises StreamErrors, whose `remedy` and `exit_status` are those of the script;
    the summary then is in the sink's `_runs`.  Only for the main thread, and while no SparkContext is active.
    """
    if threading.current_thread() is not threading.main_thread():
        raise ConfigError(["run_job: called by another thread than the main one, which alone is sent signals"])
    progress = RunProgress(name=fspath(job_file), run_id=uuid.uuid4().hex, sink="")
    config = read_config(fspath(job_file), [f"{option}={value}" for option, value in (overrides or {}).items()])
    progress.see_job(config)
    options = Options(available_now, _seconds(duration))
    try:
        with signals_restored(), own_code(config):
            reason = Launch(config, options, progress, Drain()).run()
    except StreamError as e:
        final_report(progress, config, e.exit_status, str(e))
        raise
    return final_report(progress, config, 0, reason)


def _seconds(duration: str | None) -> float | None:
    try:
        return None if duration is None else in_seconds(duration)
    except ValueError as e:
        raise ConfigError([f"duration = {duration}: {e}"]) from None


@contextmanager
def own_code(config: JobConfig) -> Iterator[None]:
    """Forgets the modules beside the job file that a run has imported: another job's may have the same names."""
    path, before = list(sys.path), set(sys.modules)
    beside_it = {found.stem for name in config.user_code if (found := beside(name, config.folder))}
    try:
        yield
    finally:
        sys.path[:] = path
        for name in set(sys.modules) - before:
            if name.partition(".")[0] in beside_it:
                del sys.modules[name]
        importlib.invalidate_caches()
        opened.cache_clear()


@contextmanager
def signals_restored() -> Iterator[None]:
    """A run takes SIGTERM and SIGINT for itself: afterwards they are what they were."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
