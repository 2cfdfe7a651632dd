"""What the sandbox's servers have in common: a folder, ports, daemons, settings written before a start."""

from __future__ import annotations

import pwd
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import ClassVar

from servers.daemon import Daemon, ServerError, launch
from servers.jars import classpath
from servers.jvm import java_command
from servers.ports import kept_ports

# Servers of one machine for minutes: quick to start, and one core's worth of threads.
JVM = (
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-XX:+ExitOnOutOfMemoryError",
    "-XX:-UsePerfData",
    "-Djava.net.preferIPv4Stack=true",
)


class Server(ABC):
    """A server of the sandbox, kept in ``folder``: settings, ports, data, logs and pid files."""

    name: ClassVar[str]
    port_names: ClassVar[tuple[str, ...]]
    runs_as: pwd.struct_passwd | None = None  # as whom it runs, if not as who starts it

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.daemons = self.make_daemons()
        self.ports = kept_ports(folder / "ports.json", self.port_names, any(d.alive for d in self.daemons))

    @classmethod
    def fetch(cls) -> None:
        """Brings what it needs onto this machine, once."""
        classpath(cls.name)

    @abstractmethod
    def make_daemons(self) -> tuple[Daemon, ...]:
        """The processes, in the order in which they start."""

    @abstractmethod
    def prepare(self) -> None:
        """Writes the settings; makes the data folder if this is the first start.  Nothing is running."""

    @abstractmethod
    def environment(self) -> dict[str, str]:
        """What clients need to know, as environment variables."""

    @property
    def alive(self) -> bool:
        """Whether all of its processes live."""
        return all(daemon.alive for daemon in self.daemons)

    def up(self) -> None:
        """Starts what is not running and waits until all of it answers real requests."""
        if not any(daemon.alive for daemon in self.daemons):
            self.prepare()
        for daemon in self.daemons:
            daemon.cont()
            daemon.start()
        for daemon in self.daemons:
            daemon.wait_ready()

    def down(self, graceful: bool = True) -> None:
        """Ends all of its processes; the data stays."""
        for daemon in reversed(self.daemons):
            if graceful:
                daemon.terminate()
            else:
                daemon.kill()

    def java(self, main: str, *arguments: str, heap: str, options: Sequence[str] = (), before: str = "") -> list[str]:
        """The command line of a Java program on this server's classpath; ``before`` comes first on it."""
        path = f"{before}:{self._classpath}" if before else self._classpath
        temporary = self.folder / "tmp"
        temporary.mkdir(exist_ok=True)
        options = [f"-Djava.io.tmpdir={temporary}", *options]
        return [java_command(), f"-Xmx{heap}", *JVM, *options, "-cp", path, main, *arguments]

    def run(self, command: Sequence[str]) -> None:
        """Runs a tool of the server to its end; ServerError with its output if it fails."""
        with tempfile.TemporaryFile() as output:
            status = launch(command, self.folder, output, self.runs_as).wait()
            if status:
                output.seek(0)
                text = output.read().decode(errors="replace")[-3000:]
                raise ServerError(f"{self.name}: preparing its data failed with {status}:\n{text}")

    @cached_property
    def _classpath(self) -> str:
        return classpath(self.name)
