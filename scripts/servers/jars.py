"""The servers' jars: a pinned list with checksums (``jars.txt``), fetched once into the user's cache.

Apache Ivy, which every pyspark ships, downloads them; what it brings is trusted only once its SHA-256 is the list's.
A jar appears in the cache by a rename after that check, so a killed download is finished by the next run.
``python -m servers.jars SET...`` fetches ahead and prints nothing but progress.
"""

from __future__ import annotations

import hashlib
import importlib.util
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from rich.console import Console
from rich.progress import Progress

from servers.daemon import launch
from servers.jvm import java_command
from servers.network import proxy_options, trust_options
from servers.paths import cache_folder, locked, remove
from servers.watcher import end_with_me

LIST = Path(__file__).with_name("jars.txt")
SETS = ("kafka", "zookeeper", "hdfs")
ATTEMPTS = 3
CHUNK = 24  # jars for one Ivy process: it fetches one after the other, so several run side by side
SETTINGS = """<ivysettings><settings defaultResolver="central"/><caches defaultCacheDir="${cache.dir}"/>
<timeout-constraints><timeout-constraint name="t" connectionTimeout="20000" readTimeout="60000"/></timeout-constraints>
<resolvers><ibiblio name="central" m2compatible="true" usepoms="false" timeoutConstraint="t"/></resolvers>
</ivysettings>"""
MODULE = """<ivy-module version="2.0"><info organisation="x" module="x"/>
<configurations><conf name="default"/></configurations>
<dependencies defaultconf="default->default">%s</dependencies></ivy-module>"""
DEPENDENCY = '<dependency org="%s" name="%s" rev="%s" transitive="false"/>'


class Jar(NamedTuple):
    """One line of the list: exact coordinates, the file's SHA-256, the servers that need it (comma-separated)."""

    group: str
    artifact: str
    version: str
    sha256: str
    servers: str

    @property
    def file(self) -> str:
        return f"{self.group}+{self.artifact}-{self.version}.jar"


class JarError(Exception):
    """Jars could not be fetched, or are not what the list says."""


def read_list(text: str) -> list[Jar]:
    """The jars of ``group:artifact:version sha256 server[,server]`` lines; ``#`` begins a comment."""
    lines = (line.partition("#")[0].replace(":", " ").split() for line in text.splitlines())
    return [Jar._make(line) for line in lines if line]


def classpath(server: str) -> str:
    """The classpath of ``kafka``, ``zookeeper`` or ``hdfs``, fetched before if need be; in the list's order."""
    jars = [jar for jar in read_list(LIST.read_text()) if server in jar.servers.split(",")]
    folder = cache_folder() / "jars"
    fetch(jars, folder)
    return ":".join(str(folder / jar.file) for jar in jars)


def fetch(jars: Sequence[Jar], folder: Path) -> None:
    """Makes every jar present in ``folder`` with the right checksum; JarError names those that cannot be had."""
    if not _missing(jars, folder):
        return
    with locked(folder.with_suffix(".lock")):
        for attempt in range(ATTEMPTS):
            if not (missing := _missing(jars, folder)):
                return
            log = _download(missing, folder, attempt)
        if missing := _missing(jars, folder):
            raise JarError(f"cannot fetch {', '.join(jar.file for jar in missing)}; the end of Ivy's log:\n{log}")


def _missing(jars: Iterable[Jar], folder: Path) -> list[Jar]:
    """Those not there; a damaged file in the cache is deleted and counts as not there."""
    return [jar for jar in dict.fromkeys(jars) if not _verified(jar, folder / jar.file)]


def _verified(jar: Jar, file: Path) -> bool:
    if not file.exists():
        return False
    if sha256(file) == jar.sha256:
        return True
    file.unlink(missing_ok=True)
    print(f"{file}: not the file of the pinned list, deleted", file=sys.stderr)
    return False


def sha256(file: Path) -> str:
    """The file's SHA-256 in hexadecimal."""
    with open(file, "rb") as handle:
        digest = hashlib.sha256()
        while block := handle.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _download(jars: Sequence[Jar], folder: Path, attempt: int) -> str:
    """One attempt for all; moves what came whole into place, raises at a wrong checksum, returns the logs' ends."""
    folder.mkdir(parents=True, exist_ok=True)
    for left in folder.parent.glob("partial-*"):
        remove(left)
    partial = Path(tempfile.mkdtemp(prefix="partial-", dir=folder.parent))
    watcher = end_with_me(partial)
    # The certificates that pip trusts, since pip has just worked here; at the second attempt Java's own.
    options = proxy_options() + ([] if attempt == 1 else trust_options(partial / "certificates"))
    works = [_Ivy(chunk, partial / str(number), options) for number, chunk in enumerate(_chunks(jars))]
    try:
        _watch(works, partial, len(jars))
        came = [(jar, file) for work in works for jar in work.jars if (file := work.fetched(jar)).exists()]
        wrong = [jar.file for jar, file in came if not move_verified(jar, file, folder)]
        if wrong:
            raise JarError(f"wrong checksum, deleted: {', '.join(wrong)}; the pinned list is {LIST}")
        return "\n".join(work.tail() for work in works if work.process.returncode)
    finally:
        for process in (*(work.process for work in works), watcher):
            process.kill()
            process.wait()
        remove(partial)


def move_verified(jar: Jar, file: Path, folder: Path) -> bool:
    """Moves a fetched file into the cache; if its checksum is wrong deletes it and returns false."""
    if _verified(jar, file):
        file.replace(folder / jar.file)
        return True
    return False


def _chunks(jars: Sequence[Jar]) -> Iterator[list[Jar]]:
    # By server, because one Ivy process takes only one version of an artifact.
    for servers in dict.fromkeys(jar.servers for jar in jars):
        group = [jar for jar in jars if jar.servers == servers]
        yield from (group[n : n + CHUNK] for n in range(0, len(group), CHUNK))


class _Ivy:
    """One Ivy process that brings ``jars`` into its own cache below ``folder``."""

    def __init__(self, jars: Sequence[Jar], folder: Path, options: Sequence[str]) -> None:
        self.jars, self.cache, self.log = jars, folder / "cache", folder / "log"
        folder.mkdir()
        settings, module = folder / "settings.xml", folder / "ivy.xml"
        settings.write_text(SETTINGS)
        module.write_text(MODULE % "".join(DEPENDENCY % jar[:3] for jar in jars))
        command = [java_command(), *options, f"-Dcache.dir={self.cache}", "-jar", str(ivy_jar())]
        command += ["-settings", str(settings), "-ivy", str(module)]
        with open(self.log, "wb") as log:
            self.process = launch(command, folder, log)

    def fetched(self, jar: Jar) -> Path:
        """Where Ivy puts it once it is whole (it compares the registry's SHA-1 itself)."""
        return self.cache / jar.group / jar.artifact / "jars" / f"{jar.artifact}-{jar.version}.jar"

    def tail(self) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-15:])


def ivy_jar() -> Path:
    """The Ivy that the installed pyspark ships; any version of it will do."""
    spec = importlib.util.find_spec("pyspark")
    found = sorted(Path(spec.origin).parent.glob("jars/ivy-2*.jar")) if spec and spec.origin else []
    if not found:
        raise JarError("no ivy-2*.jar in pyspark's jars: install pyspark with pip")
    return found[-1]


def _watch(works: Sequence[_Ivy], partial: Path, total: int) -> None:
    """Shows how many jars have come, until every Ivy has ended."""
    with Progress(console=Console(stderr=True)) as progress:
        task = progress.add_task(f"fetching {total} jars of the servers, once", total=total)
        while any(work.process.poll() is None for work in works):
            progress.update(task, completed=sum(1 for _ in partial.glob("*/cache/*/*/*/*.jar")))
            time.sleep(0.2)
        progress.update(task, completed=sum(1 for _ in partial.glob("*/cache/*/*/*/*.jar")))


def main(servers: Sequence[str]) -> int:
    """Fetches what these servers need."""
    listed = read_list(LIST.read_text())
    try:
        fetch([jar for jar in listed if set(jar.servers.split(",")) & set(servers)], cache_folder() / "jars")
    except JarError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:] or SETS))
