"""Sends the project's own code, and the module of the job's function, to the executors.  Runs on the driver."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyspark import SparkContext

PACKAGES = ("offsets", "streaming")


def build_zip(root: Path, target: Path) -> Path:
    """A zip of our packages' sources as they stand below `root`, at `target`."""
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for source in sorted(p for package in PACKAGES for p in (root / package).rglob("*.py")):
            archive.write(source, source.relative_to(root))
    return target


def ship(sc: SparkContext, root: Path, function: str | None, job_folder: Path, scratch: Path) -> None:
    """Every task started from now on can import our packages, and a function module that lies beside the job file."""
    sc.addPyFile(str(build_zip(root, scratch / "kafka-direct-streaming.zip")))
    module = job_folder / (function or ":").split(":")[0].replace(".", "/")
    if function and module.with_suffix(".py").is_file() and "." not in function.split(":")[0]:
        sc.addPyFile(str(module.with_suffix(".py")))
