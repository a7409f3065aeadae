"""The one importer of the ``openai`` package: ask for a page as raw bytes, and for a file piece by piece.

Requests go through the SDK, so that its keys, timeouts and proxies hold, but not its retries: whether a request may be
asked again is said by the error, and when is decided where all requests of a key are paced. The answers are taken raw:
the SDK's objects cost ten times what reading the JSON does, they convert what they do not expect, and a body that is
cut short is an error that the SDK neither maps nor retries. ``client.get`` is the way to a raw response that also
spares the import of the Assistants classes and the deprecation warning of each of their methods.
"""

import contextlib
import importlib
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from typing import Any, Self, TypeVar

import attrs
import openai
from openai._types import Omit  # its public name is younger than the oldest SDK that we know

from threadkeep.api.endpoints import (
    OTHER,
    ApiSource,
    Auth,
    Credential,
    Endpoint,
    credentials,
    endpoint_of,
    without_secrets,
)
from threadkeep.api.error_mapping import RequestContext, failed, translate
from threadkeep.api.keys import Key, trouble_with
from threadkeep.api.tokens import FixedToken, FreshToken, Token, TokenCommand
from threadkeep.errors import (
    AccessRefused,
    ServerUnreachable,
    ThreadkeepError,
    ThreadMissing,
)

__all__ = ["Transport", "borrow", "connect_all"]

_T = TypeVar("_T")

# Foundry wants no such header and does not mind it; servers that copy OpenAI's want it wherever they stand.
_BETA = {"OpenAI-Beta": "assistants=v2"}
_HTTP_LIBRARY = "httpx2" if int(openai.__version__.split(".")[0]) >= 3 else "httpx"
_PIECE = 256 * 1024

# Above the slowest page that was recorded, far below the SDK's ten minutes, in which a dead connection looks alive.
_TIMEOUT_SECONDS = 60.0


class Transport:
    """An Assistants API at one address.

    Attributes:
        address: the base URL without user, password and query, fit to be shown and written down.
        answered: whether this address has answered as an Assistants API yet. Whoever believes a page sets it.
    """

    def __init__(
        self,
        client: openai.AsyncOpenAI,
        *,
        endpoint: Endpoint | None = None,
        token: FixedToken | FreshToken | None = None,
        auth: Auth = Auth.BEARER,
        spread: bool = False,
    ) -> None:
        """Take a client.

        Args:
            client: knows the address, and the key unless ``token`` says otherwise.
            endpoint: the query of every request, and what must stand in no message.
            token: what to send, and what to do when it is refused.
            auth: how it travels.
            spread: over more pools of connections than the client's own when many requests are in flight.
        """
        self._http: Any = importlib.import_module(_HTTP_LIBRARY)
        self._pools = _Pools(client, self._http if spread else None, follow_redirects=auth is not Auth.API_KEY)
        self._endpoint = endpoint
        self._token = token or FixedToken(client.api_key)
        self._auth = auth
        self.address = without_secrets(str(client.base_url))
        self.answered = False

    async def get(self, path: str, params: Mapping[str, Any]) -> bytes:
        """Fetch the body of a success. A refused token is renewed once, when there is a command for it.

        Args:
            path: below the base URL, with its leading slash.
            params: the query, beside that of the base URL.

        Raises:
            ApiError: a leaf of it, with the answer's own words.
        """

        async def ask(client: openai.AsyncOpenAI, token: Token) -> bytes:
            options = self._options(params, token)
            response = await client.get(path, cast_to=self._http.Response, options=options)
            body: bytes = response.content
            return body

        return await self._let_in(ask)

    async def download(self, file_id: str, into: Callable[[AsyncIterator[bytes]], Awaitable[_T]]) -> _T:
        """Fetch what a file holds, without ever holding it whole.

        Args:
            file_id: one that needs no quoting in a path.
            into: takes the pieces, and gives what this gives. What it raises is raised.

        Raises:
            ApiError: a leaf of it, also in the middle of the pieces.
        """

        async def ask(client: openai.AsyncOpenAI, token: Token) -> _T:
            options = self._options({}, token)
            options["headers"]["Accept-Encoding"] = "identity"  # the size that is said of a file is of its own bytes
            files = client.with_options(max_retries=options["max_retries"]).files.with_streaming_response
            asked = files.content(file_id, extra_headers=options["headers"], extra_query=options["params"])
            async with asked as response:
                return await into(response.iter_bytes(_PIECE))

        return await self._let_in(ask)

    async def _let_in(self, ask: Callable[[openai.AsyncOpenAI, Token], Awaitable[_T]]) -> _T:
        """Ask with the token, and once more with another where it is refused and can be renewed."""
        sent = self._token.current
        try:
            return await self._asked(ask, sent)
        except AccessRefused as refusal:
            if refusal.status != 401 or not await self._token.renew(sent):
                raise
        return await self._asked(ask, self._token.current)

    async def _asked(self, ask: Callable[[openai.AsyncOpenAI, Token], Awaitable[_T]], token: Token) -> _T:
        hidden = self._endpoint.secrets if self._endpoint is not None else ()
        asked = RequestContext(address=self.address, answered=self.answered, key=token.secret, hidden=hidden)
        try:
            with self._pools.roomy() as client:
                answer = await ask(client, token)
        except openai.OpenAIError as error:
            problem = translate(error, attrs.evolve(asked, hidden=(*hidden, *_carried(error))))
            problem.status = getattr(error, "status_code", None)
            self.answered |= isinstance(problem, ThreadMissing)
            raise problem from error
        except (self._http.HTTPError, OSError, self._http.InvalidURL, UnicodeError) as error:
            # What the SDK lets through: a body that breaks while it is read, an id that no URL can carry.
            raise failed(error, asked, again=isinstance(error, self._http.HTTPError | OSError)) from error
        self._token.accepted(token)
        return answer

    def _options(self, params: Mapping[str, Any], token: Token) -> Any:
        """What goes with one request, so that all majors of the SDK do the same, whatever they find by themselves."""
        query = self._endpoint.query if self._endpoint is not None else {}
        headers = {**_BETA, **self._entry(token)}
        return {"headers": headers, "params": {**query, **params}, "max_retries": 0}

    def _entry(self, token: Token) -> Mapping[str, Any]:
        if self._auth is Auth.API_KEY:
            return {"Authorization": Omit(), "api-key": token.secret}
        return {"Authorization": f"Bearer {token.secret}"} if isinstance(self._token, FreshToken) else {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_error: object) -> None:
        """Let go of the connections."""
        await self._pools.close()


_LETTING_IN = ("authorization", "api-key", "x-api-key", "proxy-authorization", "cookie")


def _carried(error: openai.OpenAIError) -> tuple[str, ...]:
    """What let the request in: a client that somebody lent may have its own way to a token, and its own headers."""
    request = getattr(error, "request", None)
    values = [request.headers.get(name, "") for name in _LETTING_IN] if request is not None else []
    bare = (value.removeprefix("Bearer ") for value in values)
    return tuple(value for value in bare if len(value) >= 4)


# httpx looks through all requests of a pool for each of them: with 64 at a time that costs more than the requests do.
# httpx2 looks through all connections: a seventh of what a page costs.
_ROOM = 16


class _Pools:
    """One client, or several that differ in their connections only, so that no pool is crowded.

    The HTTP library is for making more of them; without it the first client stays the only one.
    """

    def __init__(self, client: openai.AsyncOpenAI, library: Any, *, follow_redirects: bool) -> None:
        self._library = library
        self._follow_redirects = follow_redirects
        self._tls: Any = None
        self._in_flight = {client: 0}

    @contextlib.contextmanager
    def roomy(self) -> Iterator[openai.AsyncOpenAI]:
        """Lend the client for one request."""
        client = min(self._in_flight, key=self._in_flight.__getitem__)
        if self._library is not None and self._in_flight[client] >= _ROOM:
            client = self._add(client)
        self._in_flight[client] += 1
        try:
            yield client
        finally:
            self._in_flight[client] -= 1

    def _add(self, like: openai.AsyncOpenAI) -> openai.AsyncOpenAI:
        # The context for TLS is most of what a client costs to make.
        self._tls = self._tls or self._library.create_ssl_context()
        client = like.copy(
            http_client=openai.DefaultAsyncHttpxClient(verify=self._tls, follow_redirects=self._follow_redirects)
        )
        self._in_flight[client] = 0
        return client

    async def close(self) -> None:
        for client in self._in_flight:
            await client.close()


def connect_all(source: ApiSource, token: str | None = None) -> tuple[Transport, ...]:
    """Make a client for each key of a source, in their order. Nothing is sent; a token command is run.

    Args:
        source: as typed; what it leaves open is found in the environment, or by the address.
        token: what the token command has printed already; it is then not run.

    Raises:
        AccessRefused: there is no key, or one that no HTTP header can carry, or the command gives no token.
        MalformedAddress: the base URL is no HTTP address.
        ServerUnreachable: the proxy or the certificates that the environment names cannot be used.
    """
    endpoint = endpoint_of(source, os.environ)
    if source.token_command is not None:
        fresh = FreshToken(TokenCommand(source.token_command), token)
        return (Transport(_client(endpoint, Key(fresh.current.secret)), endpoint=endpoint, token=fresh, spread=True),)
    return tuple(_connected(endpoint, credential) for credential in credentials(source, endpoint.provider, os.environ))


def borrow(client: openai.AsyncOpenAI) -> Transport:
    """Ask through somebody's own client: its key, headers, connections and timeouts. Who lent it closes it."""
    if not isinstance(client, openai.AsyncOpenAI):
        raise TypeError(f"client must be an AsyncOpenAI, and is {type(client).__name__}")
    if client.is_closed():
        raise ValueError("client is closed: its connections are gone. Make a new one")
    query = {name: value for name, value in client.default_query.items() if isinstance(value, str)}
    return Transport(client, endpoint=Endpoint(provider=OTHER, base_url=str(client.base_url), query=query))


def _connected(endpoint: Endpoint, credential: Credential) -> Transport:
    # The HTTP library takes a bearer out of a request that is led to another host, but no header of Azure's.
    with_care = credential.auth is Auth.API_KEY
    with _surroundings_told():
        http = {"http_client": openai.DefaultAsyncHttpxClient(follow_redirects=False)} if with_care else {}
    return Transport(_client(endpoint, credential.key, **http), endpoint=endpoint, auth=credential.auth, spread=True)


def _client(endpoint: Endpoint, key: Key | None, **options: Any) -> openai.AsyncOpenAI:
    with _surroundings_told():
        try:
            client = openai.AsyncOpenAI(
                base_url=endpoint.base_url,
                api_key=key.secret if key is not None else None,
                organization=key.organization if key is not None else None,
                project=key.project if key is not None else None,
                timeout=_TIMEOUT_SECONDS,
                **options,
            )
        except openai.OpenAIError as error:
            raise AccessRefused(f"no key: {error}") from None
    if (trouble := trouble_with(client.api_key)) is not None:
        raise AccessRefused(f"the key {trouble}")
    return client


@contextlib.contextmanager
def _surroundings_told() -> Iterator[None]:
    """Say so when a client cannot be made with what the HTTP library finds in the environment."""
    try:
        yield
    except ThreadkeepError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever the HTTP library makes of an environment
        # The words of the others may show the address of a proxy, which may hold a password.
        words = f": {error}" if isinstance(error, ImportError | OSError) else ""
        raise ServerUnreachable(
            "no connection can be made with the proxy or the certificates of the environment (HTTP_PROXY, HTTPS_PROXY,"
            f" ALL_PROXY, SSL_CERT_FILE, SSL_CERT_DIR): {type(error).__name__}{words}"
        ) from None
