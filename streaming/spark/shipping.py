"""The job's own code: checked on the driver before anything is connected to, then sent to the executors with ours."""

from __future__ import annotations

import sys
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import offsets
import streaming
from offsets.errors import ConfigError
from streaming.config.job import JobConfig
from streaming.sinks.alarm import Alarm
from streaming.sinks.direct import OPTION, declaration, refusal, refused
from streaming.transform.user_code import load, refused_arguments

if TYPE_CHECKING:
    from pyspark import SparkContext

PACKAGES = ("offsets", "streaming")
OURS = tuple(Path(next(iter(package.__path__))).resolve() for package in (offsets, streaming))
ARCHIVE = "kafka-direct-streaming.zip"


def check_user_code(config: JobConfig) -> None:
    """Raises ConfigError if what the job names cannot be imported or called as it will be.

    So too if a direct sink declares less than the job's guarantee needs.
    """
    if config.function is not None:
        check_function("job.function", config.function, config.folder, 1 if config.setup is None else 2)
    if config.setup is not None:
        check_function("job.setup", config.setup, config.folder, 0)
    if config.sink_class is not None:
        make_importable(OPTION, config.sink_class, config.folder)
        declared = declaration(config.sink_class, Alarm(config.sink_seconds))
        if (why := refusal(config.guarantee, declared, config.store)) is not None:
            raise refused(config.sink_class, why)


def check_function(option: str, name: str, job_folder: Path, arguments: int) -> None:
    """Imports the function as the executors will.  Raises ConfigError."""
    make_importable(option, name, job_folder)
    if (why := refused_arguments(load(option, name), arguments)) is not None:
        given = ("nothing", "a record or a chunk", "a record or a chunk, and what job.setup returned")[arguments]
        raise ConfigError([f"{option} = {name}: {why}"], f"it is called with {given}")


def make_importable(option: str, name: str, job_folder: Path) -> None:
    """Puts the job file's folder on the path, after all else, as it is for the executors.

    Raises ConfigError for a module beside the job file that ours would hide.
    """
    if (hidden := beside(name, job_folder)) and hidden.stem in PACKAGES:
        problem = f"{option} = {name}: {hidden.name} has the name of a package of ours, which hides it"
        raise ConfigError([problem], f"rename {hidden}")
    sys.path.append(str(job_folder))


def beside(function: str, job_folder: Path) -> Path | None:
    """The package or module of `module:function` that lies beside the job file; the package first, as in Python.

    None for a package of ours, which a job file in a checkout lies beside: it is shipped anyway.
    """
    package = job_folder / function.partition(":")[0].partition(".")[0]
    if (package / "__init__.py").is_file():
        return None if package.resolve() in OURS else package
    module = package.with_suffix(".py")
    return module if module.is_file() else None


def build_zip(root: Path, packages: Iterable[str], target: Path) -> Path:
    """A zip of the packages' sources as they stand below `root`, at `target`."""
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for source in sorted(p for package in packages for p in (root / package).rglob("*.py")):
            archive.write(source, source.relative_to(root))
    return target


def ship(sc: SparkContext, root: Path, functions: Iterable[str], job_folder: Path, scratch: Path) -> None:
    """Every task started from now on can import our packages, and code of the job that lies beside its file."""
    ship_ours(sc, root, scratch)
    for own in sorted({found for function in functions if (found := beside(function, job_folder))}):
        sc.addPyFile(str(build_zip(job_folder, [own.name], scratch / f"{own.name}.zip") if own.is_dir() else own))


def ship_ours(sc: SparkContext, root: Path, scratch: Path) -> None:
    """Every task started from now on can import our packages.  `scratch` must outlive the context."""
    sc.addPyFile(str(build_zip(root, PACKAGES, scratch / ARCHIVE)))
