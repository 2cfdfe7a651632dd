"""The tables of registers in a database.  Many registers share them, each by its name."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Connection, LargeBinary, MetaData, String, Table, inspect, text

_TABLES = MetaData()
REGISTERS = Table(  # which state is the newest
    "kds_registers",
    _TABLES,
    Column("name", String(100), primary_key=True),
    Column("incarnation", BigInteger, nullable=False),
    Column("version", BigInteger, nullable=False),
)
STATES = Table(
    "kds_states",
    _TABLES,
    Column("name", String(100), primary_key=True),
    Column("incarnation", BigInteger, primary_key=True),
    Column("version", BigInteger, primary_key=True),
    Column("state", LargeBinary, nullable=False),
)
HOLDERS = Table(  # who holds PostgreSQL's lock: believed only while that process of the server does
    "kds_holders",
    _TABLES,
    Column("name", String(100), primary_key=True),
    Column("pid", BigInteger, nullable=False),
    Column("owner", String(1000), nullable=False),
)
_MAKING = 0x6B64735F6D616B65  # the advisory lock of who makes the tables


def have_tables(connection: Connection) -> bool:
    """Whether somebody has made them."""
    return inspect(connection).has_table(STATES.name) and inspect(connection).has_table(HOLDERS.name)


def make_tables(connection: Connection) -> None:
    """Makes those that are not there, in the connection's transaction."""
    if connection.dialect.name == "postgresql":  # two that make a table at once get in each other's way there
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _MAKING})
    _TABLES.create_all(connection)
