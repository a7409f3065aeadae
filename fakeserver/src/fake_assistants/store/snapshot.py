"""Check a state, which is the complete database as plain JSON.

A state is an object with a list for each kind. The items are objects as the REST API returns them, with any ids and
any fields. Required are an `id`, and for messages the `thread_id` of an existing thread.
"""

from collections.abc import Callable, Collection, Mapping
from typing import Any, NamedTuple

from fake_assistants.http.lossless_json import OBJECT_LEVELS, Obj, dumps_to_keep
from fake_assistants.store.kinds import KINDS, MESSAGES, THREADS, Kind
from fake_assistants.user_input import BadInput, plain

State = dict[str, list[Obj]]


class Row(NamedTuple):
    """An object of a state: the id of its parent, its id, and its JSON text."""

    parent: str
    id: str
    text: bytes


class Staged:
    """A state that was checked and is ready for a database. Objects are stored as JSON text.

    `made_up` are the ids of placeholder threads: an export has messages only.
    """

    def __init__(self) -> None:
        self.rows: Mapping[str, list[Row]] = {name: [] for name in KINDS}
        self.made_up: set[str] = set()
        self._seen: dict[str, dict[str, tuple[str, set[str]]]] = {name: {} for name in KINDS}

    def add(self, kind: Kind, value: Obj, text: bytes) -> None:
        """Add an object of a kind. Raises BadInput if it is not well formed or its id is already used."""
        rows = self.rows[kind.name]
        wrong = _wrong(kind, value)
        if wrong is not None:
            raise BadInput(wrong[0], f"$.{kind.name}[{len(rows)}]{wrong[1]}")
        parent, object_id = parent_of(kind, value), value["id"]
        parent, ids = self._seen[kind.name].setdefault(
            parent, (parent, set())
        )  # share one string among all of a thread
        if object_id in ids:
            raise BadInput(f"the id {object_id!r} is there twice", f"$.{kind.name}[{len(rows)}].id")
        ids.add(object_id)
        rows.append(Row(parent, object_id, text))

    def refuse_strays(self, threads: Collection[str] = ()) -> None:
        """Raise BadInput for a message whose thread is neither in this state nor among the ids `threads`."""
        known = {row.id for row in self.rows[THREADS.name]}
        strays = {parent for parent in self._seen[MESSAGES.name] if parent not in known and parent not in threads}
        for index, row in enumerate(self.rows[MESSAGES.name]) if strays else ():
            if row.parent in strays:
                raise BadInput(f"no thread {row.parent!r} in this state", f"$.messages[{index}].thread_id")


def empty() -> State:
    """Return the state of an empty database: an empty list for each kind."""
    return {name: [] for name in KINDS}


def parent_of(kind: Kind, value: Obj) -> str:
    """Return the id of an object's parent, such as its thread; "" if its kind has no parent or it names none."""
    parent = value.get(kind.parent) if kind.parent else None
    return parent if isinstance(parent, str) else ""


def written(value: object) -> tuple[Any, bytes]:
    """Return a value that was read from JSON, and its stored text."""
    return value, dumps_to_keep(value)


def copied(value: object) -> tuple[Any, bytes]:
    """Return a copy of a Python value, and its stored text. Raises BadInput if it is not JSON or nested too deep."""
    copy = plain(value, levels=OBJECT_LEVELS)
    return copy, dumps_to_keep(copy)


def checked(given: object, take: Callable[[object], tuple[Any, bytes]] = written) -> Staged:
    """Check a state, and return it staged for a database; a staged state is returned as it is.

    Raises BadInput with the path of the first error. `refuse_strays` checks that the threads of messages exist.
    """
    if isinstance(given, Staged):
        return given
    if not isinstance(given, Mapping):
        raise BadInput("expected an object with lists of objects by kind", "$")
    for name in given:
        if name not in KINDS:
            raise BadInput(f"unknown kind {name!r}; known are {', '.join(KINDS)}", f"$.{name}")
    staged = Staged()
    for kind in KINDS.values():
        values = given.get(kind.name, [])
        if not isinstance(values, list):
            raise BadInput("expected a list", f"$.{kind.name}")
        for value in values:
            staged.add(kind, *take(value))
    return staged


def _wrong(kind: Kind, value: Any) -> tuple[str, str] | None:
    """Return the error in an object and the path to it, or None."""
    if not isinstance(value, dict):
        return "expected an object", ""
    if not isinstance(value.get("id"), str):
        return "expected a string", ".id"
    if kind is MESSAGES and not isinstance(value.get("thread_id"), str):
        return "expected a string", ".thread_id"
    return None
