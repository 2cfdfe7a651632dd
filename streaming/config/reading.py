"""From the text of a job file to a JobConfig.  Never connects, never opens a second file.

All mistakes are found at once and raised as one ConfigError; what is not known is refused with the nearest name.
Whether settings go together is said by those whose settings they are: formats, transform, hive, spark, source.
"""

from __future__ import annotations

import configparser
import os
import re
from collections.abc import Iterable, Mapping
from typing import Any

from offsets.errors import ConfigError
from offsets.filesystems import overlap
from offsets.nearest import nearest
from offsets.rate import Rates
from streaming.config.conflicts import fresh_conflicts, sink_conflicts, spark_conflicts
from streaming.config.job import JobConfig
from streaming.config.settings import ONE_OF, PROPERTY_SECTIONS, RATE_SETTINGS, REQUIRED, SETTINGS
from streaming.fetching.kafka_python_properties import unmatched_properties
from streaming.fetching.source import KAFKA_PYTHON
from streaming.formats.settings import format_problems
from streaming.hive.tables import hive_problems
from streaming.source.client import refused_properties
from streaming.spark.masters import DEFAULT_MASTER, misplaced
from streaming.transform.settings import transform_problems

# What must never stand in an argument list, where every user of the machine can read it.
SECRET_KEY = re.compile(r"(?i)(password|secret|token|credential|jaas|private|\.pem\b|ssl\.key)")
STOP_GRACEFULLY = "spark.streaming.stopGracefullyOnShutdown"


def load(job_file: str, text: str, overrides: Iterable[str] = (), environ: Mapping[str, str] = os.environ) -> JobConfig:
    """The job that `text` (of `job_file`) and `--set section.key=value` overrides describe.

    `${env:NAME}` in a value stands for an environment variable.  Raises ConfigError with every problem found.
    """
    problems: list[str] = []
    options = _read(job_file, text)
    overrides = tuple(overrides)
    options.update(_overrides(overrides, problems))
    options = {option: _expand(option, value, environ, problems) for option, value in options.items()}
    properties = {
        section: {o.split(".", 1)[1]: v for o, v in options.items() if o.startswith(section + ".")}
        for section in PROPERTY_SECTIONS
    }
    fields = _fields(options, problems)
    places = {option: options.get(option) for option in ("offsets.store", "sink.path")}
    problems += misplaced(properties["spark"].get("spark.master", DEFAULT_MASTER), places)
    problems += _choice_problems(options) + _unknown(options) + _property_problems(properties)
    problems += spark_conflicts(properties["spark"], "sink.class" in options)
    problems += sink_conflicts(options) + fresh_conflicts(fields, options)
    problems += _unmatched(fields, properties["kafka"])
    problems += (
        format_problems(fields)
        + hive_problems(fields)
        + transform_problems(fields)
        + _overlapping(fields.get("store"), fields.get("sink_path"))
    )
    if problems:
        place = f"{job_file} or what --set gives" if overrides else job_file
        raise ConfigError(problems, f"correct {place}; nothing was connected to and nothing was written")
    rates = Rates(**{setting.field: fields.pop(setting.field) for setting in RATE_SETTINGS})
    return JobConfig(job_file=job_file, rates=rates, kafka=properties["kafka"], spark=properties["spark"], **fields)


def _overlapping(store: Any, sink: Any) -> list[str]:
    if not (isinstance(store, str) and isinstance(sink, str) and overlap(store, sink)):
        return []
    return [f"offsets.store = {store} and sink.path = {sink}: one lies in the other; give each a directory of its own"]


def _read(job_file: str, text: str) -> dict[str, str]:
    parser = configparser.ConfigParser(delimiters=("=",), interpolation=None, default_section="\0")
    parser.optionxform = str  # type: ignore[assignment,method-assign]  # client properties are case sensitive
    try:
        parser.read_string(text, job_file)
    except configparser.ParsingError as e:  # its own text shows the line, which may hold a secret
        numbers = [e.lineno] if isinstance(e, configparser.MissingSectionHeaderError) else [n for n, _ in e.errors]
        problems = [f"{job_file}, line {n}: is neither [section] nor, in a section, key = value" for n in numbers]
        raise ConfigError(problems, f"correct {job_file}, an INI file") from None
    except configparser.Error as e:  # what was read up to here means nothing
        raise ConfigError([" ".join(str(e).split())], f"correct {job_file}, an INI file") from None
    found = {f"{section}.{key}": value for section in parser.sections() for key, value in parser.items(section)}
    if problems := [
        f"{option.partition(':')[0]}: write = and not : behind a name" for option in found if ":" in option
    ]:
        raise ConfigError(problems, f"correct {job_file}")  # what follows is a part of the value, which may be a secret
    return found


def _overrides(pairs: Iterable[str], problems: list[str]) -> dict[str, str]:
    found = {}
    for pair in pairs:
        option, equals, value = pair.partition("=")
        if not equals or "." not in option:
            problems.append(f"--set {option}: must look like section.key=value")
        elif SECRET_KEY.search(option):
            problems.append(f"--set {option}: secrets never go on a command line; use ${{env:NAME}} in the job file")
        else:
            found[option.strip()] = value.strip()
    return found


def _expand(option: str, value: str, environ: Mapping[str, str], problems: list[str]) -> str:
    def look_up(match: re.Match[str]) -> str:
        if match[1] not in environ:
            problems.append(f"{option}: environment variable {match[1]} is not set")
        return environ.get(match[1], "")

    return re.sub(r"\$\{env:(\w+)\}", look_up, value)


def _fields(options: Mapping[str, str], problems: list[str]) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for setting in SETTINGS:
        if setting.option not in options:
            fields[setting.field] = setting.default
            if setting.default is REQUIRED:
                problems.append(f"{setting.option}: missing ({setting.meaning})")
            continue
        try:
            fields[setting.field] = setting.parse(options[setting.option].strip())
        except ValueError as e:
            value = options[setting.option]
            shown = "..." if "@" in value else value  # user:password@host
            aside = "; a comment needs a line of its own" if re.search(r"\s#", shown) else ""
            problems.append(f"{setting.option} = {shown}: {str(e).replace(value, shown)}{aside}")
    return fields


def _choice_problems(options: Mapping[str, str]) -> list[str]:
    """Of every set in ONE_OF one must be given; only of the starting points may there be more, in an order."""
    problems = []
    for choices, several in ONE_OF:
        given = [option for option in choices if option in options]
        if not given:
            problems.append(f"{' or '.join(choices)}: missing")
        elif len(given) > 1 and not several:
            problems.append(f"{' and '.join(given)}: only one of them can be meant")
    return problems


def _unknown(options: Mapping[str, str]) -> list[str]:
    known = [setting.option for setting in SETTINGS]
    strange = [o for o in options if o not in known and o.split(".")[0] not in PROPERTY_SECTIONS]
    sections = {setting.option.split(".")[0] for setting in SETTINGS} | set(PROPERTY_SECTIONS)
    return [
        f"{option}: unknown{nearest(option, known)}"
        if (section := option.split(".")[0]) in sections
        else f"{option}: unknown section [{section}]{nearest(section, sections)}"
        for option in strange
    ]


def _unmatched(fields: Mapping[str, Any], kafka: Mapping[str, str]) -> list[str]:
    """What kafka-python cannot do.  The driver looks at Kafka with librdkafka, whatever reads on the executors."""
    problems = unmatched_properties(kafka) if fields.get("client") == KAFKA_PYTHON else []
    return [f"kafka.{problem}" for problem in problems]


def _property_problems(properties: Mapping[str, Mapping[str, str]]) -> list[str]:
    kafka, spark = properties["kafka"], properties["spark"]
    servers = kafka.get("bootstrap.servers")
    missing = [] if servers else ["kafka.bootstrap.servers: missing (host:port, separated by commas)"]
    wrong = [
        f"spark.{key}: every key of section [spark] begins with spark. itself, so write [spark] spark.{key} = ..., "
        f"or --set spark.spark.{key}=..."
        for key in spark
        if not key.startswith("spark.")
    ]
    refused = _unknown_rates(spark)
    if STOP_GRACEFULLY in spark:
        refused.append(f"{STOP_GRACEFULLY}: refused, the run drains by itself on SIGTERM; a second way can hang")
    return missing + [f"kafka.{problem}" for problem in refused_properties(kafka)] + wrong + refused


def _unknown_rates(spark: Mapping[str, str]) -> list[str]:
    """A rate that is misspelt would limit nothing, in silence; the rest of these keys are for Spark's own source."""
    known = [setting.option.partition(".")[2] for setting in RATE_SETTINGS]
    ours = ("spark.streaming.kafka.", "spark.streaming.backpressure.")
    return [f"{key}: unknown here{nearest(key, known)}" for key in spark if key.startswith(ours) and key not in known]
