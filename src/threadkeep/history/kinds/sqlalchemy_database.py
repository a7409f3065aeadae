"""A history in a database of SQLAlchemy, in the tables of the Agents SDK's SQLAlchemySession: each reads the other's.

The SDK creates the tables, adds and clears. Reading and popping are here, since the SDK leaves damaged items out, and
deletes them when it pops.
"""

from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar, cast

import attrs

from threadkeep.errors import ExtraMissing, HistoryUnusable, ThreadkeepError
from threadkeep.history.items import Item, encode_item
from threadkeep.history.kinds.files import is_there
from threadkeep.history.kinds.numbered_rows import MOST, Row, RowPlace, checked_session_id, read_items, undamaged
from threadkeep.history.kinds.server_connection import ServerConnection
from threadkeep.history.session import SessionInfo

try:
    import sqlalchemy as sql
    from agents.extensions.memory import SQLAlchemySession
    from sqlalchemy.exc import ArgumentError, DBAPIError, InvalidRequestError, NoSuchModuleError
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
except ImportError as error:
    raise ExtraMissing(
        f"a history in a database needs the Agents SDK: pip install 'threadkeep[agents]' ({error})"
    ) from None

__all__ = ["KEEPS_METADATA", "MANY_SESSIONS", "delete_session", "list_sessions", "open_store", "recover"]

MANY_SESSIONS = True
KEEPS_METADATA = False

_T = TypeVar("_T")

_sessions = sql.table("agent_sessions", sql.column("session_id"), sql.column("updated_at"))
_messages = sql.table(
    "agent_messages",
    sql.column("id", sql.Integer),
    sql.column("session_id", sql.String),
    sql.column("message_data", sql.Text),
    sql.column("created_at", sql.TIMESTAMP),
)


@attrs.define
class _Database:
    """The client of a database.

    Attributes:
        engine: of SQLAlchemy.
        session: the SDK's session that adds items; None before the tables are known to be there.
    """

    engine: AsyncEngine
    session: SQLAlchemySession | None = None

    async def disconnect(self) -> None:
        """Close the connections."""
        await self.engine.dispose()


@attrs.frozen
class _Server:
    """A database, by its URL.

    Attributes:
        url: with everything.
        address: without secrets, for messages.
        file: of SQLite, which would create it when it connects; None for other databases.
        connection: to it.
    """

    url: str
    address: str
    file: Path | None
    connection: ServerConnection[_Database]

    def ask(self, work: Callable[[_Database], Coroutine[Any, Any, _T]]) -> _T:
        """Do work with the client.

        Raises:
            HistoryUnusable: the database refuses, or does not answer.
        """
        try:
            return self.connection.run(work)
        except (ThreadkeepError, RecursionError):
            raise
        except Exception as error:  # noqa: BLE001 - what a driver raises that cannot connect, SQLAlchemy does not wrap
            refusal = HistoryUnusable(f"{self.address} cannot be used: {_first_line(error)}. {_hint(error)}")
        raise refusal  # out of the handler, so that the library's error is not chained to it

    def ask_tables(self, work: Callable[[_Database], Coroutine[Any, Any, _T]], missing: _T) -> _T:
        """Do work as `ask` does; where there are no tables, return what is the result then."""
        if self.file is not None and not is_there(self.file):
            return missing

        async def unless_missing(database: _Database) -> _T:
            try:
                return await work(database)
            except DBAPIError as error:
                failure = error
            if failure.connection_invalidated or await _has_tables(database):
                raise failure
            return missing

        return self.ask(unless_missing)


@attrs.frozen
class _DatabaseStore:
    server: _Server
    session_id: str

    @property
    def _place(self) -> RowPlace:
        return RowPlace(
            url=self.server.url, address=self.server.address, session_id=self.session_id, word="The row with the id"
        )

    def read(self, limit: int | None) -> list[Item]:
        async def read(database: _Database) -> list[Item]:
            async with database.engine.connect() as connection:
                return await read_items(self._fetch(connection), limit, self._place)

        return self.server.ask_tables(read, [])

    def append(self, items: Sequence[Item]) -> None:
        for item in items:
            encode_item(item)  # raises what the SDK would raise later, in other words

        async def append(database: _Database) -> None:
            if database.session is None:
                session = SQLAlchemySession(self.session_id, engine=database.engine, create_tables=True)
                await _create_tables(session)
                database.session = session
            await database.session.add_items(cast(Any, list(items)))

        try:
            self.server.ask(append)
        except RecursionError:
            raise ValueError("an item is nested too deeply") from None

    def pop(self) -> Item | None:
        async def pop(database: _Database) -> Item | None:
            async with database.engine.begin() as connection:
                # Other writers wait for the session's row. A database that cannot lock a row locks it when it is set.
                own = _sessions.c.session_id == self.session_id
                await connection.execute(sql.update(_sessions).where(own).values(updated_at=_sessions.c.updated_at))
                newest: list[Row] = []

                async def fetch(limit: int | None) -> list[Row]:
                    newest[:] = await self._fetch(connection)(limit)
                    return newest

                items = await read_items(fetch, 1, self._place)
                if newest:
                    await connection.execute(sql.delete(_messages).where(_messages.c.id == newest[0][0]))
                return items[0] if items else None

        return self.server.ask_tables(pop, None)

    def clear(self) -> None:
        self.server.ask_tables(
            lambda database: SQLAlchemySession(self.session_id, engine=database.engine).clear_session(), None
        )

    def close(self) -> None:
        self.server.connection.close()

    def recover(self) -> list[Item]:
        """Return the undamaged items."""

        async def recover(database: _Database) -> list[Item]:
            async with database.engine.connect() as connection:
                return undamaged(await self._fetch(connection)(None))

        return self.server.ask_tables(recover, [])

    def _fetch(self, connection: AsyncConnection) -> Callable[[int | None], Coroutine[Any, Any, list[Row]]]:
        """Return a function that returns the newest rows, in the SDK's order."""

        async def fetch(limit: int | None) -> list[Row]:
            rows = await connection.execute(
                sql.select(_messages.c.id, _messages.c.message_data)
                .where(_messages.c.session_id == self.session_id)
                .order_by(_messages.c.created_at.desc(), _messages.c.id.desc())
                .limit(None if limit is None else min(limit, MOST))
            )
            return [(number, _as_bytes(text)) for number, text in reversed(rows.all())]

        return fetch


def open_store(url: str, session_id: str, metadata: Mapping[str, Any] | None) -> _DatabaseStore:
    """Open a session in a database. The database is not asked yet."""
    if metadata is not None:
        raise ValueError("a history in the tables of the Agents SDK keeps no metadata")
    return _DatabaseStore(_server(url), checked_session_id(session_id))


def list_sessions(url: str) -> list[SessionInfo]:
    """Return the sessions that have items, in the order of their first items."""
    server = _server(url)
    with closing(server.connection):
        return server.ask_tables(_listed, [])


def delete_session(url: str, session_id: str) -> None:
    """Remove the rows of a session from both tables."""
    with closing(open_store(url, session_id, None)) as store:
        store.clear()


def recover(url: str, session_id: str | None) -> list[Item]:
    """Return the undamaged items of one session, or of all in the order of `list_sessions`."""
    names = [session_id] if session_id is not None else [info.session_id or "" for info in list_sessions(url)]
    server = _server(url)
    with closing(server.connection):
        return [item for name in names for item in _DatabaseStore(server, name).recover()]


async def _listed(database: _Database) -> list[SessionInfo]:
    dialect = database.engine.dialect.name
    # PostgreSQL keeps local times; the cast adds the zone in which its sessions are.
    at = (
        sql.cast(_messages.c.created_at, sql.TIMESTAMP(timezone=True))
        if dialect == "postgresql"
        else _messages.c.created_at
    )
    async with database.engine.connect() as connection:
        rows = await connection.execute(
            sql.select(_messages.c.session_id, sql.func.count(), sql.func.min(at), sql.func.max(at))
            .group_by(_messages.c.session_id)
            .order_by(sql.func.min(_messages.c.created_at), sql.func.min(_messages.c.id))
        )
        return [
            SessionInfo(session_id=name, items=count, first_at=_in_utc(first, dialect), last_at=_in_utc(last, dialect))
            for name, count, first, last in rows
        ]


def _in_utc(moment: datetime, dialect: str) -> datetime | None:
    """Return a time with its zone; None if the zone is not known. SQLite keeps UTC."""
    if moment.tzinfo is not None:
        return moment.astimezone(UTC)
    return moment.replace(tzinfo=UTC) if dialect == "sqlite" else None


def _as_bytes(text: object) -> bytes:
    """Return the text of a row: SQLite may hold anything in a column of texts."""
    return text if isinstance(text, bytes) else str(text).encode(errors="surrogatepass")


async def _create_tables(session: SQLAlchemySession) -> None:
    """Create the tables if they are not there: the SDK does it before it reads."""
    try:
        await session.get_items(1)
    except DBAPIError:  # another process has created them at the same moment
        await session.get_items(1)


async def _has_tables(database: _Database) -> bool:
    async with database.engine.connect() as connection:
        return await connection.run_sync(lambda sync: sql.inspect(sync).has_table(_messages.name))


def _server(url: str) -> _Server:
    parts = _engine(url).url
    named = parts.get_backend_name() == "sqlite" and parts.database not in (None, "", ":memory:")
    return _Server(
        url=url,
        address=_address(parts),
        file=Path(str(parts.database)) if named else None,
        connection=ServerConnection(lambda: _Database(_engine(url)), _Database.disconnect),
    )


def _engine(url: str) -> AsyncEngine:
    """Return an engine that shows no items in errors, and replaces a connection that was lost meanwhile.

    Raises:
        ValueError: the URL is malformed, or has no async driver.
        ExtraMissing: the driver is not installed.
    """
    try:
        return create_async_engine(url, pool_pre_ping=True, hide_parameters=True)
    except ModuleNotFoundError as error:
        refusal: Exception = ExtraMissing(f"the driver {error.name} is not installed: pip install {error.name}")
    except (NoSuchModuleError, InvalidRequestError):
        scheme = url.partition("://")[0]
        refusal = ValueError(f"{scheme!r} names no async driver of SQLAlchemy, such as postgresql+asyncpg")
    except (ArgumentError, ValueError):
        refusal = ValueError(_MALFORMED)
    raise refusal


def _address(parts: sql.URL) -> str:
    """Return a URL without user name, password and options.

    Raises:
        ValueError: the URL is malformed. It is not quoted, since what is a password in it is not known.
    """
    if "@" in (parts.host or ""):
        raise ValueError(_MALFORMED)
    shown = sql.URL.create(parts.drivername, host=parts.host, port=parts.port, database=parts.database)
    return shown.render_as_string()


_MALFORMED = (
    "the URL of the database is malformed. It is DIALECT+DRIVER://USER:PASSWORD@HOST:PORT/DATABASE; in the user name"
    " and the password, each of / ? # @ : is percent-encoded."
)
_LOST = "A change that was being made may have been made: read the history before you repeat it."
_ASKING = (
    f"The user must be allowed to read and write the tables {_sessions.name} and {_messages.name}, and they must have"
    " the columns that the Agents SDK creates."
)
_CONNECTING = (
    "Check the address, the user name, the password, the database and the options in the URL, and whether the server"
    " runs."
)


def _hint(error: Exception) -> str:
    """Return what to do next. Drivers fail to connect in their own ways."""
    if isinstance(error, DBAPIError) and error.connection_invalidated:
        return _LOST
    return _ASKING if isinstance(error, DBAPIError) and error.statement is not None else _CONNECTING


def _first_line(error: BaseException) -> str:
    """Return the words of the driver. Further lines may quote a row."""
    if isinstance(error, DBAPIError) and error.orig is not None:
        error = error.orig.__cause__ or error.orig
    return next(iter(str(error).splitlines()), type(error).__name__).rstrip(".")
