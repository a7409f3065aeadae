"""Masking: no key of a request is passed on, wherever it is and however it is spelled."""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import attrs

from fake_assistants.http.error_envelope import ErrorBody
from fake_assistants.http.message import Pairs, Request

_MASK = "***"

_SECRET_NAMES = frozenset({"api-key", "api_key", "apikey", "key", "token", "access_token", "authorization"})

# Of a JSON body: "key" and "token" are names of metadata and of arguments there.
_SECRET_FIELDS = _SECRET_NAMES - {"key", "token"}

_SECRET_HEADERS = re.compile(r"api-?key|subscription-key|token|secret|cookie|credential|authorization")

# Where a word begins: behind no letter or digit, or behind a percent-encoded character.
_EDGE = r"(?:(?<![^\W_])|(?<=%[0-9a-fA-F]{2}))"


def _spelled(text: str) -> str:
    """A pattern for a text in whichever spelling, each character plain or percent-encoded."""
    return "".join(f"(?:{re.escape(one)}|(?i:{_percent(one)}))" for one in text)


def _percent(character: str) -> str:
    return "".join(f"%{byte:02x}" for byte in character.encode("utf-8", "replace"))


# What looks like a key; and what may be one, after a letter or digit only when it is long, so that "task-list" stays.
_SK, _REST = _spelled("sk-"), r"(?:[\w-]|%[0-9a-fA-F]{2})"
_LOOKS = rf"{_EDGE}{_SK}{_REST}+"
_MAY_BE = rf"{_SK}{_REST}{{16,}}"

# A shorter key than this is masked only where it stands alone: "a" must not tear "assistants" apart.
_LONG = 8


def bearer(request: Request) -> str | None:
    """The key of a bearer token, "" when it is empty; None when the request has no bearer token."""
    scheme, _, key = request.headers.get("authorization", "").strip().partition(" ")
    return key.strip() if scheme.lower() == "bearer" else None


def api_key(request: Request) -> str | None:
    """The key in the `api-key` header, as Azure's services take it; None when there is none."""
    key = request.headers.get("api-key")
    return None if key is None else key.strip()


def masked(key: str) -> str:
    """A key as the API showed it to whoever sent it: the first 8 and last 4 characters, asterisks between.

    Short keys are shown whole, '' for an empty one (recorded; how long a short one may be is inferred).
    """
    if len(key) <= 12:
        return key or "''"
    return key[:8] + "*" * (len(key) - 12) + key[-4:]


class Mask:
    """What hides the secrets of one request."""

    def __init__(self, request: Request) -> None:
        self._own = keys_of(request)
        self._looks, self._may_be = _patterns(*self._own)

    def text(self, text: str) -> str:
        """A text without secrets."""
        return self._may_be.sub(_MASK, text)

    def shown(self, problem: ErrorBody) -> ErrorBody:
        """A problem that shows keys as the real API did. What only may be one stays: an answer tells what was asked."""
        param = None if problem.param is None else self._shown(problem.param)
        return attrs.evolve(problem, message=self._shown(problem.message), param=param)

    def query(self, query: Pairs) -> Pairs:
        """Names and values without secrets; a name that promises one has its value hidden whole."""
        return tuple((self.text(name), self._value(name, value)) for name, value in query)

    def headers(self, headers: Mapping[str, str]) -> dict[str, str]:
        """Return headers without secrets. Of an authorization the scheme stays."""
        return {self.text(name): self._header(name, value) for name, value in headers.items()}

    def json(self, value: Any) -> Any:
        """Mask a JSON value in place, and return it. Names of objects are masked too.

        A key of fewer than 8 characters, as tests use them, is also a word, so it stays; no real key is so short.
        """
        _, pattern = _patterns(*(key for key in self._own if len(key) >= _LONG))
        top = [value]
        pending: list[Any] = [top]
        while pending:  # not recursive: JSON may be nested deeper than Python can call
            holder = pending.pop()
            for place, item in list(holder.items() if isinstance(holder, dict) else enumerate(holder)):
                if isinstance(holder, dict):
                    del holder[place]
                    item = _MASK if isinstance(item, str) and place.lower() in _SECRET_FIELDS else item
                    place = pattern.sub(_MASK, place)
                holder[place] = pattern.sub(_MASK, item) if isinstance(item, str) else item
                if isinstance(item, dict | list):
                    pending.append(item)
        return top[0]

    def _header(self, name: str, value: str) -> str:
        if not _SECRET_HEADERS.search(name):
            return self.text(value)
        scheme, blank, _ = value.partition(" ")
        return f"{scheme} {_MASK}" if blank and name.endswith("authorization") else _MASK

    def _shown(self, text: str) -> str:
        return self._looks.sub(lambda key: masked(key[0]), text)

    def _value(self, name: str, value: str) -> str:
        return _MASK if name.lower() in _SECRET_NAMES else self.text(value)


def keys_of(request: Request) -> list[str]:
    """Return the key in the Authorization header, of whichever scheme, and that in the api-key header."""
    header = request.headers.get("authorization", "").strip()
    key = header.partition(" ")[2].strip() or header
    keys = (None if key.lower() == "bearer" else key, api_key(request))
    return [key for key in keys if key]


@lru_cache(maxsize=256)  # few keys send many requests
def _patterns(*keys: str) -> tuple[re.Pattern[str], re.Pattern[str]]:
    """These keys and what looks like one; and with them what may be one."""
    looks = "|".join([*map(_pattern, keys), _LOOKS])
    return re.compile(looks), re.compile(f"{looks}|{_MAY_BE}")


def _pattern(key: str) -> str:
    pattern = _spelled(key)
    return pattern if len(key) >= _LONG else rf"{_EDGE}{pattern}(?![^\W_])"
