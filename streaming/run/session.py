"""Starts and stops Spark for one run, and connects a Runner to it.  Runs on the driver.

Never calls `ssc.checkpoint`: a DStream checkpoint dies at a code upgrade, and the register makes it needless.
"""

from __future__ import annotations

import os
import shutil
import signal
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from offsets.errors import BatchError
from streaming.config.job import JobConfig
from streaming.run.runner import TICK_SECONDS, Drain, Runner
from streaming.spark.conf import configured, without_secrets
from streaming.spark.direct import range_stream
from streaming.spark.scratch import scratch_folder
from streaming.spark.shipping import ship
from streaming.spark.watch import child_gone, exit_when, under_spark_submit
from streaming.tasks.errors import summary

if TYPE_CHECKING:
    from pyspark import SparkConf, SparkContext
    from pyspark.streaming import StreamingContext

STOP_SECONDS = 20.0
INTERRUPT_SECONDS = 3.0
EXIT_INTERRUPTED = 130
# Each prints the whole trace of a failed task, which the run itself tells in one line.
TRACING_LOGGERS = ("org.apache.spark.executor.Executor", "org.apache.spark.scheduler.TaskSetManager")


@contextmanager
def spark(config: JobConfig, root: Path, drain: Drain, debug: bool) -> Iterator[SparkContext]:
    """A SparkContext that has our code, ended with the block; the process ends if the JVM does."""
    quiet = not debug and "spark.log.level" not in config.spark
    with scratch_folder() as scratch:
        sc = started(configured(config, debug, scratch))
        # SparkContext takes SIGINT for itself and would raise in the middle of a commit.
        signal.signal(signal.SIGINT, interrupted(drain))
        if not under_spark_submit():  # there the watch has begun with the process
            exit_when(child_gone(sc._gateway))
        try:
            if quiet:
                hush(sc)
            ship(sc, root, config.user_code, config.folder, scratch)
            yield sc
        finally:
            with bounded(STOP_SECONDS):
                sc.stop()


def hush(sc: SparkContext) -> None:
    """Leaves no stack trace where nobody asked for one (--debug, or spark.log.level in the job)."""
    log4j = sc._jvm.org.apache.logging.log4j  # type: ignore[union-attr]
    for name in TRACING_LOGGERS:
        log4j.core.config.Configurator.setLevel(name, log4j.Level.OFF)


def started(conf: SparkConf) -> SparkContext:
    """A running SparkContext.  Raises BatchError: Spark refuses a wrong setting with a page of Java."""
    from pyspark import SparkContext
    from pyspark.java_gateway import launch_gateway

    try:
        # Left to itself, pyspark puts the whole configuration into the argument list of the JVM that it starts.
        return SparkContext(conf=conf, gateway=SparkContext._gateway or launch_gateway(without_secrets(conf)))
    except Exception as e:
        raise BatchError(
            f"Spark did not start (spark.master = {conf.get('spark.master')}): {summary(str(e))}",
            "correct the [spark] section, or see that its cluster runs; --debug shows the whole trace"
            if has_java()
            else "there is no Java here: install 17 or 21, or set JAVA_HOME to one",
        ) from e


def has_java() -> bool:
    """Whether Spark's launcher would find a Java to run."""
    home = os.environ.get("JAVA_HOME")
    return shutil.which("java", path=f"{home}/bin" if home else None) is not None


def interrupted(drain: Drain) -> Callable[..., None]:
    """Handles SIGINT.  A Ctrl-C reaches the JVM of spark-submit too, which ends without waiting for the batch.

    So neither do we wait for long: what is left of the batch could only keep the JVM's own end waiting.
    """

    def handle(*_: object) -> None:
        drain.request()
        if under_spark_submit():
            leave_after(INTERRUPT_SECONDS, EXIT_INTERRUPTED)

    return handle


@contextmanager
def bounded(seconds: float) -> Iterator[None]:
    """Ends the process if the block hangs: a JVM that does not stop must not keep the next launch waiting."""
    timer = leave_after(seconds, 1)
    try:
        yield
    finally:
        timer.cancel()


def leave_after(seconds: float, status: int) -> threading.Timer:
    """Ends the process with `status` then, whatever it is at, unless the timer is cancelled."""
    timer = threading.Timer(seconds, os._exit, (status,))
    timer.daemon = True
    timer.start()
    return timer


def run_batches(sc: SparkContext, runner: Runner) -> None:
    """Lets Spark drive `runner` until it is finished."""
    from pyspark.streaming import StreamingContext

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # DStreams are deprecated; this project keeps to them knowingly
        ssc: StreamingContext = StreamingContext(sc, TICK_SECONDS)  # type: ignore[arg-type]
    range_stream(ssc, runner.plan).foreachRDD(lambda time, rdd: runner.run_batch(time, rdd))
    ssc.start()
    try:
        runner.wait(lambda: raise_reported(ssc))
    finally:
        with bounded(STOP_SECONDS):
            ssc.stop(stopSparkContext=False, stopGraceFully=False)


def raise_reported(ssc: StreamingContext) -> None:
    """Raises the error, if any, that Spark Streaming met outside of a batch's own code."""
    ssc._jssc.awaitTerminationOrTimeout(1)
