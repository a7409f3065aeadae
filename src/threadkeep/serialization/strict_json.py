"""Read JSON text strictly: report duplicate keys, NaN and infinities, which most readers accept silently.

`threadkeep.serialization.lossless_json` reads what the API sends, as every reader does.
"""

import json
import math
from collections import Counter
from collections.abc import Iterator
from typing import Any

import attrs
import orjson

from threadkeep.serialization.json_diff import child_path
from threadkeep.serialization.lossless_json import may_hold_beyond_64_bits

__all__ = ["Fault", "loads_strict"]


@attrs.frozen
class Fault:
    """A fault of a line or of its JSON: a code of `threadkeep.validation.findings`, a description, a JSON path."""

    code: str
    what: str
    path: str


def loads_strict(text: bytes) -> tuple[Any, tuple[Fault, ...]]:
    """Read one JSON value, and return it with the faults of its text.

    Of a duplicate key the last value counts. If the text is not JSON, the value is None.
    """
    try:
        value = orjson.loads(text)
        rewritten = orjson.dumps(value)
    except (orjson.JSONDecodeError, orjson.JSONEncodeError):  # the second if it is nested too deeply to be written
        return _loads_slowly(text)
    # Each key has a colon, and both texts have the same colons in strings: as many colons mean as many keys.
    # Only the escape of a colon breaks this rule.
    same_keys = b"\\u003" not in text and text.count(b":") == rewritten.count(b":")
    if text == rewritten or (same_keys and not may_hold_beyond_64_bits(text)):
        return value, ()
    return _loads_slowly(text)


class _Object(list[tuple[str, Any]]):
    """The keys and values of an object, as its text has them."""


def _loads_slowly(text: bytes) -> tuple[Any, tuple[Fault, ...]]:
    try:
        decoded = text.decode("utf-8")
        value, tree = json.loads(decoded), json.loads(decoded, object_pairs_hook=_Object)
    except UnicodeDecodeError as error:
        return None, (Fault("not_utf8", f"the line is not UTF-8: {error.reason} at byte {error.start}", "$"),)
    except RecursionError:
        return None, (Fault("malformed_line", "the line is nested too deeply to be read", "$"),)
    except ValueError as error:
        return None, (Fault("malformed_line", f"the line is not JSON: {error}", "$"),)
    return value, tuple(_faults(tree))


def _faults(tree: Any) -> Iterator[Fault]:
    pending = [("$", tree)]  # in the order of the text; no recursion: JSON may be nested deeply
    while pending:
        path, value = pending.pop()
        if isinstance(value, _Object):
            counts = Counter(key for key, _ in value)
            for key in (key for key, count in counts.items() if count > 1):
                yield Fault("duplicate_key", f"the key {key!r} occurs twice in one object", child_path(path, key))
            pending += [(child_path(path, key), inner) for key, inner in reversed(value)]
        elif isinstance(value, list):
            pending += [(f"{path}[{index}]", inner) for index, inner in reversed(list(enumerate(value)))]
        elif isinstance(value, float) and not math.isfinite(value):
            yield Fault("not_finite", f"the number is {value}, which JSON does not have", path)
