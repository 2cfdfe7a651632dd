"""kazoo's lock recipe under a deadline, and a look at who holds it.  A lock ends with its session, and not before."""

from __future__ import annotations

import re
import threading

from kazoo.exceptions import CancelledError, NoNodeError

from offsets.deadline import Deadline
from offsets.owners import owner_from_json, owner_to_json
from offsets.stores.zookeeper_session import Session
from offsets.structs import Owner

_CONTENDER = re.compile(r"__lock__(\d{10})$")


def acquire(session: Session, path: str, owner: Owner, wait: float, deadline: float) -> bool:
    """Whether it was free within `wait` seconds.  Then it is held until `session`, which must be its own, is closed."""
    lock = session.client(Deadline(deadline)).Lock(path, owner_to_json(owner))
    # kazoo's own timeout begins anew with each wake, and does not cover a request without an answer
    give_up = threading.Timer(wait, lock.cancel) if wait > 0 else None
    try:
        if give_up:
            give_up.start()
        return session.at_most(wait + deadline, lambda: bool(lock.acquire(blocking=wait > 0)))
    except CancelledError:
        return False
    finally:
        if give_up:
            give_up.cancel()


def first_contender(session: Session, path: str, until: Deadline) -> Owner | None:
    """Who holds the lock; None if nobody does."""
    try:
        names = session.read(until, lambda zk: zk.get_children_async(path))
        found = min((m for m in map(_CONTENDER.search, names) if m), key=lambda m: int(m[1]), default=None)
        if found is None:
            return None
        text, _ = session.read(until, lambda zk: zk.get_async(f"{path}/{found.string}"))
    except NoNodeError:  # no lock was ever taken, or its holder has gone between the two looks
        return None
    return owner_from_json(text)
