"""What an operator does about a stop: reads the line, types the command that goes on."""

from __future__ import annotations

import shlex
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass

from demonstration.launches import ROOT, environment

from tests.guards.rehearsal import Ended, landed_by, launch
from tests.incidents.table import Incident
from tests.integration.jobs import SECONDS, Job, Process, once


@dataclass(frozen=True)
class Operator:
    """Of one job over one topic; knows the table's row."""

    incident: Incident
    job: Job
    topic: str

    @property
    def names(self) -> Mapping[str, str]:
        """What stands in a line or command where the table has a word in capitals."""
        settings = self.job.settings
        return {
            "JOB.cfg": str(self.job.path),
            "TOPIC": self.topic,
            "SINK": settings["sink.path"],
            "STORE": settings["offsets.store"],
        }

    def launches_in_vain(self) -> str:
        """The line of a launch that stops as the table says, and has changed no data and no offsets."""
        before = self.job.landed()
        line = self.reads(launch(self.job))
        assert self.job.landed() == before
        return line

    def reads(self, ended: Ended | Process) -> str:
        """What a launch says that stops as the table says."""
        said = ended.complaints if isinstance(ended, Process) else ended.lines("ERROR")
        assert (ended.status, len(said)) == (self.incident.exit, 1), ended.said
        assert self.incident.matches(said[0], self.names), said[0]
        assert "Traceback" not in ended.said
        return said[0]

    def types(self, script: str, printed_in: str = "") -> str:
        """The table's command for that script, which is also the one that the line names; what it says on stdout."""
        command = self.incident.command(script, self.names)
        assert command in printed_in or not printed_in, printed_in
        name, *words = shlex.split(command)
        if name == "run_stream.py":
            assert words.pop(0) == str(self.job.path)
            return landed_by(self.job, *words).stdout
        done = subprocess.run(
            [sys.executable, str(ROOT / "scripts" / name), *words],
            capture_output=True,
            text=True,
            env=environment(),
            timeout=SECONDS,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def finds(self, *spans: tuple[int, int]) -> None:
        """The job has gone on: a launch ends well, and all of partition 0 in these spans has landed, each once."""
        landed_by(self.job)
        wanted = sum((once(self.topic, {0: each}) for each in spans), start=once(self.topic, {}))
        assert self.job.landed() == wanted
        assert self.job.register().pending is None
