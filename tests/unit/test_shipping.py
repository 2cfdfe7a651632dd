"""The job's function is found on the driver first, and its code goes to the executors."""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

import streaming
from offsets.errors import ConfigError
from streaming.spark.shipping import beside, check_function, ship


@pytest.fixture(autouse=True)
def _path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))


class Context:
    def __init__(self) -> None:
        self.files: list[str] = []

    def addPyFile(self, path: str) -> None:
        self.files.append(path)


def shipped(function: str | None, folder: Path, scratch: Path) -> list[str]:
    context: Any = Context()
    ship(context, Path(__file__).parents[2], [function] if function else [], folder, scratch)
    return list(context.files)


def test_a_wrong_function_is_a_problem_of_the_configuration(tmp_path: Path) -> None:
    """Module or name that is not there: exit 2 before anything is connected to."""
    (tmp_path / "shipping_one.py").write_text("def row(record): return record\n")
    check_function("job.function", "shipping_one:row", tmp_path, 1)
    for wrong in ("shipping_one:rwo", "shipping_none:row"):
        with pytest.raises(ConfigError, match=wrong):
            check_function("job.function", wrong, tmp_path, 1)


def test_what_cannot_be_called_is_told_before_anything_is_connected_to(tmp_path: Path) -> None:
    """With quarantine every record of a topic would end there for it."""
    (tmp_path / "shipping_two.py").write_text("def row(record, names): return record\ndef names(): return {}\n")
    check_function("job.function", "shipping_two:row", tmp_path, 2)
    check_function("job.setup", "shipping_two:names", tmp_path, 0)
    with pytest.raises(ConfigError, match="missing a required argument: 'names'") as caught:
        check_function("job.function", "shipping_two:row", tmp_path, 1)
    assert "a record or a chunk" in caught.value.remedy
    with pytest.raises(ConfigError, match=r"job\.setup = shipping_two:row"):
        check_function("job.setup", "shipping_two:row", tmp_path, 0)


def test_a_module_with_our_name_is_refused(tmp_path: Path) -> None:
    """It could never be imported: ours is there already."""
    (tmp_path / "offsets.py").write_text("def row(record): return record\n")
    with pytest.raises(ConfigError, match="hides it"):
        check_function("job.function", "offsets:row", tmp_path, 1)


def test_a_job_file_in_a_checkout_may_name_our_functions() -> None:
    """As the README does: what lies beside it there are our packages themselves, which are sent already."""
    root = Path(streaming.__file__).resolve().parent.parent
    check_function("job.function", "streaming.jobs.transactions:parse", root, 1)
    assert beside("streaming.jobs.transactions:parse", root) is None


def test_no_function_needs_no_code(tmp_path: Path) -> None:
    """Without a function only our own packages are sent, all of them."""
    (ours,) = shipped(None, tmp_path, tmp_path)
    with zipfile.ZipFile(ours) as archive:
        assert {"offsets/manager.py", "streaming/tasks/task.py", "streaming/sinks/file.py"} <= set(archive.namelist())


def test_module_and_package_beside_the_job_file_are_sent(tmp_path: Path) -> None:
    """A module goes as it is, a package as a zip of its sources."""
    (tmp_path / "single.py").write_text("")
    (tmp_path / "many" / "deep").mkdir(parents=True)
    (tmp_path / "many" / "__init__.py").write_text("")
    (tmp_path / "many" / "deep" / "etl.py").write_text("")
    assert shipped("single:f", tmp_path, tmp_path)[1] == str(tmp_path / "single.py")
    with zipfile.ZipFile(shipped("many.deep.etl:f", tmp_path, tmp_path)[1]) as archive:
        assert "many/deep/etl.py" in archive.namelist()


def test_a_package_hides_a_module_of_its_name(tmp_path: Path) -> None:
    """Executors get what the driver has imported: Python itself prefers the package."""
    (tmp_path / "shipping_both.py").write_text("def row(record): return None\n")
    (tmp_path / "shipping_both").mkdir()
    (tmp_path / "shipping_both" / "__init__.py").write_text("def row(record): return record\n")
    check_function("job.function", "shipping_both:row", tmp_path, 1)
    own = beside("shipping_both:row", tmp_path)
    assert own == Path(sys.modules["shipping_both"].__file__ or "").parent


def test_an_installed_module_is_not_sent(tmp_path: Path) -> None:
    """What lies elsewhere is the executors' own to have."""
    assert beside("streaming.jobs.transactions:parse", tmp_path) is None
    assert len(shipped("streaming.jobs.transactions:parse", tmp_path, tmp_path)) == 1
