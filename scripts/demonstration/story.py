"""The demo, step by step: a topic lands in files exactly once while the job is killed and launched again."""

from __future__ import annotations

import subprocess
import sys
import time
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.table import Table

from demonstration.counter import Count, Files, count, published
from demonstration.job import write_job
from demonstration.launches import ROOT, Landing, Launch, end_all, environment, kill_prepared, register
from offsets.stores import open_store
from offsets.stores.base import OffsetStore
from servers.cluster import Sandbox
from servers.ports import free_ports
from streaming.source.broker import Broker

STORES = ("zookeeper", "hdfs", "file")
TOPIC = "transactions"
PARTITIONS = 4
BATCHES = 10  # the rate cap makes the run take about so many
VICTIMS = (("driver",), ("driver", "jvm"))  # the Python half alone; both at once, as by a power cut
ATTEMPTS = 8  # a kill that came after the commit does not count; this many launches are tried
RUN_SECONDS = 120.0


@dataclass
class Story:
    """`run` returns the exit status: 0 if every record is there exactly once."""

    folder: Path
    offsets: str
    sink: str
    records: int
    console: Console = field(default_factory=Console)
    launches: list[Launch] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.sandbox = Sandbox(self.folder / "servers")
        self.ui_port = free_ports(1)[0]
        self.log = self.folder / "produced.jsonl"

    def run(self) -> int:
        began = time.monotonic()
        self.start_servers()
        self.produce()
        store = open_store(self.store_url(), 4.0, 10.0)
        with closing(store):
            self.kill_twice(store)
            self.launch_two()
            total = self.count()
            self.show_offsets(store)
        self.show_rows()
        self.tell(f"Spark's pages were at http://localhost:{self.ui_port} while a run lasted (Streaming tab)")
        self.tell(f"{'EXACT' if total.exact else 'NOT EXACT'} in {time.monotonic() - began:.0f} s")
        return 0 if total.exact else 1

    def tell(self, text: str) -> None:
        self.console.print(text, highlight=False)

    def start_servers(self) -> None:
        names = ["kafka", *(name for name in ("zookeeper", "hdfs") if name in (self.offsets, self.sink))]
        self.tell(f"[bold]1. Servers[/]: {', '.join(names)}, real ones, on loopback, in {self.folder}")
        self.sandbox.up(names)
        self.job = write_job(
            self.folder / "demo.cfg",
            topic=TOPIC,
            bootstrap=self.sandbox.kafka.bootstrap,
            store=self.store_url(),
            sink=self.sink_url(),
            batch=max(1, self.records // BATCHES),
            ui_port=self.ui_port,
        )

    def store_url(self) -> str:
        if self.offsets == "zookeeper":
            return f"zookeeper://{self.sandbox.zookeeper.hosts}/demo/transactions"
        if self.offsets == "hdfs":
            return f"webhdfs://{self.sandbox.hdfs.webhdfs}/apps/transactions"
        return f"file://{self.folder / 'offsets'}"

    def sink_url(self) -> str:
        if self.sink == "hdfs":
            return f"webhdfs://{self.sandbox.hdfs.webhdfs}/lake/transactions"
        return f"file://{self.folder / 'lake'}"

    def produce(self) -> None:
        self.tell(f"[bold]2. Producer[/]: {self.records:,} transactions, 1 % malformed, into {PARTITIONS} partitions")
        command = [sys.executable, str(ROOT / "scripts" / "produce_transactions.py")]
        command += ["--bootstrap-server", self.sandbox.kafka.bootstrap, "--topic", TOPIC]
        command += ["--partitions", str(PARTITIONS), "--records", str(self.records)]
        command += ["--malformed", "0.01", "--log", str(self.log)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=environment())

    def launch(self) -> Launch:
        launch = Launch(self.job, self.folder / f"run-{len(self.launches) + 1}.log", "--available-now")
        self.launches.append(launch)
        return launch

    def kill_twice(self, store: OffsetStore) -> None:
        """Kills the driver, then driver and JVM at once, each while the register holds a prepared batch."""
        self.tell("[bold]3. Two SIGKILLs[/], each between stage and commit, chosen by reading the register")
        victims = list(VICTIMS)
        for _ in range(ATTEMPTS):
            state = register(store)
            landing = kill_prepared(self.launch(), store, state.seq + 1 if state else 1, victims[0])
            if landing:
                self.tell_landing(landing)
                victims.pop(0)
            else:
                self.tell("   a kill came too late, after the commit: it does not count; once more")
            if not victims:
                return
        raise SystemExit(
            f"no SIGKILL of {' and '.join(victims[0])} landed in a batch in flight within {ATTEMPTS} launches"
        )

    def tell_landing(self, landing: Landing) -> None:
        manifest = landing.pending.manifest
        files = manifest.files if manifest else 0
        self.tell(
            f"   SIGKILL of the {landing.victim} (pid {landing.pid}) landed in batch {landing.seq}: prepared with "
            f"{files} files, not committed; {', '.join(map(str, landing.pending.ranges))}"
        )

    def launch_two(self) -> None:
        self.tell("[bold]4. Two launches at once[/], as an impatient cron would")
        both = [self.launch(), self.launch()]
        codes = sorted(launch.wait(RUN_SECONDS) for launch in both)
        for launch in both:
            self.tell(f"   exit: {launch.summary['exitReason']} ({launch.summary['exitStatus']})")
        if codes != [0, 75]:
            raise SystemExit(f"expected exit statuses 0 and 75, not {codes}; see {self.folder}/run-*.log")

    def count(self) -> Count:
        self.tell("[bold]5. Independent count[/]: a plain listing of the published files, and the producer's log")
        total = count(self.files(), self.log)
        table = Table("produced", "landed", "unparsable", "missing", "duplicated", "foreign", "misjudged")
        table.add_row(*(f"{n:,}" for n in vars(total).values()))
        self.console.print(table)
        return total

    def files(self) -> Files:
        return published(self.sink_url())

    def show_offsets(self, store: OffsetStore) -> None:
        state = register(store)
        with closing(Broker({"bootstrap.servers": self.sandbox.kafka.bootstrap}, 10.0)) as broker:
            ends = broker.snapshot([TOPIC])[TOPIC].partitions
        table = Table("TOPIC", "PARTITION", "CURRENT-OFFSET", "LOG-END-OFFSET", "LAG")
        for partition, offset in sorted(state.topics[TOPIC].offsets.items()) if state else ():
            end = ends[partition][1]
            table.add_row(TOPIC, str(partition), f"{offset:,}", f"{end:,}", f"{end - offset:,}")
        self.console.print(table)

    def show_rows(self) -> None:
        samples: dict[str, tuple[str, bytes]] = {}
        for name, content in self.files():
            samples.setdefault(name.split("/")[0], (name, content.splitlines()[0]))
        for name, line in samples.values():
            self.tell(f"   {name.partition('+')[0]}+...: {line.decode()}")

    def end(self, keep: bool) -> None:
        """Ends every process of the demo; with `keep` the servers stay."""
        end_all(self.launches)
        if not keep:
            self.sandbox.down(graceful=False)
