"""The sink's format as a job's settings describe it: whether they go together, and the schema that a file pins.

Driver, before anything is connected to.  What a format writes is the business of `streaming.formats`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from offsets.errors import ConfigError
from offsets.structs import AT_MOST_ONCE
from streaming.config.job import JobConfig
from streaming.formats import FORMATS, Format, open_format


def format_problems(fields: Mapping[str, Any]) -> list[str]:
    """What of the sink's format does not go together.  `fields` holds those settings that can each be read."""
    name, codec, level = fields.get("sink_format"), fields.get("compression"), fields.get("compression_level")
    if name is None:
        return []
    problems = []
    for option, given in ((f"sink.compression = {codec}", None), (f"sink.compression.level = {level}", level)):
        try:
            open_format(name, codec, given)
        except ValueError as e:
            problems.append(f"{option}: {e}")
            break
    if fields.get("schema_file") is not None:
        if not FORMATS[name].typed:
            problems.append(f"sink.schema: format {name} has no schema")
        elif fields.get("function", "") is None:
            problems.append("sink.schema: records as they are have their own schema; set job.function, or leave it out")
    return problems + _schema_too_late(fields)


def _schema_too_late(fields: Mapping[str, Any]) -> list[str]:
    """At-most-once commits a batch before it is read, and with it the schema that reading would find."""
    found = FORMATS[fields["sink_format"]].typed and fields.get("function") and fields.get("schema_file", "") is None
    if not found or fields.get("guarantee") != AT_MOST_ONCE or fields.get("sink_class", "") is not None:
        return []
    return [
        f"sink.schema: missing; job.delivery.guarantee = {AT_MOST_ONCE} commits a batch, and the schema of its tables, "
        f"before anything is read, so format {fields['sink_format']} cannot find it in the records"
    ]


def configured_format(config: JobConfig) -> Format:
    """The format, codec and level that the sink writes."""
    return open_format(config.sink_format, config.compression, config.compression_level)


def refuse_unfit(config: JobConfig, pinned: Mapping[str, str]) -> None:
    """Raises ConfigError for tables whose schema, `pinned` under another format, the present one cannot hold.

    All of their records would be bad ones.
    """
    format_ = configured_format(config)
    if not format_.typed or config.function is None or config.schema_file is not None:
        return
    from streaming.formats.schema_text import from_json

    problems = []
    for table, schema in sorted(pinned.items()):
        try:
            format_.check_schema(from_json(schema))
        except ValueError as e:
            where = f"folder {table}" if table else "the sink's root"
            problems.append(f"sink.format = {config.sink_format}: the schema that {where} has had so far: {e}")
    if problems:
        raise ConfigError(problems, "keep the format that the job had, or let the new one begin in a sink of its own")


def given_schema(config: JobConfig) -> str | None:
    """The schema of sink.schema as it is pinned; None if the job has none.  Raises ConfigError naming the file."""
    if config.schema_file is None:
        return None
    from streaming.formats.schema_text import from_json, to_json

    path = config.folder / config.schema_file
    try:
        schema = from_json(path.read_text("utf-8"))
        configured_format(config).check_schema(schema)
        return to_json(schema)
    except (OSError, ValueError) as e:
        why = e.strerror if isinstance(e, OSError) else e
        problem = f"sink.schema = {config.schema_file}: {path}: {why}"
        raise ConfigError([problem], "it is an Avro record schema in JSON; see README, formats") from None
