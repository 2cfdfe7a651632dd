"""What only the numbered log on a local disk must stand: sleepers and GC, strange files, a disk that refuses."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from offsets.errors import AlreadyRunningError, FencedError, RegisterError, StateDamagedError, StoreError
from offsets.filesystems import FileStatus, LocalFilesystem
from offsets.owners import owner_to_json
from offsets.stores import open_store
from offsets.stores.base import OffsetStore, Versioned
from offsets.stores.file_lock import FileLock
from offsets.stores.log_store import LogStore
from offsets.stores.numbered_files import NumberedFiles
from tests.contract.store_places import ME, OTHER, at, child, created

FAILPOINTS = ["temp.after", "rename.before", "rename.after", "relist.after"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "orders"


def store_at(folder: Path, keep: int = 1000) -> OffsetStore:
    return open_store(f"file://{folder}", retain_states=keep)


def states(folder: Path) -> list[int]:
    return sorted(int(path.stem) for path in (folder / "state").glob("*.json"))


def test_a_sleeper_through_gc_is_fenced(folder: Path) -> None:
    """A writer stopped before it took its number, while 2,000 others were taken and GC freed its own, is fenced."""
    store = store_at(folder)
    now = created(store)
    with child(store.url, "sleep", "rename.before") as sleeper:
        sleeper.wait_stopped()
        slept_at = now.version + 1
        for number in range(2000):
            now = store.replace(now, b"theirs %d" % number)
        assert slept_at < min(states(folder)), "GC has not passed the sleeper's number"
        sleeper.signal(signal.SIGCONT)
        assert sleeper.hears() == "FencedError"
    assert store.load() == now


@pytest.mark.parametrize("name", ["rename.after", "relist.after"])
def test_a_sleeper_behind_its_link_changes_nothing(folder: Path, name: str) -> None:
    """A writer stopped after its link, woken when others have gone on, leaves their states as they are."""
    store = store_at(folder, keep=3)
    created(store)
    with child(store.url, "sleep", name) as sleeper:
        sleeper.wait_stopped()
        seen = store.load()
        assert seen is not None
        assert seen.state == b"the child's"
        for number in range(10):
            seen = store.replace(seen, b"theirs %d" % number)
        sleeper.signal(signal.SIGCONT)
        assert sleeper.hears() == ("FencedError" if name == "rename.after" else "done")
    assert store.load() == seen


@pytest.mark.parametrize("name", FAILPOINTS)
def test_killed_at_each_step(folder: Path, name: str) -> None:
    """A writer killed at any step leaves the old or its own state, whole; the next driver goes on from there."""
    store = store_at(folder)
    now = created(store)
    with child(store.url, "die", name) as victim:
        assert victim.wait() == -signal.SIGKILL
    seen = store.load()
    linked = name in ("rename.after", "relist.after")
    assert seen == (Versioned(now.version + 1, b"the child's") if linked else now)
    assert store.replace(seen, b"next") == store.load()


def test_killed_while_it_creates(folder: Path) -> None:
    """A first writer killed before its link has created nothing."""
    store = store_at(folder)
    with child(store.url, "die", "rename.before") as victim:
        assert victim.wait() == -signal.SIGKILL
    assert store.load() is None
    assert store.replace(None, b"first") == store.load()


def test_gc_keeps_the_newest(folder: Path) -> None:
    """GC leaves exactly as many states as it is told, the newest among them."""
    store = store_at(folder, keep=5)
    now = created(store, writes=20)
    assert states(folder) == list(range(15, 20))
    assert store.load() == now


def test_states_that_were_there(folder: Path) -> None:
    """Gaps are left out; a damaged state is given as it lies there, for its reader to tell."""
    store = store_at(folder)
    now = created(store, writes=5)
    (folder / "state" / f"{2:020}.json").unlink()
    (folder / "state" / f"{1:020}.json").write_bytes(b"half")
    kept = [now, Versioned(3, b"state 3"), Versioned(1, b"half"), Versioned(0, b"state 0")]
    assert store_at(folder).states(10) == kept


def test_states_while_a_collector_deletes(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What vanishes between listing and reading is left out, unless it was the newest: then all is looked up again."""
    created(store_at(folder), writes=5)
    reader = store_at(folder)
    deleting = iter([4, 1])
    read = NumberedFiles.read

    def deleted_first(files: NumberedFiles, found: FileStatus) -> bytes:
        for number in deleting:
            (folder / "state" / f"{number:020}.json").unlink()
            if number == 4:
                (folder / "state" / f"{5:020}.json").write_bytes(b"next")
            break
        return read(files, found)

    monkeypatch.setattr(NumberedFiles, "read", deleted_first)
    assert [(found.version, found.state) for found in reader.states(10)] == [
        (5, b"next"),
        *((number, b"state %d" % number) for number in (3, 2, 0)),
    ]


def test_a_killed_collector_does_no_harm(folder: Path) -> None:
    """Gaps that an interrupted GC or an operator left are no damage."""
    store = store_at(folder)
    now = created(store, writes=20)
    for number in (0, 3, 4, 17):
        (folder / "state" / f"{number:020}.json").unlink()
    assert store.load() == now
    assert store.replace(now, b"next") == store.load()


def test_two_collectors_at_once(folder: Path) -> None:
    """A state that another collector has just deleted stops neither the write nor the rest of the collection."""
    now = created(store_at(folder), writes=20)
    store = store_at(folder, keep=5)
    with at("gc.each", (folder / "state" / f"{0:020}.json").unlink):
        assert store.replace(now, b"next") == store.load()
    assert states(folder) == list(range(16, 21))


def test_temps_of_writers_too_late_are_deleted(folder: Path) -> None:
    """A left-over temp is deleted by the next launch's first write once its number is taken, and not before."""
    now = created(store_at(folder))
    late, next_, later = (f".{number:020}.{'a' * 32}.tmp" for number in (now.version, now.version + 1, now.version + 2))
    for name in (late, next_, later, ".notes"):
        (folder / "state" / name).write_bytes(b"half")
    store_at(folder).replace(now, b"next")
    left = {path.name for path in (folder / "state").iterdir() if path.name.startswith(".")}
    assert left == {later, ".notes"}


def test_no_temp_is_left(folder: Path) -> None:
    """Writers that are refused clean up after themselves: only states stay."""
    store, other = store_at(folder), store_at(folder)
    now = other.replace(created(store), b"theirs")  # has cleaned up: nobody else does from now on
    with at("rename.before", lambda: other.replace(now, b"theirs")), pytest.raises(FencedError):
        store.replace(now, b"mine")
    assert [path.name for path in (folder / "state").iterdir() if path.name.startswith(".")] == []


def test_no_look_comes_before_the_rename(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A look and then a rename would let a state of another driver be replaced by one's own."""
    store, other, looked = store_at(folder), store_at(folder), os.path.lexists
    now, theirs = created(store), []

    def overtaken(path: str) -> bool:
        found = looked(path)
        if not theirs:
            theirs.append(other.replace(now, b"theirs"))
        return found

    monkeypatch.setattr(os.path, "lexists", overtaken)
    mine = store.replace(now, b"mine")
    assert (theirs, store.load()) == ([], mine)


def test_its_temp_was_collected(folder: Path) -> None:
    """A writer that slept until its temp was deleted is fenced if others wrote, and writes again if not."""
    store = store_at(folder)
    now = created(store)

    def collect() -> None:
        for path in (folder / "state").glob(".*.tmp"):
            path.unlink()

    with at("rename.before", collect):
        now = store.replace(now, b"mine")
    assert store.load() == now

    def overtake() -> None:
        store_at(folder).replace(now, b"theirs")
        collect()

    with at("rename.before", overtake), pytest.raises(FencedError):
        store.replace(now, b"mine")


def test_a_link_sent_twice_is_known_by_its_bytes(folder: Path) -> None:
    """On a file system that repeats a request whose reply was lost, "exists" with my own bytes is success."""
    store = store_at(folder)
    now = created(store)

    def landed() -> None:
        (temp,) = (folder / "state").glob(".*.tmp")
        os.link(temp, folder / "state" / f"{now.version + 1:020}.json")

    with at("rename.before", landed):
        assert store.replace(now, b"mine") == store.load()


@pytest.mark.parametrize("content", [b"", b'{"format"', b"\xff\x00 not ours"])
def test_a_damaged_newest_is_shown_as_it_is(folder: Path, content: bytes) -> None:
    """An empty, truncated or foreign newest state is what load returns: the codec refuses it, nothing older is used."""
    store = store_at(folder)
    now = created(store)
    (folder / "state" / f"{now.version:020}.json").write_bytes(content)
    assert store.load() == Versioned(now.version, content)
    with pytest.raises(RegisterError):
        store.replace(now, b"mine")


@pytest.mark.parametrize("name", ["3.json", "00000000000000000001.json.bak", "00000000000000000009.JSON"])
def test_a_name_that_looks_like_a_state_is_refused(folder: Path, name: str) -> None:
    """Somebody put a state there under a name that counts for nothing: it is named, and nothing is guessed."""
    store = store_at(folder)
    now = created(store)
    (folder / "state" / name).write_bytes(b"{}")
    for call in (store.load, lambda: store.replace(now, b"mine")):
        with pytest.raises(StateDamagedError, match=name) as e:
            call()
        assert "move it out" in e.value.remedy


def test_other_names_are_ignored(folder: Path) -> None:
    """Notes and hidden files beside the states disturb nothing."""
    store = store_at(folder)
    now = created(store)
    for name in ("README", ".nfs0001", "lost+found"):
        (folder / "state" / name).write_bytes(b"")
    assert store.load() == now
    assert store.replace(now, b"next") == store.load()


def test_a_folder_as_a_state_is_refused(folder: Path) -> None:
    """A folder under a state's name is damage."""
    store = store_at(folder)
    created(store)
    (folder / "state" / f"{99:020}.json").mkdir()
    with pytest.raises(StateDamagedError, match=r"99\.json"):
        store.load()


def test_a_deleted_register_is_noticed(folder: Path) -> None:
    """A driver whose register was deleted, or deleted and created again, stops instead of going on in another's."""
    store = store_at(folder)
    now = created(store)
    (folder / "state").rename(folder / "away")
    with pytest.raises(RegisterError, match="deleted"):
        store.replace(now, b"mine")
    assert store.load() is None
    other = store_at(folder)
    theirs = other.replace(None, b"theirs")
    while theirs.version < now.version:
        theirs = other.replace(theirs, b"theirs too")
    with pytest.raises(RegisterError, match="created again"):
        store.replace(now, b"mine")
    assert other.load() == theirs


def test_a_register_recreated_under_a_writer_is_noticed(folder: Path) -> None:
    """Also when it happens between the first look and the link, which then finds its number free."""
    store = store_at(folder)
    now = created(store)

    def recreate() -> None:
        for path in (folder / "state").glob("*.json"):
            path.unlink()
        created(store_at(folder), writes=now.version)

    with at("rename.before", recreate), pytest.raises(RegisterError, match="created again"):
        store.replace(now, b"mine")


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS, errno.EIO])
def test_a_disk_that_refuses(folder: Path, number: int) -> None:
    """No space, no rights, a read-only disk: one line with the path and a remedy, and the register is untouched."""
    store = store_at(folder)
    now = created(store)

    def refuse(source: str, destination: str) -> None:
        raise OSError(number, os.strerror(number), source)

    full = LogStore(store.url, LocalFilesystem(str(folder), rename=refuse), FileLock(str(folder / "lock")))
    with pytest.raises(StoreError, match=str(folder)) as e:
        full.replace(now, b"mine")
    assert os.strerror(number) in str(e.value)
    assert e.value.remedy
    assert e.value.exit_status == 1
    assert store.load() == now


def test_a_path_through_a_file(tmp_path: Path) -> None:
    """A path that leads through a file is named, by every call that meets it."""
    (tmp_path / "file").write_bytes(b"")
    store = store_at(tmp_path / "file" / "orders")
    for call in (store.load, store.holder, lambda: store.replace(None, b"a"), store.lock(ME, 0).__enter__):
        with pytest.raises(StoreError, match=f"{tmp_path}/file") as e:
            call()
        assert "must be a folder" in e.value.remedy


def test_a_file_in_the_place_of_the_folder(tmp_path: Path) -> None:
    """The folder itself is a file: the same."""
    (tmp_path / "orders").write_bytes(b"")
    with pytest.raises(StoreError, match=f"{tmp_path}/orders"):
        store_at(tmp_path / "orders").replace(None, b"a")


def test_a_folder_that_cannot_be_made() -> None:
    """A parent that takes no folders is named."""
    with pytest.raises(StoreError, match="/proc/orders"):
        store_at(Path("/proc/orders")).replace(None, b"a")


def test_reading_makes_nothing(folder: Path) -> None:
    """Looking at a store that is not there leaves no trace."""
    store = store_at(folder)
    assert (store.load(), store.holder()) == (None, None)
    assert not folder.exists()


def test_text_of_a_dead_holder_is_not_believed(folder: Path) -> None:
    """The lock file may still name a dead process: while the lock is free nobody holds it."""
    folder.mkdir()
    (folder / "lock").write_text(owner_to_json(OTHER))
    store = store_at(folder)
    assert store.holder() is None
    with store.lock(ME, 0):
        assert store_at(folder).holder() == ME
    assert store.holder() is None


def test_a_holder_that_has_not_said_who_it_is(folder: Path) -> None:
    """Foreign text under a lock that is held: still refused, by a message without a name."""
    store = store_at(folder)
    with store.lock(ME, 0):
        (folder / "lock").write_bytes(b"\xff\xff{")
        assert store_at(folder).holder() is None
        with pytest.raises(AlreadyRunningError, match="has not said who it is"):
            store_at(folder).lock(OTHER, 0).__enter__()


def test_programs_do_not_inherit_the_lock(folder: Path) -> None:
    """A program that the driver starts (Spark's JVM is one) does not keep the lock when the driver is gone."""
    store = store_at(folder)
    with store.lock(ME, 0):
        heir = subprocess.Popen(
            [sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE, close_fds=False
        )
    try:
        with store_at(folder).lock(OTHER, 0):
            assert heir.poll() is None
    finally:
        heir.communicate()


def test_a_look_at_the_holder_does_not_refuse_a_launch(folder: Path) -> None:
    """holder() takes the lock for an instant; a launch at that instant, that will not wait, gets it all the same."""
    looks, launches = store_at(folder), store_at(folder)
    with launches.lock(ME, 0):
        pass
    stop = threading.Event()

    def look() -> None:
        while not stop.is_set():
            looks.holder()

    looking = threading.Thread(target=look)
    looking.start()
    try:
        for _ in range(100):
            with launches.lock(ME, 0):
                pass
    finally:
        stop.set()
        looking.join()


def test_a_path_with_blanks(tmp_path: Path) -> None:
    """The URL's escapes are undone."""
    open_store(f"file://{tmp_path}/a%20b%25").replace(None, b"a")
    assert (tmp_path / "a b%" / "state" / f"{0:020}.json").read_bytes() == b"a"
