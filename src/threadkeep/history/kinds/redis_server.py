"""A history in Redis, under the keys of the Agents SDK's RedisSession: each reads what the other wrote.

The SDK adds and clears. Reading and popping are here, since the SDK leaves damaged items out, and deletes them when it
pops.
"""

import re
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import closing
from typing import Any, TypeVar, cast
from urllib.parse import urlsplit

import attrs

from threadkeep.errors import ExtraMissing, HistoryUnusable
from threadkeep.history.items import Item, encode_item
from threadkeep.history.kinds.numbered_rows import MOST, Row, RowPlace, checked_session_id, read_items, undamaged
from threadkeep.history.kinds.server_connection import ServerConnection
from threadkeep.history.session import SessionInfo

try:
    from agents.extensions.memory import RedisSession
    from redis.asyncio import ConnectionPool, Redis
    from redis.asyncio.retry import Retry
    from redis.backoff import NoBackoff
    from redis.exceptions import AuthenticationError, RedisError, ResponseError
except ImportError as error:
    raise ExtraMissing(f"a history in Redis needs the Agents SDK: pip install 'threadkeep[agents]' ({error})") from None

__all__ = ["KEEPS_METADATA", "MANY_SESSIONS", "delete_session", "list_sessions", "open_store", "recover"]

MANY_SESSIONS = True
KEEPS_METADATA = False

_T = TypeVar("_T")

_PREFIX = "agents:session:"
_ROWS = ":messages"
_PATH = re.compile("/?[0-9]*")

# Removes the newest item if it is still the one that was looked at.
_POP = "if redis.call('LINDEX', KEYS[1], -1) == ARGV[1] then return redis.call('RPOP', KEYS[1]) end return false"


@attrs.frozen
class _Server:
    """A server, by its URL."""

    url: str
    address: str
    connection: ServerConnection[Redis]

    def ask(self, work: Callable[[Redis], Coroutine[Any, Any, _T]]) -> _T:
        """Do work with the client.

        Raises:
            HistoryUnusable: the server refuses, or does not answer.
        """
        try:
            return self.connection.run(work)
        except (RedisError, OSError, TypeError) as error:
            refusal = HistoryUnusable(f"{self.address} cannot be used: {str(error).rstrip('.')}. {_hint(error)}")
        raise refusal  # out of the handler, so that the library's error is not chained to it


@attrs.frozen
class _RedisStore:
    server: _Server
    session_id: str

    @property
    def _place(self) -> RowPlace:
        return RowPlace(
            url=self.server.url, address=self.server.address, session_id=self.session_id, word="The list element"
        )

    def read(self, limit: int | None) -> list[Item]:
        return self.server.ask(lambda client: read_items(self._fetch(client), limit, self._place))

    def append(self, items: Sequence[Item]) -> None:
        for item in items:
            encode_item(item)  # raises what the SDK would raise later, in other words
        self.server.ask(lambda client: _added(self._session(client), items))

    def pop(self) -> Item | None:
        return self.server.ask(self._pop)

    def clear(self) -> None:
        self.server.ask(lambda client: self._session(client).clear_session())

    def close(self) -> None:
        self.server.connection.close()

    def recover(self) -> list[Item]:
        """Return the undamaged items."""
        return undamaged(self.server.ask(lambda client: self._fetch(client)(None)))

    def _session(self, client: Redis) -> RedisSession:
        return RedisSession(self.session_id, redis_client=client)

    def _fetch(self, client: Redis) -> Callable[[int | None], Coroutine[Any, Any, list[Row]]]:
        async def fetch(limit: int | None) -> list[Row]:
            async with client.pipeline(transaction=True) as pipe:
                pipe.llen(_rows_key(self.session_id))
                pipe.lrange(_rows_key(self.session_id), 0 if limit is None else -min(limit, MOST), -1)
                total, texts = await pipe.execute()
            return list(enumerate(texts, total - len(texts)))

        return fetch

    async def _pop(self, client: Redis) -> Item | None:
        newest: list[Row] = []

        async def fetch(limit: int | None) -> list[Row]:
            newest[:] = await self._fetch(client)(limit)
            return newest

        while items := await read_items(fetch, 1, self._place):
            if await client.eval(_POP, 1, _rows_key(self.session_id), newest[0][1]) is not None:
                return items[0]
        return None


async def _added(session: RedisSession, items: Sequence[Item]) -> None:
    try:
        await session.add_items(cast(Any, list(items)))
    except RecursionError:
        raise ValueError("an item is nested too deeply") from None


def open_store(url: str, session_id: str, metadata: Mapping[str, Any] | None) -> _RedisStore:
    """Open a session on a server. The server is not asked yet."""
    if metadata is not None:
        raise ValueError("a history in Redis keeps no metadata")
    return _RedisStore(_server(url), checked_session_id(session_id))


def list_sessions(url: str) -> list[SessionInfo]:
    """Return the sessions that have items, in the order in which they were created.

    Times are None: those that the SDK keeps, in seconds, are not those of the items once one was popped.
    """
    server = _server(url)
    with closing(server.connection):
        return server.ask(_listed)


def delete_session(url: str, session_id: str) -> None:
    """Remove the keys of a session."""
    store = open_store(url, session_id, None)
    with closing(store):
        store.clear()


def recover(url: str, session_id: str | None) -> list[Item]:
    """Return the undamaged items of one session, or of all in the order of `list_sessions`."""
    names = [session_id] if session_id is not None else [info.session_id or "" for info in list_sessions(url)]
    server = _server(url)
    with closing(server.connection):
        return [item for name in names for item in _RedisStore(server, name).recover()]


async def _listed(client: Redis) -> list[SessionInfo]:
    keys = {key async for key in client.scan_iter(match=f"{_PREFIX}*{_ROWS}", count=1000, _type="list")}
    names = sorted(key.decode()[len(_PREFIX) : -len(_ROWS)] for key in keys if _is_utf8(key))
    async with client.pipeline(transaction=False) as pipe:
        for name in names:
            pipe.llen(_rows_key(name))
            pipe.hget(f"{_PREFIX}{name}", "created_at")
        answers = await pipe.execute(raise_on_error=False)
    rows = zip(names, answers[::2], answers[1::2], strict=True)
    in_order = sorted(rows, key=lambda row: _seconds(row[2]))
    return [
        SessionInfo(session_id=name, items=count) for name, count, _ in in_order if isinstance(count, int) and count
    ]


def _seconds(created_at: object) -> int:
    """Return when a session was created; 0 if the server does not say."""
    return int(created_at) if isinstance(created_at, bytes) and created_at.isdigit() else 0


def _is_utf8(key: bytes) -> bool:
    """Return whether a key may be one of the SDK, which writes UTF-8."""
    return key.decode(errors="replace").encode() == key


def _rows_key(session_id: str) -> str:
    return f"{_PREFIX}{session_id}{_ROWS}"


def _server(url: str) -> _Server:
    address = _address(url)
    _client(url)
    return _Server(url, address, ServerConnection(lambda: _client(url), Redis.aclose))


def _client(url: str) -> Redis:
    """Return a client that tries once: a change that is repeated after a lost answer may be made twice."""
    # With protocol 3, redis-py does not notice that an idle connection was closed.
    pool = ConnectionPool.from_url(url, retry=Retry(NoBackoff(), 0), protocol=2)
    pool.connection_kwargs["decode_responses"] = False  # whatever the URL says: a row need not be UTF-8
    return Redis.from_pool(pool)


def _address(url: str) -> str:
    """Return a URL without user name, password and options.

    Raises:
        ValueError: the URL is malformed. It is not quoted, since what is a password in it is not known.
    """
    try:
        ConnectionPool.from_url(url)
        parts = urlsplit(url)
    except ValueError:
        parts = None
    if parts is None or not _PATH.fullmatch(parts.path) or "@" in parts.query + parts.fragment:
        raise ValueError(
            "the URL of the Redis server is malformed. It is redis://USER:PASSWORD@HOST:PORT/NUMBER; in the user name"
            " and the password, each of / ? # @ : is percent-encoded."
        )
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


_LOST = (
    "Check the address, and whether the server runs. If the connection was lost during a change, the change may have"
    " been made: read the history before you repeat it."
)
_OTHER_KEYS = (
    "A key of this session holds something else than the Agents SDK keeps there. Choose another session id, one that"
    " does not end in :messages or :counter."
)
# What to do next, by the type of the error and a word in it; the first that fits.
_HINTS: tuple[tuple[type[Exception], str, str], ...] = (
    (AuthenticationError, "", "Check the user name and the password in the URL."),
    (ResponseError, "WRONGTYPE", _OTHER_KEYS),
    (ResponseError, "DB index", "Check the number of the database at the end of the URL."),
    (ResponseError, "", "The server refused a command."),
    (TypeError, "", "Check the options in the URL."),
    (Exception, "", _LOST),
)


def _hint(error: Exception) -> str:
    return next(hint for kind, word, hint in _HINTS if isinstance(error, kind) and word in str(error))
