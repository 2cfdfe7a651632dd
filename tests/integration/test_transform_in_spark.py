"""The README's enrichment job on real Spark: Parquet by country and day, a table from the driver, a quarantine."""

from __future__ import annotations

import base64
import json
import re
import textwrap
from collections import Counter
from collections.abc import Callable
from typing import Any

import pyarrow.parquet as pq
from confluent_kafka import Producer
from demonstration.launches import ROOT

from tests.integration.jobs import Job, Topics

README = (ROOT / "README.rst").read_text(encoding="utf-8")
# The same rows from chunks, with a table of each worker's own.
LATE = """
import json

def names():
    return {"de": "Germany", "at": "Austria"}

def rows(chunk, names):
    orders = [json.loads(value) for value in chunk.values]
    return [{**order, "country": names[order["country"]]} for order in orders]
"""
COUNTRIES = "code,name\nde,Germany\nat,Österreich/Austria\n"
LANDS = {"de": "Germany", "at": "%C3%96sterreich%2FAustria"}


def example(pattern: str) -> str:
    """An indented block of the section on enrichment."""
    section = README.split("Enrichment\n~~~~~~~~~~")[1].split("\n~~~")[0]
    found = re.search(rf"{pattern}\n\n((?:    .*\n|\n)+)", section)
    assert found
    return textwrap.dedent(found[1])


def order(n: int) -> dict[str, Any]:
    """Every fifth is a day late."""
    day = "2026-11-20" if n % 5 else "2026-11-19"
    return {"id": n, "amount": n / 2, "country": ("de", "at")[n % 2], "at": f"{day}T12:00:00Z"}


def send(job: Job, topic: str, values: dict[int, list[bytes]]) -> None:
    producer = Producer({"bootstrap.servers": job.settings["kafka.bootstrap.servers"]})
    for partition, found in values.items():
        for value in found:
            producer.produce(topic, value, partition=partition, headers=[("h", b"\xff")])
    assert producer.flush(60) == 0


def test_the_enrichment_of_the_readme(topics: Topics, job: Callable[..., Job]) -> None:
    """Each order once, in the folder of its country and day; each bad record once in the quarantine, over batches.

    Then a chunk function: too many bad ones fail the batch, and nothing of it is visible.
    """
    topic = topics.create(2)
    settings = dict(re.findall(r"^([\w.]+) = (.*)$", example("with these settings::"), re.M))
    sink = ("format", "path.format", "timestamp.extractor", "timestamp.field")
    named = {f"{'sink' if key in sink else 'job'}.{key}": value for key, value in settings.items()}
    a_job = job(topic, source__maxOffsetsPerTrigger="150", **named)
    (a_job.folder / "enrich.py").write_text(example(r"\.\. code-block:: python"), encoding="utf-8")
    (a_job.folder / "countries.csv").write_text(COUNTRIES, encoding="utf-8")
    bad = {
        10: b"no json \xff",
        60: json.dumps({**order(60), "country": "xx"}).encode(),
        110: json.dumps({**order(110), "amount": "x"}).encode(),
    }
    bad[111] = json.dumps({**order(111), "at": None}).encode()
    values = [bad.get(n, json.dumps(order(n)).encode()) for n in range(400)]
    send(a_job, topic, {0: values[:200], 1: values[200:]})

    done = a_job.run()
    assert done.status == 0, done.said
    summary = done.summary
    assert (summary["numInputRows"], summary["badRecords"], summary["quarantinedRecords"]) == (400, 4, 4)
    assert (summary["sink"]["numOutputRows"], summary["batches"]) == (396, 3)
    assert landed(a_job) == Counter(
        (f"{topic}/land={LANDS[o['country']]}/dt={o['at'][:10]}", o["id"], o["amount"])
        for o in map(order, set(range(400)) - set(bad))
    )
    kept = quarantine(a_job, topic)
    assert [(line["partition"], line["offset"], base64.b64decode(line["value"])) for line in kept] == [
        (0, n, value) for n, value in bad.items()
    ]
    whys = ("UnicodeDecodeError", "KeyError: 'xx'", "field amount", "event time")
    for line, why in zip(kept, whys, strict=True):
        assert why in line["error"]
    state = a_job.register()
    assert list(state.schemas) == [topic], "the table is what comes before the first ="

    before = a_job.everything()
    (a_job.folder / "late.py").write_text(LATE)
    a_job.write(
        job__function="late:rows", job__function__mode="chunk", job__setup="late:names", job__setup__on="worker"
    )
    send(a_job, topic, {1: [json.dumps(order(400)).encode(), *[b"broken"] * 3]})
    failed = a_job.run()
    assert failed.status == 1
    assert re.search(rf"3 of 4 records .*maxShare = 0.05; first: {topic}-1 offset 201: .*late\.py:8", failed.said)
    after = {name: crc for name, crc in a_job.everything().items() if not name.startswith(("_staging", "_runs"))}
    assert after == {name: crc for name, crc in before.items() if not name.startswith(("_staging", "_runs"))}
    assert a_job.register().topics[topic].offsets == {0: 200, 1: 200}


def landed(a_job: Job) -> Counter[tuple[str, int, float]]:
    found: Counter[tuple[str, int, float]] = Counter()
    for file in a_job.lake.rglob("*.parquet"):
        folder = str(file.parent.relative_to(a_job.lake))
        if not folder.startswith("_"):
            rows = pq.ParquetFile(file).read().to_pylist()
            found.update((folder, row["id"], row["amount"]) for row in rows)
    return found


def quarantine(a_job: Job, topic: str) -> list[dict[str, Any]]:
    files = sorted((a_job.lake / "_quarantine" / topic).iterdir())
    assert all(re.fullmatch(rf"{topic}\+p\d\+\d{{10}}\+\d{{10}}\+g0e1\.json", file.name) for file in files)
    return [json.loads(line) for file in files for line in file.read_text("utf-8").splitlines()]
