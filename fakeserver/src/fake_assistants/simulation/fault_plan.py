"""Parse a fault plan (JSON) into rules. Errors have the path of the wrong value.

    [{"match": {"method", "path", "thread", "nth", "times", "probability"}, "do": {...}}, ...]

"do" is one of these; "delay" (seconds) may be added to each, or be used alone:

    {"status": 429, "headers": {...}, "body": ...}   do not carry out the request; send a text body as it is, any
                                                     other JSON printed, and without a body the real API's
    {"status": 500, "executed": true}                the same, after the request was carried out
    {"drop": "before"}                               do not carry out the request; close the connection
    {"drop": "answer"}                               carry out the request, and close the connection without an answer
    {"drop": "mid-body", "after": 3}                 carry out the request, and break the answer in the middle; a
                                                     stream breaks after this many chunks
    {"truncate": 100}                                carry out the request, and end the answer properly after this
                                                     many bytes
    {"rewrite": "lie-has-more"}                      carry out the request, and change the list page

`path` is a regular expression, searched in the path as on the wire. One with catastrophic backtracking blocks the
fake.
"""

import re
import warnings
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import unquote

import attrs

from fake_assistants.http.lossless_json import Obj, dumps
from fake_assistants.http.message import Pairs, Request
from fake_assistants.simulation.page_rewrites import REWRITES
from fake_assistants.user_input import BadInput, a_count, a_list, a_string, an_object, seconds

DROPS = ("before", "answer", "mid-body")

# Statuses of answers without a body (RFC 9110, 6.4.1).
BODILESS = frozenset({204, 205, 304})

# The number of chunks of a stream that are sent before it breaks.
_CHUNKS = 3

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_FIELD = re.compile(r"(?:[\x21-\x7e\x80-\xff](?:[\t\x20-\x7e\x80-\xff]*[\x21-\x7e\x80-\xff])?)?")

# Headers that the adapters set.
_FRAMING = frozenset({"content-length", "transfer-encoding", "connection"})


@attrs.frozen(kw_only=True)
class Match:
    """The calls that a rule applies to, by request, number and probability."""

    method: str | None = None
    path: re.Pattern[str] | None = None
    thread: str | None = None
    nth: tuple[int, ...] = ()
    times: int | None = None
    probability: float = 1.0

    def fits(self, request: Request) -> bool:
        """Return whether a request matches."""
        return (
            (self.method is None or self.method == request.method.upper())
            and (self.path is None or self.path.search(request.path) is not None)
            and (self.thread is None or self.thread in map(unquote, request.path.split("/")))
        )

    def due(self, call: int, hits: int) -> bool:
        """Return whether the rule may apply to the matching call with this number, after it applied `hits` times."""
        if self.nth:
            return any(first <= call < first + (1 if self.times is None else self.times) for first in self.nth)
        return self.times is None or hits < self.times


@attrs.frozen(kw_only=True)
class FaultAction:
    """The effect of a rule. At most one of status, drop, truncate and rewrite is set; `delay` is in seconds.

    `executed` is whether a request that is answered with `status` was carried out.
    """

    status: int | None = None
    headers: Pairs = ()
    body: bytes | None = None
    content_type: str | None = None
    executed: bool = False
    drop: str | None = None
    after: int = _CHUNKS
    truncate: int | None = None
    rewrite: str | None = None
    delay: float = 0.0


@attrs.frozen
class Rule:
    """One rule of a plan."""

    match: Match
    do: FaultAction


def rules(given: object) -> tuple[Rule, ...]:
    """Parse a plan. Raises BadInput."""
    return tuple(_rule(one, f"$[{index}]") for index, one in enumerate(a_list(given, "$")))


def _rule(given: object, where: str) -> Rule:
    fields = an_object(given, where, {"match", "do"})
    if "do" not in fields:
        raise BadInput('expected a "do"', where)
    return Rule(_match(fields.get("match", {}), f"{where}.match"), _action(fields["do"], f"{where}.do"))


# --- match ----------------------------------------------------------------------------------------------


def _match(given: object, where: str) -> Match:
    fields = an_object(given, where, _MATCH_FIELDS)
    return Match(**{key: _MATCH_FIELDS[key](fields, key, where) for key in fields})


def _text(fields: Obj, key: str, where: str) -> str:
    a_string(fields, key, where)
    return str(fields[key])


def _method(fields: Obj, key: str, where: str) -> str:
    return _text(fields, key, where).upper()


def _path(fields: Obj, key: str, where: str) -> re.Pattern[str]:
    text = _text(fields, key, where)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # Python warns about ambiguous sets
            return re.compile(text)
    except (re.error, OverflowError, RecursionError, Warning) as error:
        raise BadInput(f"not a regular expression: {error}", f"{where}.{key}") from None


def _nth(fields: Obj, key: str, where: str) -> tuple[int, ...]:
    calls = fields[key] if isinstance(fields[key], list) else [fields[key]]
    if not calls or any(type(call) is not int or call < 1 for call in calls):
        raise BadInput("expected the number of a call, 1 or more, or a list of numbers", f"{where}.{key}")
    return tuple(calls)


def _number(fields: Obj, key: str, where: str, *, least: int = 0) -> int:
    count = a_count(fields, key, where, least=least)
    if count is None:
        raise BadInput(f"expected a whole number, {least} or more", f"{where}.{key}")
    return count


def _probability(fields: Obj, key: str, where: str) -> float:
    value = fields[key]
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise BadInput("expected a number from 0 to 1", f"{where}.{key}")
    return float(value)


_MATCH_FIELDS: Mapping[str, Callable[[Obj, str, str], Any]] = {
    "method": _method,
    "path": _path,
    "thread": _text,
    "nth": _nth,
    "times": _number,
    "probability": _probability,
}

# --- do -------------------------------------------------------------------------------------------------

# The actions, each with the keys that it may be combined with.
_ACTIONS = {
    "status": {"headers", "body", "executed"},
    "drop": {"after"},
    "truncate": set[str](),
    "rewrite": set[str](),
}


def _action(given: object, where: str) -> FaultAction:
    fields = an_object(given, where, _ACTION_FIELDS)
    actions = [key for key in fields if key in _ACTIONS]
    if len(actions) > 1 or not (actions or "delay" in fields):
        raise BadInput(f"expected exactly one of {', '.join(_ACTIONS)}, or a delay alone", where)
    allowed = {"delay", *actions}.union(*(_ACTIONS[action] for action in actions))
    for key in fields:
        if key not in allowed:
            raise BadInput(f"cannot be combined with {', '.join(actions) or 'delay'}", f"{where}.{key}")
    return _checked(FaultAction(**{key: _ACTION_FIELDS[key](fields, key, where) for key in fields}), fields, where)


def _checked(do: FaultAction, fields: Obj, where: str) -> FaultAction:
    """Check the combination of keys, and add the content type of the body."""
    if "after" in fields and do.drop != "mid-body":
        raise BadInput('can be combined with "drop": "mid-body" only', f"{where}.after")
    if do.body and do.status in BODILESS:
        raise BadInput(f"an answer {do.status} has no body", f"{where}.body")
    if do.body is None:
        return do
    return attrs.evolve(do, content_type=_content_type(fields["body"]))


def _content_type(body: object) -> str | None:
    """Return the content type that a body appears to have; None for an empty one."""
    if not isinstance(body, str):
        return "application/json"
    looks = {"<": "text/html", "{": "application/json", "[": "application/json"}
    return looks.get(body.lstrip()[:1], "text/plain; charset=utf-8") if body else None


def _status(fields: Obj, key: str, where: str) -> int:
    if type(fields[key]) is not int or not 200 <= fields[key] <= 599:
        raise BadInput("expected a status from 200 to 599", f"{where}.{key}")
    return int(fields[key])


def _headers(fields: Obj, key: str, where: str) -> Pairs:
    headers = an_object(fields[key], f"{where}.{key}")
    for name, value in headers.items():
        if not _TOKEN.fullmatch(name) or not isinstance(value, str) or not _FIELD.fullmatch(value):
            raise BadInput("expected the name of a header and a string as its value", f"{where}.{key}.{name}")
        if name.lower() in _FRAMING:
            raise BadInput(
                "the fake sets this header itself; use truncate or drop to break an answer", f"{where}.{key}.{name}"
            )
    return tuple((name.lower(), value) for name, value in headers.items())


def _body(fields: Obj, key: str, _: str) -> bytes:
    body = fields[key]
    return body.encode("utf-8", "backslashreplace") if isinstance(body, str) else dumps(body)


def _boolean(fields: Obj, key: str, where: str) -> bool:
    if not isinstance(fields[key], bool):
        raise BadInput("expected true or false", f"{where}.{key}")
    return bool(fields[key])


def _one_of(*values: str) -> Callable[[Obj, str, str], str]:
    def read(fields: Obj, key: str, where: str) -> str:
        if fields[key] not in values:
            raise BadInput(f"expected one of {', '.join(values)}", f"{where}.{key}")
        return str(fields[key])

    return read


def _delay(fields: Obj, key: str, where: str) -> float:
    return seconds(fields[key], f"{where}.{key}")


_ACTION_FIELDS: Mapping[str, Callable[[Obj, str, str], Any]] = {
    "status": _status,
    "headers": _headers,
    "body": _body,
    "executed": _boolean,
    "drop": _one_of(*DROPS),
    "after": _number,
    "truncate": _number,
    "rewrite": _one_of(*REWRITES),
    "delay": _delay,
}
