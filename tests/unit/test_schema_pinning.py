"""The schemas of typed formats: found by a first pass over the first batch, pinned by its PREPARE, whatever crashes.

Real tasks, stage, committer and stores; Spark and Kafka are stood in for.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from confluent_kafka import Message

from offsets.errors import BatchError, ConfigError
from offsets.planning import Plan
from offsets.structs import OffsetRange, State, TopicState
from streaming.records import Record
from streaming.rows import Routed
from streaming.run.batch import Batch, manifest_of
from streaming.run.stages import stage_with
from streaming.sinks.file import StagedFileSink, open_sink
from streaming.sinks.names import StagingPlace
from streaming.tasks import task
from streaming.tasks.result import TaskResult
from streaming.transform import recipe
from streaming.transform.settings import recipe_of
from tests.unit.test_crash_points import IDS, World

Change = dict[str, Any]


class LocalRdd:
    """Runs a task for each range, here."""

    context = None

    def __init__(
        self, ranges: Sequence[OffsetRange], task: Callable[[Iterable[OffsetRange]], Any] | None = None
    ) -> None:
        self._ranges, self._task = ranges, task

    def mapPartitions(self, task: Callable[[Iterable[OffsetRange]], Any]) -> LocalRdd:
        return LocalRdd(self._ranges, task)

    def collect(self) -> list[TaskResult]:
        assert self._task
        return [result for range_ in self._ranges for result in self._task([range_])]


class TypedWorld(World):
    """Lands Parquet in a table of the even records and one of the odd."""

    def __init__(self, folder: Path, **changes: Any) -> None:
        super().__init__(folder)
        self.config = replace(self.config, sink_format="parquet", function="jobs:row", **changes)

    def stage(
        self, sink: StagedFileSink, place: StagingPlace, ranges: Sequence[OffsetRange], state: State
    ) -> Sequence[TaskResult]:
        rdd: Any = LocalRdd(ranges)
        batch = Batch(Plan(tuple(ranges), state.topics), place, 0)
        return stage_with(self.config, recipe_of(self.config), sink, lambda: state.schemas)(rdd, batch)

    def visible(self) -> list[Path]:
        return [f for f in self.lake.rglob("*.parquet") if not f.relative_to(self.lake).parts[0].startswith("_")]

    def published(self) -> Counter[str]:
        return Counter(id_ for f in self.visible() for id_ in pq.ParquetFile(f).read().column("id").to_pylist())


def messages(client: Any, range_: OffsetRange, timeout: float) -> Iterator[list[Message]]:
    """Two records a chunk."""
    offsets = list(range(range_.from_offset, range_.until_offset))
    for start in range(0, len(offsets), 2):
        yield [Message(range_.topic, range_.partition, o, value=b"%d" % o) for o in offsets[start : start + 2]]


def row(record: Record) -> Any:
    """Whole numbers in partition 0, fractions in the other: only together do they give the schema."""
    number = record.offset if record.partition == 0 else record.offset + 0.5
    return Routed(
        "odd" if record.offset % 2 else "even/dt=1", {"id": f"{record.partition}-{record.offset}", "n": number}
    )


@pytest.fixture(autouse=True)
def _stand_ins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(task, "read_range", messages)
    monkeypatch.setattr(recipe, "load", lambda option, name: row)


def test_a_crash_before_the_schema_is_pinned_leaves_nothing_of_it(tmp_path: Path) -> None:
    """At each kind of failpoint of the first batch: before PREPARE nothing is pinned, from it on for ever."""
    worlds = (TypedWorld(tmp_path / str(n)) for n in itertools.count())
    names = next(worlds).launch_until(10**6)
    first_batch = names[: names.index("publish.before") + 1]
    assert first_batch.count("task.return") == 2, "the first pass returned nothing that was staged"
    for name, hit in {name: hit for hit, name in enumerate(first_batch)}.items():
        world = next(worlds)
        assert world.launch_until(hit) == names[: hit + 1]
        state = world.launch()
        assert world.published() == Counter(IDS), f"crash at {name}, hit {hit}"
        assert set(state.schemas) == {"even", "odd"}
        types = {pq.ParquetFile(file).schema_arrow.field("n").type for file in world.visible()}
        assert types == {pa.float64()}


def test_later_batches_keep_the_pinned_schema(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A row of another shape is a bad record then, never another schema."""
    world = TypedWorld(tmp_path / "w", bad_records="skip")
    monkeypatch.setattr(
        recipe, "load", lambda option, name: lambda r: {**row(r).row, **({"x": 1} if r.offset > 3 else {})}
    )
    state = world.launch()
    assert list(state.schemas) == [""]
    assert set(world.published()) == {id_ for id_ in IDS if int(id_.partition("-")[2]) <= 3}


def test_a_format_that_cannot_hold_what_is_pinned_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything is read: otherwise every record of the table would be a bad one."""
    monkeypatch.setattr(recipe, "load", lambda option, name: lambda r: {"id": "x", "tags": ["a"]})
    world = TypedWorld(tmp_path / "w", bad_records="skip")
    state = world.launch()
    assert set(state.schemas) == {""}
    changed = replace(world.config, sink_format="csv")
    with pytest.raises(ConfigError, match="csv takes no nested columns") as raised:
        stage_with(changed, recipe_of(changed), open_sink(changed.sink_path), lambda: state.schemas)
    assert "the sink's root" in str(raised.value)
    stage_with(world.config, recipe_of(world.config), open_sink(changed.sink_path), lambda: state.schemas)
    untyped = replace(changed, sink_format="json")
    stage_with(untyped, recipe_of(untyped), open_sink(changed.sink_path), lambda: state.schemas)


def test_a_function_that_never_writes_to_the_same_folder_is_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each pass would meet a table without a schema again."""
    count = itertools.count()
    monkeypatch.setattr(recipe, "load", lambda option, name: lambda r: Routed(f"f{next(count)}", {"id": "x"}))
    with pytest.raises(BatchError, match="new folders each time"):
        TypedWorld(tmp_path / "w").launch()


def test_a_function_that_does_not_repeat_itself_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A row that only the first call gave: the pass that finds no schema again is no batch without rows."""
    calls: Counter[int] = Counter()

    def sampling(record: Record) -> Any:
        calls[record.offset] += 1
        return row(record) if record.offset % 2 == 0 or calls[record.offset] == 1 else None

    monkeypatch.setattr(recipe, "load", lambda option, name: sampling)
    world = TypedWorld(tmp_path / "w")
    world.launch()
    assert {id_ for id_ in IDS if int(id_.partition("-")[2]) % 2 == 0} <= set(world.published())


def test_a_manifest_carries_every_schema_and_nothing_unstaged() -> None:
    """A batch log entry alone can rebuild a register; a task that only found a schema has staged nothing."""
    range_ = OffsetRange("t", 0, 0, 3)
    batch = Batch(Plan((range_,), {"t": TopicState("id", {0: 0})}), StagingPlace(0, 1, 0), 1)
    staged = TaskResult(range_, (), 3, 0, 0, schemas={"new": "N"})
    assert manifest_of("a", batch, (staged,), {"old": "O"}).schemas == {"old": "O", "new": "N"}
    with pytest.raises(ValueError, match="for planned ranges"):
        manifest_of("a", batch, (replace(staged, inferred={"new": "N"}),), {})
