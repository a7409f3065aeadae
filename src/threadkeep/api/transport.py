"""Send requests through the ``openai`` package: pages as raw bytes, files in chunks. No other module imports it.

The SDK's keys, timeouts and proxies apply, but not its retries: the error says whether a request may be repeated, and
`threadkeep.api.client` decides when. Answers are taken raw. The SDK's objects cost ten times what reading the JSON
does, they convert what they do not expect, and the SDK neither maps nor retries a body that is cut short.
``client.get`` gives a raw response without importing the Assistants classes, or warning that they are deprecated.
"""

import asyncio
import contextlib
import os
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Any, BinaryIO, Self, TypeAlias, TypeVar

import attrs
import openai
from openai._types import Omit  # its public name is younger than the oldest supported SDK

from threadkeep.api.connections import HTTP, AnswerBounds, Connections, answer_bounds, blocking_http_client, http_client
from threadkeep.api.endpoints import (
    ENGRAMIA,
    OTHER,
    Api,
    ApiSource,
    Auth,
    Endpoint,
    auth_and_keys,
    credentials_of,
    endpoint_for,
    models_endpoint_of,
    proxy_of,
    without_secrets,
)
from threadkeep.api.error_mapping import RequestContext, translate
from threadkeep.api.keys import Key, header_fault, name_of_key
from threadkeep.api.secrets import Secrets
from threadkeep.api.sent_requests import OnSent, SentRequest, on_sent
from threadkeep.api.tokens import TokenCommand, TokenSource
from threadkeep.clock import now
from threadkeep.errors import AccessRefused, ApiError, BadPage, ServerUnreachable, ThreadkeepError, ThreadMissing

__all__ = [
    "AsyncClient",
    "ModelsClient",
    "SyncClient",
    "Transport",
    "connect_all",
    "connect_to_models",
    "raw_response",
    "translated",
    "wrap_client",
]

_T = TypeVar("_T")
_Request = Callable[[openai.AsyncOpenAI, Key], Awaitable[_T]]

_CHUNK_BYTES = 256 * 1024

# Above the slowest page that was recorded, and far below the SDK's ten minutes, in which a dead connection looks alive.
_TIMEOUT_SECONDS = 60.0

# The API's own limits: 100 messages of 256,000 characters (spec), of four bytes, and as much again for the rest; and
# files of 512 MiB (documented). Of a file's size its object says the most that is taken, and some more.
_PAGE_BYTES, _FILE_BYTES, _MORE_BYTES = 200 * 1024 * 1024, 512 * 1024 * 1024, 64 * 1024

# Far above a list that comes in one answer: Engramia's, of 100,000 patterns at most.
_STREAM_BYTES = 16 * 1024 * 1024 * 1024

# Bytes a second that a file comes with at least.
_SLOWEST_BYTES = 100_000

# What servers that copy OpenAI's Assistants API need everywhere. Foundry needs no such header and ignores it.
_BETA = {Api.ASSISTANTS: {"OpenAI-Beta": "assistants=v2"}}

_SCOPES = {"OPENAI_ORG_ID": "OpenAI-Organization", "OPENAI_PROJECT_ID": "OpenAI-Project"}
_CREDENTIAL = re.compile("auth|key|token|secret|cookie|password|signature", re.IGNORECASE)  # in names of headers


SyncClient: TypeAlias = openai.OpenAI
AsyncClient: TypeAlias = openai.AsyncOpenAI


class Transport:
    """An API at one address.

    Args:
        client: knows the address, and the key unless there is a token.
        endpoint: the query of every request, and the secrets that no message may show.
        token: the token to send instead of the client's key.
        auth: the header of the key or token.
        is_own: whether the client is not a caller's, so that its connections may be chosen here.
        api: which API it is.
        headers: go with every request.
        key_line: the line of the key in a file of keys; None if it is in none.

    Attributes:
        address: the base URL without user, password and query, so that it can be shown.
        answered: whether this address has answered as that API. The caller sets it after a valid answer.
    """

    def __init__(
        self,
        client: openai.AsyncOpenAI,
        *,
        endpoint: Endpoint | None = None,
        token: TokenSource | None = None,
        auth: Auth = Auth.BEARER,
        is_own: bool = False,
        api: Api = Api.ASSISTANTS,
        headers: Mapping[str, str] | None = None,
        key_line: int | None = None,
    ) -> None:
        self.key_line = key_line
        self._api, self._headers = api, {**_BETA.get(api, {}), **(headers or {})}
        self._connections = Connections(client, is_own=is_own, follow_redirects=_may_follow(auth, api))
        self._query = endpoint.query if endpoint is not None else {}
        self._secrets = Secrets()
        self._secrets.add(*(endpoint.secrets if endpoint is not None else ()))
        self._token = token or TokenSource(client.api_key)
        self._auth = auth
        self.address = without_secrets(str(client.base_url))
        proxy = proxy_of(self.address)
        self._secrets.add(*(credentials_of(proxy) if proxy is not None else ()))
        self._proxy = without_secrets(proxy) if proxy is not None else None
        self.answered = False
        self._on_sent: OnSent | None = None

    def watch(self, on_request: OnSent, key: int = 1) -> None:
        """Call this for each request from now on, with the number of the key, and without secrets.

        It is not called for the requests of a caller's own client.
        """
        self._on_sent = lambda sent: on_request(attrs.evolve(self._secrets.clean_sent(sent), key=key))

    @property
    def library(self) -> str:
        """The name of the distribution that speaks HTTP: httpx, httpx2 or aiohttp."""
        return self._connections.library

    def use_aiohttp(self) -> bool:
        """Send all further requests over aiohttp, if the extra is installed and the client is our own; return whether.

        No request may be in flight.
        """
        return self._connections.use_aiohttp()

    async def get(self, path: str, params: Mapping[str, Any], *, is_again: bool = False) -> bytes:
        """Return the body of a success. The path is below the base URL, and the query in addition to that of the URL.

        If it is asked for again, that is over a new connection, unless the client is a caller's.

        Raises:
            ApiError: there is no usable answer.
        """

        async def request(client: openai.AsyncOpenAI, token: Key) -> Any:
            answer: Any = await client.get(path, cast_to=HTTP.Response, options=self._options(params, token))
            self._secrets.add(*_sent_credentials(answer.request))
            return answer.content

        return await self._send(path, request, most_bytes=_PAGE_BYTES, is_again=is_again)

    async def post(self, path: str, body: Mapping[str, Any]) -> bytes:
        """Send a JSON object once, and return the body of a success. Its texts must be Unicode.

        Raises:
            ApiError: there is no usable answer.
        """

        async def request(client: openai.AsyncOpenAI, token: Key) -> Any:
            answer: Any = await client.post(path, cast_to=HTTP.Response, body=body, options=self._options({}, token))
            self._secrets.add(*_sent_credentials(answer.request))
            return answer.content

        return await self._send(path, request, most_bytes=_PAGE_BYTES)

    async def upload(self, file: BinaryIO, *, name: str, size: int, purpose: str) -> bytes:
        """Send a file of so many bytes once, under a name, and return the body of a success.

        Raises:
            ApiError: there is no usable answer.
        """

        async def request(client: openai.AsyncOpenAI, token: Key) -> Any:
            options = self._options({}, token)
            files = client.with_options(max_retries=options["max_retries"]).files.with_raw_response
            file.seek(0)
            answer: Any = await files.create(
                file=(name, file),
                purpose=purpose,  # type: ignore[arg-type]  # which ones there are depends on the service
                extra_headers=options["headers"],
                extra_query=options["params"],
            )
            self._secrets.add(*_sent_credentials(answer.http_request))
            return answer.content

        return await self._send("/files", request, most_bytes=max(size, _PAGE_BYTES + 1))

    def finish(self, problem: ApiError) -> ApiError:
        """Put the server's words into the message of an error, without secrets; return the error."""
        return self._secrets.finish(problem, self.address)

    def is_secret_in(self, names: Iterable[str]) -> bool:
        """Return whether one of the names holds a key, a token or a password, or a part of one."""
        return self._secrets.are_in(names)

    async def download(
        self, file_id: str, into: Callable[[AsyncIterator[bytes]], Awaitable[_T]], size: int | None
    ) -> _T:
        """Pass the content of a file to ``into`` in chunks, and return its result. The id must need no quoting.

        Args:
            size: in bytes, as the file's object says; None if that is not known, and 0 says nothing either.

        Raises:
            ApiError: there is no usable answer, it breaks off, or it is larger than the file can be.
        """
        most = _FILE_BYTES if not size else min(_FILE_BYTES, size + size // 10 + _MORE_BYTES)

        async def request(client: openai.AsyncOpenAI, token: Key) -> _T:
            options = self._options({}, token)
            options["headers"]["Accept-Encoding"] = "identity"  # the size of a file is that of its own bytes
            files = client.with_options(max_retries=options["max_retries"]).files.with_streaming_response
            content = files.content(file_id, extra_headers=options["headers"], extra_query=options["params"])
            async with content as response:
                if (encoding := response.headers.get("content-encoding", "identity")) != "identity":
                    raise BadPage(f"the file came with a content-encoding that was not asked for: {encoding}")
                return await into(response.iter_bytes(_CHUNK_BYTES))

        return await self._send(f"/files/{file_id}", request, most_bytes=most)

    async def stream(self, path: str, into: Callable[[AsyncIterator[bytes]], Awaitable[_T]]) -> _T:
        """Pass the body of a success to ``into`` in chunks, and return its result. It may have any size.

        Raises:
            ApiError: there is no usable answer, or it breaks off.
        """

        async def request(client: openai.AsyncOpenAI, token: Key) -> _T:
            kind, options = openai.AsyncStream[object], self._options({}, token)
            async with await client.get(path, cast_to=object, options=options, stream=True, stream_cls=kind) as answer:
                self._secrets.add(*_sent_credentials(answer.response.request))
                return await into(answer.response.aiter_bytes(_CHUNK_BYTES))

        return await self._send(path, request, most_bytes=_STREAM_BYTES)

    async def _send(
        self, path: str, request: _Request[_T], *, most_bytes: int, is_again: bool = False, is_last: bool = False
    ) -> _T:
        """Send a request, and once more with a new token if the server rejects the first and there is a command."""
        token = self._token.current  # other requests may change it
        self._secrets.add(token.secret)
        turn = self._connections.turn if most_bytes == _PAGE_BYTES else None
        try:
            with self._connections.unused() if is_again else self._connections.least_busy() as client:
                async with asyncio.timeout(_deadline(client.timeout, most_bytes)):
                    answer_bounds.set(AnswerBounds(most_bytes, turn))
                    on_sent.set(self._on_sent)
                    answer = await request(client, token)
        except ThreadkeepError:
            raise
        except Exception as error:  # what a server sends makes the SDK and its HTTP library raise anything
            if isinstance(error, openai.APIError):
                self._secrets.add(*_sent_credentials(error.request))
            context = RequestContext(
                address=self.address,
                path=path,
                answered=self.answered,
                now=now(),
                proxy=self._proxy,
                api=self._api,
            )
            problem = translate(error, context)
            self.answered |= isinstance(problem, ThreadMissing)
            if is_last or problem.status != 401 or not await self._token.renew(token):
                raise problem from error
        else:
            self._token.record_accepted(token)
            return answer
        return await self._send(path, request, most_bytes=most_bytes, is_again=is_again, is_last=True)

    def _options(self, params: Mapping[str, Any], token: Key) -> Any:
        """Return the options of one request, so that all majors of the SDK send the same."""
        headers: dict[str, Any] = {**self._headers, "Accept-Encoding": "gzip, deflate"}
        if self._auth is Auth.API_KEY:
            headers |= {"Authorization": Omit(), "api-key": token.secret}
        elif self._token.is_renewable:
            headers["Authorization"] = f"Bearer {token.secret}"
        return {"headers": headers, "params": {**self._query, **params}, "max_retries": 0}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_error: object) -> None:
        """Close the connections."""
        await self._connections.close()


def raw_response(query: Mapping[str, Any]) -> dict[str, Any]:
    """Return what to hand to a client's ``get`` for the answer as the HTTP library has it."""
    return {"cast_to": HTTP.Response, "options": {"params": query, "headers": {"OpenAI-Beta": "assistants=v2"}}}


@contextlib.contextmanager
def translated(client: SyncClient | AsyncClient, path: str) -> Iterator[Callable[[Any], None]]:
    """Turn the errors of a caller's own client into ours, without its secrets.

    Yields:
        A function that is to be called with each response, whose request has them.

    Raises:
        ApiError: in the place of an exception of the SDK or of its HTTP library.
    """
    address, secrets = without_secrets(str(client.base_url)), Secrets()
    secrets.add(client.api_key)
    try:
        yield lambda response: secrets.add(*_sent_credentials(response.request))
    except ApiError as problem:
        raise secrets.finish(problem, address) from None
    except Exception as error:  # noqa: BLE001 - as in `Transport`
        if isinstance(error, openai.APIError):
            secrets.add(*_sent_credentials(error.request))
        context = RequestContext(address=address, path=path, answered=False, now=now())
        raise secrets.finish(translate(error, context), address) from None  # the SDK's own error shows the key


def _sent_credentials(request: Any) -> Iterator[str]:
    """Yield the credentials of a request: a caller's own client may have its own token provider and headers."""
    for name, value in request.headers.items():
        if _CREDENTIAL.search(name):
            yield value.removeprefix("Bearer ").removeprefix("Basic ")


def _deadline(timeout: Any, most_bytes: int) -> float | None:
    """Return the seconds for a complete answer: twice those between two bytes, and more for what a file may be."""
    between = timeout if isinstance(timeout, float | int | None) else timeout.read
    of_file = 0.0 if most_bytes == _PAGE_BYTES else most_bytes / _SLOWEST_BYTES
    return None if between is None else 2 * between + of_file


def connect_all(
    source: ApiSource,
    token: str | None = None,
    *,
    api: Api = Api.ASSISTANTS,
    headers: Mapping[str, str] | None = None,
) -> tuple[Transport, ...]:
    """Make a transport for each key of a source, in their order. No request is sent.

    Args:
        source: as typed.
        token: what the token command printed; None to run it.
        api: which API to ask.
        headers: go with every request.

    Raises:
        AccessRefused: there is no key, or one that an HTTP header cannot carry, or the command prints no token.
        MalformedAddress: the base URL is not an HTTP address.
        ServerUnreachable: the proxy or the certificates of the environment cannot be used.
    """
    endpoint = endpoint_for(api, source, os.environ)
    given: Any = {"endpoint": endpoint, "is_own": True, "api": api, "headers": headers}
    if source.token_command is not None:
        command = TokenCommand(source.token_command)
        tokens = TokenSource(command.run() if token is None else token, command)
        return (Transport(_client(endpoint, tokens.current, api=api), token=tokens, **given),)
    auth, keys = auth_and_keys(source, endpoint.provider, os.environ)
    for number, key in enumerate(keys, 1):
        if len(keys) > 1 and (fault := header_fault(key.secret)) is not None:
            raise AccessRefused(f"{name_of_key(number, key.line)} {fault}")
    return tuple(
        Transport(_client(endpoint, key, auth, api=api), auth=auth, key_line=key.line, **given) for key in keys
    )


def wrap_client(
    client: openai.AsyncOpenAI, *, api: Api = Api.ASSISTANTS, headers: Mapping[str, str] | None = None
) -> Transport:
    """Return a transport with the caller's own client: its key, headers, connections and timeouts. It is not closed."""
    if not isinstance(client, openai.AsyncOpenAI):
        raise TypeError(f"client must be an AsyncOpenAI, and is {type(client).__name__}")
    if client.is_closed():
        raise ValueError("client is closed: its connections are gone. Make a new one")
    query = {name: value for name, value in client.default_query.items() if isinstance(value, str)}
    endpoint = Endpoint(provider=OTHER, base_url=str(client.base_url), query=query)
    return Transport(client, endpoint=endpoint, api=api, headers=headers)


class ModelsClient:
    """A blocking client of the SDK for Chat Completions and Responses, with the SDK's own retries and timeouts.

    Args:
        client: knows the address and the token.
        token: what it sends.
        endpoint: the secrets that no message may show.
        auth: the header of the token.

    Attributes:
        client: as given.
        options: what each request must be given.
        address: the base URL without user, password and query, so that it can be shown.
    """

    def __init__(self, client: SyncClient, token: TokenSource, endpoint: Endpoint, auth: Auth) -> None:
        self.client = client
        # Not among the headers of the client: there the younger SDKs do not find that the bearer is left out.
        headers = {"Authorization": Omit(), "api-key": token.current.secret}
        self.options = {"extra_headers": headers} if auth is Auth.API_KEY else {}
        self.address = without_secrets(endpoint.base_url)
        self._token, self._answered = token, False
        self._proxy = proxy_of(self.address)
        self._secrets = Secrets()
        self._secrets.add(*endpoint.secrets, *(credentials_of(self._proxy) if self._proxy is not None else ()))

    def watch(self, on_request: OnSent | None) -> None:
        """Call this, if anything, for each request that is sent in this context from now on, without secrets."""
        on_sent.set(None if on_request is None else partial(self._report, on_request))

    def _report(self, on_request: OnSent, sent: SentRequest) -> None:
        self._secrets.add(self._token.current.secret)
        on_request(self._secrets.clean_sent(sent))

    def record_answered(self) -> None:
        """Record that the server accepted the token, and gave an answer."""
        self._answered = True
        self._token.record_accepted(self._token.current)

    def renew(self) -> bool:
        """Replace a rejected token, if there is a command, and return whether a retry may succeed.

        Raises:
            AccessRefused: the command prints no token.
        """
        if not asyncio.run(self._token.renew(self._token.current)):
            return False
        self.client.api_key = self._token.current.secret
        return True

    def problem(self, error: Exception) -> ApiError:
        """Return our error for one that the client raised, without secrets."""
        self._secrets.add(self._token.current.secret)
        if isinstance(error, openai.APIError):
            self._secrets.add(*_sent_credentials(error.request))
        proxy = without_secrets(self._proxy) if self._proxy is not None else None
        context = RequestContext(address=self.address, path="", answered=self._answered, now=now(), proxy=proxy)
        return self.finish(translate(error, context))

    def finish(self, problem: ApiError) -> ApiError:
        """Put the server's words into the message of an error, without secrets; return the error."""
        return self._secrets.finish(problem, self.address)


def connect_to_models(source: ApiSource) -> ModelsClient:
    """Make a client for the models of a source. No request is sent.

    Raises:
        AccessRefused, MalformedAddress, ServerUnreachable: as `connect_all`.
    """
    endpoint = models_endpoint_of(source, os.environ)
    if source.token_command is not None:
        command = TokenCommand(source.token_command)
        token, auth = TokenSource(command.run(), command), Auth.BEARER
        key = token.current
    else:
        auth, (key, *_) = auth_and_keys(source, endpoint.provider, os.environ)
        token = TokenSource(key.secret)
    with _connecting():
        http = blocking_http_client(follow_redirects=auth is not Auth.API_KEY)  # as in `_client`
        client = openai.OpenAI(http_client=http, default_query=dict(endpoint.query), **_options_of(endpoint, key))
    return ModelsClient(client, token, endpoint, auth)


def _may_follow(auth: Auth, api: Api) -> bool:
    """Return whether a redirect is followed.

    To another host the HTTP library removes a bearer, but neither Azure's header nor the messages that are sent.
    """
    return auth is not Auth.API_KEY and api is Api.ASSISTANTS


def _client(endpoint: Endpoint, key: Key, auth: Auth = Auth.BEARER, *, api: Api = Api.ASSISTANTS) -> openai.AsyncOpenAI:
    options = _options_of(endpoint, key)
    with _connecting():
        http = http_client(follow_redirects=_may_follow(auth, api))
        return openai.AsyncOpenAI(timeout=_TIMEOUT_SECONDS, http_client=http, **options)


def _options_of(endpoint: Endpoint, key: Key) -> dict[str, Any]:
    if (fault := header_fault(key.secret)) is not None:
        raise AccessRefused(f"the key {fault}")
    return {
        "base_url": endpoint.base_url,
        "api_key": key.secret,
        "organization": key.organization,
        "project": key.project,
        # An empty variable counts as unset, and the SDK would send it. Others than OpenAI have no use for its scopes.
        "default_headers": {
            header: Omit()
            for name, header in _SCOPES.items()
            if os.environ.get(name) == "" or endpoint.provider is ENGRAMIA
        },
    }


@contextlib.contextmanager
def _connecting() -> Iterator[None]:
    """Turn whatever a client's making raises into our error: the HTTP library fails in many ways on its environment."""
    try:
        yield
    except Exception as error:  # noqa: BLE001
        # The text of other exceptions may show the address of a proxy, which may hold a password.
        words = f": {error}" if isinstance(error, ImportError | OSError) else ""
        raise ServerUnreachable(
            "no connection can be made with the proxy or the certificates of the environment (HTTP_PROXY, HTTPS_PROXY,"
            f" ALL_PROXY, SSL_CERT_FILE, SSL_CERT_DIR): {type(error).__name__}{words}"
        ) from None
