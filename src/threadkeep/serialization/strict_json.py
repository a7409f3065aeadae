"""JSON text read as an auditor reads it: what readers pass over in silence is told, with its place.

`threadkeep.serialization.lossless_json` reads what the API sends, as every reader does. Here a key that stands twice, a
NaN and an infinity are troubles. The quick way is proof enough for most texts.
"""

import json
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import attrs
import orjson

from threadkeep.serialization.json_diff import below
from threadkeep.serialization.lossless_json import may_hold_beyond_64_bits

__all__ = ["Trouble", "strict"]


@attrs.frozen
class Trouble:
    """What is wrong with a text: a code of `threadkeep.validation.findings`, words, and where, as a JSON path."""

    code: str
    what: str
    path: str


def strict(text: bytes) -> tuple[Any, tuple[Trouble, ...]]:
    """Read one JSON value, and say what is wrong with its text.

    Args:
        text: one value, with white space round it or not.

    Returns:
        The value, and the troubles. Of a key that stands twice the last one counts. There is no value, but None, when
        the text is no JSON at all.
    """
    try:
        value = orjson.loads(text)
        is_plain = _is_plain(text, orjson.dumps(value))
    except (orjson.JSONDecodeError, orjson.JSONEncodeError):  # the second where it is nested too deeply to be written
        return _slowly(text)
    return (value, ()) if is_plain else _slowly(text)


def _is_plain(text: bytes, rewritten: bytes) -> bool:
    """Whether two texts of one value have as many keys: each has a colon, and others stand in strings, in both alike.

    Only an escape for a colon would be one that only the second text has.
    """
    if text == rewritten:
        return True
    if may_hold_beyond_64_bits(text) or b"\\u003" in text:
        return False
    return text.count(b":") == rewritten.count(b":")


class _Doubled(dict[str, Any]):
    """An object in whose text a key stands twice."""

    pairs: Sequence[tuple[str, Any]]


def _object(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) == len(pairs):
        return value
    doubled = _Doubled(value)
    doubled.pairs = pairs
    return doubled


def _slowly(text: bytes) -> tuple[Any, tuple[Trouble, ...]]:
    try:
        value = json.loads(text.decode("utf-8"), object_pairs_hook=_object)
    except UnicodeDecodeError as error:
        what = f"the line is not UTF-8: {error.reason} at byte {error.start}"
        return None, (Trouble("not_utf8", what, "$"),)
    except RecursionError:
        return None, (Trouble("malformed_line", "the line is nested too deeply to be read", "$"),)
    except ValueError as error:
        return None, (Trouble("malformed_line", f"the line is not JSON: {error}", "$"),)
    return value, tuple(_troubles(value))


def _troubles(tree: Any) -> Iterator[Trouble]:
    for path, value in _walked(tree):
        if isinstance(value, _Doubled):
            counts = Counter(key for key, _ in value.pairs)
            for key in (key for key, count in counts.items() if count > 1):
                yield Trouble("duplicate_key", f"the key {key!r} stands twice in one object", below(path, key))
        elif isinstance(value, float) and not math.isfinite(value):
            yield Trouble("not_finite", f"the number is {value}, which JSON does not have", path)


def _walked(tree: Any) -> Iterator[tuple[str, Any]]:
    """Every value below and its path, in the order of the text; without recursion, since JSON may be nested deeply."""
    waiting = [("$", tree)]
    while waiting:
        path, value = waiting.pop()
        yield path, value
        if isinstance(value, dict):
            pairs = value.pairs if isinstance(value, _Doubled) else list(value.items())
            waiting.extend((below(path, key), inner) for key, inner in reversed(pairs))
        elif isinstance(value, list):
            waiting.extend((f"{path}[{place}]", inner) for place, inner in reversed(list(enumerate(value))))
