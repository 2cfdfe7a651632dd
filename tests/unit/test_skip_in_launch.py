"""source.onDataLoss, a whole launch long: Kafka and Spark are fakes, register and sink are real files."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from offsets import failpoints
from offsets.codec import decode_loss_record, decode_state
from offsets.errors import DataLossError, StreamError
from offsets.filesystems import open_filesystem
from offsets.snapshot import TopicSnapshot
from offsets.stores import open_store
from offsets.structs import Loss, LossRecord, LostRange, OffsetRange, State, TopicPartition
from streaming.config.reading import load
from streaming.source import planner
from streaming.verification.holes import Holes
from streaming.verification.tiling import Generation
from streaming.verification.verify import verify
from tests.contract.lakes import killed_at
from tests.unit.job_file import JOB
from tests.unit.test_launch import CHANGES, World, world

__all__ = ["world"]
EXPIRED = LostRange("EXPIRED", "t", 0, 4, 6)


class Kafka:
    """What the world's broker tells of its one topic."""

    def __init__(self, world: World, *policy: str) -> None:
        self.world, self.now, self.id = world, (0, 10), "id"
        self.staged: Callable[[Sequence[OffsetRange]], object] = lambda ranges: None
        folder = world.lake.parent
        world.config = load("orders.cfg", JOB.format(folder=folder), [*CHANGES, *policy], {})
        world.snapshot = self.snapshot  # type: ignore[method-assign]
        world.topic_ids = lambda topics: {"t": self.id}  # type: ignore[method-assign]
        inner = world.stage_with

        def stage_with(*given: Any) -> Any:
            stage = inner(*given)
            return lambda ranges, place: (self.staged(ranges), stage(ranges, place))[1]

        self.stage_with = stage_with

    def snapshot(self, topics: Sequence[str]) -> dict[str, TopicSnapshot]:
        return {"t": TopicSnapshot(self.id, {0: self.now})}

    @property
    def register(self) -> State:
        found = open_store(self.world.config.store).load()
        assert found
        return decode_state(found.state)

    @property
    def records(self) -> list[LossRecord]:
        return [decode_loss_record(p.read_bytes(), p.name) for p in sorted(self.world.lake.glob("_losses/*.json"))]

    def findings(self) -> tuple[list[str], list[str]]:
        """Of the verification: known holes and findings."""
        verdict = verify(open_store(self.world.config.store), open_filesystem(self.world.config.sink_path))
        return [str(hole) for hole in verdict.holes], [f.kind for f in verdict.findings]


@pytest.fixture
def kafka(world: World, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[Kafka]:
    """One batch of four records is committed; the job's policy is skip, or what the test says."""
    monkeypatch.setattr(planner, "CONFIRM_SECONDS", 0.0)
    policy = getattr(request, "param", "skip")
    made = Kafka(world, f"source.onDataLoss={policy}")
    monkeypatch.setattr("streaming.run.batches.stage_with", made.stage_with)
    made.now = (0, 4)
    world.run()
    made.now = (0, 10)
    yield made
    failpoints.arm(None)


def test_what_expired_between_launches_is_skipped(kafka: Kafka, caplog: pytest.LogCaptureFixture) -> None:
    """What is readable lands once; the hole is in the summary, in a warning, in the sink, and known to verify."""
    kafka.now = (6, 10)
    _, summary = kafka.world.run()
    assert kafka.world.published() == list("0123") + list("6789")
    assert summary["dataLoss"] == [
        {"generation": 1, "kind": "EXPIRED", "topic": "t", "partition": 0, "fromOffset": 4, "untilOffset": 6}
    ]
    assert "data loss: EXPIRED t-0 [4,6), skipped by generation 1" in caplog.text
    assert [(r.generation, r.losses) for r in kafka.records] == [(1, (EXPIRED,))]
    assert kafka.findings() == (["EXPIRED t-0 [4,6), skipped by generation 1"], [])
    assert kafka.world.run()[1]["dataLoss"] == []


@pytest.mark.parametrize("kafka", ["fail"], indirect=True)
def test_fail_changes_nothing(kafka: Kafka) -> None:
    """The default: exit 3 with topic, partition, lost range and the exact command; the register is as it was."""
    kafka.now = (6, 10)
    before = kafka.register
    with pytest.raises(DataLossError, match=r"EXPIRED t-0 \[4,6\)") as caught:
        kafka.world.run()
    assert caught.value.exit_status == 3
    assert "reset_offsets.py orders.cfg --topic t --to-current --execute" in caught.value.remedy
    assert (kafka.register, kafka.records) == (before, [])


def expire_once(kafka: Kafka) -> Callable[[Sequence[OffsetRange]], None]:
    """Retention overtakes the first batch that is staged: its task finds nothing any more."""

    def stage(ranges: Sequence[OffsetRange]) -> None:
        if kafka.now[0] == 0:
            kafka.now = (6, 10)
            raise DataLossError([Loss("EXPIRED", "t", 0, 4, 6, 6, f"while reading {ranges[0]}")], "see README")

    return stage


def test_what_expires_under_a_batch_is_skipped(kafka: Kafka) -> None:
    """The batch is given up before anything of it is decided, and planned anew behind the hole, in the same run."""
    kafka.staged = expire_once(kafka)
    _, summary = kafka.world.run()
    assert kafka.world.published() == list("0123") + list("6789")
    assert [loss["untilOffset"] for loss in summary["dataLoss"]] == [6]
    assert kafka.findings() == (["EXPIRED t-0 [4,6), skipped by generation 1"], [])


@pytest.mark.parametrize("kafka", ["fail"], indirect=True)
def test_a_loss_under_a_batch_prints_the_command_too(kafka: Kafka) -> None:
    """Not only that something was lost while reading, but what to type."""
    kafka.staged = expire_once(kafka)
    with pytest.raises(DataLossError, match=r"EXPIRED t-0 \[4,6\)") as caught:
        kafka.world.run()
    assert "reset_offsets.py orders.cfg --topic t --to-current --execute" in caught.value.remedy
    assert kafka.register.generation == 0


@pytest.mark.parametrize(("kafka", "times"), [("skip", 2), ("fail", 1)], indirect=["kafka"])
def test_a_batch_is_not_given_up_for_ever(kafka: Kafka, times: int) -> None:
    """A loss that only the task sees gives the same batch again: the second time it ends the run, or at once."""
    tried: list[Sequence[OffsetRange]] = []

    def stage(ranges: Sequence[OffsetRange]) -> None:
        tried.append(ranges)
        raise DataLossError([Loss("BEYOND_END", "t", 0, 7, 8, 7)])

    kafka.staged = stage
    with pytest.raises(StreamError, match="BEYOND_END"):
        kafka.world.run()
    assert tried == [(OffsetRange("t", 0, 4, 8),)] * times


@pytest.mark.parametrize("failpoint", ["skip.before", "skip.sent", "skip.after"])
def test_a_driver_killed_at_a_skip_leaves_no_hole_without_a_record(kafka: Kafka, failpoint: str) -> None:
    """Before the write nothing has happened; after it the next launch writes the record that is missing."""
    kafka.now = (6, 10)
    with killed_at(failpoint):
        kafka.world.run()
    begun = failpoint != "skip.before"
    assert (kafka.register.generation, kafka.records) == (int(begun), [])
    assert kafka.findings() == (["EXPIRED t-0 [4,6), skipped by generation 1"] * begun, [])
    _, summary = kafka.world.run()
    assert [loss["generation"] for loss in summary["dataLoss"]] == [1], "whoever writes the record tells of it"
    assert [(r.generation, r.losses) for r in kafka.records] == [(1, (EXPIRED,))]
    assert kafka.world.published() == list("0123") + list("6789")
    assert kafka.register.losses == ()


def test_a_replaced_topic_is_read_from_its_beginning(kafka: Kafka) -> None:
    """The old one's unread records are a hole whose end nobody knows; what both had lies in both generations."""
    kafka.id, kafka.now = "other", (0, 3)
    kafka.world.run()
    assert kafka.world.published() == sorted("0123" + "012")
    assert kafka.findings() == (["REPLACED t-0 from 4 on, skipped by generation 1"], [])


def test_a_hole_without_a_record_is_found(kafka: Kafka) -> None:
    """Somebody has changed the record: what it no longer names is missing for no reason that is known."""
    kafka.now = (6, 10)
    kafka.world.run()
    (record,) = kafka.world.lake.glob("_losses/*.json")
    record.write_bytes(record.read_bytes().replace(b"[[0,4]]", b"[[0,5]]"))
    assert kafka.findings()[1] == ["damaged-entry"]


def test_a_register_lost_after_a_skip_comes_back_behind_the_hole(kafka: Kafka) -> None:
    """Nothing was left to read, so no batch tells of the new generation: the skip itself has left where it begins."""
    kafka.now = (6, 6)
    kafka.world.run()
    for file in (kafka.world.lake.parent / "offsets" / "state").iterdir():
        file.unlink()
    kafka.now = (8, 8)
    kafka.world.run(recover="register")
    assert (kafka.register.generation, kafka.register.topics["t"].offsets) == (2, {0: 8})
    holes = ["EXPIRED t-0 [4,6), skipped by generation 1", "EXPIRED t-0 [6,8), skipped by generation 2"]
    assert kafka.findings() == (holes, [])


@pytest.mark.parametrize(
    ("begun", "losses", "kinds"),
    [
        ({0: 6, 1: 9}, {1: (EXPIRED,)}, []),
        ({0: 6, 1: 11}, {1: (EXPIRED,)}, ["gap"]),
        ({0: 6, 1: 7}, {1: (EXPIRED,)}, ["overlap"]),
        ({0: 6, 1: 11}, {}, []),
    ],
    ids=["explained", "a gap", "an overlap", "a person's reset"],
)
def test_a_generation_behind_losses_moves_no_other_partition(
    begun: dict[int, int], losses: dict[int, tuple[LostRange, ...]], kinds: list[str]
) -> None:
    """Where a generation begins that a record explains, the record must explain all of it."""
    ends, begins = ({TopicPartition("t", p): at for p, at in places.items()} for places in ({0: 4, 1: 9}, begun))
    holes = Holes(None, losses)
    holes.check([Generation(0, dict(ends), ends), Generation(1, begins, dict(begins))])
    assert [(f.kind, f.where) for f in holes.findings] == [(kind, "t-1") for kind in kinds]


def test_what_expires_between_batches_is_skipped_in_the_same_run(kafka: Kafka) -> None:
    """Retention comes behind a batch that has read all of its own records: that one is committed as it is."""

    def stage(ranges: Sequence[OffsetRange]) -> None:
        kafka.now = (9, 10)

    kafka.staged = stage
    _, summary = kafka.world.run()
    assert kafka.world.published() == list("012345679")
    assert [(loss["fromOffset"], loss["untilOffset"]) for loss in summary["dataLoss"]] == [(8, 9)]
    assert kafka.findings() == (["EXPIRED t-0 [8,9), skipped by generation 1"], [])
