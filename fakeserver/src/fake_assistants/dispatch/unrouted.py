"""Describe requests without a route: what was requested, the nearest routes, and what is probably wrong.

Such a request is answered 404 or 405 in the error envelope, as by the real API. If the fake raised an exception, the
SDK would retry and then report a connection error. The request log marks these requests, so that a test can find them.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from difflib import SequenceMatcher
from itertools import zip_longest
from typing import Self

import attrs

import fake_assistants.dispatch.routes as routes
from fake_assistants.http.error_envelope import ApiProblem
from fake_assistants.simulation.profiles import AZURE, OPENAI, PROFILES, Place, Profile, profile_of
from fake_assistants.simulation.request_log import Entry

_SHOWN = 10  # different requests that are listed
_NEAR = 0.6  # the least similarity, from 0 to 1, of a path and a route that is suggested
_NEAREST = 3

_METHODS = tuple(dict.fromkeys(method for methods in routes.ROUTES.values() for method in methods))
_ROOTS = tuple(dict.fromkeys("/".join(pattern.split("/")[:3]) for pattern in routes.ROUTES))

_RIGHT = "It should be exactly the host and {}."

# How the clients of a service take its address, where that is not the base URL alone.
_ADDRESS = {"azure": " As azure_endpoint it is the host alone.", "foundry": " Any name of a project will do."}


def describe(entries: Iterable[Entry], profile: Profile = OPENAI) -> str:
    """Describe the entries without a route, with advice on each. Return "" if there are none.

    `profile` is the fake's. It applies to hosts that belong to no service. Paths are shown with its base path.
    """
    asked = Counter(_Request.of(entry) for entry in entries if entry.unrouted)
    if not asked:
        return ""
    lines = [f"The fake has no route for {_counted(asked.total(), 'request')}:"]
    for request, count in list(asked.items())[:_SHOWN]:
        again = "" if count == 1 else f", {count} times"
        lines += ["", f"  {request.line} (answered {request.status}{again})"]
        lines += [f"    {line}" for line in _advice(request, profile)]
    if len(asked) > _SHOWN:
        lines += ["", f"  … and {len(asked) - _SHOWN} more, in the request log"]
    return "\n".join(lines)


@attrs.frozen
class _Request:
    """The fields of an entry that are shown. Equal requests are shown once."""

    method: str
    path: str
    host: str
    status: int

    @classmethod
    def of(cls, entry: Entry) -> Self:
        return cls(entry.method, entry.path, entry.host, entry.status)

    @property
    def line(self) -> str:
        return f"{self.method} {self.path}{f' at {self.host}' if self.host else ''}"


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _advice(request: _Request, fakes: Profile) -> Iterator[str]:
    """Yield the lines of advice on a request."""
    by_host = profile_of(request.host)
    profile = by_host or fakes
    if by_host is not None and by_host is not fakes:
        yield f"At {request.host} the fake answers as {profile.title} does (profile {profile.name!r})."
    place = profile.place(request.path)
    if methods := _methods_of(place):
        yield _about_a_route(request, methods)
        return
    others = [] if by_host else [other for other in PROFILES.values() if _methods_of(other.place(request.path))]
    yield from (_other_profile(other) for other in others)
    yield from _about_no_route(request.path, profile, is_guessing=not others)


def _about_a_route(request: _Request, methods: list[str]) -> str:
    if request.method in methods:  # so it is the version
        return f"The query has no api-version. Add one, such as 2024-05-01-preview, or use {AZURE.base_path}."
    return f"The method is wrong: this path takes {', '.join(methods)}."


def _other_profile(other: Profile) -> str:
    return (
        f"This is a path of {other.title}. For it make the fake with profile={other.name!r} (`serve --profile "
        f"{other.name}`), or ask one of its own hosts."
    )


def _about_no_route(path: str, profile: Profile, *, is_guessing: bool) -> Iterator[str]:
    if (right := _below_v1(path)) and (url_path := profile.url_path(right)):
        base = url_path.removesuffix(right.removeprefix("/v1"))
        yield f"The base URL is wrong: this route is {url_path}. {_RIGHT.format(base)}{_ADDRESS.get(profile.name, '')}"
    elif near := _nearest(_below(path, profile), profile):
        if "" in path.split("/")[1:]:
            yield "An id in the path is empty, or there is a slash too many."
        yield "The nearest routes are:"
        yield from (f"  {', '.join(routes.ROUTES[pattern])} {profile.url_path(pattern)}" for pattern in near)
    elif is_guessing:
        roots = ", ".join(filter(None, (profile.url_path(root) for root in _ROOTS)))
        yield f"No route is like it. The routes are below {roots}. The fake answers whatever the host is."


def _below(path: str, profile: Profile) -> str:
    """Return the path in the form of the route table, without the longest base path that it begins with."""
    bases = (base.pattern.match(path) for base in profile.bases)
    tails = [path[found.end() :] for found in bases if found]
    return f"/v1{min(tails, key=len)}" if tails else path


def _methods_of(place: Place) -> list[str]:
    """Return the methods of a route, or none if there is no such route."""
    return [method for method in _METHODS if _is_route(method, place.route, is_new_foundry=place.base.is_new_foundry)]


def _is_route(method: str, path: str, *, is_new_foundry: bool = False) -> bool:
    try:
        routes.match(method, path, is_new_foundry=is_new_foundry)
    except ApiProblem:
        return False
    return True


def _below_v1(path: str) -> str | None:
    """Return the route that a path would match with the right base URL, which ends with one /v1; or None."""
    tails = [f"/v1/{path.rpartition('/v1/')[2]}"] if "/v1/" in path else _tails(path)
    return next((tail for tail in tails if any(_is_route(method, tail) for method in _METHODS)), None)


def _tails(path: str) -> list[str]:
    parts = path.split("/")[1:]
    return ["/".join(["/v1", *parts[start:]]) for start in range(len(parts))]


def _nearest(path: str, profile: Profile) -> list[str]:
    """Return the routes of a service that are most similar to the path, best first."""
    similarity = {pattern: _similarity(pattern, path) for pattern in routes.ROUTES if profile.url_path(pattern)}
    near = [pattern for pattern in similarity if similarity[pattern] >= _NEAR]
    return sorted(near, key=lambda pattern: -similarity[pattern])[:_NEAREST]


def _similarity(pattern: str, path: str) -> float:
    """Compare the segments after the version, from 0 to 1. A parameter matches any segment, a missing one by half."""
    pairs = list(zip_longest(pattern.split("/")[2:], path.split("/")[2:], fillvalue=""))
    return sum(_segment_similarity(expected, given) for expected, given in pairs) / len(pairs)


def _segment_similarity(expected: str, given: str) -> float:
    if expected.startswith("{"):
        return 1.0 if given else 0.5
    return SequenceMatcher(None, expected, given).ratio()
