"""The command line of run_stream.py: arguments in, log lines on stderr, one JSON line on stdout, an exit status."""

from __future__ import annotations

import argparse
import json
import logging
import uuid
from collections.abc import Sequence

from offsets.errors import StreamError
from streaming.commands.console import complain, job_arguments, read_config, set_up_logging, told
from streaming.config.settings import REQUIRED, SETTINGS
from streaming.config.values import duration
from streaming.run.launch import Launch
from streaming.run.options import Options
from streaming.run.progress import RunProgress
from streaming.run.recovery import RECOVERIES
from streaming.run.reports import final_report
from streaming.run.runner import Drain
from streaming.spark.watch import exit_when, parent_gone, under_spark_submit
from streaming.tasks.errors import summary, trace

log = logging.getLogger("run_stream")


def arguments(manual: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "run_stream.py", description=manual, epilog=job_settings(), formatter_class=argparse.RawTextHelpFormatter
    )
    job_arguments(parser)
    parser.add_argument("--available-now", action="store_true", help="stop at the end offsets seen at the start")
    parser.add_argument(
        "--duration",
        metavar="TIME",
        type=told(duration),
        help="finish the batch in flight and stop after so much time from the first batch on: 90s, 10m, 2h or 1d",
    )
    parser.add_argument(
        "--recover",
        choices=RECOVERIES,
        help="mend, as an exit 3 has told: rebuild a lost register from the batch log, or write a lost marker anew;\n"
        "then go on as a run; offsets are moved by reset_offsets.py",
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
    progress, config = RunProgress(name=given.job, run_id=uuid.uuid4().hex, sink=""), None
    try:
        config = read_config(given.job, given.overrides)
        progress.see_job(config)
        options = Options(given.available_now, given.duration, given.recover, given.debug)
        status, reason = 0, Launch(config, options, progress, Drain()).run()
    except StreamError as e:
        status, reason = e.exit_status, str(e)
        complain(log, e, given.debug)
    except Exception as e:
        status, reason = 1, f"{type(e).__name__}: {summary(str(e))}"
        log.error("failed: %s; this is a bug%s", reason, "" if given.debug else ", --debug shows where")
        if given.debug:
            log.error(trace(e))
    print(json.dumps(final_report(progress, config, status, reason)), flush=True)
    return status
