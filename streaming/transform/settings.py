"""The settings of functions, bad records and layouts: whether they go together, and the recipe that they make.

Driver, before anything is connected to.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from streaming.config.job import JobConfig
from streaming.formats.settings import configured_format, given_schema
from streaming.layouts.event_times import RECORD_FIELD
from streaming.layouts.folders import Layout
from streaming.transform.enrichment import Setup
from streaming.transform.recipe import CHUNK, Recipe


def transform_problems(fields: Mapping[str, Any]) -> list[str]:
    """What does not go together.  `fields` holds those settings that can each be read."""
    problems = []
    if fields.get("function", "") is None:
        if fields.get("function_mode") == CHUNK:
            problems.append("job.function.mode: there is no job.function")
        if fields.get("setup") is not None:
            problems.append("job.setup: there is no job.function to give its result to")
    if fields.get("setup", "") is None and fields.get("setup_refresh_batches") is not None:
        problems.append("job.setup.refresh.batches: there is no job.setup")
    return problems + _layout_problems(fields)


def _layout_problems(fields: Mapping[str, Any]) -> list[str]:
    by_field, named = fields.get("timestamp_extractor") == RECORD_FIELD, fields.get("timestamp_field") is not None
    problems = []
    if by_field and not named:
        problems.append("sink.timestamp.field: missing (of which field is sink.timestamp.extractor = RecordField?)")
    if named and not by_field:
        problems.append("sink.timestamp.field: only for sink.timestamp.extractor = RecordField")
    template = fields.get("path_format")
    if template is None:
        return problems
    layout = Layout(template, time_field=fields.get("timestamp_field"))
    if fields.get("function", "") is None and (layout.names or layout.time_field):
        field = (*layout.names, layout.time_field)[0]
        problems.append(f"sink.path.format: records as they are have no field {field}; set job.function")
    if fields.get("function_mode") == CHUNK and layout.needs_record:
        problems.append(
            "sink.path.format: a row of a chunk function has no record whose timestamp it could take; "
            "set sink.timestamp.extractor = RecordField"
        )
    return problems


def recipe_of(config: JobConfig) -> Recipe:
    """Raises ConfigError if the file of sink.schema is not one."""
    layout = None
    if config.path_format is not None:
        layout = Layout(config.path_format, config.timezone, config.timestamp_field)
    return Recipe(
        format=configured_format(config),
        function=config.function,
        mode=config.function_mode,
        setup=Setup(config.setup, config.setup_refresh_batches) if config.setup else None,
        bad_records=config.bad_records,
        layout=layout,
        schema=given_schema(config),
    )
