"""./scripts/test bench: records per second from Kafka to files, exactly once, beside bare librdkafka in the same run.

Fills a topic with numbered JSON records, then lands it on the local disk once per format, each batch prepared,
published and committed.  Before and after each, bare librdkafka reads it in two processes that write the same values
to files: the mean of the two is the reference, as a machine's speed drifts.  Rates leave out what starts processes: the
first batch, told apart, and Python itself.  Prints rates, their ratio, and where a batch's time goes.  It judges no
time; counts must be exact.

exit status: 0 every record landed exactly once, 1 not.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from statistics import fmean

import orjson
import pyarrow.parquet as pq
from demonstration.launches import ROOT, environment
from rich.console import Console
from rich.table import Table

from servers.cluster import Sandbox
from tests.benchmarks.bare import bare_rate
from tests.benchmarks.batches import Batch, batches_in, rate, where_time_goes

TOPIC, SIZE, PARTITIONS, CORES = "numbers", 190, 4, 2

JOB = """\
[job]
name = bench
[source]
subscribe = {topic}
startingOffsets = earliest
maxOffsetsPerTrigger = {batch}
[kafka]
bootstrap.servers = {bootstrap}
[offsets]
store = file://{folder}/offsets
[sink]
path = file://{folder}/lake
format = {format}
[spark]
spark.master = local[{cores}]
spark.ui.enabled = false
spark.driver.host = 127.0.0.1
spark.driver.bindAddress = 127.0.0.1
"""


def main(argv: list[str] | None = None) -> int:
    options = arguments(argv)
    console = Console(width=120)
    with tempfile.TemporaryDirectory(prefix="kafka-direct-bench-") as folder:
        sandbox = Sandbox(Path(folder) / "servers")
        sandbox.end_with_me()
        try:
            sandbox.up(["kafka"])
            return measure(options, sandbox.kafka.bootstrap, Path(folder), console)
        finally:
            sandbox.down(graceful=False)


def arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        "./scripts/test bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--records", type=int, default=2_000_000, help="default 2,000,000")
    parser.add_argument("--batch", type=int, default=400_000, help="records of a batch, default 400,000")
    parser.add_argument("--formats", default="text,parquet", help="default text,parquet")
    parser.add_argument("--quick", action="store_true", help="400,000 records in batches of 80,000")
    options = parser.parse_args(argv)
    if options.quick:
        options.records, options.batch = 400_000, 80_000
    options.records -= options.records % PARTITIONS
    if options.records < 2 * options.batch:
        parser.error("--records must make two batches at least: the first is not counted in the rates")
    return options


def measure(options: argparse.Namespace, bootstrap: str, folder: Path, console: Console) -> int:
    fill(bootstrap, options.records)
    console.print(f"{options.records:,} records of {SIZE} B, {PARTITIONS} partitions, batches of {options.batch:,}")
    table = Table("")
    for name in ("records/s", "bare records/s", "of bare", "first batch, s", "count"):
        table.add_column(name, justify="right")
    steps: dict[str, dict[str, int]] = {}
    exact = True
    before = bare_rate(bootstrap, TOPIC, range(PARTITIONS), options.records, folder)
    for format_ in options.formats.split(","):
        batches = land(format_, options.batch, bootstrap, folder / format_)
        after = bare_rate(bootstrap, TOPIC, range(PARTITIONS), options.records, folder)
        right = count(folder / format_ / "lake", options.records)
        exact &= right
        reached, bare = rate(batches), fmean([before, after])
        ratio = f"{reached / bare:.2f}"
        told = "exact" if right else "NOT EXACT"
        table.add_row(format_, f"{reached:,.0f}", f"{bare:,.0f}", ratio, f"{batches[0].seconds:.1f}", told)
        steps[format_] = where_time_goes(batches)
        before = after
    console.print(table, table_of(steps))
    return 0 if exact else 1


def table_of(steps: Mapping[str, Mapping[str, int]]) -> Table:
    """A row for each step, a column for each format."""
    table = Table("", title="median ms of a batch")
    for format_ in steps:
        table.add_column(format_, justify="right")
    for step in dict.fromkeys(step for found in steps.values() for step in found):
        table.add_row(step, *(str(found[step]) for found in steps.values()))
    return table


def fill(bootstrap: str, records: int) -> None:
    script = [sys.executable, str(ROOT / "scripts" / "produce_sequence.py"), "--bootstrap-server", bootstrap]
    options = ["--topic", TOPIC, "--partitions", str(PARTITIONS), "--records", str(records)]
    subprocess.run([*script, *options, "--record-size", str(SIZE)], check=True, stdout=subprocess.DEVNULL)


def land(format_: str, batch: int, bootstrap: str, folder: Path) -> list[Batch]:
    """Runs the job to the end of the topic."""
    folder.mkdir()
    job = folder / "bench.cfg"
    job.write_text(
        JOB.format(topic=TOPIC, batch=batch, bootstrap=bootstrap, folder=folder, format=format_, cores=CORES)
    )
    command = [sys.executable, str(ROOT / "scripts" / "run_stream.py"), str(job), "--available-now"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment(), check=False)
    if done.returncode:
        raise SystemExit(f"the job ended with {done.returncode}:\n{done.stderr}")
    return batches_in(done.stderr)


def count(lake: Path, records: int) -> bool:
    """Whether every number of every partition is there exactly once, by reading what was published."""
    seen = Counter((value["partition"], value["number"]) for value in map(orjson.loads, values(lake)))
    each = range(records // PARTITIONS)
    return len(seen) == seen.total() == records and all((p, n) in seen for p in range(PARTITIONS) for n in each)


def values(lake: Path) -> Iterator[bytes]:
    """The records' values in every published file."""
    for path in sorted(lake.glob(f"{TOPIC}+*")):
        if path.suffix == ".parquet":
            yield from pq.read_table(path, columns=["value"])["value"].to_pylist()
        elif path.suffix == ".json":
            yield from (json.loads(line)["value"].encode() for line in path.open("rb"))
        elif path.suffix == ".txt":
            yield from path.open("rb")


if __name__ == "__main__":
    sys.exit(main())
