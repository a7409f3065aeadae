"""From a fault plan's JSON to its rules, or a refusal with the path of what is wrong.

    [{"match": {"method", "path", "thread", "nth", "times", "probability"}, "do": {...}}, ...]

What is done is one of these, and "delay" (seconds) may stand beside it, or alone:

    {"status": 429, "headers": {...}, "body": ...}   the request is not carried out; a text body is sent as it is,
                                                     other JSON is printed, without a body the real one is sent
    {"drop": "before"}                               the connection is closed; the request is not carried out
    {"drop": "mid-body", "after": 3}                 carried out, and the answer breaks in the middle; a stream
                                                     breaks after so many chunks
    {"truncate": 100}                                carried out, and the answer ends properly after so many bytes
    {"rewrite": "lie-has-more"}                      carried out, and a list page is changed

`path` is a regular expression, searched in the path as on the wire. One that backtracks without end holds up the
whole fake.
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

DROPS = ("before", "mid-body")

# Statuses whose answer has no body (RFC 9110, 6.4.1).
BODILESS = frozenset({204, 205, 304})

# How many chunks of a stream go out before it breaks.
_CHUNKS = 3

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_FIELD = re.compile(r"(?:[\x21-\x7e\x80-\xff](?:[\t\x20-\x7e\x80-\xff]*[\x21-\x7e\x80-\xff])?)?")

# What frames an answer is the skins' own.
_FRAMING = frozenset({"content-length", "transfer-encoding", "connection"})


@attrs.frozen(kw_only=True)
class Match:
    """Which calls a rule is for, and which of those it strikes."""

    method: str | None = None
    path: re.Pattern[str] | None = None
    thread: str | None = None
    nth: tuple[int, ...] = ()
    times: int | None = None
    probability: float = 1.0

    def fits(self, request: Request) -> bool:
        """Whether the rule counts this call."""
        return (
            (self.method is None or self.method == request.method.upper())
            and (self.path is None or self.path.search(request.path) is not None)
            and (self.thread is None or self.thread in map(unquote, request.path.split("/")))
        )

    def due(self, call: int, struck: int) -> bool:
        """Whether the rule may strike its call with this number, after it struck so often."""
        if self.nth:
            return any(first <= call < first + (1 if self.times is None else self.times) for first in self.nth)
        return self.times is None or struck < self.times


@attrs.frozen(kw_only=True)
class FaultAction:
    """What a rule does. Of status, drop, truncate and rewrite at most one is there; `delay` is in seconds."""

    status: int | None = None
    headers: Pairs = ()
    body: bytes | None = None
    content_type: str | None = None
    drop: str | None = None
    after: int = _CHUNKS
    truncate: int | None = None
    rewrite: str | None = None
    delay: float = 0.0


@attrs.frozen
class Rule:
    """One line of a plan."""

    match: Match
    do: FaultAction


def rules(given: object) -> tuple[Rule, ...]:
    """Read a whole plan. Raises BadInput."""
    return tuple(_rule(one, f"$[{index}]") for index, one in enumerate(a_list(given, "$")))


def _rule(given: object, where: str) -> Rule:
    fields = an_object(given, where, {"match", "do"})
    if "do" not in fields:
        raise BadInput('expected a "do"', where)
    return Rule(_match(fields.get("match", {}), f"{where}.match"), _do(fields["do"], f"{where}.do"))


# --- match ----------------------------------------------------------------------------------------------


def _match(given: object, where: str) -> Match:
    fields = an_object(given, where, _MATCHES)
    return Match(**{key: _MATCHES[key](fields, key, where) for key in fields})


def _text(fields: Obj, key: str, where: str) -> str:
    a_string(fields, key, where)
    return str(fields[key])


def _method(fields: Obj, key: str, where: str) -> str:
    return _text(fields, key, where).upper()


def _path(fields: Obj, key: str, where: str) -> re.Pattern[str]:
    text = _text(fields, key, where)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # Python warns of doubtful sets
            return re.compile(text)
    except (re.error, OverflowError, RecursionError, Warning) as error:
        raise BadInput(f"not a regular expression: {error}", f"{where}.{key}") from None


def _nth(fields: Obj, key: str, where: str) -> tuple[int, ...]:
    calls = fields[key] if isinstance(fields[key], list) else [fields[key]]
    if not calls or any(type(call) is not int or call < 1 for call in calls):
        raise BadInput("expected a call's number, 1 or more, or a list of such", f"{where}.{key}")
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


_MATCHES: Mapping[str, Callable[[Obj, str, str], Any]] = {
    "method": _method,
    "path": _path,
    "thread": _text,
    "nth": _nth,
    "times": _number,
    "probability": _probability,
}

# --- do -------------------------------------------------------------------------------------------------

# What may be done, each with the keys that may stand beside it.
_ACTIONS = {
    "status": {"headers", "body"},
    "drop": {"after"},
    "truncate": set[str](),
    "rewrite": set[str](),
}


def _do(given: object, where: str) -> FaultAction:
    fields = an_object(given, where, _DOINGS)
    actions = [key for key in fields if key in _ACTIONS]
    if len(actions) > 1 or not (actions or "delay" in fields):
        raise BadInput(f"expected exactly one of {', '.join(_ACTIONS)}, or a delay alone", where)
    beside = {"delay", *actions}.union(*(_ACTIONS[action] for action in actions))
    for key in fields:
        if key not in beside:
            raise BadInput(f"does not stand beside {', '.join(actions) or 'delay'}", f"{where}.{key}")
    return _whole(FaultAction(**{key: _DOINGS[key](fields, key, where) for key in fields}), fields, where)


def _whole(do: FaultAction, fields: Obj, where: str) -> FaultAction:
    """With what follows from more than one key."""
    if "after" in fields and do.drop == "before":
        raise BadInput('stands beside "drop": "mid-body" only', f"{where}.after")
    if do.body and do.status in BODILESS:
        raise BadInput(f"an answer {do.status} has no body", f"{where}.body")
    if do.body is None:
        return do
    return attrs.evolve(do, content_type=_content_type(fields["body"]))


def _content_type(body: object) -> str | None:
    """What a body's own look says; None for none at all."""
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
            raise BadInput("expected a header's name and its value, a string", f"{where}.{key}.{name}")
        if name.lower() in _FRAMING:
            raise BadInput("the fake frames its answers itself; truncate and drop break them", f"{where}.{key}.{name}")
    return tuple((name.lower(), value) for name, value in headers.items())


def _body(fields: Obj, key: str, _: str) -> bytes:
    body = fields[key]
    return body.encode("utf-8", "backslashreplace") if isinstance(body, str) else dumps(body)


def _one_of(*values: str) -> Callable[[Obj, str, str], str]:
    def read(fields: Obj, key: str, where: str) -> str:
        if fields[key] not in values:
            raise BadInput(f"expected one of {', '.join(values)}", f"{where}.{key}")
        return str(fields[key])

    return read


def _delay(fields: Obj, key: str, where: str) -> float:
    return seconds(fields[key], f"{where}.{key}")


_DOINGS: Mapping[str, Callable[[Obj, str, str], Any]] = {
    "status": _status,
    "headers": _headers,
    "body": _body,
    "drop": _one_of(*DROPS),
    "after": _number,
    "truncate": _number,
    "rewrite": _one_of(*REWRITES),
    "delay": _delay,
}
