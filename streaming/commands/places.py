"""Where an operator's script looks, by its arguments: a job file, or places given one by one in its stead.

Says every mistake at once, before any connection.
"""

from __future__ import annotations

import argparse
import configparser
import shlex
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from offsets.errors import ConfigError
from offsets.filesystems import check_url
from offsets.stores import check_store_url
from streaming.commands.console import job_arguments, read_config
from streaming.config.places import Places, of_job
from streaming.source.client import refused_properties

GIVEN = ("store", "bootstrap_server", "command_config", "sink")


def place_parser(script: str, manual: str) -> argparse.ArgumentParser:
    """With JOB.cfg, --job, --set, --store, --bootstrap-server, --command-config and --sink; the manual is its help."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(script, description=manual, formatter_class=raw)
    job_arguments(parser, required=False)
    parser.add_argument("--store", metavar="URL", help="instead of a job file: its [offsets] store")
    parser.add_argument(
        "--bootstrap-server", metavar="HOST:PORT", help="with --store: Kafka; without it, it is not asked"
    )
    parser.add_argument(
        "--command-config", metavar="FILE", help="with --bootstrap-server: more client properties, name=value lines"
    )
    parser.add_argument(
        "--sink", metavar="URL", help="with --store: the job's [sink] path, where its notes and files lie"
    )
    return parser


def places(given: argparse.Namespace) -> Places:
    """Of arguments that were parsed.  Raises ConfigError; connects to nothing."""
    named = [f"--{name.replace('_', '-')}" for name in GIVEN if getattr(given, name)]
    if given.job is None and given.store is None:
        raise ConfigError(["give either JOB.cfg, or --store URL"], "see --help")
    if given.job is not None:
        if named:
            raise ConfigError([f"{', '.join(named)}: the job file says that"], "give either JOB.cfg, or --store URL")
        known = of_job(read_config(given.job, given.overrides))
        settings = shlex.join(word for pair in given.overrides for word in ("--set", pair))
        return replace(known, told=f"{known.told} {settings}") if settings else known
    kafka, problems = _kafka(given)
    problems += check_store_url(given.store)
    problems += [f"--sink: {problem}" for problem in (check_url(given.sink) if given.sink else ())]
    if given.overrides:
        problems.append("--set: changes settings of a job file, and none is given")
    if problems:
        raise ConfigError(problems, "see --help; nothing was connected to")
    return Places(given.store, _told(given), given.store, given.sink, kafka)


def sink_of(known: Places) -> str:
    """Raises ConfigError where nobody has named one."""
    if known.sink is None:
        raise ConfigError(["--sink: missing; it is where the job's notes and files lie"], "see --help")
    return known.sink


def _told(given: argparse.Namespace) -> str:
    words = ((f"--{name.replace('_', '-')}", getattr(given, name)) for name in GIVEN)
    return shlex.join(word for pair in words if pair[1] for word in pair)


def _kafka(given: argparse.Namespace) -> tuple[Mapping[str, str], list[str]]:
    """The client's properties, and what is wrong with them."""
    if given.bootstrap_server is None:
        return {}, ["--command-config: goes with --bootstrap-server"] if given.command_config else []
    try:
        more = _of_file(Path(given.command_config)) if given.command_config else {}
    except ValueError as e:
        return {}, [f"--command-config {given.command_config}: {e}"]
    properties = {**more, "bootstrap.servers": given.bootstrap_server}
    return properties, list(refused_properties(properties))


def _of_file(path: Path) -> dict[str, str]:
    """Name=value lines, as Kafka's own tools read them.  Raises ValueError."""
    parser = configparser.ConfigParser(delimiters="=", comment_prefixes=("#", "!"), interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    try:
        parser.read_string("[client]\n" + path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, configparser.Error) as e:
        why = e.strerror if isinstance(e, OSError) else type(e).__name__  # a parser's own text repeats the line
        raise ValueError(f"not a file of name=value lines ({why})") from None
    return dict(parser["client"])
