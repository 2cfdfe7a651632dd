"""The promises of the layout: which package may import which, and that no module shadows a dependency."""

from __future__ import annotations

import ast
import importlib.metadata
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
OURS = ("offsets", "streaming", "producers", "scripts")
SCRIPTS = {path.stem for path in (ROOT / "scripts").iterdir() if path.suffix == ".py" or path.is_dir()} - {
    "__pycache__"
}
ALLOWED: dict[str, set[str]] = {
    "offsets": {"offsets"},
    "producers": {"producers"},
    "streaming": {"streaming", "offsets"},
    "scripts": {"streaming", "offsets", "producers", *SCRIPTS},
}
KAFKA_CLIENTS = {"confluent_kafka", "kafka"}
FORBIDDEN = {"offsets": {"pyspark", "py4j", *KAFKA_CLIENTS}, "producers": {"pyspark"}}


def modules(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


def imported(source: str) -> Iterator[str]:
    """Top-level names of every import in the source, also of those inside functions."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"relative import of {node.module}"
            yield (node.module or "").partition(".")[0]


def wrong_imports(package: str, source: str) -> set[str]:
    """What a module of this package imports and may not."""
    names = set(imported(source))
    ours = {*OURS, *SCRIPTS, "tests"}
    return (names & ours - ALLOWED[package]) | (names & FORBIDDEN.get(package, set()))


@pytest.mark.parametrize("package", OURS)
def test_imports_run_one_way(package: str) -> None:
    """scripts -> streaming -> offsets, producers on their own, offsets without Spark and Kafka clients."""
    paths = modules(package)
    assert paths, f"no module found in {package}"
    wrong = {
        str(path.relative_to(ROOT)): found for path in paths if (found := wrong_imports(package, path.read_text()))
    }
    assert not wrong


@pytest.mark.parametrize(
    ("package", "line", "wrong"),
    [
        ("offsets", "import streaming.run.runner", {"streaming"}),
        ("offsets", "def f():\n    from kafka import KafkaConsumer", {"kafka"}),
        ("offsets", "from pyspark import SparkContext", {"pyspark"}),
        ("streaming", "from servers.jvm import java_home", {"servers"}),
        ("producers", "from offsets.structs import OffsetRange", {"offsets"}),
        ("scripts", "from tests import conftest", {"tests"}),
        ("streaming", "from offsets.structs import OffsetRange", set()),
    ],
)
def test_a_wrong_arrow_is_seen(package: str, line: str, wrong: set[str]) -> None:
    """The check itself: each forbidden arrow is found, also inside a function, and an allowed one is not."""
    assert wrong_imports(package, line) == wrong


def test_no_module_is_named_like_a_dependency() -> None:
    """A file's folder may come first on the path: its name must never hide a library or the standard library."""
    libraries = set(importlib.metadata.packages_distributions()) - set(OURS)
    reserved = libraries | set(sys.stdlib_module_names)
    names = {path.parent.name if path.stem == "__init__" else path.stem for p in OURS for path in modules(p)}
    assert not names & reserved
