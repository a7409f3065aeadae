"""The file of keys: one key a line, optionally followed by the project and the organization that it is used for.

``#`` begins a comment, blank lines are ignored, white space separates:

    sk-...                                        # the project and organization of the environment, if any
    sk-...  project=proj_abc
    sk-...  project=proj_def  organization=org-abc

A message never shows any part of a line: a key may be anywhere in it.
"""

import re
from collections.abc import Sequence
from itertools import takewhile

import attrs

from threadkeep.errors import UnreadableKeys
from threadkeep.serialization.text_files import decode, lines_of

__all__ = ["Key", "header_fault", "name_of_key", "read_keys"]

# As in a file of environment variables. A key may end in "=", so something must follow.
_ASSIGNMENT = re.compile(r"[A-Z][A-Z0-9_]*=.|(?:project|organization)=")


@attrs.frozen
class Key:
    """One key.

    Attributes:
        secret: the key or token itself.
        project: the project that it is used for; None for that of ``OPENAI_PROJECT_ID``, if any.
        organization: the same with ``OPENAI_ORG_ID``.
        line: the number of its line in the file that it came from, for messages.
    """

    secret: str = attrs.field(repr=False)
    project: str | None = None
    organization: str | None = None
    line: int | None = attrs.field(default=None, eq=False)


def name_of_key(number: int, line: int | None) -> str:
    """Return how a message names a key, by its number from 1 and by its line in a file of keys, never by its text."""
    return f"key {number}" if line is None else f"key {number} (line {line} of the file of keys)"


def read_keys(content: bytes) -> tuple[Key, ...]:
    """Read the keys of a file, in its order.

    Raises:
        UnreadableKeys: the bytes are not text, hold no key, or have malformed lines: the message names all of them.
    """
    try:
        lines = lines_of(decode(content))
    except ValueError as error:
        raise UnreadableKeys(str(error)) from None
    keys, faults = dict[Key, int](), list[str]()
    for number, line in enumerate(lines, 1):
        words = list(takewhile(lambda word: not word.startswith("#"), line.split()))
        if not words:
            continue
        try:
            key = _parse(words, number)
        except ValueError as error:
            faults.append(f"line {number}: {error}")
        else:
            if keys.setdefault(key, number) != number:
                faults.append(f"line {number}: it repeats the key of line {keys[key]}")
    if faults:
        raise UnreadableKeys("; ".join(faults))
    if not keys:
        raise UnreadableKeys("it holds no key")
    return tuple(keys)


def header_fault(secret: str) -> str | None:
    """Return why an HTTP header cannot carry a key or token, without showing it; None if it can."""
    if not secret:
        return "is empty"
    if not secret.isascii() or not secret.isprintable() or " " in secret:
        return "holds a blank, a line end or another character that an HTTP header cannot carry"
    return None


def _parse(words: Sequence[str], line: int) -> Key:
    secret, fields = words[0], [word.partition("=") for word in words[1:]]
    if _ASSIGNMENT.match(secret):
        raise ValueError("it must begin with the key itself, without a name before it")
    if secret[0] in "\"'":
        raise ValueError("the key must be without quotes")
    if (fault := header_fault(secret)) is not None:
        raise ValueError(f"the key {fault}")
    if any(name not in ("project", "organization") or not sign for name, sign, _ in fields):
        raise ValueError("after the key only project=... and organization=... are allowed")
    if any(header_fault(value) for _, _, value in fields):
        raise ValueError("the value of project= or organization= is empty, or an HTTP header cannot carry it")
    named = {name: value for name, _, value in fields}
    if len(named) < len(fields):
        raise ValueError("it names the project or the organization twice")
    return Key(secret, **named, line=line)
