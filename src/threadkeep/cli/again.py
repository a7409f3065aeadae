"""The command that was typed, to be typed again: without what would begin anew, and without what may be secret."""

import itertools
import shlex
from collections.abc import Collection, Iterator, Sequence

import attrs

__all__ = ["Again", "again", "quoted"]

_PROGRAM = "threadkeep"


@attrs.frozen
class Again:
    """What goes on with an export.

    Attributes:
        command: as it can be typed.
        notes: what must be done besides, in words.
    """

    command: str
    notes: tuple[str, ...]


def again(arguments: Sequence[str], valued: Collection[str]) -> Again:
    """Find out what to type after a run.

    Args:
        arguments: as typed, the name of the command first.
        valued: the options of that command that take a value.
    """
    groups = list(_groups(arguments, valued))
    kept = [word for group in groups if not _begins_anew(group) and not _is_secret(group) for word in group]
    hidden = dict.fromkeys(_name(group) for group in groups if _is_secret(group))
    notes = [f"Add {name} as before: it is not repeated here, since it may hold a secret." for name in hidden]
    if "-" in arguments[1:]:
        notes.append("Give the same ids on standard input.")
    return Again(quoted(kept), tuple(notes))


def quoted(words: Sequence[str]) -> str:
    """Write a command of ours as a shell takes it."""
    return shlex.join((_PROGRAM, *words))


def _groups(arguments: Sequence[str], valued: Collection[str]) -> Iterator[tuple[str, ...]]:
    """Each option with its value, and each other word for itself; what stands behind "--" is no option."""
    rest = iter(arguments)
    for word in rest:
        if word == "--":
            yield (word, *rest)
        elif word in valued:
            yield (word, *itertools.islice(rest, 1))
        else:
            yield (word,)


def _name(group: tuple[str, ...]) -> str:
    return group[0].partition("=")[0]


def _begins_anew(group: tuple[str, ...]) -> bool:
    return group[0] == "--fresh"


def _is_secret(group: tuple[str, ...]) -> bool:
    """An address with a user, a password or a query, or a command that may spell a token out."""
    value = group[0].partition("=")[2] or "".join(group[1:])
    return _name(group) == "--token-command" or (_name(group) == "--base-url" and bool(set("@?#") & set(value)))
