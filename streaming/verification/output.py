"""A verdict for people, as a table and one line a finding, and for programs, as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from typing import TextIO

from streaming.tables import print_rows
from streaming.verification.findings import Verdict

COLUMNS = ("GENERATION", "TOPIC", "PARTITION", "VOUCHED FROM", "UNTIL")


def print_table(verdict: Verdict, file: TextIO) -> None:
    file.write(f"{verdict.sink}\n")
    print_rows(COLUMNS, verdict.vouched, file)
    for line in lines(verdict):
        file.write(f"{line}\n")


def lines(verdict: Verdict) -> Iterator[str]:
    """What was seen, then every finding, then the sum of it."""
    c = verdict.counts
    seen = f"{c.batches:,} batches, {c.files:,} files, {c.rows:,} rows, {c.records:,} records, {c.bytes:,} bytes"
    yield seen + (f", {c.bad:,} rows of bad records" if c.bad else "")
    if verdict.oldest:
        older = f"; {c.older:,} older files are there, of which it says nothing"
        yield f"the batch log begins with batch {verdict.oldest}{older}"
    if c.checked:
        yield f"{c.checked:,} checksums compared"
    if c.moved:
        yield f"{c.moved:,} files are not there (any more)"
    if c.unlogged:
        yield f"{c.unlogged:,} batches are committed without an entry in the batch log; that is no finding"
    if c.repeated:
        yield f"{c.repeated:,} files are of batches that were read again, or have no entry; that is no finding"
    if verdict.in_flight:
        f = verdict.in_flight
        yield f"batch {f.batch} is prepared, {f.published} of its {f.files} files are published; that is no finding"
    for hole in verdict.holes:
        yield f"known hole: {hole}; that is no finding"
    for finding in verdict.findings:
        yield f"{finding.kind} {finding.where}: {finding.told}"
    yield f"{len(verdict.findings):,} findings" if verdict.findings else "no findings"


def print_json(verdict: Verdict, file: TextIO) -> None:
    """One object; findings and partitions as objects too."""
    form = asdict(verdict)
    form["vouched"] = [v._asdict() for v in verdict.vouched]
    form["holes"] = [h._asdict() for h in verdict.holes]
    form["findings"] = [f._asdict() for f in verdict.findings]
    form["in_flight"] = verdict.in_flight._asdict() if verdict.in_flight else None
    json.dump(form, file)
    file.write("\n")


FORMATS = {"table": print_table, "json": print_json}
