"""A local disk is refused wherever tasks run on other machines, before anything is connected to."""

from __future__ import annotations

import pytest

from offsets.errors import ConfigError
from streaming.config.reading import load
from streaming.spark import conf
from streaming.spark.masters import misplaced, on_this_machine
from tests.unit import job_file

CLUSTERS = ("spark://host:7077", "spark://a:7077,b:7077", "yarn", "k8s://https://host", "local-cluster[2,1,1024]", "")
JOB = job_file.JOB.format(folder="/a")
SHARED = ("zookeeper://zk:2181/orders", "webhdfs://namenode:9870/orders", "postgresql://db/jobs")


@pytest.mark.parametrize("master", ["local", "local[*]", "local[2]", "local[2,4]"])
def test_local_masters_take_local_disks(master: str) -> None:
    """Threads of the driver's JVM write where the driver writes."""
    assert on_this_machine(master)
    assert misplaced(master, {"offsets.store": "file:///a", "sink.path": "file:///b"}) == []


@pytest.mark.parametrize("master", CLUSTERS)
def test_other_masters_do_not(master: str) -> None:
    """Each local disk is a problem of its own, and says what to use; what is shared, or absent, is none."""
    store, sink = misplaced(master, {"offsets.store": "file:///a", "sink.path": "file:///b"})
    assert store.startswith("offsets.store = file:///a: ")
    assert "zookeeper://, postgresql:// or webhdfs://" in store
    assert sink.startswith("sink.path = file:///b: ")
    assert len(misplaced(master, {"offsets.store": "sqlite:////a.db"})) == 1
    for shared in SHARED:
        assert misplaced(master, {"offsets.store": shared, "sink.path": None}) == []


def test_the_job_file_is_refused_with_all_its_other_problems() -> None:
    """Exit 2 with both disks and whatever else is wrong."""
    text = JOB + "[spark]\nspark.master = spark://host:7077\nspakr.x = 1\n"
    with pytest.raises(ConfigError) as raised:
        load("job.cfg", text, environ={})
    assert len(raised.value.problems) == 3
    load("job.cfg", text.replace("spakr.x = 1", ""), ["spark.spark.master=local[2]"], {})
    with pytest.raises(ConfigError):
        load("job.cfg", JOB, [f"sink.path={SHARED[1]}", "spark.spark.master=yarn"], {})


@pytest.mark.parametrize(("submitted", "refused"), [("spark://host:7077", True), ("local[2]", False), (None, False)])
def test_what_spark_submit_was_told_counts(
    monkeypatch: pytest.MonkeyPatch, submitted: str | None, refused: bool
) -> None:
    """Its --master stands where the job file has none, and refuses the local sink."""
    monkeypatch.setattr(conf, "all_told", lambda: {"spark.master": submitted} if submitted else {})
    shared = [f"offsets.store={SHARED[0]}", f"sink.path={SHARED[1]}"]
    conf.refuse_told(load("job.cfg", JOB, shared, {}))
    local = load("job.cfg", JOB, shared[:1], {})
    conf.refuse_told(load("job.cfg", JOB, [shared[0], "spark.spark.master=local[2]"], {}))
    if refused:
        with pytest.raises(ConfigError, match="sink"):
            conf.refuse_told(local)
    else:
        conf.refuse_told(local)
