"""The Filesystem contract, held against local disks and a real HDFS."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from offsets.errors import SinkError, StreamError, UnavailableError
from offsets.filesystems import FileStatus, Filesystem, LocalFilesystem, open_filesystem
from servers.daemon import wait_for
from servers.hdfs_server import Hdfs
from tests.contract.file_places import PLACES, place_of, put, tree, webhdfs

NAMES = ("plain", "a+b", "50%", "%41", "dt=2026-11-20", "x y", "q?&#;~", "ümlaut", "'\"")


@pytest.fixture(params=PLACES)
def filesystem(request: pytest.FixtureRequest, tmp_path: Path) -> Filesystem:
    return place_of(request, tmp_path)


def shown(status: FileStatus | None) -> tuple[str, int, bool] | None:
    return status and (status.name, status.length, status.is_directory)


def test_a_closed_file_is_there_with_its_parents_and_its_length(filesystem: Filesystem) -> None:
    """`close` returns the bytes written, and readers get them, be they none or more than is kept in memory."""
    for size in (0, 1, 3 << 20):
        writer = filesystem.create(f"x/y/{size}")
        writer.write(b"ab" * (size // 2))
        writer.write(b"c" * (size % 2))
        assert writer.close() == size
        assert shown(filesystem.status(f"x/y/{size}")) == (str(size), size, False)
        assert filesystem.read(f"x/y/{size}") == b"ab" * (size // 2) + b"c" * (size % 2)


def test_an_existing_file_is_never_created_over(filesystem: Filesystem) -> None:
    """A second create raises FileExistsError by its close at the latest, and the first file stays as it is."""
    put(filesystem, "f", b"first")
    with pytest.raises(FileExistsError):
        put(filesystem, "f", b"second")
    assert filesystem.read("f") == b"first"


def test_what_is_given_up_is_never_finished(filesystem: Filesystem) -> None:
    """After `abort` there is no file of that name that holds what was written."""
    writer = filesystem.create("f")
    writer.write(b"half")
    writer.abort()
    writer.abort()
    assert tree(filesystem) == {}


@pytest.mark.parametrize("name", NAMES)
def test_names_are_taken_literally(filesystem: Filesystem, name: str) -> None:
    """No character of a name means anything to a server: create, rename, list and read agree on it."""
    put(filesystem, f"in/{name}", b"1")
    filesystem.mkdirs(f"out/{name}")
    filesystem.rename_no_clobber(f"in/{name}", f"out/{name}/{name}")
    assert [s.name for s in filesystem.list("out")] == [name]
    assert tree(filesystem) == {f"out/{name}/{name}": b"1"}


@pytest.mark.parametrize("path", ["..", "../x", "a/../../x", "/etc/x", "a//b", ".", "./a", "a/", "a\0b"])
def test_no_path_leads_out_of_the_root(filesystem: Filesystem, path: str) -> None:
    """A path with `..`, an empty component or a NUL is refused before anything is asked of a server."""
    with pytest.raises(ValueError, match="below the root"):
        filesystem.create(path)
    with pytest.raises(ValueError, match="below the root"):
        filesystem.rename_no_clobber("a", path)
    fs = filesystem
    for operation in (fs.status, fs.list, fs.delete, fs.mkdirs, fs.read, fs.claim):
        with pytest.raises(ValueError, match="below the root"):
            operation(path)


def test_a_rename_never_clobbers_a_file(filesystem: Filesystem) -> None:
    """FileExistsError, and both files stay."""
    put(filesystem, "new", b"new")
    put(filesystem, "old", b"old")
    with pytest.raises(FileExistsError):
        filesystem.rename_no_clobber("new", "old")
    assert tree(filesystem) == {"new": b"new", "old": b"old"}


@pytest.mark.parametrize("content", [[], ["d/inside"]])
def test_a_rename_never_moves_into_or_over_a_directory(filesystem: Filesystem, content: list[str]) -> None:
    """An existing directory, empty or not, is an error, and the source stays where it is."""
    put(filesystem, "new", b"new")
    filesystem.mkdirs("d")
    for path in content:
        put(filesystem, path, b"")
    with pytest.raises((FileExistsError, StreamError)):
        filesystem.rename_no_clobber("new", "d")
    assert filesystem.read("new") == b"new"
    assert [s.name for s in filesystem.list("d")] == [path[2:] for path in content]


def test_a_rename_without_source_or_parent_says_so(filesystem: Filesystem) -> None:
    """Both are FileNotFoundError; the source, if there is one, stays."""
    put(filesystem, "there", b"1")
    for source, destination in (("missing", "x"), ("there", "no/parent")):
        with pytest.raises(FileNotFoundError):
            filesystem.rename_no_clobber(source, destination)
    assert tree(filesystem) == {"there": b"1"}


def test_a_directory_moves_as_a_whole(filesystem: Filesystem) -> None:
    """Its files are at the new place and none at the old one."""
    put(filesystem, "d/a", b"a")
    put(filesystem, "d/e/b", b"b")
    filesystem.rename_no_clobber("d", "moved")
    assert tree(filesystem) == {"moved/a": b"a", "moved/e/b": b"b"}


def test_of_many_racers_for_one_name_one_wins(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """24 files renamed to one name at once: one is there, whole, and 23 wait where they were."""
    for filesystem in (LocalFilesystem(f"{tmp_path}/sink"), webhdfs(request.getfixturevalue("hdfs"))):
        for number in range(24):
            put(filesystem, f"in/{number}", str(number).encode())

        def race(number: int, at: Filesystem = filesystem) -> bool:
            try:
                pickle.loads(pickle.dumps(at)).rename_no_clobber(f"in/{number}", "out")
            except FileExistsError:
                return False
            return True

        with ThreadPoolExecutor(24) as pool:
            won = list(pool.map(race, range(24)))
        assert won.count(True) == 1
        assert filesystem.read("out") == str(won.index(True)).encode()
        assert len(filesystem.list("in")) == 23


def test_of_many_claims_of_one_name_one_succeeds(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """16 processes' worth of claims at once: one returns, the others raise FileExistsError, and so does every later."""
    for filesystem in (LocalFilesystem(f"{tmp_path}/sink"), webhdfs(request.getfixturevalue("hdfs"))):
        filesystem.mkdirs("batch")

        def race(_: int, at: Filesystem = filesystem) -> bool:
            try:
                pickle.loads(pickle.dumps(at)).claim("batch/claim")
            except FileExistsError:
                return False
            return True

        with ThreadPoolExecutor(16) as pool:
            assert list(pool.map(race, range(16))).count(True) == 1
        assert race(0) is False
        assert tree(filesystem) == {"batch/claim": b""}


def test_a_claim_makes_no_directory(filesystem: Filesystem) -> None:
    """FileNotFoundError in a directory that is not there, or was collected, and it is not there afterwards."""
    filesystem.mkdirs("batch")
    filesystem.claim("batch/first")
    filesystem.rename_no_clobber("batch", "gone")
    with pytest.raises(FileNotFoundError):
        filesystem.claim("batch/second")
    assert filesystem.status("batch") is None


def test_status_and_list_tell_what_is_there(filesystem: Filesystem) -> None:
    """None and an empty list stand for "is not there" only; entries come by name."""
    assert filesystem.status("missing") is None
    assert filesystem.list("missing") == []
    assert filesystem.list("") == []
    put(filesystem, "d/b", b"12")
    filesystem.mkdirs("d/a")
    assert [shown(entry) for entry in filesystem.list("d")] == [("a", 0, True), ("b", 2, False)]
    assert shown(filesystem.status("d")) == ("d", 0, True)
    with pytest.raises(SinkError):
        filesystem.list("d/b")


def test_listing_behind_a_name(filesystem: Filesystem) -> None:
    """Only what comes behind it, be it there or not, over as many pages as that takes."""
    names = [f"{number:03}" for number in range(0, 500, 2)]
    for name in names:
        filesystem.mkdirs(f"d/{name}")
    assert [entry.name for entry in filesystem.list("d")] == names
    for after, first in (("000", 1), ("001", 1), ("0", 0), ("496", 249), ("498", 250), ("x", 250)):
        assert [entry.name for entry in filesystem.list("d", after)] == names[first:]
    assert filesystem.list("missing", "0") == []


def test_a_whole_file_at_once(filesystem: Filesystem) -> None:
    """With its parents, and told what it is; never over another, which stays."""
    told = filesystem.put("x/y/f", b"first")
    assert (told, shown(told)) == (filesystem.status("x/y/f"), ("f", 5, False))
    assert filesystem.list("x/y") == [told]
    with pytest.raises(FileExistsError):
        filesystem.put("x/y/f", b"second")
    assert filesystem.read("x/y/f") == b"first"


def test_identities(filesystem: Filesystem) -> None:
    """A rename keeps it; a touch and another file under the same name, even with the same content, change it."""
    first = filesystem.put("f", b"same").identity
    filesystem.rename_no_clobber("f", "g")
    (renamed,) = filesystem.list("")
    filesystem.touch("g")
    (touched,) = filesystem.list("")
    filesystem.delete("g")
    seen = {first, touched.identity, *(filesystem.put(f"h{n}", b"same").identity for n in range(3))}
    for _ in range(5):
        filesystem.delete("h0")
        seen.add(filesystem.put("h0", b"same").identity)
    assert renamed.identity == first
    assert len(seen) == 10
    with pytest.raises(FileNotFoundError):
        filesystem.touch("missing")


def test_deleting_is_idempotent_and_recursive_only_if_told(filesystem: Filesystem) -> None:
    """What is not there is fine; a directory with files needs `recursive`."""
    filesystem.delete("missing")
    filesystem.delete("missing", recursive=True)
    put(filesystem, "d/e/f", b"")
    with pytest.raises(SinkError):
        filesystem.delete("d")
    filesystem.delete("d/e/f")
    filesystem.delete("d/e")
    put(filesystem, "d/g", b"")
    filesystem.delete("d", recursive=True)
    assert filesystem.status("d") is None


def test_directories_are_made_once_and_not_over_files(filesystem: Filesystem) -> None:
    """Twice is fine; a file in the way, there or among the parents, is a SinkError that names the path."""
    filesystem.mkdirs("a/b")
    filesystem.mkdirs("a/b")
    put(filesystem, "file", b"")
    for path in ("file/x", "file/x/y"):
        with pytest.raises(SinkError, match="file"):
            filesystem.mkdirs(path)


def test_reading_what_is_not_there_is_no_empty_file(filesystem: Filesystem) -> None:
    """FileNotFoundError."""
    with pytest.raises(FileNotFoundError):
        filesystem.read("missing")


def test_it_pickles_also_after_use(filesystem: Filesystem) -> None:
    """Executors get a description, not a connection."""
    put(filesystem, "f", b"1")
    copy = pickle.loads(pickle.dumps(filesystem))
    assert copy == filesystem
    assert copy.read("f") == b"1"


# ---- what only HDFS can do


def test_no_rights_is_a_sink_error_with_a_remedy(hdfs: Hdfs) -> None:
    """AccessControlException is told by its class; nothing is taken for "does not exist"."""
    owner = webhdfs(hdfs)
    put(owner, "d/f", b"1")
    hdfs.client().set_permission(owner.url.partition(hdfs.webhdfs)[2] + "/d", "700")
    mallory = open_filesystem(f"{owner.url}?user=mallory")
    for operation in (lambda: mallory.status("d/f"), lambda: mallory.list("d"), lambda: put(mallory, "d/g", b"")):
        with pytest.raises(SinkError, match="AccessControlException") as raised:
            operation()
        assert "user" in raised.value.remedy


def test_quota_and_safe_mode_are_told_apart(hdfs: Hdfs) -> None:
    """A full quota needs a person (SinkError), safe mode only time (UnavailableError)."""
    filesystem = webhdfs(hdfs)
    filesystem.mkdirs("d")
    hdfs.admin("-setSpaceQuota", "1", filesystem.url.partition(hdfs.webhdfs)[2] + "/d")
    with pytest.raises(SinkError, match="QuotaExceeded"):
        put(filesystem, "d/f", b"1")
    hdfs.safe_mode(True)
    try:
        with pytest.raises(UnavailableError, match="SafeMode"):
            filesystem.mkdirs("e")
    finally:
        hdfs.safe_mode(False)
    filesystem.mkdirs("e")


def test_servers_that_are_away_are_named(hdfs: Hdfs) -> None:
    """NameNode or DataNode dead: UnavailableError with the address, for reads and writes, never "does not exist"."""
    filesystem = webhdfs(hdfs)
    put(filesystem, "f", b"1")
    hdfs.datanode.kill()
    for operation in (lambda: filesystem.read("f"), lambda: put(filesystem, "g", b"2")):
        with pytest.raises(UnavailableError, match=hdfs.webhdfs):
            operation()
    hdfs.namenode.kill()
    for operation in (lambda: filesystem.status("f"), lambda: filesystem.rename_no_clobber("f", "h")):
        with pytest.raises(UnavailableError, match=hdfs.webhdfs):
            operation()


UPLOADER = """
import sys, time
from offsets.filesystems import webhdfs
from offsets.filesystems import open_filesystem
class Stalling:  # a big file of which 4 MB go out, and then nothing more
    def __init__(self, *_): self.sent = 0
    def __enter__(self): return self
    def __exit__(self, *_): pass
    def write(self, data): pass
    def seek(self, *_): pass
    def __iter__(self):
        while self.sent < 4:
            self.sent += 1
            yield b"x" * (1 << 20)
        print("stalled", flush=True)
        time.sleep(600)
webhdfs.tempfile.SpooledTemporaryFile = Stalling
writer = open_filesystem(sys.argv[1]).create("staged")
writer.write(b"x" * (16 << 20))
writer.close()
"""


def test_a_killed_uploader_leaves_a_name_that_blocks_nobody(hdfs: Hdfs) -> None:
    """SIGKILL in mid-upload may leave a short file: it is deleted or left at once, without waiting for a lease."""
    filesystem = webhdfs(hdfs)
    child = subprocess.Popen([sys.executable, "-c", UPLOADER, filesystem.url], stdout=subprocess.PIPE)
    try:
        assert child.stdout is not None
        assert child.stdout.readline() == b"stalled\n"
        wait_for(lambda: filesystem.status("staged") is not None, 60, "the upload to begin")
    finally:
        os.kill(child.pid, signal.SIGKILL)
        child.communicate()
    put(filesystem, uuid.uuid4().hex, b"the next attempt")
    filesystem.delete("staged")
    assert filesystem.status("staged") is None
