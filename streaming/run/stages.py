"""The batch's stage: one Spark task a range, and what the driver decides from all that they report.  No commits.

A batch that is the first to write some table is staged twice: the tasks say what schemas its rows would fit, and are
run again with the ones that take the rows of all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from offsets.errors import BatchError
from offsets.structs import OffsetRange
from streaming.config.job import JobConfig
from streaming.fetching.source import Client
from streaming.formats.settings import refuse_unfit
from streaming.run.batch import Batch
from streaming.run.runner import StageBatch
from streaming.sinks.file import StagedFileSink
from streaming.tasks.result import TaskResult
from streaming.tasks.sealed import Sealed
from streaming.tasks.task import StageTask
from streaming.transform.enrichment import DRIVER, OnDriver
from streaming.transform.inference import settled_schemas
from streaming.transform.recipe import Recipe

if TYPE_CHECKING:
    from pyspark import RDD

ROUNDS = 4  # of which all but one find schemas; a function that always returns the same needs two


def stage_with(
    config: JobConfig, recipe: Recipe, sink: StagedFileSink, pinned: Callable[[], Mapping[str, str]]
) -> StageBatch:
    """Driver: runs a batch's tasks and returns what Spark accepted of each.  `pinned`: the register's schemas.

    Raises ConfigError for what is pinned; the stage itself, before anything is decided, BatchError.
    """
    refuse_unfit(config, pinned())
    client = Client(config.client, {"group.id": config.name, **config.kafka})
    on_driver = OnDriver(recipe.setup) if recipe.setup and config.setup_on == DRIVER else None

    def stage(rdd: RDD[OffsetRange], batch: Batch) -> Sequence[TaskResult]:
        schemas, place = dict(pinned()), batch.place
        shipped = on_driver.at(rdd.context, place.seq) if on_driver else None
        for _ in range(ROUNDS):
            task = StageTask(client, sink, place, recipe, schemas, shipped)
            results = rdd.mapPartitions(Sealed(task)).collect()
            inferred = [r.inferred for r in results if r.inferred is not None]
            if not inferred:
                check_share(results, config.max_bad_share)
                return results
            # Of none, if the function did not write to that folder again: what it staged then is asked for once more.
            schemas |= (found := settled_schemas(recipe.format, inferred))
        raise BatchError(
            f"the function wrote to new folders each time it was called on the same records: {', '.join(found)}",
            "let it choose folders by the record alone, or set sink.schema",
        )

    return stage


def check_share(results: Sequence[TaskResult], most: float | None) -> None:
    """Raises BatchError if more than that share of a batch's records is bad."""
    records, bad = sum(r.records for r in results), sum(r.bad for r in results)
    if most is None or bad <= most * records:
        return
    first = next((r.first_bad for r in results if r.first_bad), "marked as bad by the function")
    raise BatchError(
        f"{bad:,} of {records:,} records of the batch are bad, and job.badRecords.maxShare = {most:g}; first: {first}",
        "correct the function or the producer, or raise the share; nothing of the batch is visible",
    )
