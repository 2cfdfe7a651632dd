#!/usr/bin/env python3
"""Packs what a job needs on executors that have only Python and Spark: one archive for spark.archives.

    scripts/pack_environment.py packages.tar.gz                     what this project needs, without pyspark
    scripts/pack_environment.py packages.tar.gz pandas -r more.txt  and what the record function needs: pip's own words

Then, in the job file:

    [spark]
    spark.archives = /opt/jobs/packages.tar.gz#packages
    spark.executorEnv.PYTHONPATH = packages

The wheels are those of the Python that runs this: the executors' python3 must have the same minor version and platform.
Exit status: 0 done; 1 pip failed, or the archive is there already; 2 wrong option.
"""

from __future__ import annotations

import argparse
import configparser
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Sequence
from pathlib import Path

SETTINGS = Path(__file__).resolve().parent.parent / "setup.cfg"
BROUGHT_BY_SPARK = "pyspark"


def requirements() -> list[str]:
    """What the project needs, less what every executor has."""
    parser = configparser.ConfigParser()
    parser.read(SETTINGS)
    needed = parser["options"]["install_requires"].split("\n")
    return [line for line in needed if line and not line.startswith(BROUGHT_BY_SPARK)]


def main(argv: Sequence[str] | None = None) -> int:
    """Writes the archive."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("archive", type=Path, help="the .tar.gz to write; never overwritten")
    given, more = arguments.parse_known_args(argv)
    if given.archive.exists():
        print(f"{given.archive} is there already", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory() as folder:
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--target", folder]
        if status := subprocess.run([*pip, *requirements(), *more]).returncode:
            return min(status, 1)
        with tarfile.open(given.archive, "x:gz", compresslevel=1) as archive:
            archive.add(folder, arcname=".")
    return 0


if __name__ == "__main__":
    sys.exit(main())
