"""State, manifest and sink marker <-> bytes: one line of header, one line of canonical JSON under a sha256.

Decides only whether bytes are exactly what this program wrote.  Damaged, truncated, foreign or newer bytes raise
StateDamagedError; nothing is ever guessed, repaired or defaulted.  What cannot be read back is not written either.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from offsets.errors import ForeignStateError, StateDamagedError
from offsets.json_forms import (
    dump_manifest,
    dump_marker,
    dump_state,
    load_manifest,
    load_marker,
    load_state,
)
from offsets.json_losses import dump_loss_record, load_loss_record
from offsets.json_values import as_integer, as_text, fields_of
from offsets.structs import LossRecord, Manifest, State

FORMAT = 1  # bump when the stored form changes; an older program then refuses instead of guessing
_MAGIC = b'{"format":'
_REMEDIES = {
    "state": "if [offsets] store points where it should, rebuild it: run_stream.py {job} --recover register",
    "marker": "if sink.path points where it should, move the damaged file away, then: "
    "run_stream.py {job} --recover marker",
    "manifest": "restore the file from its twin: the manifest in _staging/<epoch>/<seq> and the batch log entry "
    "_batches/<generation>/<seq>.json have the same bytes; then launch again",
    "losses": "restore the file from a copy; it alone says which records were given up there",
}
T = TypeVar("T")


def digest(data: bytes) -> str:
    """What a ManifestRef must carry as sha256 of the manifest's bytes."""
    return hashlib.sha256(data).hexdigest()


def encode_state(state: State) -> bytes:
    """The register's bytes.  Raises ValueError for a state that could not be read back as it is."""
    return _encode("state", state, dump_state(state), load_state)


def decode_state(data: bytes, where: str = "the register", job: str = "JOB.cfg") -> State:
    """Raises StateDamagedError, naming `where` and what was found (ForeignStateError if it may not be ours)."""
    return _decode("state", data, where, load_state, job)


def encode_manifest(manifest: Manifest) -> bytes:
    """The manifest's bytes, also those of its batch log entry.  Raises ValueError as `encode_state` does."""
    return _encode("manifest", manifest, dump_manifest(manifest), load_manifest)


def decode_manifest(data: bytes, where: str = "the manifest") -> Manifest:
    """Raises StateDamagedError as `decode_state` does."""
    return _decode("manifest", data, where, load_manifest)


def encode_marker(app: str) -> bytes:
    """The bytes of the sink root's marker, which carries the application's uuid."""
    return _encode("marker", app, dump_marker(app), load_marker)


def decode_marker(data: bytes, where: str = "the sink's marker") -> str:
    """The application's uuid.  Raises StateDamagedError as `decode_state` does."""
    return _decode("marker", data, where, load_marker)


def encode_loss_record(record: LossRecord) -> bytes:
    """The bytes of the sink's record of a skip.  Raises ValueError as `encode_state` does."""
    return _encode("losses", record, dump_loss_record(record), load_loss_record)


def decode_loss_record(data: bytes, where: str) -> LossRecord:
    """Raises StateDamagedError as `decode_state` does."""
    return _decode("losses", data, where, load_loss_record)


# ---- the envelope


def _encode(kind: str, value: T, content: Mapping[str, Any], load: Callable[[Any], T]) -> bytes:
    body = _canonical(content)
    if load(_parse(body)) != value:
        raise ValueError(f"the {kind} would not be read back as it is: {value!r:.500}")
    return _header(kind, body) + b"\n" + body


def _decode(kind: str, data: bytes, where: str, load: Callable[[Any], T], job: str = "JOB.cfg") -> T:
    remedy = _REMEDIES[kind].format(job=job)
    if not _MAGIC.startswith(data[: len(_MAGIC)]):
        raise ForeignStateError(f"{where} was not written by this program: it begins {data[:40]!r}", remedy)
    header, newline, body = data.partition(b"\n")
    if newline and header == _header(kind, body):
        try:
            return load(_parse(body))
        except (ValueError, RecursionError) as e:
            raise StateDamagedError(f"{where} has a right checksum over a wrong content: {e}", remedy) from e
    _refuse_other(kind, header, where, remedy)
    found = f"{len(data)} bytes, beginning {data[:80]!r}" if data else "no bytes at all"
    raise StateDamagedError(f"{where} is damaged or truncated (format, length or sha256 is wrong): {found}", remedy)


def _refuse_other(kind: str, header: bytes, where: str, remedy: str) -> None:
    """Raises ForeignStateError if the header is legible and says newer format or other kind."""
    try:
        fields = fields_of(_parse(header), "format", "kind", "sha256")
        version, found = as_integer(fields[0]), as_text(fields[1])
    except (ValueError, RecursionError):
        return
    if version > FORMAT:
        upgrade = "install the version that wrote it, or a newer one; never run an older one on the same job"
        raise ForeignStateError(f"{where} has format {version}, this program reads up to {FORMAT}", upgrade)
    if found != kind:
        raise ForeignStateError(f"{where} holds a {found}, not a {kind}", remedy)


def _header(kind: str, body: bytes) -> bytes:
    return _canonical({"format": FORMAT, "kind": kind, "sha256": digest(body)})


def _canonical(content: Mapping[str, Any]) -> bytes:
    return json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False).encode("ascii")


def _parse(body: bytes) -> Any:
    return json.loads(body.decode("ascii"), object_pairs_hook=_unique)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError(f"a key stands twice among {[key for key, _ in pairs]!r:.200}")
    return found
