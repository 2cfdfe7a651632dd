"""The command line of run_stream.py: arguments in, log lines on stderr, one JSON line on stdout, an exit status."""

from __future__ import annotations

import argparse
import json
import logging
import sys
import uuid
from collections.abc import Sequence
from pathlib import Path

from offsets.errors import ConfigError, StreamError
from streaming.config import JobConfig, load
from streaming.launch import Launch, Options
from streaming.progress import RunProgress
from streaming.recovery import RECOVERIES
from streaming.runner import Drain
from streaming.settings import REQUIRED, SETTINGS
from streaming.taskerrors import summary, trace
from streaming.watch import exit_when, parent_gone, under_spark_submit

log = logging.getLogger("run_stream")

QUIET = ("py4j", "kazoo", "hdfs", "urllib3", "streaming.broker", "kafka")


def arguments(manual: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "run_stream.py", description=manual, epilog=job_settings(), formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("job", metavar="JOB.cfg", help="the job file")
    parser.add_argument(
        "--set", metavar="SECTION.KEY=VALUE", action="append", default=[], dest="overrides", help="one setting, changed"
    )
    parser.add_argument("--available-now", action="store_true", help="stop at the end offsets seen at the start")
    parser.add_argument(
        "--recover",
        choices=RECOVERIES,
        help="mend, as an exit 3 has told: rebuild a lost register from the batch log, write a lost marker anew,\n"
        "or start a new generation at source.startingOffsets; then go on as a run",
    )
    parser.add_argument("--debug", action="store_true", help="stack traces, and the libraries' own logs")
    return parser


def job_settings() -> str:
    """The end of --help: every setting of a job file."""
    told = "".join(
        f"  {s.option:30}{s.meaning}{'' if s.default in (REQUIRED, None) else f' (default {s.default})'}\n"
        for s in SETTINGS
    )
    return (
        f"settings of a job file, as section.key:\n{told}"
        "  kafka.*                       properties of librdkafka; kafka.bootstrap.servers is required\n"
        "  spark.*                       properties of Spark"
    )


def main(manual: str = "", argv: Sequence[str] | None = None) -> int:
    """Runs one job and returns its exit status; prints the summary also when it failed."""
    given = arguments(manual).parse_args(argv)
    set_up_logging(given.debug)
    if under_spark_submit():  # from now on, not only from Spark's start: locks and servers are waited for before it
        exit_when(parent_gone())
    progress = RunProgress(name=given.job, run_id=uuid.uuid4().hex, sink="")
    try:
        config = read_config(given.job, given.overrides)
        progress.name, progress.topics = config.name, config.subscribe
        progress.sink = f"StagedFileSink[{config.sink_path}]"
        launch = Launch(config, Options(given.available_now, given.recover, given.debug), progress, Drain())
        status, reason = 0, launch.run()
    except StreamError as e:
        status, reason = e.exit_status, str(e)
        complain(e, given.debug)
    except Exception as e:
        status, reason = 1, f"{type(e).__name__}: {summary(str(e))}"
        log.error("failed: %s; this is a bug%s", reason, "" if given.debug else ", --debug shows where")
        if given.debug:
            log.error(trace(e))
    print(json.dumps(progress.summary(status, reason)), flush=True)
    return status


def read_config(job_file: str, overrides: Sequence[str]) -> JobConfig:
    try:
        text = Path(job_file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as e:
        raise ConfigError([f"cannot read the job file {job_file}: {e}"], "give the path of an INI file") from None
    return load(job_file, text, overrides)


def complain(error: StreamError, debug: bool) -> None:
    """One line a problem, with the remedy; no stack trace unless asked for."""
    problems = error.problems if isinstance(error, ConfigError) else (str(error),)
    for problem in problems[:-1]:
        log.error(problem)
    log.error("%s%s", problems[-1], f"; remedy: {error.remedy}" if error.remedy else "")
    if debug:
        log.error(trace(error))


def set_up_logging(debug: bool) -> None:
    """Everything goes to stderr.  Libraries that print traces of what we already say in a line are kept quiet."""
    form = "%(asctime)s %(levelname)s %(message)s"
    logging.basicConfig(stream=sys.stderr, level=logging.DEBUG if debug else logging.INFO, format=form, force=True)
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.INFO if debug else logging.CRITICAL)
