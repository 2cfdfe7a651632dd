"""What Spark is configured with, before any JVM is started."""

from __future__ import annotations

from streaming.config import JobConfig
from streaming.session import configured, without_secrets


def job(**spark: str) -> JobConfig:
    options = {f"spark.{name.replace('_', '.')}": value for name, value in spark.items()}
    place = {"store": "memory:", "session_timeout_ms": 10_000, "sink_path": "file:///o", "sink_format": "json"}
    source = {"subscribe": ("t",), "starting_offsets": "earliest", "max_offsets_per_trigger": None}
    return JobConfig("j.cfg", "j", None, 1000, **source, **place, kafka={}, spark=options)  # type: ignore[arg-type]


def test_secrets_of_the_spark_section_stay_out_of_the_jvms_arguments() -> None:
    """Spark itself gets them; what is put into the argument list, where `ps` shows it, does not hold them."""
    conf = configured(job(hadoop_fs_s3a_secret_key="canary", authenticate_secret="canary", driver_memory="1g"), False)
    assert conf.get("spark.authenticate.secret") == "canary"
    public = dict(without_secrets(conf).getAll())
    assert "canary" not in public.values()
    assert public["spark.driver.memory"] == "1g"


def test_workers_do_not_import_from_where_the_job_was_launched() -> None:
    """A folder `streaming` in the working directory would be taken for ours on executors."""
    assert configured(job(), False).get("spark.executorEnv.PYTHONSAFEPATH") == "1"
