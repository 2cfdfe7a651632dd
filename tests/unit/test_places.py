"""Where operators' scripts look: a job file, or places given one by one."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from offsets.errors import ConfigError
from streaming.commands.places import place_parser, places
from streaming.config.places import Places

JOB = """
[job]
name = orders
[source]
subscribe = orders
startingOffsets = earliest
[kafka]
bootstrap.servers = broker:9092
[offsets]
store = zookeeper://zk:2181/apps/orders
session.timeout.ms = 6000
[sink]
path = file:///lake/orders
"""


def found(*argv: str) -> Places:
    return places(place_parser("a script", "").parse_args(argv))


@pytest.mark.parametrize("option", [(), ("--job",)])
def test_a_job_file_names_all_places(tmp_path: Path, option: tuple[str, ...]) -> None:
    """By position or by name, the job's places are taken from its file."""
    job = tmp_path / "my job.cfg"
    job.write_text(JOB)
    known = found(*option, str(job))
    assert (known.name, known.store, known.sink) == ("orders", "zookeeper://zk:2181/apps/orders", "file:///lake/orders")
    assert (known.session_seconds, known.kafka["bootstrap.servers"]) == (6.0, "broker:9092")
    assert shlex.split(known.told) == [str(job)]


def test_what_was_set_is_told_again(tmp_path: Path) -> None:
    """Else a printed command would be about another register."""
    job = tmp_path / "job.cfg"
    job.write_text(JOB)
    known = found(str(job), "--set", "offsets.store=file:///other", "--set", "job.name=other")
    assert found(*shlex.split(known.told)) == known
    assert known.store == "file:///other"


def test_places_one_by_one(tmp_path: Path) -> None:
    """Client properties come from a file; what remedies print gives the same places again, and no property."""
    properties = tmp_path / "client.properties"
    properties.write_text(
        "sasl.password=hidden\nsasl.username=me\nsasl.mechanism=PLAIN\nsecurity.protocol=SASL_PLAINTEXT\n"
    )
    argv = [
        "--store",
        "file:///s",
        "--bootstrap-server",
        "b:1",
        "--command-config",
        str(properties),
        "--sink",
        "file:///l",
    ]
    known = found(*argv)
    assert (known.store, known.sink, known.config) == ("file:///s", "file:///l", None)
    assert (known.kafka["bootstrap.servers"], known.kafka["sasl.password"]) == ("b:1", "hidden")
    assert found(*shlex.split(known.told)) == known
    assert "hidden" not in known.told + repr(known)


def test_only_the_store_is_needed() -> None:
    """Kafka and sink that nobody has named are not asked."""
    known = found("--store", "file:///s")
    assert (known.sink, known.kafka) == (None, {})


def test_every_mistake_at_once(tmp_path: Path) -> None:
    """Store, sink, properties and a setting without a job are each named."""
    with pytest.raises(ConfigError) as refused:
        found("--store", "fil:///s", "--sink", "ftp://l", "--command-config", str(tmp_path), "--set", "a.b=c")
    told = "\n".join(refused.value.problems)
    assert "did you mean file:" in told
    assert "--sink: " in told
    assert "--command-config: goes with --bootstrap-server" in told
    assert "--set: " in told


def test_a_job_and_a_place_contradict_each_other(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--store, --sink: the job file says that"):
        found(str(tmp_path / "job.cfg"), "--store", "file:///s", "--sink", "file:///l")


def test_nothing_is_named() -> None:
    with pytest.raises(ConfigError, match=r"either JOB\.cfg, or --store"):
        found()
