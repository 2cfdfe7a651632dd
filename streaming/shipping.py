"""The job's own code: checked on the driver before anything is connected to, then sent to the executors with ours."""

from __future__ import annotations

import sys
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from offsets.errors import ConfigError
from streaming.rows import load_function

if TYPE_CHECKING:
    from pyspark import SparkContext

PACKAGES = ("offsets", "streaming")


def check_function(function: str | None, job_folder: Path) -> None:
    """Imports the function as the executors will: the job file's folder is on the path, after all else.

    Raises ConfigError, also for a module beside the job file that ours would hide.
    """
    if function is None:
        return
    if (hidden := beside(function, job_folder)) and hidden.stem in PACKAGES:
        problem = f"job.function = {function}: {hidden.name} has the name of a package of ours, which hides it"
        raise ConfigError([problem], f"rename {hidden}")
    sys.path.append(str(job_folder))
    load_function(function)


def beside(function: str, job_folder: Path) -> Path | None:
    """The package or module of `module:function` that lies beside the job file; the package first, as in Python."""
    package = job_folder / function.partition(":")[0].partition(".")[0]
    if (package / "__init__.py").is_file():
        return package
    module = package.with_suffix(".py")
    return module if module.is_file() else None


def build_zip(root: Path, packages: Iterable[str], target: Path) -> Path:
    """A zip of the packages' sources as they stand below `root`, at `target`."""
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for source in sorted(p for package in packages for p in (root / package).rglob("*.py")):
            archive.write(source, source.relative_to(root))
    return target


def ship(sc: SparkContext, root: Path, function: str | None, job_folder: Path, scratch: Path) -> None:
    """Every task started from now on can import our packages, and a function's code that lies beside the job file."""
    sc.addPyFile(str(build_zip(root, PACKAGES, scratch / "kafka-direct-streaming.zip")))
    own = beside(function, job_folder) if function else None
    if own is not None:
        sc.addPyFile(str(build_zip(job_folder, [own.name], scratch / "job.zip") if own.is_dir() else own))
