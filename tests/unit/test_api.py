"""What a run leaves behind in the program that has called it.  No servers, no Spark."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from streaming.api import own_code
from streaming.config.reading import load
from streaming.sinks.direct import opened
from streaming.spark.shipping import check_user_code
from tests.unit import job_file

SINK = """
class Sink:
    idempotent, made_of = True, {text!r}
    def write_partition(self, range_, records): ...
"""


@pytest.mark.parametrize("package", [False, True])
def test_each_run_has_the_code_beside_its_own_job(tmp_path: Path, package: bool) -> None:
    """Two jobs whose modules have one name, and one whose module was changed: each run has its own."""
    path, text = list(sys.path), job_file.JOB.format(folder="/a")
    for folder, code in (("one", "first"), ("two", "other job's"), ("two", "second version")):
        module = tmp_path / folder / ("nameless/__init__.py" if package else "nameless.py")
        module.parent.mkdir(parents=True, exist_ok=True)
        module.write_text(SINK.format(text=code))
        config = load(str(tmp_path / folder / "job.cfg"), text, ["sink.class=nameless:Sink"], {})
        with own_code(config):
            check_user_code(config)
            assert opened("nameless:Sink").made.made_of == code  # type: ignore[attr-defined]
    assert "nameless" not in sys.modules
    assert sys.path == path


def test_what_the_program_has_imported_itself_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its module is the one that a run uses, and goes on being the same."""
    (tmp_path / "nameless.py").write_text(SINK.format(text="mine"))
    monkeypatch.syspath_prepend(tmp_path)
    import nameless

    config = load(f"{tmp_path}/job.cfg", job_file.JOB.format(folder="/a"), ["sink.class=nameless:Sink"], {})
    with own_code(config):
        check_user_code(config)
    assert sys.modules.pop("nameless") is nameless
