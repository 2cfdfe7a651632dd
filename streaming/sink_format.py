"""The sink's format as a job's settings describe it: whether they go together, and the schema that a file pins.

Driver, before anything is connected to.  What a format writes is the business of `streaming.formats`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from offsets.errors import ConfigError
from streaming.formats import FORMATS, Format, open_format

if TYPE_CHECKING:
    from streaming.config import JobConfig


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
    return problems


def configured_format(config: JobConfig) -> Format:
    """The format, codec and level that the sink writes."""
    return open_format(config.sink_format, config.compression, config.compression_level)


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
