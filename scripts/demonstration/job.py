"""The job file of the demo and of the crash tests."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

TEMPLATE = """\
[job]
name = {name}
function = streaming.jobs.transactions:parse

[source]
subscribe = {topic}
startingOffsets = earliest
maxOffsetsPerTrigger = {batch}

[kafka]
bootstrap.servers = {bootstrap}

[offsets]
store = {store}
session.timeout.ms = 4000

[sink]
path = {sink}
format = json

[spark]
spark.master = {master}
spark.ui.port = {ui_port}
spark.driver.host = 127.0.0.1
spark.driver.bindAddress = 127.0.0.1
"""


def write_job(
    path: Path,
    *,
    topic: str,
    bootstrap: str,
    store: str,
    sink: str,
    batch: int,
    master: str = "local[2]",
    ui_port: int = 0,
    more: Mapping[str, str] | None = None,
) -> Path:
    """Writes the job file; `more` are lines for [spark], the last section."""
    text = TEMPLATE.format(
        name=path.stem,
        topic=topic,
        bootstrap=bootstrap,
        store=store,
        sink=sink,
        batch=batch,
        master=master,
        ui_port=ui_port,
    )
    path.write_text(text + "".join(f"{key} = {value}\n" for key, value in (more or {}).items()), encoding="utf-8")
    return path
