"""How the holder of a lock says who it is: an Owner as a line of JSON.  Anything else that stands there is nobody."""

from __future__ import annotations

import json
from dataclasses import asdict, fields

from offsets.structs import Owner

_TYPES = {"host": str, "pid": int, "started": str, "run_id": str}


def owner_to_json(owner: Owner) -> str:
    """One line, without its end."""
    return json.dumps(asdict(owner))


def owner_from_json(text: bytes) -> Owner | None:
    """None for what is not exactly an Owner: half written, empty, or somebody else's."""
    try:
        value = json.loads(text)
    except ValueError:
        return None
    names = {field.name for field in fields(Owner)}
    if not isinstance(value, dict) or value.keys() != names:
        return None
    return Owner(**value) if all(type(value[name]) is kind for name, kind in _TYPES.items()) else None
