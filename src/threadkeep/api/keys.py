"""The file of keys: one key a line, and behind it which project and organization it asks for.

``#`` begins a comment, blank lines are passed over, white space separates:

    sk-...                                        # asks for what the environment says, if anything
    sk-...  project=proj_abc
    sk-...  project=proj_def  organization=org-abc

Nothing of a line stands in any message: a key may stand anywhere in it.
"""

import re
from collections.abc import Iterator, Sequence

import attrs

from threadkeep.errors import UnreadableKeys
from threadkeep.serialization.text_files import decode, lines_of

__all__ = ["Key", "read_keys", "trouble_with"]

_FIELDS = ("project", "organization")

# As in a file of environment variables. A key may end in "=", so something must follow.
_ASSIGNMENT = re.compile(r"[A-Z][A-Z0-9_]*=.|(?:project|organization)=")


@attrs.frozen
class Key:
    """One key.

    Attributes:
        secret: the key or token itself.
        project: the project that it asks for; None for what ``OPENAI_PROJECT_ID`` says, if anything.
        organization: the same with ``OPENAI_ORG_ID``.
    """

    secret: str = attrs.field(repr=False)
    project: str | None = None
    organization: str | None = None


def read_keys(content: bytes) -> tuple[Key, ...]:
    """Read the keys out of a file's bytes, in its order.

    Raises:
        UnreadableKeys: the bytes are not text, hold no key, or some lines are wrong: all of them are told, by number.
    """
    try:
        lines = lines_of(decode(content))
    except ValueError as error:
        raise UnreadableKeys(str(error)) from None
    rows = [(number, row) for number, line in enumerate(lines, 1) if (row := _words(line))]
    wrong = sorted([*_malformed(rows), *_repeated(rows)])
    if wrong:
        raise UnreadableKeys("; ".join(f"line {number}: {what}" for number, what in wrong))
    if not rows:
        raise UnreadableKeys("there is no key in it")
    return tuple(_key(words) for _, words in rows)


def trouble_with(secret: str) -> str | None:
    """Say why no HTTP header can carry a key or token, without showing it; None when one can."""
    if not secret:
        return "is empty"
    if not secret.isascii() or not secret.isprintable() or " " in secret:
        return "holds a blank, a line end or another character that no HTTP header can carry"
    return None


def _words(line: str) -> list[str]:
    words = line.split()
    comment = next((index for index, word in enumerate(words) if word.startswith("#")), None)
    return words[:comment]


def _malformed(rows: Sequence[tuple[int, list[str]]]) -> Iterator[tuple[int, str]]:
    for number, words in rows:
        what = _trouble_with_line(words)
        if what is not None:
            yield number, what


def _trouble_with_line(words: Sequence[str]) -> str | None:
    secret, fields = words[0], [word.partition("=") for word in words[1:]]
    if _ASSIGNMENT.match(secret):
        return "it must begin with a key that stands alone, without a name before it"
    if secret[0] in "\"'":
        return "the key must stand without quotes"
    if (trouble := trouble_with(secret)) is not None:
        return f"the key {trouble}"
    if any(name not in _FIELDS or not sign for name, sign, _ in fields):
        return "behind the key only project=... and organization=... may stand"
    if any(trouble_with(value) for _, _, value in fields):
        return "what stands behind project= or organization= is empty, or no HTTP header can carry it"
    if len({name for name, _, _ in fields}) < len(fields):
        return "it names the project or the organization twice"
    return None


def _repeated(rows: Sequence[tuple[int, list[str]]]) -> Iterator[tuple[int, str]]:
    first: dict[tuple[str, frozenset[str]], int] = {}
    for number, (secret, *fields) in rows:
        before = first.setdefault((secret, frozenset(fields)), number)
        if before != number:
            yield number, f"the key of line {before} again"


def _key(words: Sequence[str]) -> Key:
    named = dict(word.split("=", 1) for word in words[1:])
    return Key(words[0], project=named.get("project"), organization=named.get("organization"))
