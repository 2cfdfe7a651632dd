"""The page of settings, printed from the table that job files are read by: python -m streaming.settings_page."""

from __future__ import annotations

from itertools import groupby

from streaming.config.settings import REQUIRED, SETTINGS, Setting

HEAD = """\
Settings of a job file
======================

Made by ``python -m streaming.settings_page > streaming/SETTINGS.rst`` from the code that reads job files. A job file
is INI text; ``--set section.key=value`` changes a setting for one run, and ``${env:NAME}`` in a value stands for an
environment variable. Every mistake is reported at once, before anything is connected to, with exit status 2.
"""
NOTES = {
    "kafka": """\
Properties of librdkafka, passed on; ``bootstrap.servers`` is required. What the promise rests on cannot be set
otherwise (``auto.offset.reset``, ``enable.auto.commit``, ``isolation.level``, ...); a job that tries is refused.
""",
    "spark": """\
Properties of Spark, passed on, each key with its own ``spark.``. Refused are ``spark.streaming.concurrentJobs`` other
than 1, a checkpoint directory, ``spark.streaming.stopGracefullyOnShutdown``, and ``spark.speculation`` with a direct
sink. These are ours, under Spark's names for its own Kafka stream:

""",
}


def page() -> str:
    """The whole page, reStructuredText."""
    sections = {name: list(found) for name, found in groupby(SETTINGS, key=lambda s: s.option.partition(".")[0])}
    return HEAD + "".join(section(name, sections.get(name, [])) for name in dict.fromkeys([*sections, *NOTES]))


def section(name: str, settings: list[Setting]) -> str:
    title = f"[{name}]"
    return f"\n{title}\n{'-' * len(title)}\n\n" + NOTES.get(name, "") + "\n".join(map(entry, settings))


def entry(setting: Setting) -> str:
    """A definition: the key, whether it must be given, what it means."""
    key = setting.option.partition(".")[2]
    return f"``{key}`` ({default(setting)})\n    {setting.meaning}\n"


def default(setting: Setting) -> str:
    if setting.default is REQUIRED:
        return "required"
    if setting.default is None:
        return "optional"
    value = str(setting.default)
    return f"default ``{value.lower() if isinstance(setting.default, bool) else value}``"


if __name__ == "__main__":
    print(page(), end="")
