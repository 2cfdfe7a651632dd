"""A job file with what is required and nothing else.  No tests."""

from __future__ import annotations

JOB = """\
[job]
name = orders
[source]
subscribe = orders
startingOffsets = earliest
[kafka]
bootstrap.servers = localhost:1
[offsets]
store = file://{folder}/offsets
[sink]
path = file://{folder}/lake
"""
