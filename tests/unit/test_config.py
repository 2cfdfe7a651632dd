"""The job file: every mistake at once, nothing guessed, no secrets on a command line."""

from __future__ import annotations

import re

import pytest

from offsets.errors import ConfigError
from offsets.rate import Rates
from offsets.starting import AtTimes
from offsets.structs import TopicPartition
from streaming.config.reading import load
from streaming.config.settings import SETTINGS
from streaming.config.values import duration
from streaming.source.subscription import Assign, Subscribe, SubscribePattern, Subscription

GOOD = """
[job]
name = orders
[source]
subscribe = orders, returns
startingOffsets = {"orders":{"0":23,"1":-2}}
[kafka]
bootstrap.servers = localhost:9092
[offsets]
store = file:///tmp/orders
[sink]
path = file:///tmp/lake
[spark]
spark.master = local[2]
"""


def problems(text: str, *overrides: str, environ: dict[str, str] | None = None) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        load("job.cfg", text, overrides, environ or {})
    assert caught.value.exit_status == 2
    return caught.value.problems


def test_reads_every_section() -> None:
    """Values arrive typed; property sections are passed on key by key."""
    job = load("job.cfg", GOOD)
    assert job.subscription == Subscribe(("orders", "returns"))
    assert job.starting_offsets == {"orders": {0: 23, 1: -2}}
    assert job.kafka == {"bootstrap.servers": "localhost:9092"}
    assert job.spark == {"spark.master": "local[2]"}
    assert (job.function, job.max_offsets_per_trigger, job.sink_format) == (None, None, "json")


def test_all_problems_at_once() -> None:
    """One run names every mistake: unknown, missing, malformed and refused."""
    text = (
        GOOD.replace("name = orders", "nmae = orders")
        .replace("path = file:///tmp/lake", "path = ftp://x/lake\nformat = xml")
        .replace("bootstrap.servers = localhost:9092", "auto.offset.reset = latest")
        .replace("spark.master", "spark.streaming.concurrentJobs = 2\nmaster")
    )
    found = "\n".join(problems(text))
    expected = ("job.nmae: unknown; did you mean job.name?", "job.name: missing", "sink.path", "sink.format")
    expected += (
        "kafka.bootstrap.servers: missing",
        "auto.offset.reset",
        "concurrentJobs: refused",
        "--set spark.spark.master=...",
    )
    for part in expected:
        assert part in found


@pytest.mark.parametrize(
    "offsets",
    [
        *("nearest", '{"orders":{"0":-3}}', '{"orders":{"x":1}}', '{"orders":{"0":true}}', "[1]", '{"orders":5}', "{"),
        *('{"orders":{"0":1,"0":2}}', '{"orders":{"0":1},"orders":{"1":2}}', '{"orders":{"0":1,"00":2}}', "[" * 5000),
    ],
)
def test_starting_offsets_are_strict(offsets: str) -> None:
    """Anything but earliest, latest or whole offsets by partition is refused with an example."""
    (found,) = problems(GOOD.replace('{"orders":{"0":23,"1":-2}}', offsets))
    assert "source.startingOffsets" in found
    assert "-2 earliest" in found


@pytest.mark.parametrize("topics", ["", "a,a", "a b", "..", "ä", "x" * 250])
def test_topic_names_follow_kafka(topics: str) -> None:
    """A name that Kafka could not have is refused before any connection."""
    assert any("source.subscribe" in p for p in problems(GOOD.replace("orders, returns", topics)))


def test_exactly_one_way_of_naming_topics() -> None:
    """None, or two of the three, is a problem like any other."""
    assert "source.subscribe or source.subscribePattern or source.assign: missing" in "\n".join(
        problems(GOOD.replace("subscribe = orders, returns\n", ""))
    )
    (found,) = problems(GOOD, 'source.assign={"orders":[0]}')
    assert found == "source.subscribe and source.assign: only one of them can be meant"


@pytest.mark.parametrize(
    ("option", "expected"),
    [
        ("subscribePattern=orders-.*", SubscribePattern(re.compile("orders-.*"))),
        ('assign={"t":[0,2]}', Assign(frozenset({TopicPartition("t", 0), TopicPartition("t", 2)}))),
    ],
)
def test_pattern_and_assignment(option: str, expected: Subscription) -> None:
    """In Structured Streaming's words; the pattern is Python's."""
    assert load("job.cfg", GOOD.replace("subscribe =", "#"), [f"source.{option}"]).subscription == expected


@pytest.mark.parametrize(
    "option",
    [
        "subscribePattern=orders-(",
        *(
            f"assign={text}"
            for text in (
                '{"t":[-1]}',
                '{"t":["0"]}',
                '{"t":[0,0]}',
                '{"a b":[0]}',
                "{}",
                "[1]",
                '{"t":0}',
                '{"t":[0],"t":[1]}',
            )
        ),
        "startingTimestamp=yesterday",
        "startingTimestamp=-1",
        'startingOffsetsByTimestamp={"t":{"0":-2}}',
        "startingOffsetsByTimestamp=5",
        "startingOffsetsByTimestampStrategy=earliest",
        "client=librdkafka",
    ],
)
def test_what_cannot_be_meant_is_refused(option: str) -> None:
    """Patterns, partitions, times, strategies and clients."""
    text = GOOD if option.startswith(("starting", "client")) else GOOD.replace("subscribe =", "#")
    (found,) = problems(text, f"source.{option}")
    assert found.startswith(f"source.{option.partition('=')[0]} = ")


def test_the_most_exact_start_counts() -> None:
    """Structured Streaming's order: one time, then times by partition, then offsets; one of them must be there."""
    times = 'source.startingOffsetsByTimestamp={"orders":{"0":7}}'
    assert load("job.cfg", GOOD, [times]).start == AtTimes({"orders": {0: 7}})
    latest = "source.startingOffsetsByTimestampStrategy=latest"
    assert load("job.cfg", GOOD, [times, "source.startingTimestamp=9", latest]).start == AtTimes(9, latest=True)
    (found,) = problems(GOOD.replace("startingOffsets =", "#"))
    assert found.startswith("source.startingOffsets or source.startingTimestamp or ")


def test_overrides_win_and_are_checked() -> None:
    """--set replaces a value; a malformed one is a problem like any other."""
    assert load("job.cfg", GOOD, ["source.maxOffsetsPerTrigger=50"]).max_offsets_per_trigger == 50
    assert "--set nonsense" in problems(GOOD, "nonsense")[0]
    assert "maxOffsetsPerTrigger = 0" in problems(GOOD, "source.maxOffsetsPerTrigger=0")[0]


@pytest.mark.parametrize("key", ["sasl.password", "ssl.key.password", "sasl.oauthbearer.client.secret", "ssl.key.pem"])
def test_secrets_never_on_the_command_line(key: str) -> None:
    """--set refuses secret keys and does not repeat their value."""
    (found,) = problems(GOOD, f"kafka.{key}=hunter2")
    assert "secrets never go on a command line" in found
    assert "hunter2" not in found


def test_environment_fills_values() -> None:
    """${env:NAME} is replaced; an unset variable is a problem, never an empty string."""
    text = GOOD.replace("localhost:9092", "${env:BROKERS}")
    assert load("job.cfg", text, environ={"BROKERS": "b:1"}).kafka["bootstrap.servers"] == "b:1"
    assert "environment variable BROKERS is not set" in "\n".join(problems(text))


def test_duplicate_and_broken_lines_are_named() -> None:
    """What the INI reader refuses becomes a problem with its line, not a trace."""
    assert "already exists" in problems(GOOD + "\n[job]\nname = twice\n")[0]
    assert "line 1:" in problems("name = no section\n" + GOOD)[0]


@pytest.mark.parametrize("text", [GOOD + "\n[kafka.x]\nsasl.password: hunter2\n", "sasl.password = hunter2\n" + GOOD])
def test_a_broken_line_is_not_shown(text: str) -> None:
    """It may be the password, with the wrong sign behind its name; the number of the line says enough."""
    (problem,) = problems(text)
    assert "hunter2" not in problem
    assert f"line {text.splitlines().index(next(s for s in text.splitlines() if 'hunter2' in s)) + 1}" in problem


@pytest.mark.parametrize(
    "line", ["[kafka.x]\nsasl.password: hun=ter2", "[offsets.x]\nstore: zookeeper://u:hunter2@z:2181/x?a=b"]
)
def test_a_colon_in_place_of_the_equals_sign(line: str) -> None:
    """Then a part of the value would be taken for the name, and shown with it."""
    assert "write = and not :" in (found := " ".join(problems(f"{GOOD}\n{line}\n")))
    assert "hun" not in found


def test_a_password_in_a_url_is_not_shown() -> None:
    """Neither as the setting's value nor in what is said of it."""
    for option in ("offsets.store=zookeeper://u:hunter2@z:2181/x", "sink.path=webhdfs://u:hunter2@n:9870/x"):
        assert "hunter2" not in (found := " ".join(problems(GOOD, option)))
        assert option.partition("=")[0] in found


def test_what_people_type_wrong_is_told_by_its_name() -> None:
    """A section with a typing error, a comment behind a value, and a mistake that is not in the file."""
    text = GOOD.replace("[spark]", "[sprak]").replace("[sink]", "[sink]\nformat = text  # lines")
    found = "\n".join(problems(text))
    assert "sprak.spark.master: unknown section [sprak]; did you mean spark?" in found
    assert "a comment needs a line of its own" in found
    with pytest.raises(ConfigError) as caught:
        load("job.cfg", GOOD, ["sink.format=xml"])
    assert "correct job.cfg or what --set gives" in caught.value.remedy


def test_every_setting_says_what_it_means() -> None:
    """The table of settings is the documentation: no empty meaning, no option twice."""
    assert all(setting.meaning for setting in SETTINGS)
    assert len({setting.option for setting in SETTINGS}) == len(SETTINGS)


def test_layouts_and_functions_go_together() -> None:
    """What a layout takes must be there to be taken; what has no effect is refused."""
    sink = "path = file:///tmp/lake\n"
    wrong = {
        "path.format = {a}-{b}": "more than one {name}",
        "path.format = c={c}": "have no field c; set job.function",
        "timezone = Europe/Bonn": "no time zone",
        "timestamp.extractor = RecordField": "sink.timestamp.field: missing",
        "timestamp.field = at": "only for sink.timestamp.extractor",
    }
    for line, told in wrong.items():
        assert told in "; ".join(problems(GOOD.replace(sink, f"{sink}{line}\n"))), line
    chunks = ("job.function=a:b", "job.function.mode=chunk", "sink.path.format=dt=%Y")
    assert "set sink.timestamp.extractor = RecordField" in problems(GOOD, *chunks)[0]
    by_field = ("sink.timestamp.extractor=RecordField", "sink.timestamp.field=at")
    assert load("job.cfg", GOOD, [*chunks, *by_field]).timestamp_field == "at"
    assert len(problems(GOOD, "job.function.mode=chunk", "job.setup=a:b")) == 2
    assert "there is no job.setup" in problems(GOOD, "job.setup.refresh.batches=3")[0]
    for share in ("1.1", "-1", "x"):
        assert "maxShare" in problems(GOOD, f"job.badRecords.maxShare={share}")[0]


def test_printed_commands_survive_a_blank() -> None:
    """A job file in a folder with a blank is quoted as a shell wants it."""
    assert load("my jobs/a.cfg", GOOD).job == "'my jobs/a.cfg'"
    assert load("a.cfg", GOOD).job == "a.cfg"


def test_rates_are_read_from_the_spark_section() -> None:
    """Under Spark's own names and with Spark's defaults; Spark is given them as well."""
    assert load("job.cfg", GOOD).rates == Rates()
    lines = "spark.streaming.backpressure.enabled = true\nspark.streaming.backpressure.pid.minRate = 50\n"
    job = load("job.cfg", GOOD + lines, ["spark.spark.streaming.kafka.maxRatePerPartition=1000"])
    assert job.rates == Rates(max_per_partition=1000, backpressure=True, min_rate=50.0)
    assert job.spark["spark.streaming.kafka.maxRatePerPartition"] == "1000"


def test_wrong_rates_are_all_told() -> None:
    """A name that is misspelt would limit nothing, a minimum of 0 would starve, another estimator does not exist."""
    keys = {
        "kafka.maxRatePerPartiton": "1",
        "kafka.minRatePerPartition": "0",
        "backpressure.enabled": "yes",
        "backpressure.rateEstimator": "fast",
        "backpressure.pid.integral": "-1",
        "backpressure.pid.minRate": "0.5",
    }
    found = problems(GOOD + "".join(f"spark.streaming.{key} = {value}\n" for key, value in keys.items()))
    assert len(found) == len(keys)
    assert any("maxRatePerPartiton: unknown here; did you mean spark.streaming.kafka.maxR" in line for line in found)


@pytest.mark.parametrize(
    ("store", "sink"),
    [
        ("file:///a/lake", "file:///a/lake"),
        ("file:///a/lake/offsets", "file:///a/lake/"),
        ("file:///a", "file:///a/my%20lake"),
        ("webhdfs://NN:9870/a/offsets?user=me", "webhdfs://nn:9870/a"),
    ],
)
def test_store_and_sink_have_directories_of_their_own(store: str, sink: str) -> None:
    """Neither may be or hold the other, whatever follows the path or however the host is written."""
    (problem,) = problems(GOOD, f"offsets.store={store}", f"sink.path={sink}")
    assert store in problem
    assert sink in problem


@pytest.mark.parametrize(
    ("store", "sink"),
    [
        ("file:///a/lake", "file:///a/lake2"),
        ("file:///a", "webhdfs://nn:9870/a"),
        ("webhdfs://nn:9870/a", "webhdfs://other:9870/a"),
        ("zookeeper://nn:9870/a", "webhdfs://nn:9870/a"),
    ],
)
def test_neighbours_are_no_problem(store: str, sink: str) -> None:
    """A name that begins with the other's, another server, another kind."""
    assert load("job.cfg", GOOD, [f"offsets.store={store}", f"sink.path={sink}"]).store == store


def test_retained_states() -> None:
    """A thousand, unless set; never fewer than a write needs to be told from another's."""
    assert load("job.cfg", GOOD).retain_states == 1000
    assert load("job.cfg", GOOD, ["offsets.retain.states=2"]).retain_states == 2
    assert "from 2 to" in problems(GOOD, "offsets.retain.states=1")[0]


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("10m", 600), ("1h", 3600), ("2d", 172_800), ("1.5h", 5400)]
)
def test_times_of_options(text: str, seconds: float) -> None:
    """A number and its unit."""
    assert duration(text) == seconds


@pytest.mark.parametrize("text", ["", "1", "m", "-1m", "0s", "1w", "1m ", "1e3s"])
def test_what_is_no_time(text: str) -> None:
    """Never guessed."""
    with pytest.raises(ValueError, match="must be a time like"):
        duration(text)
