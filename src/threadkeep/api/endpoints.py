"""Which server to ask, and with which credentials. Pure but for `proxy_of`: the environment is a parameter.

An `ApiSource` is what the user typed. `endpoint_of` resolves it to an `Endpoint`: an address, a query that goes with
every request, and the `Provider`, which decides what the user did not type.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit, urlunsplit
from urllib.request import getproxies, proxy_bypass

import attrs

from threadkeep.api.keys import Key
from threadkeep.errors import AccessRefused, MalformedAddress

__all__ = [
    "AZURE",
    "AZURE_V1",
    "ENGRAMIA",
    "FOUNDRY",
    "OPENAI",
    "OTHER",
    "Api",
    "ApiSource",
    "Auth",
    "Endpoint",
    "Provider",
    "auth_and_keys",
    "credentials_of",
    "endpoint_for",
    "endpoint_of",
    "have_same_origin",
    "is_foundry",
    "is_well_known",
    "models_endpoint_of",
    "proxy_of",
    "variables_of",
    "without_secrets",
]

_VERSION = "api-version"
_DEFAULT = "https://api.openai.com/v1"
_PORTS = {"http": 80, "https": 443}


class Api(StrEnum):
    """An API that is asked, by the name that messages give it."""

    ASSISTANTS = "Assistants API"
    CONVERSATIONS = "Conversations API"
    ENGRAMIA = "Engramia API"


class Auth(StrEnum):
    """The header that carries a key or token."""

    BEARER = "bearer"
    """``Authorization: Bearer ...``"""
    API_KEY = "api-key"
    """``api-key: ...``, Azure's own."""


def _check_keys(source: "ApiSource", _field: object, keys: tuple[object, ...]) -> None:
    for key in keys:
        if not isinstance(key, Key):
            raise TypeError(f"each of the keys must be a threadkeep.Key, and one is {type(key).__name__}")
    if keys and source.token_command is not None:
        raise TypeError("give keys or a token_command, not both")


@attrs.frozen(kw_only=True)
class ApiSource:
    """Which server to ask, and with which credentials, as typed. None leaves it to the environment or the provider.

    Attributes:
        base_url: the URL before ``/threads``. If it has a query, that goes with every request.
        api_version: the query ``api-version`` of every request.
        auth: the header of a key or token.
        token_command: prints a bearer token. It runs again when the server rejects one.
        keys: each is a client of its own; none for the key of the environment.
    """

    base_url: str | None = attrs.field(default=None, repr=False)
    api_version: str | None = None
    auth: Auth | None = attrs.field(default=None, converter=attrs.converters.optional(Auth))
    token_command: str | None = attrs.field(default=None, repr=False)
    keys: tuple[Key, ...] = attrs.field(default=(), converter=tuple[Key, ...], validator=_check_keys)


@attrs.frozen(kw_only=True)
class Provider:
    """A kind of server.

    Attributes:
        auth: the header of a key.
        version: the default ``api-version``; None for none.
        reads_version: whether ``OPENAI_API_VERSION`` applies.
        tokens: environment variables of a bearer token. The first that is set counts.
        keys: environment variables of a key, after the tokens. An empty variable counts as unset.
        notice: what to tell the user before the first request.
        sunset: when the API goes away; None if no date is known.
    """

    auth: Auth = Auth.BEARER
    version: str | None = None
    reads_version: bool = False
    tokens: tuple[str, ...] = ()
    keys: tuple[str, ...] = ("OPENAI_API_KEY",)
    notice: str = ""
    sunset: datetime | None = None


# The dates are documented. What Azure OpenAI answers since its own is not known.
OPENAI = Provider(notice="OpenAI closed the Assistants API on 2026-08-26; its own address serves no threads any more.")
AZURE = Provider(
    auth=Auth.API_KEY,
    version="2024-05-01-preview",
    reads_version=True,
    tokens=("AZURE_OPENAI_AD_TOKEN",),
    keys=("AZURE_OPENAI_API_KEY", "OPENAI_API_KEY"),
    notice="Azure OpenAI announced the end of its Assistants API for 2026-08-26.",
)
# The newer routes below /openai/v1 know no dated versions.
AZURE_V1 = attrs.evolve(AZURE, version=None, reads_version=False)
FOUNDRY = Provider(version="v1", tokens=("AZURE_AI_TOKEN",), sunset=datetime(2027, 3, 31, tzinfo=UTC))
OTHER = Provider()
ENGRAMIA = Provider(keys=("ENGRAMIA_API_KEY",))

_FOUNDRY_HOST = ".services.ai.azure.com"
_PROJECT = re.compile(r"/api/projects/[^/]+")
_AZURE_HOSTS = (".openai.azure.com", ".cognitiveservices.azure.com", _FOUNDRY_HOST)


@attrs.frozen(kw_only=True)
class Endpoint:
    """A resolved address.

    Attributes:
        base_url: without its query. It may hold a user and a password.
        query: goes with every request. Its values may be secrets.
    """

    provider: Provider
    base_url: str = attrs.field(repr=False)
    query: Mapping[str, str] = attrs.field(repr=False)

    @property
    def secrets(self) -> tuple[str, ...]:
        """The texts that no message may show. User and password are sent together, in base64."""
        return (*credentials_of(self.base_url), *(value for name, value in self.query.items() if name != _VERSION))


def endpoint_for(api: Api, source: ApiSource, environ: Mapping[str, str]) -> Endpoint:
    """Resolve a source for an API.

    Raises:
        MalformedAddress: as `endpoint_of`; or there is no address, for an API that has none of its own.
    """
    if api is not Api.ENGRAMIA:
        return (models_endpoint_of if api is Api.CONVERSATIONS else endpoint_of)(source, environ)
    given = source.base_url if source.base_url is not None else environ.get("ENGRAMIA_API_URL")
    if not given:
        raise MalformedAddress("no address: ENGRAMIA_API_URL is not set")
    endpoint = attrs.evolve(endpoint_of(attrs.evolve(source, base_url=given), {}), provider=ENGRAMIA)
    is_api = endpoint.base_url.endswith("/v1")  # its own clients are given the root
    return endpoint if is_api else attrs.evolve(endpoint, base_url=f"{endpoint.base_url}/v1")


def endpoint_of(source: ApiSource, environ: Mapping[str, str]) -> Endpoint:
    """Resolve a source.

    Raises:
        MalformedAddress: the base URL is not an HTTP address, or one that cannot serve threads.
    """
    base_url = source.base_url if source.base_url is not None else environ.get("OPENAI_BASE_URL") or _DEFAULT
    parts = _split(base_url.strip())
    path = parts.path.rstrip("/")
    provider = _provider((parts.hostname or "").rstrip("."), path)
    if provider is AZURE and not path:
        path = "/openai"
    # The option overrides the address, and that the environment.
    version = (environ.get("OPENAI_API_VERSION") if provider.reads_version else None) or provider.version
    query = {_VERSION: version} if version else {}
    query |= parse_qsl(parts.query, keep_blank_values=True)
    query |= {_VERSION: source.api_version} if source.api_version is not None else {}
    return Endpoint(provider=provider, base_url=urlunsplit((parts.scheme, parts.netloc, path, "", "")), query=query)


def models_endpoint_of(source: ApiSource, environ: Mapping[str, str]) -> Endpoint:
    """Resolve a source for Chat Completions, Responses and Conversations.

    Azure OpenAI and Foundry have them in their v1 API, for all deployments and without dated versions: an
    ``api-version`` is sent only if it is typed. The address of a Foundry project is known by its path.

    Raises:
        MalformedAddress: as `endpoint_of`.
    """
    endpoint = endpoint_of(source, environ)
    parts = urlsplit(endpoint.base_url)
    found = _PROJECT.match(parts.path)
    if found is None and endpoint.provider is not AZURE:
        return endpoint
    project = "" if found is None else found[0]
    typed = source.api_version is not None
    return attrs.evolve(
        endpoint,
        base_url=urlunsplit((parts.scheme, parts.netloc, f"{project}/openai/v1", "", "")),
        query={name: value for name, value in endpoint.query.items() if typed or name != _VERSION},
    )


def have_same_origin(one: str, other: str) -> bool:
    """Return whether two addresses, of endpoints, have the same scheme, host and port."""
    places = [
        (parts.scheme, parts.hostname, parts.port or _PORTS[parts.scheme]) for parts in map(urlsplit, (one, other))
    ]
    return places[0] == places[1]


def is_foundry(address: str) -> bool:
    """Return whether an address is one of Microsoft Foundry, where conversations can be listed (documented)."""
    return (urlsplit(address).hostname or "").rstrip(".").endswith(_FOUNDRY_HOST)


def is_well_known(address: str) -> bool:
    """Return whether an address, as `without_secrets` returns it, is one of OpenAI's or Microsoft's own.

    A key may be sent there even if only a file names the address. An address that can be read in two ways is not one.
    """
    try:
        endpoint = endpoint_of(ApiSource(base_url=address), {})
    except MalformedAddress:
        return False
    parts = urlsplit(address)
    is_plain = parts.scheme == "https" and parts.netloc == parts.hostname and "\\" not in address
    return is_plain and endpoint.provider is not OTHER


def auth_and_keys(source: ApiSource, provider: Provider, environ: Mapping[str, str]) -> tuple[Auth, tuple[Key, ...]]:
    """Return the header of the keys, and the keys, in their order.

    Raises:
        AccessRefused: there is no key.
    """
    auth = source.auth or provider.auth
    if source.keys:
        return auth, source.keys
    tokens = () if source.auth is Auth.API_KEY else provider.tokens
    for name in (*tokens, *provider.keys):
        if environ.get(name):
            return source.auth or (Auth.BEARER if name in tokens else auth), (Key(environ[name]),)
    names = " or ".join((*tokens, *provider.keys))
    raise AccessRefused(f"no key: set {names}, or give --token-command or --keys-file (in Python, api_key)")


def variables_of(address: str, api: Api) -> tuple[str, ...]:
    """Return the environment variables that may have the token or key of an address, as `auth_and_keys` takes them.

    There are none for an address that only a caller's own client has a use for.
    """
    try:
        provider = endpoint_for(api, ApiSource(base_url=address), {}).provider
    except MalformedAddress:
        return ()
    return (*provider.tokens, *provider.keys)


def credentials_of(url: str) -> tuple[str, ...]:
    """Return user and password of a URL, and the two as they are sent; nothing if it has none."""
    parts = urlsplit(url)
    plain = [unquote(text) for text in (parts.username, parts.password) if text]
    return (*plain, ":".join(plain)) if plain else ()


def proxy_of(address: str) -> str | None:
    """Return the URL of the environment's proxy for an address; None if there is none."""
    parts = urlsplit(address)
    proxies = getproxies()
    proxy = proxies.get(parts.scheme) or proxies.get("all")
    if proxy is None or proxy_bypass(parts.hostname or ""):
        return None
    return proxy if "://" in proxy else f"http://{proxy}"


def without_secrets(url: str) -> str:
    """Remove user, password, query and fragment from a URL."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path.rstrip("/"), "", ""))


def _provider(host: str, path: str) -> Provider:
    if host == "api.openai.com" or host.endswith(".api.openai.com"):
        return OPENAI
    if not host.endswith(_AZURE_HOSTS):
        return OTHER
    if path.startswith("/api/projects/"):
        return FOUNDRY
    if host.endswith(_FOUNDRY_HOST) and not path.startswith("/openai"):
        raise MalformedAddress(f"https://{host} is a Foundry resource; its threads are in projects: /api/projects/NAME")
    return AZURE_V1 if path.startswith("/openai/v1") else AZURE


def _split(base_url: str) -> SplitResult:
    try:
        parts = urlsplit(base_url)
        is_plain = not any(letter.isspace() for letter in parts.netloc)
        if parts.scheme in ("http", "https") and parts.hostname and parts.port != 0 and is_plain:
            return parts
    except ValueError:
        pass  # as below
    shown = "the base URL (not shown: it may hold a secret)" if set("@?#") & set(base_url) else repr(base_url)
    raise MalformedAddress(f"{shown} is not an address: it must begin with http:// or https:// and name a host")
