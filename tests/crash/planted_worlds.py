"""Worlds in which planted bugs show: patches of what is around the product, in which it keeps what it promises."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, suppress
from dataclasses import replace
from typing import Any

from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient

import streaming.sinks.staging
import streaming.tasks.task
from offsets.errors import BatchError, StreamError, UnavailableError
from offsets.filesystems import Filesystem
from offsets.filesystems.webhdfs import WebHdfsFilesystem
from offsets.manager import OffsetManager, current_owner
from offsets.reset import Reset
from offsets.stores import open_store, zookeeper_store
from offsets.stores.log_store import FEWEST, LogStore
from offsets.stores.zookeeper_session import Unknown
from offsets.stores.zookeeper_store import ZookeeperStore
from offsets.structs import OffsetRange, StagedFile, State
from streaming.config.places import of_job
from streaming.resetting.executing import execute
from streaming.run.batches import Batches
from streaming.run.launch import Launch
from streaming.sinks.names import StagingPlace
from streaming.sinks.publish import Publication
from streaming.sinks.staging import Block
from streaming.tasks.task import StageTask
from streaming.tasks.write import WriteTask
from tests.crash.plain.topic import BATCH

ASLEEP_SECONDS = 2.0  # a driver that was frozen was so for a session's length
Groups = Iterable[Mapping[str, Block]]


def cut_off() -> None:
    """After a fault at `replace.before`, a sleep or an error, the request is never sent, and no answer comes."""
    passed, real = zookeeper_store.reach, ZookeeperStore._send
    cut: list[str] = []

    def reach(name: str) -> None:
        began = time.monotonic()
        try:
            passed(name)
        except UnavailableError:
            cut.append(name)
        if name == "replace.before" and time.monotonic() - began > ASLEEP_SECONDS:
            cut.append(name)

    def send(self: ZookeeperStore, *arguments: Any) -> Any:
        if cut:
            raise Unknown(cut.pop())
        return real(self, *arguments)

    zookeeper_store.reach = reach
    ZookeeperStore._send = send  # type: ignore[method-assign]


def short_log() -> None:
    """A numbered log keeps as few states as it can."""
    real = LogStore.__init__

    def init(self: LogStore, *arguments: Any) -> None:
        real(self, *arguments)
        self._retain = FEWEST

    LogStore.__init__ = init  # type: ignore[method-assign]


def other_ranges() -> None:
    """Each launch plans batches of another size than the one before."""
    real = Batches.run

    def run(self: Batches, root: Any) -> str:
        most = BATCH - 3 * (self.manager.state.epoch % 2)
        return real(replace(self, config=replace(self.config, max_offsets_per_trigger=most)), root)

    Batches.run = run  # type: ignore[method-assign]


def folders_vanish() -> None:
    """Somebody tidies up: a folder that is empty goes before the first file is moved into it."""
    real = Publication._make

    def make(self: Publication, folder: str) -> None:
        real(self, folder)
        with suppress(StreamError):
            self.filesystem.delete(folder)

    Publication._make = make  # type: ignore[method-assign]


def staging(*, dies: bool) -> None:
    """Each task is run twice, the second time when the first one's result was accepted."""
    real = streaming.sinks.staging.stage

    def stage(filesystem: Filesystem, place: StagingPlace, range_: OffsetRange, groups: Groups) -> list[StagedFile]:
        listed = list(groups)
        accepted = real(filesystem, place, range_, listed)
        with suppress(BatchError):
            real(filesystem, place, range_, dying(listed) if dies else listed)
        return accepted

    streaming.sinks.staging.stage = stage


def dying(groups: Groups) -> Iterator[Mapping[str, Block]]:
    yield from groups
    raise BatchError("this attempt is given up", "")


def stragglers() -> None:
    """A second attempt of each task ends."""
    staging(dies=False)


def dying_stragglers() -> None:
    """A second attempt of each task is given up before its end."""
    staging(dies=True)


def second_writes() -> None:
    """The same of a direct sink's tasks."""
    real = WriteTask.write

    def write(self: WriteTask, range_: OffsetRange) -> Any:
        accepted = real(self, range_)
        with suppress(BatchError):
            real(self, range_)
        return accepted

    WriteTask.write = write  # type: ignore[method-assign]


def records_vanish() -> None:
    """Kafka deletes what the second batch of partition 0 is to begin with, when it is planned already."""
    real = StageTask.stage

    def stage(self: StageTask, range_: OffsetRange) -> Any:
        if range_.partition == 0 and range_.from_offset:
            admin = AdminClient({"bootstrap.servers": self.client.properties["bootstrap.servers"]})
            place = TopicPartition(range_.topic, 0, range_.until_offset - 1)
            admin.delete_records([place])[place].result(30)
        return real(self, range_)

    StageTask.stage = stage  # type: ignore[method-assign]


def little_patience() -> None:
    """A task gives up after so long without a record that a test can wait for it."""
    streaming.tasks.task.PROGRESS_SECONDS = 4.0


def reset_by_the_second() -> None:
    """Before the second launch a person resets the job to the beginning of its topic."""
    real = Launch.run

    def run(self: Launch) -> str:
        place = of_job(self.config)
        with closing(open_store(place.store)) as store:
            state = OffsetManager(store, current_owner("")).read()
        if state and state.epoch == 1:
            execute(place, at_the_beginning, "a test")
        return real(self)

    Launch.run = run  # type: ignore[method-assign]


def at_the_beginning(state: State) -> Reset:
    return Reset(
        {name: replace(topic, offsets=dict.fromkeys(topic.offsets, 0)) for name, topic in state.topics.items()}
    )


def short_upload() -> None:
    """What the first driver uploads for its second batch is cut off; the server keeps what has come."""
    real = WebHdfsFilesystem.upload

    def upload(self: WebHdfsFilesystem, path: str, content: Any) -> None:
        real(self, path, b"" if path.startswith("_staging/1/1/") else content)

    WebHdfsFilesystem.upload = upload  # type: ignore[method-assign]
