"""What an installation puts on a machine: our packages and commands, and nothing under a name that others use."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from email import message_from_bytes
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """The wheel that pip builds of the checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    ignored = shutil.ignore_patterns(".git", ".venv*", ".sandbox", "*.egg-info", "build", ".*_cache", ".hypothesis")
    shutil.copytree(ROOT, folder / "source", ignore=ignored)
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--use-pep517", "--disable-pip-version-check"]
    subprocess.run([*pip, "--wheel-dir", str(folder), str(folder / "source")], check=True, timeout=240)
    (built,) = folder.glob("*.whl")
    return zipfile.ZipFile(built)


def test_only_our_packages_are_installed(wheel: zipfile.ZipFile) -> None:
    """Never a top-level `scripts`, `servers` or `tests`."""
    tops = {name.partition("/")[0] for name in wheel.namelist()}
    assert {top for top in tops if "-" not in top} == {"offsets", "streaming", "producers"}


def test_every_module_is_installed(wheel: zipfile.ZipFile) -> None:
    """No package is forgotten for want of an `__init__.py`."""
    packages = ("offsets", "streaming", "producers")
    modules = {str(path.relative_to(ROOT)) for package in packages for path in (ROOT / package).rglob("*.py")}
    assert len(modules) > 30
    assert modules <= set(wheel.namelist())


def test_the_commands_keep_their_py(wheel: zipfile.ZipFile) -> None:
    """spark-submit takes a file without it for a JAR."""
    commands = {Path(name).name for name in wheel.namelist() if ".data/scripts/" in name}
    operators = {"run_stream.py", "verify_output.py", "show_offsets.py", "pause_job.py"}
    operators |= {"reset_offsets.py", "offset_history.py"}
    assert commands == operators | {"produce_transactions.py", "produce_json_lines.py", "produce_sequence.py"}


def test_the_metadata_says_what_it_needs(wheel: zipfile.ZipFile) -> None:
    """Python and pyspark ranges, the name, and the licence itself."""
    info = next(name.partition("/")[0] for name in wheel.namelist() if ".dist-info/" in name)
    metadata = message_from_bytes(wheel.read(f"{info}/METADATA"))
    assert (metadata["Name"], metadata["Requires-Python"]) == ("kafka-direct-streaming", ">=3.10")
    assert any(need.startswith("pyspark<5,>=3.5") for need in metadata.get_all("Requires-Dist", []))
    assert any("Apache License" in wheel.read(name).decode() for name in wheel.namelist() if name.endswith("LICENSE"))
