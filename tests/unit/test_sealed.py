"""A task arrives on an executor whole, or says in one line what that executor lacks."""

from __future__ import annotations

import importlib
import pickle
import platform
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from streaming.tasks.errors import TaskError, from_spark
from streaming.tasks.sealed import Sealed

ROOT = Path(__file__).parents[2]


class Doubling:
    """Remembers nothing but how often it was pickled."""

    pickled = 0

    def __call__(self, items: Iterable[int]) -> Iterator[int]:
        return (item * 2 for item in items)

    def __reduce__(self) -> tuple[type[Doubling], tuple[()]]:
        Doubling.pickled += 1
        return Doubling, ()


def test_it_is_the_task_on_both_sides() -> None:
    """Pickled when Spark pickles it and not before; the same items come out."""
    Doubling.pickled = 0
    sealed = Sealed(Doubling())
    assert (list(sealed([1, 2])), Doubling.pickled) == ([2, 4], 0)
    assert list(pickle.loads(pickle.dumps(sealed))([1, 2])) == [2, 4]
    assert Doubling.pickled == 1


def test_a_missing_package_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Machine, Python and package by name, with what to do."""
    (tmp_path / "sealed_native.py").write_text("def task(items): return iter(items)\n")
    with monkeypatch.context() as there:
        there.syspath_prepend(str(tmp_path))
        letter = pickle.dumps(Sealed(importlib.import_module("sealed_native").task))
    monkeypatch.delitem(sys.modules, "sealed_native")
    with pytest.raises(TaskError) as raised:
        list(pickle.loads(letter)([1]))
    error = from_spark(RuntimeError(str(raised.value)))
    assert "No module named 'sealed_native'" in str(error)
    assert platform.node() in str(error)
    assert sys.executable in str(error)
    assert "pack_environment.py" in error.remedy


def test_it_opens_where_nothing_is_installed() -> None:
    """The standard library is enough to come as far as saying what is missing."""
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r}); import streaming.tasks.sealed"
    subprocess.run([sys.executable, "-I", "-S", "-c", code], check=True)
