"""Names made from data: below the root, unique, and never taken for anything else."""

from __future__ import annotations

import re
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offsets.filesystems.base import checked
from offsets.structs import OffsetRange
from streaming.sinks.names import (
    MARK,
    MAX_COMPONENT,
    MAX_DEPTH,
    StagingPlace,
    encoded_component,
    encoded_folder,
    final_name,
)

HOSTILE = (
    "",
    ".",
    "..",
    "/",
    "//",
    "../..",
    "/etc",
    "a/../b",
    "_staging",
    ".gone-x",
    "%-",
    "%",
    "%2E",
    "a\0",
    "\ud800",
)
FOLDERS = st.one_of(st.text(st.characters()), st.sampled_from(HOSTILE), st.text("./_%-+\0a", max_size=6))


def decoded(directory: str) -> str:
    """The reverse, for folders of components that were not cut."""
    parts = ["" if part == MARK else unquote(part, errors="surrogatepass") for part in directory.split("/")]
    return "/".join(parts)


@given(FOLDERS)
def test_a_folder_is_a_path_below_the_root_that_decodes_back(folder: str) -> None:
    """Plain components of at most 200 harmless bytes, none hidden; short ones can be read back."""
    directory = encoded_folder(folder)
    assert checked(directory) == directory
    for part in directory.split("/") if directory else []:
        assert re.fullmatch(r"[A-Za-z0-9.=~%_-]+", part)
        assert part[0] not in "_."
        assert len(part) <= MAX_COMPONENT
    if all(len(part) < MAX_COMPONENT for part in directory.split("/")):
        assert decoded(directory) == folder


@given(FOLDERS, FOLDERS)
def test_two_folders_never_share_a_directory(one: str, other: str) -> None:
    """Also when both are as hostile as can be."""
    assert (encoded_folder(one) == encoded_folder(other)) == (one == other)


@given(st.text("ab", min_size=250), st.text("ab", min_size=250))
def test_long_components_are_cut_and_stay_apart(one: str, other: str) -> None:
    """The hash tells them apart, and no short one is spelled like a cut one."""
    a, b = encoded_component(one), encoded_component(other)
    assert len(a) == len(b) == MAX_COMPONENT
    assert (a == b) == (one == other)
    assert encoded_component(a) != a


def test_hive_style_folders_stay_as_they_are() -> None:
    """What people write for Spark and Hive is not disfigured."""
    assert encoded_folder("transactions/dt=2026-11-20") == "transactions/dt=2026-11-20"
    assert encoded_folder("_x/.y/a_b.c") == "%5Fx/%2Ey/a_b.c"


def test_a_folder_longer_than_a_path_is_refused() -> None:
    """Before anything is written."""
    with pytest.raises(ValueError, match="longer than"):
        encoded_folder("/".join(["x" * 100] * 30))


def test_a_folder_deeper_than_a_tree_is_refused() -> None:
    """HDFS takes 1000 levels: what no publisher could make must not be prepared."""
    assert encoded_folder("/".join("x" * MAX_DEPTH)).count("/") == MAX_DEPTH - 1
    with pytest.raises(ValueError, match="deep"):
        encoded_folder("/".join("x" * (MAX_DEPTH + 1)))


@pytest.mark.parametrize("topic", ["orders", "_hidden", ".", "..", "t" * 249, "_" * 249, "a.b-c_d"])
def test_a_final_name_is_one_visible_component(topic: str) -> None:
    """For every name that Kafka allows, and for some it does not."""
    range_, place = OffsetRange(topic, 3, 7, 10**18), StagingPlace(12345, 67890, 1)
    name = final_name(range_, place, 0, "json")
    assert checked(name) == name
    assert "/" not in name
    assert name[0] not in "_."
    assert len(name) <= 220
    assert name.endswith("+p3+0000000007+1000000000000000000+g12345e67890.json")
    assert final_name(range_, place, 2, "json") == name.replace(".json", "+2.json")


def test_no_folder_is_spelled_like_a_file() -> None:
    """A `+` in a folder is encoded, so a directory can never take a file's name."""
    name = final_name(OffsetRange("t", 0, 0, 1), StagingPlace(0, 1, 1), 0, "txt")
    assert "+" in name
    assert "+" not in encoded_folder(name)
