"""Jobs over topics of their own, run as users run them: real processes, all of which end with the test."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import uuid
import zlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil
from confluent_kafka import Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewPartitions, NewTopic
from demonstration.counter import published
from demonstration.launches import ROOT, Launch, end_all, environment

from offsets.codec import decode_state
from offsets.errors import StateDamagedError
from offsets.stores import open_store
from offsets.structs import State
from servers.daemon import wait_for
from servers.kafka_server import Kafka

SCRIPT = str(ROOT / "scripts" / "run_stream.py")
SECONDS = 120.0  # for what no promise bounds: a loaded machine only makes a test slow
Place = tuple[str, int, int]  # topic, partition, offset

# A function that lets nothing from an offset on through before the test opens the gate: a batch in flight for as long
# as the test wants.  It lies beside the job file, so the job itself must ship it.
GATED = """
import time
from pathlib import Path

FOLDER, FROM = Path({folder!r}), {closed_from}

def pass_on(record):
    while record.offset >= FROM and not (FOLDER / "open").exists():
        (FOLDER / "waiting").touch()
        time.sleep(0.01)
    return {{"topic": record.topic, "partition": record.partition, "offset": record.offset}}
"""


class Topics:
    """Topics of one test on the real broker."""

    def __init__(self, kafka: Kafka) -> None:
        self._admin = AdminClient({"bootstrap.servers": kafka.bootstrap})
        self._bootstrap = kafka.bootstrap

    def create(self, partitions: int = 2, name: str = "") -> str:
        name = name or f"orders-{uuid.uuid4().hex[:12]}"
        for future in self._admin.create_topics([NewTopic(name, partitions, 1)]).values():
            future.result(30)
        wait_for(lambda: self._known(name), 30, f"{name} to be created")
        return name

    def fill(self, topic: str, *counts: int) -> None:
        """`counts[p]` more records for partition p; returns when all are acknowledged."""
        producer = Producer({"bootstrap.servers": self._bootstrap, "linger.ms": 1})  # new: it remembers no old topic
        for partition, count in enumerate(counts):
            for n in range(count):
                producer.produce(topic, f"{topic} {partition} {n}".encode(), partition=partition)
        assert producer.flush(60) == 0

    def delete(self, topic: str) -> None:
        for future in self._admin.delete_topics([topic]).values():
            future.result(30)
        wait_for(lambda: not self._known(topic), 30, f"{topic} to be deleted")

    def truncate(self, topic: str, partition: int, before: int) -> None:
        """DeleteRecords: the partition begins at `before` from now on."""
        for future in self._admin.delete_records([TopicPartition(topic, partition, before)]).values():
            future.result(30)

    def grow(self, topic: str, partitions: int) -> None:
        for future in self._admin.create_partitions([NewPartitions(topic, partitions)]).values():
            future.result(30)
        wait_for(lambda: self._known(topic) == partitions, 30, f"{topic} to grow")

    def _known(self, topic: str) -> int:
        """How many partitions with a leader it has."""
        found = self._admin.list_topics(timeout=10).topics.get(topic)
        return sum(p.leader >= 0 for p in found.partitions.values()) if found else 0


@dataclass
class Process:
    """One `python run_stream.py ...` with its two streams apart."""

    process: subprocess.Popen[bytes]
    out: Path
    err: Path

    def wait(self, seconds: float = SECONDS) -> Process:
        self.process.wait(seconds)
        return self

    @property
    def status(self) -> int:
        return self.process.returncode

    @property
    def stdout(self) -> str:
        return self.out.read_text()

    @property
    def stderr(self) -> str:
        return self.err.read_text()

    @property
    def said(self) -> str:
        """Everything, for messages of failed assertions."""
        return f"exit {self.status}\n{self.stdout}{self.stderr}"

    @property
    def complaints(self) -> list[str]:
        """The ERROR lines, without their time."""
        return [line.partition(" ERROR ")[2] for line in self.stderr.splitlines() if " ERROR " in line]

    @property
    def summary(self) -> dict[str, Any]:
        """The last line of stdout."""
        found: dict[str, Any] = json.loads(self.stdout.splitlines()[-1])
        return found

    def end(self) -> None:
        """SIGKILL for what is left of it and its children."""
        with suppress(psutil.NoSuchProcess):
            root = psutil.Process(self.process.pid)
            for each in [root, *root.children(recursive=True)]:
                with suppress(psutil.NoSuchProcess):
                    each.kill()
        self.process.wait()


@dataclass
class Job:
    """A job file, its places, and the processes that were started on it."""

    folder: Path
    settings: dict[str, str]
    started: list[Process] = field(default_factory=list)
    launches: list[Launch] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.write()

    @property
    def path(self) -> Path:
        return self.folder / "job.cfg"

    def write(self, **changed: str) -> None:
        """Writes the job file; names of settings with `__` for the dots."""
        self.settings.update({name.replace("__", "."): value for name, value in changed.items()})
        sections: dict[str, list[str]] = {}
        for option, value in self.settings.items():
            section, _, key = option.partition(".")
            sections.setdefault(section, []).append(f"{key} = {value}\n")
        self.path.write_text("".join(f"[{name}]\n{''.join(lines)}\n" for name, lines in sections.items()))

    def gate(self, closed_from: int = 0) -> None:
        """From now on the job stops at the first record from this offset on, until `open_gate`."""
        (self.folder / "gated.py").write_text(GATED.format(folder=str(self.folder), closed_from=closed_from))
        self.write(job__function="gated:pass_on")

    def wait_in_flight(self) -> None:
        """Until a task waits at the gate: a batch is in flight, and stays so."""
        wait_for((self.folder / "waiting").exists, SECONDS, "a task to wait at the gate")

    def forget_waiting(self) -> None:
        """Before the next `wait_in_flight`."""
        (self.folder / "waiting").unlink(missing_ok=True)

    def open_gate(self) -> None:
        (self.folder / "open").touch()

    def start(self, *arguments: str, job: str = "") -> Process:
        """`python run_stream.py JOB.cfg ARGUMENTS`, not waited for."""
        number = len(self.started)
        out, err = self.folder / f"{number}.out", self.folder / f"{number}.err"
        with out.open("wb") as stdout, err.open("wb") as stderr:
            process = subprocess.Popen(
                [sys.executable, SCRIPT, job or str(self.path), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                env=environment(),
                start_new_session=True,
            )
        self.started.append(Process(process, out, err))
        return self.started[-1]

    def run(self, *arguments: str) -> Process:
        """A run to the end offsets."""
        return self.start("--available-now", *arguments).wait()

    def submit(self, *options: str, python: str = sys.executable, spark_options: Sequence[str] = ()) -> Launch:
        """`spark-submit SPARK_OPTIONS run_stream.py JOB.cfg OPTIONS`, not waited for."""
        log = self.folder / f"submit-{len(self.launches)}.log"
        self.launches.append(Launch(self.path, log, *options, python=python, spark_options=spark_options))
        return self.launches[-1]

    def obey(self, line: str, until: Callable[[], bool]) -> Process:
        """Types the command that `line` ends with, waits until all is well, and ends the run by SIGTERM."""
        process = self.start(*command_in(line, str(self.path)))
        wait_for(lambda: until() or process.process.poll() is not None, SECONDS, f"`{line}` to go on")
        process.process.send_signal(signal.SIGTERM)
        return process.wait()

    def operate(self, script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """`python SCRIPT JOB.cfg ARGUMENTS`, one of the operators' scripts."""
        command = [sys.executable, str(ROOT / "scripts" / script), str(self.path), *arguments]
        return subprocess.run(command, capture_output=True, text=True, env=environment(), timeout=SECONDS)

    def register_bytes(self) -> bytes | None:
        """The register, as its store has it."""
        with closing(open_store(self.settings["offsets.store"], 4.0, 10.0)) as store:
            found = store.load()
        return found.state if found else None

    def register(self) -> State:
        found = self.register_bytes()
        assert found is not None, "there is no register"
        return decode_state(found)

    def offsets(self, topic: str) -> dict[int, int]:
        """The committed ones; none while a batch is pending or there is no legible register."""
        found, state = self.register_bytes(), None
        with suppress(StateDamagedError):
            state = decode_state(found) if found else None
        return dict(state.topics[topic].offsets) if state and not state.pending and topic in state.topics else {}

    @property
    def lake(self) -> Path:
        """The sink's folder, if it is a local one."""
        return Path(urlsplit(self.settings["sink.path"]).path)

    def everything(self) -> dict[str, int]:
        """Every file of a local sink, also those that are no data, with its checksum; reports of runs are no state."""
        files = (path for path in self.lake.rglob("*") if path.is_file() and path.parent.name != "_runs")
        return {str(path.relative_to(self.lake)): zlib.crc32(path.read_bytes()) for path in files}

    def landed(self) -> Counter[Place]:
        """How often each record is in the published files, by an independent listing."""
        return Counter((row["topic"], row["partition"], row["offset"]) for row in self.rows())

    def rows(self) -> list[dict[str, Any]]:
        """What is in the published files of JSON lines."""
        contents = (content for _, content in published(self.settings["sink.path"]))
        return [json.loads(line) for content in contents for line in content.splitlines()]

    def end(self) -> None:
        end_all(self.launches)
        for process in self.started:
            process.end()


def command_in(line: str, job: str, script: str = "run_stream.py") -> list[str]:
    """The options of the command that a complaint ends with; it must be one for this very job file."""
    found = re.search(rf"{re.escape(script)} (.*)$", line)
    assert found, f"no command in: {line}"
    first, *options = shlex.split(found[1])
    assert first == job, line
    return options


def once(topic: str, spans: Mapping[int, tuple[int, int]]) -> Counter[Place]:
    """Every offset of `{partition: (from, until)}` exactly once."""
    return Counter((topic, p, offset) for p, (first, end) in spans.items() for offset in range(first, end))


def new_job(folder: Path, kafka: Kafka, topic: str, **settings: str) -> Job:
    """A job over `topic` with its register and its sink on the local disk, unless `settings` say otherwise."""
    defaults = {
        "job.name": "orders",
        "job.batchInterval.ms": "200",
        "source.subscribe": topic,
        "source.startingOffsets": "earliest",
        "kafka.bootstrap.servers": kafka.bootstrap,
        "offsets.store": f"file://{folder / 'offsets'}",
        "offsets.session.timeout.ms": "4000",
        "sink.path": f"file://{folder / 'lake'}",
        "sink.format": "json",
        "spark.spark.master": "local[2]",
        "spark.spark.ui.enabled": "false",
        "spark.spark.driver.host": "127.0.0.1",
        "spark.spark.driver.bindAddress": "127.0.0.1",
    }
    return Job(folder, defaults | {name.replace("__", "."): value for name, value in settings.items()})


def interrupt(launch: Launch) -> None:
    """Ctrl-C: the terminal sends SIGINT to the whole foreground group."""
    os.killpg(launch.pid, signal.SIGINT)


def produce_transactions(kafka: Kafka, topic: str, records: int, log: Path) -> None:
    """So many transactions over 4 partitions, 1 % malformed; `log` is the producer's own."""
    command = [sys.executable, str(ROOT / "scripts" / "produce_transactions.py")]
    command += ["--bootstrap-server", kafka.bootstrap, "--topic", topic, "--partitions", "4"]
    command += ["--records", str(records), "--malformed", "0.01", "--log", str(log)]
    subprocess.run(command, check=True, capture_output=True, env=environment())
