"""Compare the items of a conversation with those that were to be sent, by fingerprints of what can be sent. Pure.

What a server adds, such as ids, a status and defaults, is no difference.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import Any

import attrs

from threadkeep.serialization.lossless_json import dumps

__all__ = ["Difference", "differences", "fingerprint", "items_behind", "missing_pairs"]

_PARTS = {
    "input_text": ("text",),
    "output_text": ("text", "annotations"),
    "refusal": ("refusal",),
    "input_image": ("image_url", "file_id", "detail"),
    "input_file": ("file_id",),
}
_ANNOTATIONS = {"file_citation": ("file_id", "filename", "index"), "file_path": ("file_id", "index")}


def fingerprint(item: Mapping[str, Any]) -> bytes:
    """Return a digest of the fields of an item that are sent."""
    if item.get("type", "message") == "message":
        content = item.get("content")
        parts = [_sent(part, _PARTS) for part in content] if isinstance(content, list) else content
        known: Any = [item.get("role"), parts]
    else:
        known = {name: value for name, value in item.items() if name not in ("id", "status")}
    return blake2b(dumps(known), digest_size=16).digest()


def _sent(value: object, kinds: Mapping[str, tuple[str, ...]]) -> object:
    kind = value.get("type") if isinstance(value, dict) else None
    if not isinstance(value, dict) or not isinstance(kind, str) or kind not in kinds:
        return value
    annotations = value.get("annotations")
    if isinstance(annotations, list):
        value = {**value, "annotations": [_sent(one, _ANNOTATIONS) for one in annotations]}
    return [kind, *(value.get(name) for name in kinds[kind])]


@attrs.frozen
class Difference:
    """A place at which a conversation is not what was to be sent.

    Attributes:
        kind: gone, changed, doubled, swapped, or foreign for an item that was not sent.
        place: the number of the item, from 1: of the conversation where it is doubled or foreign, else of what was to
            be sent.
    """

    kind: str
    place: int

    def __str__(self) -> str:
        return f"item {self.place} {_WORDS[self.kind]}"


_WORDS = {
    "gone": "is gone",
    "changed": "is changed",
    "doubled": "is there twice",
    "swapped": "is in another place",
    "foreign": "was not sent by this push",
}


def differences(sent: Sequence[bytes], found: Sequence[bytes]) -> tuple[Difference, ...]:
    """Return where the items of a conversation differ from those that were to be sent, by their fingerprints."""
    start = next((n for n, (a, b) in enumerate(zip(sent, found, strict=False)) if a != b), min(len(sent), len(found)))
    end = 0
    while end < min(len(sent), len(found)) - start and sent[-1 - end] == found[-1 - end]:
        end += 1
    was, is_now = sent[start : len(sent) - end], found[start : len(found) - end]
    gone, rest = _surplus(was, is_now, start)
    more, rest_now = _surplus(is_now, was, start)
    known = set(sent)
    doubled = [place for place in more if found[place - 1] in known]
    foreign = [place for place in more if found[place - 1] not in known]
    changed = gone[: len(foreign)]
    rows = [Difference("changed", place) for place in changed]
    rows += [Difference("gone", place) for place in gone[len(changed) :]]
    rows += [Difference("doubled", place) for place in doubled]
    rows += [Difference("foreign", place) for place in foreign[len(changed) :]]
    swapped = next((n for n, (a, b) in enumerate(zip(rest, rest_now, strict=True)) if a[1] != b[1]), None)
    rows += [] if swapped is None else [Difference("swapped", rest[swapped][0])]
    return tuple(sorted(rows, key=lambda row: row.place))


def items_behind(sent: Sequence[bytes], found: Sequence[bytes]) -> int:
    """Return how many items of others are behind those that were sent: somebody has continued the conversation.

    It is 0 if there are none, if something else differs, or if all that is behind are items that were sent before: they
    are there twice.
    """
    behind = list(found[len(sent) :])
    is_continued = list(found[: len(sent)]) == list(sent) and not set(sent).issuperset(behind)
    # A request that was carried out twice has left our last items directly behind ours.
    is_doubled = any(behind[:count] == list(sent[-count:]) for count in range(1, min(len(sent), len(behind), 20) + 1))
    return len(behind) if is_continued and not is_doubled else 0


def _surplus(ours: Sequence[bytes], theirs: Sequence[bytes], start: int) -> tuple[list[int], list[tuple[int, bytes]]]:
    """Return the places of those of ours that they have not, and the others with their places, in order.

    Of equal ones the last are those that they have not.
    """
    left = Counter(theirs)
    more, rest = list[int](), list[tuple[int, bytes]]()
    for place, one in enumerate(ours, start + 1):
        left[one] -= 1
        if left[one] < 0:
            more.append(place)
        else:
            rest.append((place, one))
    return more, rest


def missing_pairs(sent: Mapping[str, str], found: object) -> tuple[str, ...]:
    """Return the keys of the metadata that was sent that a conversation has not, or has with another value."""
    pairs = found if isinstance(found, Mapping) else {}
    return tuple(key for key, value in sent.items() if pairs.get(key) != value)
