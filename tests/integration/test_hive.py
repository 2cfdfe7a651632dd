"""Hive sees every committed record, whether its metastore was there at the time or not."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from demonstration.launches import environment

from servers.cluster import Sandbox
from servers.hdfs_server import Hdfs
from servers.hive_metastore import HiveMetastore
from tests.integration.jobs import Job, Topics

# Another Spark, as an analyst's: it knows nothing but the metastore.
ASK = """
import json, sys
from pyspark.sql import SparkSession
settings, *queries = map(json.loads, sys.argv[1:])
builder = SparkSession.builder.master("local[1]").enableHiveSupport()
for name, value in settings.items():
    builder = builder.config(name, value)
spark = builder.getOrCreate()
print(json.dumps([[list(row) for row in spark.sql(query).collect()] for query in queries]))
spark.stop()
"""


def ask(settings: dict[str, str], *queries: str) -> list[list[list[object]]]:
    """The rows of each query."""
    given = {"spark.ui.enabled": "false", "spark.driver.host": "127.0.0.1", **settings}
    command = [sys.executable, "-c", ASK, json.dumps(given), *map(json.dumps, queries)]
    found = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120, env=environment())
    rows: list[list[list[object]]] = json.loads(found.stdout.splitlines()[-1])
    return rows


@pytest.fixture
def metastore(sandbox: Sandbox, java_home: Path) -> Iterator[HiveMetastore]:
    """Not started yet; its address is known."""
    server = HiveMetastore(sandbox.data / HiveMetastore.name)
    yield server
    server.down(graceful=False)


@pytest.mark.full
@pytest.mark.timeout(400)
def test_a_metastore_that_was_away(
    topics: Topics, job: Callable[..., Job], hdfs: Hdfs, metastore: HiveMetastore, tmp_path: Path
) -> None:
    """Without its metastore a run commits all the same, and warns; a later one registers it, even with nothing new."""
    topic = topics.create(partitions=2)
    topics.fill(topic, 300, 200)
    root = f"/lake/{tmp_path.name}"
    orders = job(
        topic,
        sink__path=f"webhdfs://{hdfs.webhdfs}{root}",
        sink__format="parquet",
        sink__path__format="{topic}/dt=%Y-%m-%d/part={partition}",
        hive__integration="true",
        hive__metastore__uris=metastore.uri,
        hive__location=f"{hdfs.url}{root}",
    )
    first = orders.run()
    assert first.status == 0, first.said
    assert "the next run goes on with them" in first.stderr
    metastore.up()
    second = orders.run()
    assert (second.status, second.summary["batches"]) == (0, 0), second.said
    topics.fill(topic, 0, 50)
    third = orders.run()
    assert (third.status, third.summary["batches"]) == (0, 1), third.said
    table = topic.replace("-", "_")
    counts, parts = ask(
        {"spark.hadoop.hive.metastore.uris": metastore.uri},
        f"SELECT part, count(*), count(DISTINCT offset) FROM {table} GROUP BY part ORDER BY part",
        f"SHOW PARTITIONS {table}",
    )
    assert counts == [["0", 300, 300], ["1", 250, 250]]
    assert len(parts) >= 2


@pytest.mark.timeout(400)
@pytest.mark.full
@pytest.mark.parametrize("format_", ["parquet", "avro", "text"])
def test_an_embedded_metastore(topics: Topics, job: Callable[..., Job], tmp_path: Path, format_: str) -> None:
    """Spark's own Derby metastore, set up by [spark]; odd characters in a partition's value are the value."""
    topic = topics.create(partitions=1)
    topics.fill(topic, 100)
    url = f"jdbc:derby:;databaseName={tmp_path}/metastore;create=true"
    (tmp_path / "job").mkdir()
    (tmp_path / "job" / "routing.py").write_text(
        "from streaming.rows import Routed\n"
        "def by_digit(record):\n"
        "    row = str(record.offset) if TEXT else {'offset': record.offset, 'name': 'x'}\n"
        '    return Routed(f"Odd Orders/digit=o\'{record.offset % 10}\\u00e4 %", row)\n'.replace(
            "TEXT", str(format_ == "text")
        )
    )
    orders = job(
        topic,
        job__function="routing:by_digit",
        sink__format=format_,
        hive__integration="true",
        spark__spark__hadoop__javax__jdo__option__ConnectionURL=url,
    )
    done = orders.run()
    assert done.status == 0, done.said
    assert "Hive" not in done.stderr, done.stderr
    (count,) = ask(
        {"spark.hadoop.javax.jdo.option.ConnectionURL": url},
        "SELECT digit, count(*) FROM odd_orders GROUP BY digit ORDER BY digit",
    )
    assert count == [[f"o'{digit}ä %", 10] for digit in range(10)]
