"""Spark's side of the Hive integration: its SQL with Hive support, and the columns of what the sink writes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from offsets.filesystems import Filesystem
from offsets.structs import Manifest
from streaming.config.job import JobConfig
from streaming.hive.marks import Marks
from streaming.hive.registrar import HiveRegistrar
from streaming.hive.tables import STORED_AS, Place
from streaming.transform.recipe import Recipe

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark import SparkContext

CLOSE_SECONDS = 60.0  # what a run waits at its end for a metastore that answers; the next run does what is left


def hive_settings(config: JobConfig) -> dict[str, str]:
    """What Spark must be told before it starts."""
    if not config.hive_integration:
        return {}
    uris = config.hive_metastore_uris
    return {"spark.sql.catalogImplementation": "hive"} | ({"spark.hadoop.hive.metastore.uris": uris} if uris else {})


def unregistered(config: JobConfig, filesystem: Filesystem, seq: int) -> bool:
    """Whether Hive has yet to be told of a batch before `seq`."""
    return config.hive_integration and Marks(filesystem).read() < seq


@dataclass(frozen=True)
class SparkCatalog:
    """Connects to the metastore at its first statement."""

    sc: SparkContext

    def run(self, statement: str) -> Sequence[Sequence[Any]]:
        from pyspark.sql import SparkSession

        return SparkSession(self.sc).sql(statement).collect()


@dataclass(frozen=True)
class Columns:
    """The columns of a table's files as the batch wrote them, in Hive's types."""

    recipe: Recipe

    def __call__(self, table: str, manifest: Manifest) -> Iterable[tuple[str, str]]:
        if not self.recipe.format.typed:
            return [("value", "string")]
        from pyspark.sql.pandas.types import from_arrow_schema

        schema = from_arrow_schema(self._schema(table, manifest), prefer_timestamp_ntz=False)
        return [(field.name, field.dataType.simpleString()) for field in schema.fields]

    def _schema(self, table: str, manifest: Manifest) -> pa.Schema:
        from streaming.formats.as_is import AS_IS_SCHEMA
        from streaming.formats.schema_text import from_json

        recipe = self.recipe
        return from_json(recipe.schema or manifest.schemas[table]) if recipe.function else AS_IS_SCHEMA


@contextmanager
def hive_told(
    config: JobConfig, recipe: Recipe, sc: SparkContext, filesystem: Filesystem, seq: int
) -> Iterator[HiveRegistrar | None]:
    """Inside the block Hive is told of the batches before `seq` and of those handed over; nothing without [hive]."""
    if not config.hive_integration:
        yield None
        return
    place = Place(
        config.hive_database, config.hive_location or config.sink_path, config.name, STORED_AS[config.sink_format]
    )
    registrar = HiveRegistrar(SparkCatalog(sc), place, Columns(recipe), Marks(filesystem), seq)
    try:
        yield registrar
    finally:
        registrar.close(CLOSE_SECONDS)
