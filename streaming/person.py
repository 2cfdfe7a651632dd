"""Who has moved offsets or paused a job, as register and sink keep it."""

from __future__ import annotations

import getpass
import os
import socket


def person() -> str:
    """Who types this; a container's user may have no name."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = f"uid {os.getuid()}"
    return f"{user}@{socket.gethostname()}"
