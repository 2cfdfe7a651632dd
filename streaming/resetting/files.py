"""Offsets in a file: JSON as in source.startingOffsets, and the CSV of kafka-consumer-groups.  Reads and makes text.

{"orders": {"0": 23, "1": -2}}      -2 the log start, -1 the end
orders,0,23                         or "my group",orders,0,23: of several groups' export
"""

from __future__ import annotations

import csv
import io
import json
import re
import shlex
from collections.abc import Iterable, Iterator
from typing import NamedTuple, Protocol

from offsets.errors import ConfigError
from offsets.reset_modes import ToOffsets
from offsets.starting import EARLIEST, Numbers
from offsets.structs import TopicPartition
from streaming.config.values import TOPIC_NAME

TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\],:\n]|[^\s{}\[\],:"]+')
NESTING = {"{": 1, "[": 1, "}": -1, "]": -1}
WHOLE = re.compile(r"-?(0|[1-9]\d{0,18})", re.ASCII)


class Reader(Protocol):
    """What csv.reader makes."""

    line_num: int

    def __iter__(self) -> Iterator[list[str]]: ...


class Entry(NamedTuple):
    line: int
    topic: str
    partition: str
    offset: str


def read_offsets(text: str, name: str) -> ToOffsets:
    """What the text of file `name` says.  Raises ConfigError with every mistake and its line."""
    is_json = text.lstrip().startswith("{")
    problems: list[str] = []
    entries = list(_json_entries(text, problems) if is_json else _csv_entries(text, problems))
    found = _collected(entries, EARLIEST if is_json else 0, problems)
    if not entries and not problems:
        problems.append("it names no offsets")
    if problems:
        told = [f"--from-file {name}: {problem}" for problem in problems]
        raise ConfigError(told, 'give {"topic": {"0": 23}}, or lines like topic,0,23; nothing was written')
    return found


def _collected(entries: Iterable[Entry], least: int, problems: list[str]) -> ToOffsets:
    lines: dict[TopicPartition, int] = {}
    offsets: dict[str, dict[int, int]] = {}
    for entry in entries:
        if why := _wrong(entry, least):
            problems.append(f"line {entry.line}: {why}")
            continue
        tp = TopicPartition(entry.topic, int(entry.partition))
        if tp in lines:
            problems.append(f"line {entry.line}: {tp.topic}-{tp.partition} stands in line {lines[tp]} already")
        lines[tp] = entry.line
        offsets.setdefault(tp.topic, {})[tp.partition] = int(entry.offset)
    return ToOffsets(offsets, lines)


def _wrong(entry: Entry, least: int) -> str:
    if not TOPIC_NAME.fullmatch(entry.topic):
        return f"{entry.topic!r} is no topic name"
    if not WHOLE.fullmatch(entry.partition) or entry.partition.startswith("-") or int(entry.partition) >= 1 << 31:
        return f"{entry.partition!r} is no partition"
    if not WHOLE.fullmatch(entry.offset) or not least <= int(entry.offset) < 1 << 63:
        special = ", nor -2 (earliest) or -1 (latest)" if least == EARLIEST else ""
        return f"{entry.offset!r} is no offset{special}"
    return ""


def _csv_entries(text: str, problems: list[str]) -> Iterator[Entry]:
    reader, groups = csv.reader(io.StringIO(text), skipinitialspace=True), dict[str, int]()
    for row in _rows(reader, problems):
        cells = [cell.strip() for cell in row]
        if len(cells) == 4:
            groups.setdefault(cells.pop(0), reader.line_num)
        if len(cells) == 3:
            yield Entry(reader.line_num, *cells)
        elif any(cells):
            problems.append(f"line {reader.line_num}: expected topic,partition,offset, found {','.join(row)[:80]!r}")
    if len(groups) > 1:
        found = ", ".join(f"{group!r} (line {line})" for group, line in groups.items())
        problems.append(f"it has the offsets of several groups, keep one: {found}")


def _rows(reader: Reader, problems: list[str]) -> Iterator[list[str]]:
    """Up to what is no CSV: a quote without its end makes one cell of all that follows."""
    try:
        yield from reader
    except csv.Error as e:
        problems.append(f"line {reader.line_num}: {e}")


def _json_entries(text: str, problems: list[str]) -> Iterator[Entry]:
    """Of whole JSON, by its tokens: the library does not tell in which line a value stands."""
    try:
        json.loads(text)
    except (ValueError, RecursionError) as e:
        problems.append(f"line {e.lineno}: {e.msg}" if isinstance(e, json.JSONDecodeError) else "nested too deep")
        return
    names: dict[int, str] = {}  # by depth
    depth, line, is_value = 0, 1, False
    for token in TOKEN.findall(text):
        if token == "\n":
            line += 1
            continue
        if is_value and depth == 1 and token != "{":
            problems.append(f'line {line}: {names[1]} must have its offsets by partition, like {{"0": 23}}')
        if is_value and depth == 2:
            yield Entry(line, names[1], names[2], token)
        is_value = token == ":"
        depth += NESTING.get(token, 0)
        if token.startswith('"'):
            names[depth] = json.loads(token)


def json_text(offsets: Numbers) -> str:
    """A line a topic."""
    topics = (f"  {json.dumps(name)}: {json.dumps({str(p): o for p, o in of.items()})}" for name, of in offsets.items())
    return "{\n" + ",\n".join(topics) + "\n}\n"


def piped(offsets: Numbers, command: str) -> str:
    """The shell's line in which `command` finds them by `--from-file -`."""
    text = json.dumps({topic: {str(p): offset for p, offset in of.items()} for topic, of in offsets.items()})
    return f"echo {shlex.quote(text)} | {command}"


def csv_text(offsets: Numbers) -> str:
    """Without a head, as kafka-consumer-groups writes it."""
    return "".join(f"{name},{p},{offset}\n" for name, of in offsets.items() for p, offset in of.items())
