"""What a run says of itself: a line a batch, and one JSON object at the end, in Structured Streaming's field names."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any

from offsets.snapshot import Snapshot
from offsets.structs import EXACTLY_ONCE, TRANSACTIONAL_ONCE, LossRecord, Manifest, OffsetRange, State, TopicPartition
from streaming.config.job import JobConfig
from streaming.sinks.names import is_data
from streaming.source.open_transactions import TransactionWatch
from streaming.tasks.result import TaskResult

Offsets = dict[str, dict[str, int]]


@dataclass(frozen=True)
class BatchReport:
    """One committed batch.  Times in ms."""

    manifest: Manifest
    results: tuple[TaskResult, ...]
    duration_ms: Mapping[str, int]
    seconds: float
    lag: int  # records below the ends last seen that are not committed yet

    @property
    def bad(self) -> int:
        return sum(r.bad for r in self.results)

    @property
    def quarantined(self) -> int:
        return sum(r.quarantined for r in self.results)

    @property
    def skipped(self) -> int:
        return sum(r.skipped for r in self.results)

    @property
    def filtered(self) -> int:
        return sum(r.filtered for r in self.results)

    @property
    def rows(self) -> int:
        """In files that readers see, or given to a direct sink."""
        in_files = sum(f.count for f in self.manifest.files if is_data(f.final))
        return in_files + sum(r.written for r in self.results)

    def line(self) -> str:
        """The log line of this batch."""
        rate = self.manifest.records / max(self.seconds, 1e-9)
        steps = " ".join(f"{step}={ms}" for step, ms in self.duration_ms.items())
        return (
            f"batch {self.manifest.seq}: {self.manifest.records:,} records in {self.seconds:.2f} s ({rate:,.0f}/s), "
            f"{len(self.manifest.files)} files, {self.rows:,} rows, {self.filtered:,} filtered, "
            f"{self.bad:,} bad{self._kept()}, lag {self.lag:,}{self._weaker()}; ms: {steps}"
        )

    def _weaker(self) -> str:
        guarantee = self.manifest.guarantee
        return "" if guarantee in (EXACTLY_ONCE, TRANSACTIONAL_ONCE) else f", {guarantee}"

    def _kept(self) -> str:
        """Of the bad ones: what became of those that are in no data file."""
        kept = ((self.quarantined, "quarantined"), (self.skipped, "skipped"))
        told = ", ".join(f"{count:,} {what}" for count, what in kept if count)
        return f" ({told})" if told else ""


@dataclass
class RunProgress:
    """Adds up the batches of one run; `summary` is the JSON object that a run prints last."""

    name: str
    run_id: str
    sink: str
    source: str = ""  # what the job reads
    guarantee: str = EXACTLY_ONCE
    clock: Callable[[], float] = time.monotonic
    batches: int = 0
    records: int = 0
    rows: int = 0
    filtered: int = 0  # records for which the function returned no row
    bad: int = 0  # of which the next two are in no data file
    quarantined: int = 0
    skipped: int = 0
    busy_seconds: float = 0.0
    at_home: bool = False  # register and sink are known to belong together: the sink may keep the report
    taken: State | None = None  # the register as this run took it over
    redone: int = 0  # batches that an earlier run left prepared and this one finished
    start: Offsets = field(default_factory=dict)
    end: Offsets = field(default_factory=dict)
    latest: Offsets = field(default_factory=dict)
    earliest: Offsets = field(default_factory=dict)  # where logs begin, for the rate at which Kafka lets records go
    transactions: TransactionWatch | None = None
    losses: list[LossRecord] = field(default_factory=list)  # that the run has skipped, or found without a record

    def __post_init__(self) -> None:
        self._began = self.clock()
        self._timestamp = datetime.now(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")

    def see_job(self, config: JobConfig) -> None:
        """What the job file says of the run."""
        self.name, self.source, self.guarantee = config.name, str(config.subscription), config.guarantee
        self.sink = f"DirectSink[{config.sink_class}]" if config.sink_class else f"StagedFileSink[{config.sink_path}]"

    def add(self, report: BatchReport) -> None:
        self.batches += 1
        self.records += report.manifest.records
        self.rows += report.rows
        self.filtered += report.filtered
        self.bad += report.bad
        self.quarantined += report.quarantined
        self.skipped += report.skipped
        self.busy_seconds += report.seconds
        self._cover(report.manifest.ranges)

    def add_redone(self, manifest: Manifest) -> None:
        """A batch of an earlier run: its rows are published by this one, its records were read by that one."""
        self.redone += 1
        self._cover(manifest.ranges)

    def _cover(self, ranges: Iterable[OffsetRange]) -> None:
        for r in ranges:
            self.start.setdefault(r.topic, {}).setdefault(str(r.partition), r.from_offset)
            self.end.setdefault(r.topic, {})[str(r.partition)] = r.until_offset

    def see_latest(self, latest: Mapping[TopicPartition, int]) -> None:
        for tp, end in latest.items():
            self.latest.setdefault(tp.topic, {})[str(tp.partition)] = end

    def see_earliest(self, snapshot: Snapshot) -> None:
        for topic, seen in snapshot.items():
            self.earliest[topic] = {str(p): beginning for p, (beginning, _) in seen.partitions.items()}

    def summary(self, exit_status: int, exit_reason: str) -> dict[str, Any]:
        """One JSON object.  inputRowsPerSecond: over the whole run, processedRowsPerSecond: while batches ran."""
        seconds = self.clock() - self._began
        return {
            "name": self.name,
            "deliveryGuarantee": self.guarantee,
            "runId": self.run_id,
            "timestamp": self._timestamp,
            "takeover": self.taken and takeover(self.taken),
            "batches": self.batches,
            "redoneBatches": self.redone,
            "numInputRows": self.records,
            "inputRowsPerSecond": round(self.records / seconds, 1) if seconds else 0.0,
            "processedRowsPerSecond": round(self.records / self.busy_seconds, 1) if self.busy_seconds else 0.0,
            "durationMs": {"run": round(seconds * 1000), "batches": round(self.busy_seconds * 1000)},
            "sources": [
                {
                    "description": f"KafkaDirectStream[{self.source}]",
                    "startOffset": self.start,
                    "endOffset": self.end,
                    "latestOffset": self.latest,
                    "earliestOffset": self.earliest,
                    "numInputRows": self.records,
                    "openTransactions": self.transactions.held if self.transactions else {},
                }
            ],
            "sink": {"description": self.sink, "numOutputRows": self.rows},
            "filteredRecords": self.filtered,
            "badRecords": self.bad,
            "quarantinedRecords": self.quarantined,
            "skippedRecords": self.skipped,
            "dataLoss": [loss for record in self.losses for loss in loss_objects(record)],
            "exitStatus": exit_status,
            "exitReason": exit_reason,
        }


def takeover(taken: State) -> dict[str, Any]:
    """Who took the register over, when, and what it was: where no store keeps that, the reports of runs do."""
    at = datetime.fromtimestamp(taken.time_ms / 1000, timezone.utc).isoformat(timespec="milliseconds")
    return {
        "timestamp": at,
        "generation": taken.generation,
        "epoch": taken.epoch,
        "nextBatch": taken.seq,
        "host": taken.owner.host,
        "pid": taken.owner.pid,
        "since": taken.owner.started,
    }


def loss_objects(record: LossRecord) -> list[dict[str, Any]]:
    """One JSON object a partition.  Where both offsets are the same, all that it had from there on is lost."""
    return [
        {
            "generation": record.generation,
            "kind": loss.kind,
            "topic": loss.topic,
            "partition": loss.partition,
            "fromOffset": loss.from_offset,
            "untilOffset": loss.until_offset,
        }
        for loss in record.losses
    ]
