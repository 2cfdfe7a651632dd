"""The parts of the file sink that need no server: URLs, patience, parallel requests, staging by the hundreds."""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hdfs import HdfsError

from offsets.errors import ConfigError, DestinationExistsError, RegisterError, SinkError, UnavailableError
from offsets.filesystems import FileStatus, LocalFilesystem, check_url, open_filesystem
from offsets.filesystems.webhdfs import WebHdfsFilesystem, WebHdfsWriter
from offsets.filesystems.webhdfs_errors import translated
from offsets.structs import Manifest, OffsetRange, TopicState
from streaming.formats import open_format
from streaming.sinks import staging
from streaming.sinks.file import StagedFileSink, StagingPlace
from streaming.sinks.parallel import in_parallel, patience, within
from streaming.sinks.staging import Block

TEXT = open_format("text")


@pytest.mark.parametrize("url", ["file:///a", "file:///a/b%20c/", "webhdfs://h:9870/a", "webhdfs://h:9870/a?user=u"])
def test_good_urls(url: str) -> None:
    """No problem, and no connection."""
    assert check_url(url) == []
    open_filesystem(url)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "/a",
        "hdfs://h:8020/a",
        "file://a/b",
        "file:///",
        "file:///a/../b",
        "file:///a/%2E%2E/b",
        "webhdfs://h/a",
        "webhdfs://h:x/a",
        "webhdfs://h:9870",
        "webhdfs://u:secret@h:9870/a",
        "webhdfs://h:9870/a#LATEST",
        "webhdfs://h:9870/a?usr=u",
        "webhdfs://h:9870/a?user=",
        "file:///a?user=u",
    ],
)
def test_bad_urls(url: str) -> None:
    """Each is a configuration error, found without connecting."""
    assert check_url(url)
    with pytest.raises(ConfigError):
        open_filesystem(url)


def test_the_user_is_decided_by_the_driver() -> None:
    """URL, then HADOOP_USER_NAME, then the process's own."""
    url = "webhdfs://h:9870/a b"
    named = open_filesystem(url + "?user=u", {"HADOOP_USER_NAME": "v"})
    assert named == WebHdfsFilesystem("http://h:9870", "/a b", "u")
    assert open_filesystem(url, {"HADOOP_USER_NAME": "v"}) == WebHdfsFilesystem("http://h:9870", "/a b", "v")


def test_patience_ends_at_one_deadline_for_all_calls() -> None:
    """Retriable failures are repeated until then, others never."""
    now, calls = [0.0], []

    def away() -> None:
        calls.append(now[0])
        now[0] += 1.0
        raise UnavailableError("away")

    again = patience(2.0, clock=lambda: now[0])
    for expected in ([0.0, 1.0], [0.0, 1.0, 2.0]):
        with pytest.raises(UnavailableError):
            again(away)
        assert calls == expected

    def refused() -> None:
        calls.append(-1.0)
        raise SinkError("refused")

    with pytest.raises(SinkError):
        patience(2.0)(refused)
    assert calls.count(-1.0) == 1


def test_the_first_failure_keeps_the_rest_from_beginning() -> None:
    """With 4 at a time and the first one failing, most of a thousand are never begun."""
    begun, lock = [], threading.Lock()

    def work(number: int) -> int:
        with lock:
            begun.append(number)
        if number == 0:
            raise SinkError("no")
        return number

    with pytest.raises(SinkError):
        in_parallel(4, work, range(5_000))
    assert len(begun) < 5_000
    assert in_parallel(4, lambda n: n * 2, range(50)) == [n * 2 for n in range(50)]


def test_files_lack_neither_handles_nor_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """More folders than may be open: the one unused for longest is finished, and a new one gets the next name."""
    monkeypatch.setattr(staging, "MAX_OPEN", 2)
    sink = StagedFileSink(LocalFilesystem(str(tmp_path)))
    groups = [{folder: Block(folder.encode() + b"\n", 1, TEXT, bad=1)} for folder in "abacbca"]
    files = sink.stage(StagingPlace(0, 1, 1), OffsetRange("t", 0, 0, 7), groups)
    assert sum(file.count for file in files) == sum(file.bad for file in files) == 7
    assert len({file.final for file in files}) == len({file.staged for file in files}) == len(files)
    names = sorted(f.final.removesuffix(".txt").replace("t+p0+0000000000+0000000007+g0e1", "") for f in files)
    assert names == ["a/", "a/+1", "b/", "b/+1", "c/"]
    for file in files:
        assert (tmp_path / file.staged).stat().st_size == file.length


def test_files_share_a_limit_of_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Parquet holds rows back for its row groups: the file that holds most is finished, and no row is lost."""
    monkeypatch.setattr(staging, "MAX_HELD", 20_000)
    parquet, schema = open_format("parquet"), pa.schema([("n", pa.int64())])
    sink = StagedFileSink(LocalFilesystem(str(tmp_path)))
    rows = {"much": 1000, "little": 10}
    blocks = {
        f: Block(parquet.block([{"n": i} for i in range(n)], schema), n, parquet, schema) for f, n in rows.items()
    }
    files = sink.stage(StagingPlace(0, 1, 1), OffsetRange("t", 0, 0, 7), [blocks] * 6)
    assert sum(file.count for file in files) == sum(pq.read_table(tmp_path / f.staged).num_rows for f in files) == 6060
    assert sorted(f.final.partition("/")[0] for f in files) == ["little", *["much"] * 2]


def test_local_files_and_names_are_durable_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Content first, then its name; new directories in their parents; after a rename both directories."""
    synced: list[str] = []
    monkeypatch.setattr(
        os, "fsync", lambda fd: synced.append(os.path.relpath(os.readlink(f"/proc/self/fd/{fd}"), tmp_path))
    )
    filesystem = LocalFilesystem(str(tmp_path))
    writer = filesystem.create("a/b/f")
    assert synced == [".", "a"]
    writer.write(b"1")
    writer.close()
    assert synced[2:] == ["a/b/f", "a/b"]
    filesystem.rename_no_clobber("a/b/f", "a/f")
    assert sorted(synced[4:]) == ["a", "a/b"]


def test_a_local_file_of_another_length_is_refused(tmp_path: Path) -> None:
    """Somebody else wrote into it."""
    writer = LocalFilesystem(str(tmp_path)).create("f")
    writer.write(b"mine")
    os.truncate(tmp_path / "f", 100)
    with pytest.raises(SinkError, match="100 bytes, 4 were written"):
        writer.close()


@dataclass
class ShortServer:
    """Answers an upload with success and keeps `kept` bytes of it; None: nothing at all."""

    kept: int | None

    def upload(self, path: str, content: bytes) -> None: ...

    def status(self, path: str) -> FileStatus | None:
        return None if self.kept is None else FileStatus(path, self.kept, False)


@pytest.mark.parametrize("kept", [None, 0, 3, 5])
def test_an_upload_that_arrived_in_part_is_refused(kept: int | None) -> None:
    """Success over HTTP is not taken for a whole file."""
    writer = WebHdfsWriter(ShortServer(kept), "f")  # type: ignore[arg-type]
    writer.write(b"1234")
    with pytest.raises(SinkError, match="after 4 were sent"):
        writer.close()


def test_within_gives_up_what_hangs() -> None:
    """What the action returns or raises in time; the given error for one that does not come back."""
    late, over = UnavailableError("late"), threading.Event()
    assert within(5.0, lambda: 1, late) == 1
    with pytest.raises(SinkError, match="refused"):
        within(5.0, lambda: (_ for _ in ()).throw(SinkError("refused")), late)
    with pytest.raises(UnavailableError) as caught:
        within(0.05, over.wait, late)
    over.set()
    assert caught.value is late


@pytest.mark.parametrize("seen", [None, b"short"])
def test_what_the_driver_does_not_see_whole_is_never_decided(tmp_path: Path, seen: bytes | None) -> None:
    """Executors with disks of their own (file: on a cluster): the batch stops, where all of it used to be lost."""
    sink = StagedFileSink(LocalFilesystem(str(tmp_path / "driver")))
    elsewhere = StagedFileSink(LocalFilesystem(str(tmp_path / "executor")))
    range_ = OffsetRange("t", 0, 0, 7)
    (file,) = elsewhere.stage(StagingPlace(0, 1, 1), range_, [{"": Block(b"whole row\n", 1, TEXT)}])
    if seen is not None:
        writer = sink.filesystem.create(file.staged)
        writer.write(seen)
        writer.close()
    topics = {"t": TopicState("i", {0: 7})}
    with pytest.raises(SinkError, match=file.staged):
        sink.write_manifest(Manifest("app", 0, 1, 1, (range_,), topics, (file,), 1, 0))
    assert sink.filesystem.status("_staging/1/1/manifest.json") is None


def test_a_full_directory_of_hdfs_is_told_as_such() -> None:
    """Trying again would never help: exit 1 with the setting, not 69."""
    refusal = translated(HdfsError("limit", exception="MaxDirectoryItemsExceededException"), "webhdfs://h:9870/d/a")
    assert isinstance(refusal, SinkError)
    assert "max-directory-items" in refusal.remedy


def test_a_refusal_of_hdfs_is_told_without_the_servers_trace() -> None:
    """Some answers carry it, behind the one line that says who may not do what."""
    message = (
        'Permission denied: user=u, inode="/d"\n\tat org.apache.hadoop.X.check(X.java:1)\n\tat java.Y.run(Y.java:2)'
    )
    refusal = translated(HdfsError(message, exception="AccessControlException"), "webhdfs://h:9870/d: /d/a")
    assert str(refusal).endswith('inode="/d"')


def test_a_register_behind_the_batch_log_is_told_without_a_remedy_that_doubles(tmp_path: Path) -> None:
    """Put back from a copy: refused before it plans, and at the log entry; nobody is told to move the entry away."""
    sink = StagedFileSink(LocalFilesystem(str(tmp_path)))
    range_, topics = OffsetRange("t", 0, 0, 7), {"t": TopicState("i", {0: 7})}
    for epoch in (1, 2):
        (file,) = sink.stage(StagingPlace(0, epoch, 4), range_, [{"": Block(b"row\n", 1, TEXT)}])
        manifest = Manifest("app", 0, epoch, 4, (range_,), topics, (file,), 1, 0)
        ref = sink.write_manifest(manifest)
        if epoch == 1:
            sink.refuse_logged(0, 4)
            sink.publish(ref, manifest, lambda: False)
            sink.refuse_logged(0, 5)
    with pytest.raises(RegisterError) as early:
        sink.refuse_logged(0, 4)
    with pytest.raises(DestinationExistsError) as late:
        sink.publish(ref, manifest, lambda: False)
    for error in (early.value, late.value):
        assert "0000000004.json" in str(error)
        assert "--recover register" in error.remedy
    assert sink.filesystem.status(file.staged), "nothing of the second batch is visible"
