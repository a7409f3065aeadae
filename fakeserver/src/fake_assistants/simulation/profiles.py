"""The services that the fake can imitate: their paths, their authentication, and how they differ.

A profile is one service. A base is a path of it with routes below, such as `/openai/deployments/NAME`. A request to
a host of one of the services selects its profile; for any other host the configured profile is used.
"""

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, Literal

import attrs

from fake_assistants.http.hosts import hostname
from fake_assistants.http.message import Request
from fake_assistants.http.redaction import api_key, bearer

# dated: an `api-version` such as 2024-05-01-preview is required. v1: none, or `v1` or `preview`. any: ignored.
Versions = Literal["dated", "v1", "any"]


@attrs.frozen(kw_only=True)
class Base:
    """A base path of a service.

    Attributes:
        pattern: matches the base path.
        path: an example of it.
        roots: the first path segments of the routes that are served below it; None for all.
        not_roots: first path segments that are not served below it.
        key: returns the key of a request: "" for an empty one, None for none.
        versions: the values of `api-version` that are accepted.
        wants_beta: whether the beta header is required.
        lists_threads: whether threads can be listed.
        is_azure: whether it has Microsoft's headers and error envelope, and no `reasoning_effort`.
        is_project: whether it is in a project of Foundry, where access depends on roles.
        is_new_foundry: whether conversations can be listed, and have other shapes.
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

    @property
    def file_prefix(self) -> str:
        """How the ids of files begin that can be in an item (quoted)."""
        return "assistant" if self.is_azure else "file"

    def serves(self, route: str) -> bool:
        """Return whether a route such as `/v1/threads/{thread_id}` is served below this base."""
        root = route.split("/")[2] if route.count("/") > 1 else ""
        return root not in self.not_roots and (self.roots is None or root in self.roots)

    def url_path(self, route: str) -> str:
        """Return the path at which clients find a route."""
        return self.path + route.removeprefix("/v1")


@attrs.frozen
class Place:
    """The target of a request: a base, the path below it as in the route table, and the deployment in its path.

    `route` is "", which matches no route, if no base serves the path.
    """

    base: Base
    route: str
    deployment: str | None = None


@attrs.frozen(kw_only=True)
class Profile:
    """A service. `base_path` is the path of its base URL; `bases` are tried in order."""

    name: str
    title: str
    base_path: str
    bases: tuple[Base, ...]

    def place(self, path: str) -> Place:
        """Return the target of a path. If no base serves it, the first base decides how the error looks."""
        for base in self.bases:
            found = base.pattern.match(path)
            if found:
                route = f"/v1{path[found.end() :]}"
                if base.serves(route):
                    return Place(base, route, found[1] if base.pattern.groups else None)
        return Place(self.bases[0], "")

    def url_path(self, route: str) -> str | None:
        """Return the path at which clients find a route; None if the service does not have it."""
        return next((base.url_path(route) for base in self.bases if base.serves(route)), None)


def anyones_key(request: Request) -> str | None:
    """Return the key of a request in either form; a bearer token takes precedence over the api-key header."""
    key = bearer(request)
    return api_key(request) if key is None else key


OPENAI = Profile(
    name="openai",
    title="OpenAI",
    base_path="/v1",
    bases=(Base(pattern=re.compile(r"/v1(?=/|\Z)"), path="/v1", key=bearer, wants_beta=True, is_azure=False),),
)

# Routes that have the deployment in their path, and are not served without it.
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


# Agents (classic), according to its client and its documentation. The rest of a project is the new Foundry.
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

# The hosts of each service, by their suffixes.
HOSTS: Mapping[str, Profile] = {
    "api.openai.com": OPENAI,
    ".api.openai.com": OPENAI,
    ".openai.azure.com": AZURE,
    ".cognitiveservices.azure.com": AZURE,
    ".services.ai.azure.com": FOUNDRY,
}


@lru_cache(maxsize=256)
def profile_of(host: str | None) -> Profile | None:
    """Return the profile of a Host header if it names a host of one of the services, else None."""
    name = (hostname(host) if host else None) or ""
    return next(
        (HOSTS[suffix] for suffix in HOSTS if name == suffix or (suffix[0] == "." and name.endswith(suffix))), None
    )
