"""Homes of servers that run as another user: those that nobody will come back for are deleted."""

from __future__ import annotations

from pathlib import Path

from servers.postgres_server import HOMES, OF, sweep


def test_forgotten_homes_are_swept(tmp_path: Path) -> None:
    """One that a link leads to stays, also while its server is down; and so does one that is just being made."""
    homes = {name: tmp_path / f"{HOMES}{name}" for name in ("used", "forgotten", "new")}
    for name, home in homes.items():
        (home / "data").mkdir(parents=True)
        (tmp_path / name).mkdir()
        (tmp_path / name / "home").symlink_to(home)
        (home / OF).write_text(str(tmp_path / name / "home"))
    (tmp_path / "forgotten" / "home").unlink()
    (homes["new"] / OF).unlink()
    sweep(tmp_path)
    assert {name: home.exists() for name, home in homes.items()} == {"used": True, "forgotten": False, "new": True}
