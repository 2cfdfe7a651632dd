"""streaming/GUIDE.rst as printed: its three sinks and their job files on real servers, only the addresses are others.

The first two run without Spark, in the crash suite's drivers, and are killed; the third is Spark's in the plain suite.
"""

from __future__ import annotations

import json
import re
import textwrap
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from confluent_kafka import Producer
from demonstration.launches import ROOT

from offsets.structs import OffsetRange
from servers.kafka_server import Kafka
from servers.postgres_server import Postgres
from streaming.config.reading import load
from streaming.config.settings import SETTINGS
from streaming.records import Record
from streaming.sinks.contracts import REFUSALS, Declaration, refusal
from tests.crash.plain.crew import Crew
from tests.crash.plain.faults import Fault
from tests.integration.jobs import Job, Topics

GUIDE = (ROOT / "streaming" / "GUIDE.rst").read_text(encoding="utf-8")
SPARK = """
[spark]
spark.master = local[2]
spark.ui.enabled = false
spark.driver.host = 127.0.0.1
spark.driver.bindAddress = 127.0.0.1
"""


class Printed(NamedTuple):
    """One example: code and job file."""

    code: str
    job: str


def blocks(title: str) -> list[str]:
    """The code of a section, block by block."""
    section = GUIDE.split(f"\n{title}\n{'-' * len(title)}\n")[1].split("\n---")[0]
    found = re.findall(r"^\.\. code-block:: \w+\n\n((?:    .*\n|\n)+)", section, re.M)
    return [textwrap.dedent(block) for block in found]


def example(title: str) -> Printed:
    return Printed(*blocks(title))


def lay_out(folder: Path, printed: Printed, kafka: Kafka, topic: str, changed: Mapping[str, str]) -> Path:
    """The job file, its module beside it; `changed`: addresses by those that are printed."""
    job = re.sub(r"^subscribe = .*", f"subscribe = {topic}", printed.job, flags=re.M)
    changes = {
        "broker1:9092,broker2:9092": kafka.bootstrap,
        "zookeeper://zk1:2181,zk2:2181,zk3:2181/apps": f"file://{folder}/offsets",
        "webhdfs://namenode:9870/jobs": f"file://{folder}/jobs",
        **changed,
    }
    code = printed.code
    for ours, theirs in changes.items():
        assert ours in job + code or ours not in changed, ours
        job, code = job.replace(ours, theirs), code.replace(ours, theirs)
    module = load("job.cfg", job, environ={}).sink_class
    assert module is not None
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{module.partition(':')[0]}.py").write_text(code)
    (folder / "job.cfg").write_text(job + SPARK)
    return folder / "job.cfg"


def produce(kafka: Kafka, topic: str, values: Mapping[int, list[dict[str, Any]]]) -> None:
    """JSON by partition."""
    producer = Producer({"bootstrap.servers": kafka.bootstrap, "linger.ms": 1})
    for partition, rows in values.items():
        for row in rows:
            producer.produce(topic, json.dumps(row).encode(), partition=partition)
    assert producer.flush(60) == 0


@pytest.fixture(scope="module")
def crew() -> Iterator[Crew]:
    with closing(Crew()) as made:
        yield made


def launch(crew: Crew, job: Path, fault: Fault | None = None) -> int | None:
    return crew.wait(crew.start(str(job), fault))


def rows(postgres: Postgres, database: str, query: str) -> list[Any]:
    with closing(postgres.connect(database)) as connection:
        return connection.execute(query).fetchall()


def made(postgres: Postgres, database: str, table: str) -> str:
    url = postgres.database(database)
    with closing(postgres.connect(database)) as connection:
        connection.execute(f"CREATE TABLE {table}")
    return url


def test_the_upsert(kafka: Kafka, postgres: Postgres, topics: Topics, crew: Crew, tmp_path: Path) -> None:
    """Killed when all is written and nothing committed: the same ranges are written again, and change nothing.

    Nor does a task that is late, and writes when newer records have been written.
    """
    topic = topics.create()
    columns = "id bigint PRIMARY KEY, status text, amount int, kafka_partition int, kafka_offset bigint"
    url = made(postgres, "guide_upsert", f"orders ({columns})")
    changed = {"postgresql://jobs@db1/shop": url}
    job = lay_out(tmp_path / "upsert", example("An idempotent upsert"), kafka, topic, changed)
    states: list[dict[str, Any]] = [{"id": n % 5, "status": f"state {n}", "amount": n} for n in range(20)]
    produce(kafka, topic, {p: [s for s in states if s["id"] % 2 == p] for p in (0, 1)})
    assert launch(crew, job, Fault("log.before", "kill")) == -9
    table = "SELECT id, status, amount FROM orders ORDER BY id"
    newest = [(n % 5, f"state {n}", n) for n in range(15, 20)]
    assert rows(postgres, "guide_upsert", table) == newest
    produce(kafka, topic, {0: [{"id": 2, "status": "sent", "amount": 0}]})
    crew.said()
    assert launch(crew, job) == 0
    said = crew.said()
    assert rows(postgres, "guide_upsert", table) == sorted([(2, "sent", 0), *(r for r in newest if r[0] != 2)])
    late(job, states)
    assert rows(postgres, "guide_upsert", table) == sorted([(2, "sent", 0), *(r for r in newest if r[0] != 2)])
    assert re.search(r"batch 0: 20 records", said), said
    assert re.search(r"batch 1: 1 records", said), said


def late(job: Path, states: list[dict[str, Any]]) -> None:
    """An attempt of a task of the first batch that writes when all others have long been done: partition 0."""
    own: dict[str, Any] = {"__name__": "orders"}
    exec((job.parent / "orders.py").read_text(), own)
    values = [json.dumps(state).encode() for state in states if state["id"] % 2 == 0]
    records = [Record("orders", 0, offset, 0, 1, None, value, ()) for offset, value in enumerate(values)]
    own["upsert"](OffsetRange("orders", 0, 0, len(records)), iter(records))


def test_the_transaction(kafka: Kafka, postgres: Postgres, topics: Topics, crew: Crew, tmp_path: Path) -> None:
    """Killed before its commit, nothing is there; killed behind it, all; each payment is there once."""
    topic = topics.create()
    url = made(postgres, "guide_ledger", "ledger (account text, amount int)")
    printed = example("A transaction with the offsets")
    job = lay_out(tmp_path / "ledger", printed, kafka, topic, {"postgresql://jobs@db1/shop": url})
    payments = [{"account": f"a{n % 3}", "amount": n} for n in range(30)]
    produce(kafka, topic, {0: payments[:20], 1: payments[20:]})
    table = "SELECT account, amount FROM ledger ORDER BY amount"
    assert launch(crew, job, Fault("commit.before", "kill")) == -9
    assert rows(postgres, "guide_ledger", table) == []
    assert launch(crew, job, Fault("commit.sent", "kill")) == -9
    assert rows(postgres, "guide_ledger", table) == [(p["account"], p["amount"]) for p in payments]
    produce(kafka, topic, {1: [{"account": "a9", "amount": 99}]})
    crew.said()
    assert launch(crew, job) == 0, crew.said()
    assert rows(postgres, "guide_ledger", table) == [(p["account"], p["amount"]) for p in payments] + [("a9", 99)]


@pytest.fixture
def hook() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """A web service: its URL, and what was posted there."""
    posted: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            posted.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/large", posted
        server.shutdown()
        thread.join()


def test_the_notification(
    kafka: Kafka, topics: Topics, crew: Crew, job: Callable[..., Job], hook: tuple[str, list[dict[str, Any]]]
) -> None:
    """On Spark: the large ones of what has come since the first launch are posted, in one message for the batch."""
    topic, (url, posted) = topics.create(), hook
    produce(kafka, topic, {0: [{"amount": 50_000}]})
    alerts = job(topic)
    printed = example("A notification, at least once")
    lay_out(alerts.folder, printed, kafka, topic, {"http://alerts:8080/large-payments": url})
    assert launch(crew, alerts.path) == 0  # begins at the latest offsets, and needs no Spark
    produce(kafka, topic, {0: [{"amount": 9_999}, {"amount": 10_000}], 1: [{"amount": 12_345}]})
    run = alerts.run()
    assert run.status == 0, run.said
    (message,) = posted
    assert sorted(payment["amount"] for payment in message["payments"]) == [10_000, 12_345]
    assert re.fullmatch("[0-9a-f]{32}", message["batch"])
    assert run.summary["numInputRows"] == 3
    assert "DirectSink[alerts:notify]" in run.summary["sink"]["description"]


def test_the_table_of_declarations_is_the_codes() -> None:
    """What the guide says may be declared is what is allowed."""
    guarantees = ("exactly-once", "at-least-once", "at-most-once")
    declared = {
        "``idempotent = True``": Declaration(True),
        "``idempotent = False``": Declaration(False),
        "``transactional = True``": Declaration(False, transactional=True),
    }
    widths = [len(column) for column in re.findall("=+", GUIDE.split("What may be declared\n")[1].split("\n\n")[1])[:4]]
    for name, declaration in declared.items():
        (line,) = re.findall(rf"^{re.escape(name)} .*$", GUIDE, re.M)
        starts = [sum(widths[: n + 1]) + n + 1 for n in range(3)]
        told = [line[start:].startswith("refused") for start in starts]
        refused = [refusal(guarantee, declaration, "postgresql://u@h/d") is not None for guarantee in guarantees]
        assert told == refused
    assert REFUSALS


def test_the_job_files_are_valid_and_the_names_exist() -> None:
    """Each loads as printed; settings and names in the text are those of the code."""
    for title in ("An idempotent upsert", "A transaction with the offsets", "A notification, at least once"):
        job = load("job.cfg", example(title).job, environ={})
        assert job.sink_class
    known = {setting.option for setting in SETTINGS}
    assert (
        set(re.findall(r"``((?:sink|job|source|offsets)\.[a-zA-Z.]+)(?: = .*?)?``", GUIDE)) - {"offsets.errors"}
        <= known
    )
    (code,) = blocks("From a program")
    compile(code, "guide", "exec")
