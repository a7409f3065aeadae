"""Where threads are kept, and what a request must carry to be let in there. Pure: the environment is a parameter.

A source is what someone typed; its place is what that comes to: an address, a query that goes with every request,
and the kind of server that stands there, which decides what was not typed.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from enum import StrEnum
from urllib.parse import parse_qsl, quote, urlsplit, urlunsplit

import attrs

from threadkeep.api.keys import Key
from threadkeep.errors import AccessRefused, MalformedAddress

__all__ = [
    "AZURE",
    "AZURE_V1",
    "FOUNDRY",
    "OPENAI",
    "OTHER",
    "ApiSource",
    "Auth",
    "Credential",
    "Endpoint",
    "Provider",
    "credentials",
    "endpoint_of",
    "is_well_known",
    "without_secrets",
]

_VERSION = "api-version"


class Auth(StrEnum):
    """In which header a key or token travels."""

    BEARER = "bearer"
    """``Authorization: Bearer ...``"""
    API_KEY = "api-key"
    """``api-key: ...``, Azure's own."""


def _several(keys: Iterable[Key]) -> tuple[Key, ...]:
    return tuple(keys)


def _are_keys(source: "ApiSource", _field: object, keys: tuple[object, ...]) -> None:
    strange = next((type(key).__name__ for key in keys if not isinstance(key, Key)), None)
    if strange is not None:
        raise TypeError(f"each of the keys must be a threadkeep.api.keys.Key, and one is {strange}")
    if keys and source.token_command is not None:
        raise TypeError("give keys or a token_command, not both")


@attrs.frozen(kw_only=True)
class ApiSource:
    """Which server to ask, and with what, as typed. What is None is found in the environment, or by the address.

    Attributes:
        base_url: where ``/threads`` begins. It may have a query, which then goes with every request.
        api_version: the query ``api-version`` of every request.
        auth: how a key or token travels.
        token_command: prints a bearer token; run again when the server refuses one.
        keys: each is asked with for itself; none for one of the environment.
    """

    base_url: str | None = attrs.field(default=None, repr=False)
    api_version: str | None = None
    auth: Auth | None = attrs.field(default=None, converter=attrs.converters.optional(Auth))
    token_command: str | None = attrs.field(default=None, repr=False)
    keys: tuple[Key, ...] = attrs.field(default=(), converter=_several, validator=_are_keys)


@attrs.frozen(kw_only=True)
class Provider:
    """A kind of server.

    Attributes:
        auth: how a key travels there.
        version: the ``api-version`` that is asked for unless told otherwise; None for none.
        reads_version: whether ``OPENAI_API_VERSION`` is meant for it.
        tokens: environment variables that hold a bearer token, the first that is set counts.
        keys: the same for keys, after the tokens. Without either the SDK finds its key by itself.
        notice: what there is to say before the first request.
        sunset: when it will go away; None where nobody has said so.
    """

    auth: Auth = Auth.BEARER
    version: str | None = None
    reads_version: bool = False
    tokens: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    notice: str = ""
    sunset: datetime | None = None


# The dates: OpenAI's and Foundry's are documented; Azure OpenAI's is too, what it answers since then is not known.
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
FOUNDRY = Provider(
    version="v1",
    tokens=("AZURE_AI_TOKEN",),
    keys=("OPENAI_API_KEY",),
    sunset=datetime(2027, 3, 31, tzinfo=UTC),
)
OTHER = Provider()

_FOUNDRY_HOST = ".services.ai.azure.com"
_AZURE_HOSTS = (".openai.azure.com", ".cognitiveservices.azure.com", _FOUNDRY_HOST)


@attrs.frozen(kw_only=True)
class Endpoint:
    """An address that can be asked.

    Attributes:
        provider: what stands there.
        base_url: without its query; None for the SDK's own default. It may hold a user and a password.
        query: goes with every request; its values may be secrets.
    """

    provider: Provider
    base_url: str | None = attrs.field(repr=False)
    query: Mapping[str, str] = attrs.field(repr=False)

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must stand in no message beside the key. A shorter word is no secret, and would tear words apart."""
        parts = urlsplit(self.base_url or "")
        values = [value for name, value in self.query.items() if name != _VERSION]
        plain = [text for text in (parts.username, parts.password, *values) if text and len(text) >= 4]
        return tuple(dict.fromkeys(spelled for text in plain for spelled in (text, quote(text, safe=""))))


@attrs.frozen(kw_only=True)
class Credential:
    """What lets one client in.

    Attributes:
        key: None for the SDK's own way to one, or when a token is still to be fetched.
        auth: how it travels.
    """

    key: Key | None = None
    auth: Auth = Auth.BEARER


def endpoint_of(source: ApiSource, environ: Mapping[str, str]) -> Endpoint:
    """Find out which address is meant, and what stands there.

    Raises:
        MalformedAddress: the base URL is no HTTP address, or none that could serve threads.
    """
    base_url = source.base_url if source.base_url is not None else environ.get("OPENAI_BASE_URL")
    if base_url is None:
        return Endpoint(provider=OPENAI, base_url=None, query=_query(source, OPENAI, "", environ))
    base_url = base_url.strip()
    _check_address(base_url)
    parts = urlsplit(base_url)
    path = parts.path.rstrip("/")
    provider = _provider((parts.hostname or "").rstrip("."), path)
    if provider is AZURE and not path:
        path = "/openai"
    address = urlunsplit((parts.scheme, parts.netloc, path, "", ""))
    return Endpoint(provider=provider, base_url=address, query=_query(source, provider, parts.query, environ))


def is_well_known(address: str) -> bool:
    """Say whether an address, as `without_secrets` leaves it, is one of OpenAI's or Microsoft's own.

    A key may go there though only a file names it. Strict: what could be read in two ways is not one of them.
    """
    try:
        endpoint = endpoint_of(ApiSource(base_url=address), {})
        parts = urlsplit(address)
    except MalformedAddress:
        return False
    is_plain = parts.scheme == "https" and parts.netloc == parts.hostname and "\\" not in address
    return is_plain and endpoint.provider is not OTHER


def credentials(source: ApiSource, provider: Provider, environ: Mapping[str, str]) -> tuple[Credential, ...]:
    """Give what to ask with: one for each key, in their order; one when there are none.

    Raises:
        AccessRefused: there is no key, and the SDK would look for one in vain.
    """
    if source.token_command is not None:
        return (Credential(),)
    auth = source.auth or provider.auth
    if source.keys:
        return tuple(Credential(key=key, auth=auth) for key in source.keys)
    tokens = () if source.auth is Auth.API_KEY else provider.tokens
    for name in (*tokens, *provider.keys):
        if environ.get(name):
            return (Credential(key=Key(environ[name]), auth=_auth_of(name, source, provider)),)
    if provider.keys:
        raise AccessRefused(
            f"no key: set {' or '.join((*tokens, *provider.keys))}, or give --token-command or --keys-file"
        )
    return (Credential(auth=auth),)


def without_secrets(url: str) -> str:
    """Take user, password, query and fragment out of an address."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, host, parts.path.rstrip("/"), "", ""))


def _auth_of(name: str, source: ApiSource, provider: Provider) -> Auth:
    return source.auth or (Auth.BEARER if name in provider.tokens else provider.auth)


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


def _query(source: ApiSource, provider: Provider, typed: str, environ: Mapping[str, str]) -> dict[str, str]:
    """The query of every request: the option goes before the address, that before the environment."""
    usual = (environ.get("OPENAI_API_VERSION") if provider.reads_version else None) or provider.version
    query = {_VERSION: usual} if usual else {}
    query |= parse_qsl(typed, keep_blank_values=True)
    return query | ({_VERSION: source.api_version} if source.api_version is not None else {})


def _check_address(base_url: str) -> None:
    try:
        parts = urlsplit(base_url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        usable = usable and not any(letter.isspace() for letter in parts.netloc)
    except ValueError:
        usable = False
    if not usable:
        shown = "the base URL (not shown: it may hold a secret)" if set("@?#") & set(base_url) else repr(base_url)
        raise MalformedAddress(f"{shown} is no address: it must begin with http:// or https:// and name a host")
