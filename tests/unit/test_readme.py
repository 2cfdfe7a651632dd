"""What README.rst shows is what the code takes."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path
from typing import Any

from offsets import errors
from streaming import settings_page
from streaming.config.reading import load
from streaming.config.settings import SETTINGS
from streaming.records import Record
from streaming.rows import Routed
from streaming.run.progress import RunProgress

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.rst").read_text(encoding="utf-8")


def block(language: str) -> str:
    """The first code block of this language."""
    found = re.search(rf"\.\. code-block:: {language}\n\n((?:    .*\n|\n)+)", README)
    assert found
    return textwrap.dedent(found[1])


def test_the_job_file_is_valid_and_complete() -> None:
    """The example loads as printed, and shows every section that there is."""
    job = load("transactions.cfg", block("ini"), environ={})
    assert job.store.startswith("zookeeper://")
    assert job.sink_path.startswith("webhdfs://")
    sections = {setting.option.split(".")[0] for setting in SETTINGS} | {"kafka", "spark"}
    assert set(re.findall(r"^\[(\w+)\]", block("ini"), re.M)) == sections


def test_the_page_of_settings_is_the_codes() -> None:
    """streaming/SETTINGS.rst is what the table prints, every setting with its meaning."""
    told = (ROOT / "streaming" / "SETTINGS.rst").read_text(encoding="utf-8")
    assert told == settings_page.page(), "python -m streaming.settings_page > streaming/SETTINGS.rst"
    assert all(setting.meaning in told for setting in SETTINGS)


def test_the_function_runs_as_printed() -> None:
    """The example function routes an order by its country."""
    names: dict[str, Any] = {}
    exec(block("python"), names)
    record = Record("orders", 0, 7, 0, 0, None, b'{"country":"CH","id":1}', ())
    assert names["by_country"](record) == Routed("orders/country=CH", {"country": "CH", "id": 1})


def test_every_exit_status_is_told() -> None:
    """The table of exit statuses is that of the errors."""
    statuses = {
        e.exit_status for e in vars(errors).values() if isinstance(e, type) and issubclass(e, errors.StreamError)
    }
    told = {int(n) for n in re.findall(r"^(\d+) +\w", README.split("Exit status\n")[1].split("When it stops")[0], re.M)}
    assert told == statuses | {0}


def test_every_flag_exists() -> None:
    """Flags of run_stream.py that the page names are those of its parser."""
    from streaming.commands.run_stream import arguments

    known = set(arguments("")._option_string_actions)
    told = set(re.findall(r"(?:``|\s)(--(?:set|available-now|duration|recover|debug))\b", README))
    assert told == {"--set", "--available-now", "--duration", "--recover", "--debug"} <= known


def test_the_fields_of_the_summary_exist() -> None:
    """What the page names of the last line is in it."""
    paragraph = README.split("The last line on stdout")[1].split("\n\n")[0]
    summary = RunProgress("job", "run", "sink", clock=iter(range(9)).__next__).summary(0, "done")
    known = set(summary) | set(summary["sources"][0])
    assert set(re.findall(r"``(\w+)``", paragraph)) <= known
    assert {"filteredRecords", "badRecords"} <= set(re.findall(r"``(\w+)``", paragraph))


def test_the_sandbox_fills_the_job_file() -> None:
    """The variables that the page puts in place of the hosts are those that `sandbox.py env` prints."""
    paragraph = README.split("Before ``down``, write the job file")[1].split("\n\n")[0]
    told = set(re.findall(r"\$\{env:(\w+)\}", paragraph))
    environ = dict.fromkeys(told, "localhost:1234")
    hosts = ("broker1:9092,broker2:9092", "zk1:2181,zk2:2181,zk3:2181", "namenode:9870")
    text = block("ini")
    for host, name in zip(hosts, ("KAFKA_BOOTSTRAP_SERVERS", "ZOOKEEPER", "WEBHDFS"), strict=True):
        text = text.replace(host, f"${{env:{name}}}")
    assert load("transactions.cfg", text, environ=environ).kafka["bootstrap.servers"] == "localhost:1234"
    printed = (ROOT / "scripts" / "sandbox.py").read_text(encoding="utf-8")
    assert told == {"KAFKA_BOOTSTRAP_SERVERS", "ZOOKEEPER", "WEBHDFS"}
    assert all(name in printed for name in told)


def test_the_folders_are_told() -> None:
    """The section on development names every package of ours and every kind of test, and no other folder."""
    section = README.split("Development\n-----------\n")[1]
    packages = {path.parent for name in ("offsets", "streaming") for path in (ROOT / name).rglob("__init__.py")}
    kinds = {path.parent for path in (ROOT / "tests").glob("*/test_*.py")} | {ROOT / "tests" / "benchmarks"}
    told = re.findall(r"(\w+)/(?=[,:\s])", section)
    assert sorted(told) == sorted(path.name for path in (*packages, *kinds, ROOT / "tests"))
