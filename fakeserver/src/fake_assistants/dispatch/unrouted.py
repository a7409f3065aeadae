"""Requests that no route took, in words: what was asked, what is there instead, and what is probably wrong.

Such a request is answered 404 or 405 in the envelope, as the real API did. An exception in its place would be
retried by the SDK and come out as a connection error. So whoever wants to know looks into the request log.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from difflib import SequenceMatcher
from itertools import zip_longest

import fake_assistants.dispatch.routes as routes
from fake_assistants.http.error_envelope import ApiProblem
from fake_assistants.http.message import Request
from fake_assistants.simulation.profiles import OPENAI, Profile
from fake_assistants.simulation.request_log import Entry

_SHOWN = 10  # different requests that are told one by one
_NEAR = 0.6  # of 1: how alike a path and a route must be to be told as near
_NEAREST = 3

_METHODS = tuple(dict.fromkeys(method for methods in routes.ROUTES.values() for method in methods))
_ROOTS = tuple(dict.fromkeys(pattern.split("/")[2] for pattern in routes.ROUTES))

_RIGHT = "It should be the host and {}, nothing less, nothing more."


def told(entries: Iterable[Entry], profile: Profile = OPENAI) -> str:
    """What the entries without a route asked for, and what is there instead; "" when every one had its route.

    `profile` is whose API was asked: paths are told as its clients know them.
    """
    asked = Counter((entry.method, entry.path, entry.status) for entry in entries if entry.unrouted)
    if not asked:
        return ""
    lines = [f"The fake has no route for {_counted(asked.total(), 'request')}:"]
    for (method, path, status), count in list(asked.items())[:_SHOWN]:
        again = "" if count == 1 else f", {count} times"
        lines += ["", f"  {method} {path} (answered {status}{again})"]
        lines += [f"    {line}" for line in _advice(path, profile)]
    if len(asked) > _SHOWN:
        lines += ["", f"  … and {len(asked) - _SHOWN} more, in the request log"]
    return "\n".join(lines)


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _advice(path: str, profile: Profile) -> Iterator[str]:
    """What to do about it, a line each."""
    base, known = profile.base_path, profile.route(path)
    if methods := _taken(known):
        yield f"The method is another: this path takes {', '.join(methods)}."
    elif right := _below_v1(path):
        yield f"The base URL is wrong: this is {base}{right.removeprefix('/v1')} here. {_RIGHT.format(base)}"
    elif near := _nearest(known or path):
        if "" in path.split("/")[1:]:
            yield "An id in it is empty, or there is a slash too many."
        yield "The nearest routes are:"
        yield from (f"  {', '.join(routes.ROUTES[pattern])} {base}{pattern.removeprefix('/v1')}" for pattern in near)
    else:
        roots = ", ".join(f"{base}/{root}" for root in _ROOTS)
        yield f"Nothing comes near. There are routes below {roots}; whatever the host, the fake answers."


def _taken(path: str) -> list[str]:
    """The methods that the path takes; none when no route has it."""
    return [method for method in _METHODS if _is_route(method, path)]


def _is_route(method: str, path: str) -> bool:
    try:
        routes.match(Request(method, path))
    except ApiProblem:
        return False
    return True


def _below_v1(path: str) -> str | None:
    """The route that a path would be, were its base URL right: with /v1, with it once, or without what precedes it."""
    tails = [f"/v1/{path.rpartition('/v1/')[2]}"] if "/v1/" in path else _tails(path)
    return next((tail for tail in tails if _taken(tail)), None)


def _tails(path: str) -> list[str]:
    parts = path.split("/")[1:]
    return ["/".join(["/v1", *parts[start:]]) for start in range(len(parts))]


def _nearest(path: str) -> list[str]:
    """The routes most like the path, best first."""
    likeness = {pattern: _likeness(pattern, path) for pattern in routes.ROUTES}
    near = [pattern for pattern in likeness if likeness[pattern] >= _NEAR]
    return sorted(near, key=lambda pattern: -likeness[pattern])[:_NEAREST]


def _likeness(pattern: str, path: str) -> float:
    """From 0 to 1, segment by segment behind the version. An id is like anything, and half like nothing."""
    pairs = list(zip_longest(pattern.split("/")[2:], path.split("/")[2:], fillvalue=""))
    return sum(_alike(wanted, given) for wanted, given in pairs) / len(pairs)


def _alike(wanted: str, given: str) -> float:
    if wanted.startswith("{"):
        return 1.0 if given else 0.5
    return SequenceMatcher(None, wanted, given).ratio()
