"""Which Hive tables and partitions a batch's files belong to, and the statements that register them.  Pure.

A table is a folder without its `key=value` components, a partition is what these name.  What begins with `_` is no
data.  Hive's names are case-insensitive; columns that a path already carries are left out of the files' columns.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple
from urllib.parse import unquote

from offsets.structs import Manifest
from streaming.sinks.names import table_of

# Formats that Hive itself reads by a SerDe that every Hive has; csv and json need one that is not always there.
STORED_AS: Mapping[str, str] = {"parquet": "PARQUET", "avro": "AVRO", "text": "TEXTFILE"}
LOCATION = "kafka-direct-streaming.location"  # a table's property


class Partition(NamedTuple):
    """One folder of a table, which is a folder too ("" for the sink's root)."""

    table: str
    folder: str
    values: tuple[tuple[str, str], ...]  # (column, value) from the left; () if the table has no partitions


@dataclass(frozen=True)
class Place:
    """How Hive sees the sink: `location` is its root as a Hadoop URL, `name` the table of the root itself."""

    database: str
    location: str
    name: str
    stored_as: str

    def table_name(self, table: str) -> str:
        """`database`.`table`, quoted, in the characters that every Hive takes."""
        plain = re.sub(r"\W+", "_", unquote(table), flags=re.ASCII).strip("_").lower() or self.name
        return f"`{self.database}`.`{plain}`"

    def of(self, folder: str) -> str:
        """The folder as Hadoop names it."""
        root = self.location.rstrip("/")
        return f"{root}/{folder}" if folder else root


def partitions_of(manifest: Manifest) -> list[Partition]:
    """Of all data files of the batch, each once, sorted."""
    folders = {file.final.rpartition("/")[0] for file in manifest.files}
    return sorted({partition_of(folder) for folder in folders if not folder.startswith("_")})


def partition_of(folder: str) -> Partition:
    """`folder` is encoded as it lies in the sink; values are decoded.  It ends with the last of its pairs."""
    parts = folder.split("/") if folder else []
    last = max((i for i, part in enumerate(parts) if "=" in part), default=len(parts))
    pairs = [part.partition("=") for part in parts if "=" in part]
    values = tuple((_decoded(key).lower(), _decoded(value)) for key, _, value in pairs)
    return Partition(table_of(folder), "/".join(parts[: last + 1]), values)


def _decoded(text: str) -> str:
    """Bytes that are no UTF-8 stay as they lie in the path: Hive's values are text."""
    try:
        return unquote(text, errors="strict")
    except UnicodeDecodeError:
        return text


def create_table(place: Place, partition: Partition, columns: Iterable[tuple[str, str]]) -> str:
    """`columns`: (name, Hive type) of the files."""
    keys = [key for key, _ in partition.values]
    listed = ", ".join(f"{_quoted(name)} {type_}" for name, type_ in columns if name.lower() not in keys)
    by = f" PARTITIONED BY ({', '.join(f'{_quoted(key)} STRING' for key in keys)})" if keys else ""
    return (
        f"CREATE EXTERNAL TABLE IF NOT EXISTS {place.table_name(partition.table)} ({listed}){by} "
        f"STORED AS {place.stored_as} LOCATION {_text(place.of(partition.table))} "
        f"TBLPROPERTIES ({_text(LOCATION)}={_text(place.of(partition.table))})"
    )


def show_location(place: Place, table: str) -> str:
    """Asks whose the table is: of another folder it would be, if two have names that Hive cannot tell apart."""
    return f"SHOW TBLPROPERTIES {place.table_name(table)} ({_text(LOCATION)})"


def check_location(place: Place, table: str, answer: Sequence[Sequence[Any]]) -> None:
    """Raises ValueError unless `answer`, to `show_location`, names the folder."""
    found = str(answer[0][-1]) if answer else "nothing"
    if found != place.of(table):
        name = place.table_name(table)
        raise ValueError(
            f"{name} is not the table of {place.of(table)}: its property {LOCATION} says {found}; give the folder "
            "another name, or set that property if the table is meant"
        )


def add_partitions(place: Place, partitions: Iterable[Partition]) -> str:
    """One statement for partitions of one table, at least one; those that are there already do no harm."""
    listed = list(partitions)
    clauses = " ".join(
        f"PARTITION ({', '.join(f'{_quoted(k)}={_text(v)}' for k, v in p.values)}) LOCATION {_text(place.of(p.folder))}"
        for p in listed
    )
    return f"ALTER TABLE {place.table_name(listed[0].table)} ADD IF NOT EXISTS {clauses}"


def _quoted(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"


def _text(value: str) -> str:
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


def hive_problems(fields: Mapping[str, Any]) -> list[str]:
    """What of [hive] does not go together.  `fields` holds those settings that can each be read."""
    if not fields.get("hive_integration"):
        return []
    problems = []
    if (format_ := fields.get("sink_format")) is not None and format_ not in STORED_AS:
        problems.append(f"hive.integration: Hive reads {', '.join(STORED_AS)} by itself, not {format_}")
    if str(fields.get("sink_path", "")).startswith("webhdfs:") and not fields.get("hive_location"):
        problems.append("hive.location: missing (sink.path as Hadoop names it, such as hdfs://namenode:8020/lake)")
    return problems
