"""Mask the API keys of a request, wherever they occur and in every percent-encoded spelling."""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import attrs

from fake_assistants.http.error_envelope import ErrorBody
from fake_assistants.http.message import Pairs, Request

_MASK = "***"

_SECRET_NAMES = frozenset({"api-key", "api_key", "apikey", "key", "token", "access_token", "authorization"})

# In a JSON body "key" and "token" are ordinary names, of metadata and of arguments.
_SECRET_FIELDS = _SECRET_NAMES - {"key", "token"}

_SECRET_HEADERS = re.compile(r"api-?key|subscription-key|token|secret|cookie|credential|authorization")

# The beginning of a word: not preceded by a letter or digit, or preceded by a percent-encoded character.
_WORD_START = r"(?:(?<![^\W_])|(?<=%[0-9a-fA-F]{2}))"


def _spelled(text: str) -> str:
    """Return a pattern for a text in which each character may be plain or percent-encoded."""
    return "".join(f"(?:{re.escape(one)}|(?i:{_percent(one)}))" for one in text)


def _percent(character: str) -> str:
    return "".join(f"%{byte:02x}" for byte in character.encode("utf-8", "replace"))


# Text that looks like a key, and text that may be one: within a word only if it is long, unlike "task-list".
_SK, _REST = _spelled("sk-"), r"(?:[\w-]|%[0-9a-fA-F]{2})"
_LOOKS = rf"{_WORD_START}{_SK}{_REST}+"
_MAY_BE = rf"{_SK}{_REST}{{16,}}"

# A shorter key is masked only as a word by itself: the key "a" must not be masked in "assistants".
_LONG = 8


def bearer(request: Request) -> str | None:
    """Return the bearer token of a request, "" if it is empty, None if there is none."""
    scheme, _, key = request.headers.get("authorization", "").strip().partition(" ")
    return key.strip() if scheme.lower() == "bearer" else None


def api_key(request: Request) -> str | None:
    """Return the key in the `api-key` header, which Azure's services read; None if there is none."""
    key = request.headers.get("api-key")
    return None if key is None else key.strip()


def masked(key: str) -> str:
    """Return a key as the API's error messages show it: the first 8 and last 4 characters, asterisks between.

    Short keys are shown completely, '' for an empty one (recorded; the length of a short key is inferred).
    """
    if len(key) <= 12:
        return key or "''"
    return key[:8] + "*" * (len(key) - 12) + key[-4:]


class Mask:
    """Masks the secrets of one request."""

    def __init__(self, request: Request) -> None:
        self._own = keys_of(request)
        self._looks, self._may_be = _patterns(*self._own)

    def text(self, text: str) -> str:
        """Return a text without secrets."""
        return self._may_be.sub(_MASK, text)

    def shown(self, problem: ErrorBody) -> ErrorBody:
        """Return an error with keys shown as the real API shows them.

        Text that only may be a key is not masked: error messages quote the request.
        """
        param = None if problem.param is None else self._shown(problem.param)
        return attrs.evolve(problem, message=self._shown(problem.message), param=param)

    def query(self, query: Pairs) -> Pairs:
        """Return names and values without secrets; the value of a name such as `token` is masked completely."""
        return tuple((self.text(name), self._value(name, value)) for name, value in query)

    def headers(self, headers: Mapping[str, str]) -> dict[str, str]:
        """Return headers without secrets. The scheme of an authorization is not masked."""
        return {self.text(name): self._header(name, value) for name, value in headers.items()}

    def json(self, value: Any) -> Any:
        """Mask a JSON value in place, and return it. Keys of objects are masked too.

        An API key of fewer than 8 characters, as tests use them, may be an ordinary word and is not masked; no real
        key is so short.
        """
        _, pattern = _patterns(*(key for key in self._own if len(key) >= _LONG))
        top = [value]
        pending: list[Any] = [top]
        while pending:  # not recursive: JSON may be nested deeper than Python can call
            holder = pending.pop()
            for position, item in list(holder.items() if isinstance(holder, dict) else enumerate(holder)):
                if isinstance(holder, dict):
                    del holder[position]
                    item = _MASK if isinstance(item, str) and position.lower() in _SECRET_FIELDS else item
                    position = pattern.sub(_MASK, position)
                holder[position] = pattern.sub(_MASK, item) if isinstance(item, str) else item
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
    """Return two patterns: these keys and text that looks like one; and in addition text that may be one."""
    looks = "|".join([*map(_pattern, keys), _LOOKS])
    return re.compile(looks), re.compile(f"{looks}|{_MAY_BE}")


def _pattern(key: str) -> str:
    pattern = _spelled(key)
    return pattern if len(key) >= _LONG else rf"{_WORD_START}{pattern}(?![^\W_])"
