"""The staged file sink against local disks and a real HDFS: protocol.md's rules P, M, N and G under every accident."""

from __future__ import annotations

import pickle
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import replace
from pathlib import Path

import pytest

from offsets import codec, failpoints
from offsets.errors import (
    DestinationExistsError,
    FencedError,
    RegisterError,
    SinkError,
    StagedDamagedError,
    StagingLostError,
    StateDamagedError,
    StreamError,
    UnavailableError,
)
from offsets.filesystems import Filesystem, open_filesystem
from servers.hdfs_server import Hdfs
from servers.proxy import Mode, Proxy
from streaming.sinks.file import StagedFileSink, StagingPlace, open_sink
from streaming.sinks.staging import Block
from tests.contract.file_places import APP, PLACES, Prepared, line, place_of, prepared, put, tree, visible, webhdfs
from tests.contract.lakes import Killed


@pytest.fixture(params=PLACES)
def sink(request: pytest.FixtureRequest, tmp_path: Path) -> StagedFileSink:
    return StagedFileSink(place_of(request, tmp_path), patience_seconds=2.0)


@pytest.fixture
def at() -> Iterator[Callable[[str, Callable[[], None]], None]]:
    """`at(failpoint, action)` runs the action at each passage of that failpoint; disarmed after the test."""
    actions: dict[str, Callable[[], None]] = {}
    failpoints.arm(lambda name: actions[name]() if name in actions else None)
    yield actions.__setitem__
    failpoints.arm(None)


def raising(error: BaseException, times: int = 1, after: int = 0) -> Callable[[], None]:
    """Raises on the passages (after, after + times], in whatever thread."""
    lock, seen = threading.Lock(), Counter[str]()

    def action() -> None:
        with lock:
            seen["passages"] += 1
            if after < seen["passages"] <= after + times:
                raise error

    return action


def unchanged() -> bool:
    return False


def changed() -> bool:
    return True


def publish(sink: StagedFileSink, batch: Prepared, check_lengths: bool = False) -> None:
    sink.publish(batch.ref, batch.manifest, unchanged, check_lengths)


# ---- the plain way


def test_nothing_is_visible_before_publish_and_all_of_it_after(sink: StagedFileSink) -> None:
    """Staged files are no data; published ones are in their folders under the manifest's names, and logged."""
    batch = prepared(sink)
    assert visible(sink.filesystem) == {}
    publish(sink, batch)
    assert visible(sink.filesystem) == batch.contents
    assert sorted(batch.contents) == [
        "a/orders+p0+0000000010+0000000020+g0e1.txt",
        "b/dt=1/orders+p0+0000000010+0000000020+g0e1.txt",
    ]


def test_the_manifest_and_its_log_entry_have_the_same_bytes(sink: StagedFileSink) -> None:
    """The log holds what the register referred to, also for a batch without files."""
    for seq, folders in ((1, ("a",)), (2, ())):
        batch = prepared(sink, folders, seq=seq)
        publish(sink, batch)
        entry = sink.filesystem.read(f"_batches/0/{seq:010d}.json")
        assert entry == sink.filesystem.read(batch.ref.path)
        assert codec.digest(entry) == batch.ref.sha256
        assert sink.read_manifest(batch.ref) == batch.manifest


def test_the_root_itself_takes_files_too(sink: StagedFileSink) -> None:
    """The folder "" is sink.path."""
    batch = prepared(sink, [""])
    publish(sink, batch)
    assert list(visible(sink.filesystem)) == ["orders+p0+0000000010+0000000020+g0e1.txt"]


def test_a_topic_of_249_characters_fits(sink: StagedFileSink) -> None:
    """Names stay below 255 bytes, and two such topics keep two names."""
    for seq, last in enumerate("xy"):
        publish(sink, prepared(sink, ["a"], seq=seq, topic="t" * 248 + last))
    names = [path.partition("/")[2] for path in visible(sink.filesystem)]
    assert len({name.partition("+")[0] for name in names}) == 2
    assert max(map(len, names)) < 255


def test_publishing_again_changes_nothing(sink: StagedFileSink) -> None:
    """Also once a consumer has moved a file away: it does not come back."""
    batch = prepared(sink)
    publish(sink, batch)
    publish(sink, batch, check_lengths=True)
    sink.filesystem.delete(min(batch.contents))
    publish(sink, batch, check_lengths=True)
    assert list(visible(sink.filesystem)) == [max(batch.contents)]


# ---- files in the way


@pytest.mark.parametrize("planted", [b"foreign", b"", "twin"])
def test_a_file_at_a_final_name_stops_the_batch(sink: StagedFileSink, planted: bytes | str) -> None:
    """A foreign, a truncated and a twin file: none is touched or adopted; once moved away, the batch is published."""
    batch = prepared(sink)
    file = batch.manifest.files[0]
    content = planted if isinstance(planted, bytes) else batch.contents[file.final]
    put(sink.filesystem, file.final, content)
    for check_lengths in (False, True):
        with pytest.raises(DestinationExistsError) as raised:
            publish(sink, batch, check_lengths)
        assert file.final in str(raised.value)
        assert file.staged in str(raised.value)
        assert file.final in raised.value.remedy
    assert sink.filesystem.read(file.final) == content
    sink.filesystem.delete(file.final)
    publish(sink, batch, check_lengths=True)
    assert visible(sink.filesystem) == batch.contents


def test_a_directory_at_a_final_name_stops_the_batch(sink: StagedFileSink) -> None:
    """Nothing moves into it."""
    batch = prepared(sink)
    file = batch.manifest.files[0]
    sink.filesystem.mkdirs(file.final)
    with pytest.raises(DestinationExistsError):
        publish(sink, batch)
    assert sink.filesystem.list(file.final) == []
    assert sink.filesystem.status(file.staged) is not None


def test_another_log_entry_stops_the_batch_before_anything_is_visible(sink: StagedFileSink) -> None:
    """The log is never overwritten."""
    batch = prepared(sink)
    put(sink.filesystem, "_batches/0/0000000001.json", b"other")
    with pytest.raises(DestinationExistsError, match="_batches"):
        publish(sink, batch)
    assert visible(sink.filesystem) == {}
    assert sink.filesystem.read("_batches/0/0000000001.json") == b"other"


# ---- files that are gone


def test_a_source_moved_by_another_is_done(sink: StagedFileSink) -> None:
    """While the manifest is there, a missing source has been published, whatever became of it since."""
    batch = prepared(sink)
    file = batch.manifest.files[0]
    sink.filesystem.mkdirs("a")
    sink.filesystem.rename_no_clobber(file.staged, file.final)
    publish(sink, batch)
    assert visible(sink.filesystem) == batch.contents


@pytest.mark.parametrize("wiped", ["_staging", "_staging/1/1"])
def test_wiped_staging_is_never_taken_for_published(sink: StagedFileSink, wiped: str) -> None:
    """Fenced if the register has changed; otherwise the batch is lost, and says so."""
    batch = prepared(sink)
    sink.filesystem.delete(wiped, recursive=True)
    with pytest.raises(FencedError):
        sink.publish(batch.ref, batch.manifest, changed)
    with pytest.raises(StagingLostError, match="_staging/1/1"):
        publish(sink, batch)
    with pytest.raises(StagingLostError, match="_staging/1/1"):
        publish(sink, batch, check_lengths=True)
    assert visible(sink.filesystem) == {}


def test_a_missing_manifest_stops_a_redo(sink: StagedFileSink) -> None:
    """Fenced if the register has changed, else lost: never "nothing to publish"."""
    batch = prepared(sink)
    sink.filesystem.delete(batch.ref.path)
    with pytest.raises(StagingLostError):
        sink.read_manifest(batch.ref)
    with pytest.raises(FencedError):
        sink.read_manifest(batch.ref, changed)


def test_only_the_manifest_that_the_register_names_is_read(sink: StagedFileSink) -> None:
    """Another manifest, whole in itself, at the same path is StateDamagedError."""
    batch = prepared(sink)
    sink.filesystem.delete(batch.ref.path)
    sink.write_manifest(replace(batch.manifest, records=99))
    with pytest.raises(StateDamagedError, match=r"manifest\.json"):
        sink.read_manifest(batch.ref)


def test_a_damaged_staged_file_is_found_before_it_is_visible(sink: StagedFileSink) -> None:
    """A redo compares lengths first; a directory is no file either."""
    batch = prepared(sink, ["a"])
    (file,) = batch.manifest.files
    for damage in (lambda: put(sink.filesystem, file.staged, b"a"), lambda: sink.filesystem.mkdirs(file.staged)):
        sink.filesystem.delete(file.staged)
        damage()
        with pytest.raises(StagedDamagedError, match=file.staged):
            publish(sink, batch, check_lengths=True)
    assert visible(sink.filesystem) == {}


def test_a_parent_removed_in_mid_publish_is_made_again(
    sink: StagedFileSink, at: Callable[[str, Callable[[], None]], None]
) -> None:
    """A consumer that removes an empty folder at the worst moment costs a retry."""
    batch = prepared(sink, ["a"])
    removals = iter([True])
    at("publish.each", lambda: sink.filesystem.delete("a") if next(removals, False) else None)
    publish(sink, batch)
    assert visible(sink.filesystem) == batch.contents


# ---- crashes, racers and stragglers


@pytest.mark.parametrize("point", ["publish.mkdir", "publish.each", "publish.sent"])
def test_a_crash_anywhere_in_publish_is_finished_by_a_redo(
    sink: StagedFileSink, at: Callable[[str, Callable[[], None]], None], point: str
) -> None:
    """Whatever was visible by then, the redo makes it whole."""
    batch = prepared(sink, [f"f{n}" for n in range(5)])
    at(point, raising(Killed(), times=100, after=2))
    with pytest.raises(Killed):
        publish(sink, batch)
    at(point, lambda: None)
    publish(sink, batch, check_lengths=True)
    assert visible(sink.filesystem) == batch.contents


def test_24_racers_publish_each_file_once(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """A reader that opens everything meanwhile never sees a short or a changing file; all racers succeed."""
    for filesystem in (open_filesystem(f"file://{tmp_path}/sink"), webhdfs(request.getfixturevalue("hdfs"))):
        sink = StagedFileSink(filesystem)
        batch = prepared(sink, [f"f{n}" for n in range(4)])
        seen: list[dict[str, bytes]] = []
        done = threading.Event()

        def read(at: Filesystem = filesystem, into: list[dict[str, bytes]] = seen, end: threading.Event = done) -> None:
            while not end.is_set():
                into.append(visible(at))

        reader = threading.Thread(target=read)
        reader.start()
        with ThreadPoolExecutor(24) as pool:
            races = [pool.submit(publish, pickle.loads(pickle.dumps(sink)), batch, n % 2 == 0) for n in range(24)]
        done.set()
        reader.join()
        assert [race.exception() for race in races] == [None] * 24
        assert all(batch.contents[path] == data for looked in seen for path, data in looked.items())
        assert visible(filesystem) == batch.contents


def test_a_straggler_in_a_collected_directory_harms_nobody(sink: StagedFileSink) -> None:
    """A task that was planned long ago stages into a directory that is gone: never visible, collected next time."""
    old = prepared(sink, ["a"], seq=1)
    publish(sink, old)
    sink.collect_garbage((1, 2))
    late = sink.stage(StagingPlace(0, 1, 1), old.manifest.ranges[0], [{"a": line("late")}])
    assert visible(sink.filesystem) == old.contents
    with pytest.raises(FencedError):
        sink.publish(old.ref, old.manifest, changed)
    sink.collect_garbage((1, 2))
    assert sink.filesystem.status(late[0].staged) is None


def test_a_function_that_raises_leaves_no_file(sink: StagedFileSink) -> None:
    """The error comes out as it is, and what was written before it, buffered or not, is gone."""
    range_ = prepared(sink).manifest.ranges[0]
    before = tree(sink.filesystem)

    def groups() -> Iterator[dict[str, Block]]:
        yield {"a": line("first")}
        yield {"b": line("x" * (2 << 20))}
        raise StreamError("the user's")

    with pytest.raises(StreamError, match="the user's"):
        sink.stage(StagingPlace(0, 1, 1), range_, groups())
    assert tree(sink.filesystem) == before


@pytest.mark.parametrize("point", ["task.create", "task.mid", "task.close", "task.return"])
def test_a_second_attempt_shares_no_name_with_the_first(
    sink: StagedFileSink, at: Callable[[str, Callable[[], None]], None], point: str
) -> None:
    """A task killed anywhere is simply run again."""
    at(point, raising(Killed()))
    with pytest.raises(Killed):
        prepared(sink)
    batch = prepared(sink)
    publish(sink, batch)
    assert visible(sink.filesystem) == batch.contents


# ---- garbage


def test_only_what_is_older_is_collected(sink: StagedFileSink) -> None:
    """Batches before (epoch, seq); the batch itself, later ones and what is no batch stay."""
    batches = {(e, s): prepared(sink, ["a"], seq=s, epoch=e) for e in (1, 2, 10) for s in (8, 9, 10)}
    put(sink.filesystem, "_staging/theirs", b"")
    sink.collect_garbage((2, 9))
    kept = {key for key, batch in batches.items() if sink.filesystem.status(batch.ref.path)}
    assert kept == {(2, 9), (2, 10), (10, 8), (10, 9), (10, 10)}
    assert [s.name for s in sink.filesystem.list("_staging")] == ["10", "2", "theirs"]


def test_a_killed_collector_never_leaves_a_manifest_without_its_files(
    sink: StagedFileSink, at: Callable[[str, Callable[[], None]], None]
) -> None:
    """The directory is out of the way in one step; the next collector deletes what is left of it."""
    batch = prepared(sink)
    at("gc.each", raising(Killed()))
    with pytest.raises(Killed):
        sink.collect_garbage((1, 2))
    assert sink.filesystem.status(batch.ref.path) is None
    assert len(tree(sink.filesystem, "_staging")) == 3
    sink.collect_garbage((1, 2))
    assert tree(sink.filesystem, "_staging") == {}


def test_collecting_nothing_or_twice_is_fine(sink: StagedFileSink) -> None:
    """No staging at all, and collectors side by side."""
    sink.collect_garbage((1, 1))
    for seq in range(1, 6):
        prepared(sink, ["a"], seq=seq)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(sink.collect_garbage, [(1, 6)] * 4))
    sink.collect_garbage((1, 6))
    assert tree(sink.filesystem, "_staging") == {}


def test_a_directory_that_another_collector_took_is_passed_over(
    sink: StagedFileSink, at: Callable[[str, Callable[[], None]], None]
) -> None:
    """The rest is still collected."""
    for seq in (1, 2, 3):
        prepared(sink, ["a"], seq=seq)
    at("gc.each", lambda: sink.filesystem.delete("_staging/1/2", recursive=True))
    sink.collect_garbage((1, 4))
    assert tree(sink.filesystem, "_staging") == {}


def test_what_cannot_be_collected_fails_no_batch(sink: StagedFileSink, caplog: pytest.LogCaptureFixture) -> None:
    """It is logged, and tried again after the next batch."""
    put(sink.filesystem, "_staging", b"a file where a directory should be")
    sink.collect_garbage((1, 2))
    assert "stays until the next batch" in caplog.text


# ---- marker and log


def test_the_marker_is_written_once_for_one_application(sink: StagedFileSink) -> None:
    """Again for the same application is fine; another is refused and changes nothing; damage is an error."""
    other = f"{8:032x}"
    assert sink.marker() is None
    sink.write_marker(APP)
    sink.write_marker(APP)
    with pytest.raises(RegisterError, match=other):
        sink.write_marker(other)
    assert sink.marker() == APP
    sink.filesystem.delete("_application.json")
    put(sink.filesystem, "_application.json", codec.encode_marker(APP)[:-1])
    with pytest.raises(StateDamagedError):
        sink.marker()
    assert visible(sink.filesystem) == {}


def test_the_newest_batch_is_found_across_generations(sink: StagedFileSink) -> None:
    """By number, not by spelling; with a reference to its staging for as long as that is there."""
    assert sink.newest_batch() is None
    for generation, seq in ((0, 9), (2, 10), (10, 11)):
        batch = prepared(sink, ["a"], seq=seq)
        batch = replace(batch, manifest=replace(batch.manifest, generation=generation))
        sink.filesystem.delete(batch.ref.path)
        batch = replace(batch, ref=sink.write_manifest(batch.manifest))
        publish(sink, batch)
    found = sink.newest_batch()
    assert found == ("_batches/10/0000000011.json", batch.manifest, batch.ref)
    sink.collect_garbage((1, 12))
    found = sink.newest_batch()
    assert found is not None
    assert found.staged is None


def test_a_probe_leaves_nothing(sink: StagedFileSink) -> None:
    """A writable root stays as it was."""
    sink.check_writable()
    assert tree(sink.filesystem) == {}


# ---- HDFS and its servers


def test_an_unwritable_root_is_refused_within_seconds(hdfs: Hdfs, tmp_path: Path) -> None:
    """No rights, a file in the way, nobody there: one error that names the path, and a remedy."""
    (tmp_path / "file").write_text("")
    cases = [
        (f"file://{tmp_path}/file/sink", SinkError, "/file"),
        ("file:///proc/no/such", SinkError, "/proc/no"),
        (f"webhdfs://{hdfs.webhdfs}/private?user=mallory", SinkError, "/private"),
        ("webhdfs://127.0.0.1:1/x", UnavailableError, "127.0.0.1:1"),
    ]
    for url, error, named in cases:
        began = time.monotonic()
        with pytest.raises(error, match=named) as raised:
            open_sink(url).check_writable()
        assert raised.value.remedy
        assert time.monotonic() - began < 10


def test_a_lost_reply_to_a_rename_is_resolved_by_asking_for_the_source(
    hdfs: Hdfs, proxy: Callable[..., Proxy], at: Callable[[str, Callable[[], None]], None]
) -> None:
    """Each rename lands while its reply is dropped: the publication succeeds, and each file is there once."""
    between = proxy(hdfs.webhdfs)
    sink = StagedFileSink(open_filesystem(f"webhdfs://{between.address}/tests/lost?user={hdfs.user}", {}))
    sink = replace(sink, filesystem=replace(sink.filesystem, parallelism=1))
    batch = prepared(sink, ["a", "b", "c"])
    at("publish.each", lambda: between.switch(Mode.DROP_REPLIES, drops=1))
    publish(sink, batch)
    assert between.dropped >= 3
    assert visible(sink.filesystem) == batch.contents


@pytest.mark.full
def test_a_namenode_that_is_killed_in_mid_publish_costs_a_wait_or_another_launch(
    hdfs: Hdfs, at: Callable[[str, Callable[[], None]], None]
) -> None:
    """UnavailableError once patience ends, naming the server; a redo waits for its restart and finishes."""
    sink = StagedFileSink(webhdfs(hdfs), patience_seconds=1.0)
    batch = prepared(sink, [f"f{n}" for n in range(6)])
    passages = iter(range(1000))
    at("publish.each", lambda: hdfs.namenode.kill() if next(passages) == 3 else None)
    began = time.monotonic()
    with pytest.raises(UnavailableError, match=hdfs.webhdfs):
        publish(sink, batch)
    assert time.monotonic() - began < 30
    sink.collect_garbage((1, 2))  # of no use while it is away, and no error
    with ThreadPoolExecutor(1) as pool:
        redone = pool.submit(publish, replace(sink, patience_seconds=60.0), batch, True)
        assert not wait([redone], timeout=1).done
        hdfs.namenode.start()
        redone.result(timeout=60)
    assert visible(sink.filesystem) == batch.contents
