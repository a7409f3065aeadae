"""The services that the fake can imitate: where their routes are, how a key is sent, and what is different about them.

A profile is one service. A base is a path of it with routes below, such as `/openai/deployments/NAME`. The host of a
request selects the profile where it is one of a service's own; for any other host it is the profile that was chosen.
"""

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, Literal

import attrs

from fake_assistants.http.hosts import hostname
from fake_assistants.http.message import Request
from fake_assistants.http.redaction import api_key, bearer

# dated: an `api-version` such as 2024-05-01-preview is required. v1: none, or `v1` or `preview`. any: not looked at.
Versions = Literal["dated", "v1", "any"]


@attrs.frozen(kw_only=True)
class Base:
    """A base path of a service.

    `pattern` matches it, `path` is an example of it. `roots` are the first segments that are served below it, None for
    all, without those in `not_roots`. `key` returns the key of a request: "" for an empty one, None for none.

    `is_azure`: Microsoft's headers and error envelope, and no `reasoning_effort`. `is_project`: below a project of
    Foundry, where access is a matter of roles. `is_new_foundry`: conversations can be listed, and have shapes of their
    own.
    """

    pattern: re.Pattern[str]
    path: str
    roots: frozenset[str] | None = None
    not_roots: frozenset[str] = frozenset()
    key: Callable[[Request], str | None]
    versions: Versions = "any"
    wants_beta: bool = False
    lists_threads: bool = False
    is_azure: bool = True
    is_project: bool = False
    is_new_foundry: bool = False

    def serves(self, route: str) -> bool:
        """Whether a route such as `/v1/threads/{thread_id}` may be asked for below this base."""
        root = route.split("/")[2] if route.count("/") > 1 else ""
        return root not in self.not_roots and (self.roots is None or root in self.roots)

    def url_path(self, route: str) -> str:
        """The path at which clients find a route."""
        return self.path + route.removeprefix("/v1")


@attrs.frozen
class Place:
    """Where a request goes: a base, the path below it as the route table has it, and the deployment in its path.

    `route` is "", which is no route, for a path that no base serves.
    """

    base: Base
    route: str
    deployment: str | None = None


@attrs.frozen(kw_only=True)
class Profile:
    """One service. `base_path` is what a base URL ends in; `bases` are tried in order."""

    name: str
    title: str
    base_path: str
    bases: tuple[Base, ...]

    def place(self, path: str) -> Place:
        """Find the base of a path. Where there is none, the first base says how that is answered."""
        for base in self.bases:
            found = base.pattern.match(path)
            if found:
                route = f"/v1{path[found.end() :]}"
                if base.serves(route):
                    return Place(base, route, found[1] if base.pattern.groups else None)
        return Place(self.bases[0], "")

    def url_path(self, route: str) -> str | None:
        """The path at which clients find a route; None where the service does not have it."""
        return next((base.url_path(route) for base in self.bases if base.serves(route)), None)


def anyones_key(request: Request) -> str | None:
    """The key of a request in either form; a bearer token goes before the api-key header."""
    key = bearer(request)
    return api_key(request) if key is None else key


OPENAI = Profile(
    name="openai",
    title="OpenAI",
    base_path="/v1",
    bases=(Base(pattern=re.compile(r"/v1(?=/|\Z)"), path="/v1", key=bearer, wants_beta=True, is_azure=False),),
)

# What has the deployment in its path, and is not found without.
_DEPLOYED = frozenset({"chat", "embeddings"})
_ASSISTANTS = frozenset({"assistants", "threads"})

_AZURE_V1 = Base(pattern=re.compile(r"/openai/v1(?=/|\Z)"), path="/openai/v1", key=anyones_key, versions="v1")
_AZURE_DEPLOYMENT = Base(
    pattern=re.compile(r"/openai/deployments/([^/]+)(?=/)"),
    path="/openai/deployments/NAME",
    roots=_DEPLOYED,
    key=anyones_key,
    versions="dated",
)
_AZURE_DATED = Base(
    pattern=re.compile(r"/openai(?=/|\Z)"),
    path="/openai",
    not_roots=_DEPLOYED | {"v1", "deployments"},
    key=anyones_key,
    versions="dated",
)

AZURE = Profile(
    name="azure",
    title="Azure OpenAI",
    base_path="/openai/v1",
    bases=(_AZURE_V1, _AZURE_DEPLOYMENT, _AZURE_DATED),
)


def _project(tail: str, **given: Any) -> Base:
    return Base(
        pattern=re.compile(rf"/api/projects/[^/]+{tail}(?=/|\Z)"),
        path=f"/api/projects/fake{tail}",
        key=bearer,
        is_project=True,
        **given,
    )


# Agents (classic): read from its client and its documents. The rest of a project is the new Foundry's.
_CLASSIC = _project("", roots=_ASSISTANTS | {"files", "vector_stores"}, lists_threads=True)

FOUNDRY = Profile(
    name="foundry",
    title="Microsoft Foundry",
    base_path=_CLASSIC.path,
    bases=(
        _CLASSIC,
        _project("/openai/v1", not_roots=_ASSISTANTS, is_new_foundry=True),
        _project("/openai", not_roots=_ASSISTANTS | {"v1"}, is_new_foundry=True),
        attrs.evolve(_AZURE_V1, versions="any", is_new_foundry=True),
        _AZURE_DEPLOYMENT,
        attrs.evolve(_AZURE_DATED, versions="any", is_new_foundry=True),
    ),
)

PROFILES: Mapping[str, Profile] = {profile.name: profile for profile in (OPENAI, AZURE, FOUNDRY)}

# The hosts of each service, by their ends.
HOSTS: Mapping[str, Profile] = {
    "api.openai.com": OPENAI,
    ".api.openai.com": OPENAI,
    ".openai.azure.com": AZURE,
    ".cognitiveservices.azure.com": AZURE,
    ".services.ai.azure.com": FOUNDRY,
}


@lru_cache(maxsize=256)
def profile_of(host: str | None) -> Profile | None:
    """The profile of a Host header: of one of a service's own hosts, else None."""
    name = (hostname(host) if host else None) or ""
    return next((HOSTS[end] for end in HOSTS if name == end or (end[0] == "." and name.endswith(end))), None)
