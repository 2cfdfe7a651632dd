"""Spark's configuration of one run: the job's [spark] section, above what spark-submit was told, above our defaults.

Runs on the driver.  Needs no JVM of its own: under spark-submit there is one, otherwise nobody was told anything.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from offsets.errors import ConfigError
from offsets.structs import AT_MOST_ONCE
from streaming.config.conflicts import spark_conflicts
from streaming.config.job import JobConfig
from streaming.config.reading import SECRET_KEY
from streaming.hive.session import hive_settings
from streaming.spark.masters import DEFAULT_MASTER, misplaced, on_this_machine
from streaming.spark.taskstart import local_sockets
from streaming.spark.watch import under_spark_submit

if TYPE_CHECKING:
    from pyspark import SparkConf


def configured(config: JobConfig, debug: bool, sockets: Path) -> SparkConf:
    """The whole configuration; local workers are reached over sockets in the folder `sockets`.

    Also sets PYSPARK_PYTHON, where PySpark looks for what spark-submit knows as spark.pyspark.python.
    """
    conf = told().setAppName(config.name).setAll(list(config.spark.items()))
    conf.setIfMissing("spark.master", DEFAULT_MASTER)
    conf.setIfMissing("spark.ui.showConsoleProgress", "false")
    # Spark keeps the ranges of so many batches in the driver's memory, also without a page; 10,000 partitions need
    # 0.7 MB a batch, and its own default of 1000 would be most of a heap.
    conf.setIfMissing("spark.streaming.ui.retainedBatches", "100")
    conf.setIfMissing("spark.log.level", "WARN" if debug else "ERROR")
    conf.setAll(list(hive_settings(config).items()))
    conf.setAll([("spark.streaming.concurrentJobs", "1"), ("spark.streaming.stopGracefullyOnShutdown", "false")])
    if config.sink_class is not None and config.guarantee == AT_MOST_ONCE:
        conf.setIfMissing("spark.task.maxFailures", "1")  # every further attempt would only be refused
    # Or a folder `streaming` or `offsets` where spark-submit was called would be imported in place of what we ship.
    conf.setIfMissing("spark.executorEnv.PYTHONSAFEPATH", "1")  # Python 3.11 and newer
    if python := conf.get("spark.pyspark.python", None):
        os.environ["PYSPARK_PYTHON"] = python
    if on_this_machine(str(conf.get("spark.master"))):
        os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
        for key, value in local_sockets(sockets).items():
            conf.setIfMissing(key, value)
    return conf


def told() -> SparkConf:
    """What spark-submit was told, by options and by its spark-defaults.conf; empty without it."""
    from pyspark import SparkConf, SparkContext

    if under_spark_submit():
        SparkContext._ensure_initialized()  # connects to its JVM: only there it is known
    return SparkConf(loadDefaults=under_spark_submit())


def refuse_told(config: JobConfig) -> None:
    """Raises ConfigError for what contradicts the job and only spark-submit was told.

    What the job file itself sets counts before it, and was checked with all the rest of that file.
    """
    given = {**all_told(), **config.spark}
    places = {"offsets.store": config.store, "sink.path": config.sink_path}
    problems = misplaced(given.get("spark.master", DEFAULT_MASTER), places)
    problems += spark_conflicts(given, config.sink_class is not None)
    if problems:
        remedy = f"correct what spark-submit was told, or {config.job_file}; nothing was connected to or written"
        raise ConfigError(problems, remedy)


def all_told() -> Mapping[str, str]:
    """`told`, key by key."""
    return dict(told().getAll()) if under_spark_submit() else {}


def without_secrets(conf: SparkConf) -> SparkConf:
    """What every user of the machine may read."""
    from pyspark import SparkConf

    return SparkConf(loadDefaults=False).setAll([(k, v) for k, v in conf.getAll() if not SECRET_KEY.search(k)])
