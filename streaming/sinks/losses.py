"""Records of skipped losses: `_losses/<generation>.json`, written once and kept for ever.  Driver only.

They alone say, once the register has gone on, that records between two generations are missing on purpose.
"""

from __future__ import annotations

from offsets import codec
from offsets.filesystems import Filesystem
from offsets.structs import LossRecord, State
from streaming.sinks.names import LOSSES, loss_entry
from streaming.sinks.notes import write_once


def record_losses(filesystem: Filesystem, state: State) -> bool:
    """Writes down what the register names; False if it was there.  DestinationExistsError: another record is."""
    path = loss_entry(state.generation)
    is_new = filesystem.status(path) is None
    write_once(filesystem, path, codec.encode_loss_record(LossRecord(state.app, state.generation, state.losses)))
    return is_new


def loss_generations(filesystem: Filesystem) -> list[int]:
    """Those that have begun behind a loss, ascending."""
    names = (entry.name.removesuffix(".json") for entry in filesystem.list(LOSSES) if entry.name.endswith(".json"))
    return sorted(int(name) for name in names if name.isdecimal())


def read_losses(filesystem: Filesystem, generation: int) -> LossRecord:
    """StateDamagedError."""
    path = loss_entry(generation)
    return codec.decode_loss_record(filesystem.read(path), f"{filesystem.url}/{path}")


def last_losses(filesystem: Filesystem) -> LossRecord | None:
    """The newest record; None if nothing was ever skipped.  StateDamagedError."""
    generations = loss_generations(filesystem)
    return read_losses(filesystem, generations[-1]) if generations else None
