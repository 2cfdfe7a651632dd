"""Layouts: every row lands below the root, in the folder of its own time, and distinct values never share one."""

from __future__ import annotations

import datetime as dt
import pickle
import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, NamedTuple
from urllib.parse import unquote
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offsets.filesystems.base import checked
from streaming.formats import UnfitError
from streaming.layouts.folders import Layout, Placer
from streaming.layouts.template import DIRECTIVES, parsed
from streaming.sinks.names import MAX_COMPONENT, NULL, table_of

HIVE = "{topic}/country={country}/dt=%Y-%m-%d/hr=%H"
NOON = 1_795_262_400_000  # 2026-11-21T12:00:00Z
HOSTILE = (
    "",
    ".",
    "..",
    "/",
    "../..",
    "_x",
    ".x",
    "a=b",
    "%-",
    "%5F",
    NULL,
    "%5F" + NULL[1:],
    "\0",
    "\ud800",
    "x" * 999,
)
VALUES = st.none() | st.text() | st.sampled_from(HOSTILE) | st.binary(max_size=4) | st.text("._=%-/N", max_size=4)


class Order(NamedTuple):
    country: Any
    at: Any = None


@dataclass
class Sale:
    country: Any

    def title(self) -> str:
        return "no field"


def folder(template: str, row: Any = None, timestamp: int = NOON, topic: str = "t", **options: Any) -> str:
    return Placer(Layout(template, **options), topic, 3).folder(timestamp, row)


def raw(value: str | bytes | None) -> bytes | None:
    """Text and the bytes of it are one value."""
    return value.encode("utf-8", "surrogatepass") if isinstance(value, str) else value


@pytest.mark.parametrize("row", [{"country": "de"}, Order("de"), Sale("de")])
def test_a_row_lands_where_hive_looks_for_it(row: Any) -> None:
    """Topic, a field of any kind of row, and Kafka's timestamp in UTC."""
    assert folder(HIVE, row) == "t/country=de/dt=2026-11-21/hr=12"
    assert folder("p{partition}/%G-W%V-%u/%j%M") == "p3/2026-W47-6/32500"


@pytest.mark.parametrize("template", ["k={v}", "{v}", "a{v}b/x", "x/k={v}-%Y"])
@given(one=VALUES, other=VALUES)
def test_values_neither_escape_nor_share_a_folder(template: str, one: Any, other: Any) -> None:
    """Whatever stands in a field: one visible component of bounded length, and another one for another value."""
    paths = [folder(template, {"v": value}) for value in (one, other)]
    assert (paths[0] == paths[1]) == (raw(one) == raw(other))
    for path in paths:
        assert checked(path) == path
        assert path.count("/") == template.count("/")
        for part in path.split("/"):
            assert re.fullmatch(r"[A-Za-z0-9.=~%_-]+", part)
            assert part[0] not in "_."
            assert len(part) <= MAX_COMPONENT


@given(st.text(min_size=1, max_size=15))
def test_readers_decode_a_value_back(value: str) -> None:
    """Percent-encoding is what Hive and Spark undo."""
    assert unquote(folder("k={v}", {"v": value}).removeprefix("k="), errors="surrogatepass") == value


def test_null_and_missing_are_hives_null() -> None:
    """The text that Hive uses for it is another value; an empty text is one too."""
    assert folder("k={v}", {}) == folder("k={v}", {"v": None}) == folder("k={v}", Order("x")) == f"k={NULL}"
    assert folder("k={v}", {"v": NULL}) == f"k=%5F{NULL[1:]}"
    assert folder("k={v}", {"v": ""}) == "k=%-"
    assert folder("{title}=x", Sale("x")) == "%5F%5FHIVE_DEFAULT_PARTITION__=x", "a method is no field"


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (7, "7"),
        (True, "true"),
        (1.5, "1.5"),
        (Decimal("1.50"), "1.50"),
        (dt.date(2026, 11, 21), "2026-11-21"),
        (dt.datetime(2026, 11, 21, 1, 2, 3), "2026-11-21T01%3A02%3A03"),
        ("ä/b", "%C3%A4%2Fb"),
        (b"\xff", "%FF"),
    ],
)
def test_fields_of_any_type(value: Any, told: str) -> None:
    """As people would write it; 1 and true stay apart although Python calls them equal."""
    assert folder("k={v}", {"v": value}) == f"k={told}"


def test_equal_values_of_other_types_are_not_remembered_for_one_another() -> None:
    """The look-up of 1 must not answer for true or 1.0."""
    placer = Placer(Layout("k={v}"), "t", 0)
    assert [placer.folder(0, {"v": v}) for v in (1, True, 1.0)] == ["k=1", "k=true", "k=1.0"]


@pytest.mark.parametrize("topic", ["t" * 249, "_" * 249, "..x", "a.b-c_d"])
def test_every_topic_has_a_folder(topic: str) -> None:
    """At most 200 bytes, never hidden."""
    (part,) = folder("{topic}", topic=topic).split("/")
    assert len(part) <= MAX_COMPONENT
    assert part[0] not in "_."


@pytest.mark.parametrize(
    "at",
    [
        NOON,
        NOON / 1000,
        "2026-11-21T12:00:00Z",
        "2026-11-21T13:00:00+01:00",
        dt.datetime(2026, 11, 21, 12, tzinfo=dt.timezone.utc),
        dt.datetime(2026, 11, 21, 14, tzinfo=dt.timezone(dt.timedelta(hours=2))),
        "2026-11-21T12:00:00",
        dt.datetime(2026, 11, 21, 12),
    ],
)
def test_event_times_of_a_field(at: Any) -> None:
    """ms, seconds, text, datetimes; without an offset it is what the clock of the sink's zone showed."""
    zone = "UTC" if not isinstance(at, (str, dt.datetime)) or "Z" in str(at) or "+" in str(at) else "Asia/Tokyo"
    assert folder("%Y-%m-%dT%H", Order("x", at), timestamp=-1, time_field="at", timezone=zone) == "2026-11-21T12"


@pytest.mark.parametrize("at", [None, True, "", "yesterday", float("nan"), float("inf"), 10**30, [1], Decimal(1)])
def test_a_row_without_a_time_is_unfit(at: Any) -> None:
    """Never a folder of 1970."""
    with pytest.raises(UnfitError, match="event time"):
        folder("%Y", Order("x", at), time_field="at")
    with pytest.raises(UnfitError, match="no timestamp"):
        folder("%Y", timestamp=-1)
    assert folder("x", timestamp=-1) == "x"


def test_summer_time_is_the_zones() -> None:
    """The hour that comes twice is one folder, the one that never comes is none, midnight is the zone's."""
    hours = [dt.datetime(2026, 10, 25, h, 30, tzinfo=dt.timezone.utc) for h in (0, 1, 2)]
    ms = [int(t.timestamp() * 1000) for t in hours]
    assert [folder("%H", timestamp=t, timezone="Europe/Berlin") for t in ms] == ["02", "02", "03"]
    spring = [int(dt.datetime(2026, 3, 29, h, tzinfo=dt.timezone.utc).timestamp() * 1000) for h in (0, 1)]
    assert [folder("%H", timestamp=t, timezone="Europe/Berlin") for t in spring] == ["01", "03"]
    assert folder("%Y-%m-%d", timestamp=NOON, timezone="Pacific/Kiritimati") == "2026-11-22"


@given(
    st.integers(0, 4_102_444_800_000), st.sampled_from(["UTC", "Europe/Berlin", "America/St_Johns", "Asia/Kathmandu"])
)
def test_a_minutes_folder_is_right_for_all_of_its_milliseconds(ms: int, zone: str) -> None:
    """What is remembered by the minute is what strftime says of the millisecond."""
    exact = dt.datetime.fromtimestamp(ms / 1000, ZoneInfo(zone))
    template = "/".join("%" + d for d in DIRECTIVES)
    assert folder(template, timestamp=ms, timezone=zone) == exact.strftime(template)


@pytest.mark.parametrize(
    ("template", "told"),
    [
        ("", "empty component"),
        ("/a", "empty component"),
        ("a//b", "empty component"),
        ("a/", "empty component"),
        ("_a", "no reader"),
        ("a/.b", "no reader"),
        ("..", "no reader"),
        ("{a}-{b}", "more than one"),
        ("%s", "none of %Y"),
        ("%%", "none of %Y"),
        ("a%", "only come from data"),
        ("a b", "only come from data"),
        ("{a-b}", "only come from data"),
        ("a\n", "only come from data"),
        ("x" * 101, "longer than"),
    ],
)
def test_a_template_is_checked_before_anything_is_connected_to(template: str, told: str) -> None:
    """Each mistake by its name."""
    with pytest.raises(ValueError, match=told):
        parsed(template)


def test_a_row_without_fields_is_unfit() -> None:
    """Text has no country: never a folder of one of str's methods."""
    with pytest.raises(UnfitError, match="a str has no fields"):
        folder("{title}", "row")


def test_a_path_has_an_end() -> None:
    """Longer than a path may be is a row's fault, not the sink's."""
    with pytest.raises(UnfitError, match="longer than"):
        folder("/".join("{v}" for _ in range(20)), {"v": "x" * 500})


def test_what_a_layout_needs() -> None:
    """Fields, a time, the record; it travels to executors."""
    layout = pickle.loads(pickle.dumps(Layout(HIVE)))
    assert (layout.names, layout.timed, layout.needs_record) == (("country",), True, True)
    assert not Layout(HIVE, time_field="at").needs_record
    assert not Layout("a/{topic}").timed


@pytest.mark.parametrize(
    ("directory", "table"),
    [("", ""), ("a/b", "a/b"), ("a/k=1/b", "a"), ("k=1", ""), ("a/dt=1/hr=2", "a"), ("a%3Db/c", "a%3Db/c")],
)
def test_the_table_of_a_directory(directory: str, table: str) -> None:
    """What comes before the first key."""
    assert table_of(directory) == table
