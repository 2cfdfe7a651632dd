"""The packages that were imported are ours, or the run does not start."""

from __future__ import annotations

from pathlib import Path

import pytest

import offsets
from offsets.errors import ConfigError
from streaming.run.ownership import check_ownership


def test_ours_are_found_where_they_lie() -> None:
    """The folder that holds both packages, for shipping."""
    assert check_ownership() == Path(__file__).parents[2]


def test_another_distribution_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """A package of the same name without our mark stops the run with its place and the remedy."""
    monkeypatch.delattr(offsets, "DISTRIBUTION")
    with pytest.raises(ConfigError, match=r"offsets from .*offsets") as caught:
        check_ownership()
    assert "reinstall" in caught.value.remedy


def test_halves_from_two_places_are_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Two installations mixed would run one's protocol with the other's sink."""
    monkeypatch.setattr(offsets, "__path__", [str(tmp_path / "offsets")])
    with pytest.raises(ConfigError, match="are not those of"):
        check_ownership()
