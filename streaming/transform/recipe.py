"""All that a job says of how records become rows and files, as one value that travels with the tasks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from streaming.formats import Format
from streaming.layouts.folders import Layout, Placer
from streaming.transform.bad_records import FAIL, Rejected
from streaming.transform.blocks import MessageBlocks, RowBlocks
from streaming.transform.calling import Calls, ChunkCalls, NoCalls, RecordCalls
from streaming.transform.enrichment import Setup
from streaming.transform.inference import Sketch
from streaming.transform.pipeline import Make, Pipeline
from streaming.transform.sorting import ChunkSorter, MessageSorter, RowSorter, Sorter
from streaming.transform.user_code import load

RECORD, CHUNK = MODES = ("record", "chunk")


@dataclass(frozen=True)
class Recipe:
    """Field by field what the settings of [job] and [sink] say.  `schema`: the given one, as text."""

    format: Format
    function: str | None = None  # None: records as they are
    mode: str = RECORD
    setup: Setup | None = None
    bad_records: str = FAIL
    layout: Layout | None = None
    schema: str | None = None

    def blocks(self, schemas: Mapping[str, str]) -> RowBlocks | MessageBlocks:
        """How a task makes blocks, under the `schemas` of the tables that are known."""
        return RowBlocks(self.format, self.schema, schemas) if self.function else MessageBlocks(self.format)

    def sketch(self, schemas: Mapping[str, str]) -> Sketch:
        """How a task finds the schemas of tables that are not."""
        return Sketch(schemas)

    def pipeline(self, topic: str, partition: int, make: Make, resource: Any) -> Pipeline:
        """For one range.  `resource`: what job.setup returned, if there is one.  Raises ConfigError."""
        placer = None if self.layout is None else Placer(self.layout, topic, partition)
        return Pipeline(self._calls(resource), self._sorter(placer), make, Rejected(self.bad_records))

    def _calls(self, resource: Any) -> Calls:
        if self.function is None:
            return NoCalls()
        function = self._bound(load("job.function", self.function), resource)
        return (RecordCalls if self.mode == RECORD else ChunkCalls)(function, self.function)

    def _bound(self, function: Callable[..., Any], resource: Any) -> Callable[..., Any]:
        return function if self.setup is None else lambda given: function(given, resource)

    def _sorter(self, placer: Placer | None) -> Sorter:
        if self.function is None:
            return MessageSorter(placer)
        return (RowSorter if self.mode == RECORD else ChunkSorter)(placer)
