"""A state: the whole world as plain JSON, and the check that it is one.

A state is an object with a list for each kind; objects are the API's own REST JSON, with any ids and any
fields. What must be there is an `id`, and for messages the `thread_id` of a thread that exists.
"""

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from fake_assistants.badinput import BadInput
from fake_assistants.kinds import KINDS, MESSAGES, THREADS, Kind
from fake_assistants.shelf import Obj

State = dict[str, list[Obj]]


def empty() -> State:
    """The state of an empty world: every kind, nothing in it."""
    return {name: [] for name in KINDS}


def parent_of(kind: Kind, value: Obj) -> str:
    """The id of what the object stands in, such as its thread; "" for what stands alone or names no parent."""
    parent = value.get(kind.parent) if kind.parent else None
    return parent if isinstance(parent, str) else ""


def checked(given: object, *, threads: Collection[str] = ()) -> State:
    """The state with every kind in it. `threads` are thread ids that exist already.

    Raises BadInput with the path of the first thing that is wrong.
    """
    if not isinstance(given, Mapping):
        raise BadInput("expected an object with lists of objects by kind", "$")
    for name in given:
        if name not in KINDS:
            raise BadInput(f"unknown kind {name!r}; known are {', '.join(KINDS)}", f"$.{name}")
    state = empty()
    parents = dict.fromkeys(threads)
    for kind in KINDS.values():
        state[kind.name] = list(_objects(kind, given.get(kind.name, []), parents))
        if kind is THREADS:
            parents |= {thread["id"]: None for thread in state[kind.name]}
    return state


def _objects(kind: Kind, given: object, parents: Mapping[str, None]) -> Iterator[Obj]:
    if not isinstance(given, list):
        raise BadInput("expected a list", f"$.{kind.name}")
    seen: set[tuple[str, str]] = set()
    for index, value in enumerate(given):
        where = f"$.{kind.name}[{index}]"
        _check_object(kind, value, parents, where)
        key = (parent_of(kind, value), value["id"])
        if key in seen:
            raise BadInput(f"the id {value['id']!r} is there twice", f"{where}.id")
        seen.add(key)
        yield value


def _check_object(kind: Kind, value: Any, parents: Mapping[str, None], where: str) -> None:
    if not isinstance(value, dict):
        raise BadInput("expected an object", where)
    if not isinstance(value.get("id"), str):
        raise BadInput("expected a string", f"{where}.id")
    if kind is not MESSAGES:
        return
    parent = value.get("thread_id")
    if not isinstance(parent, str):
        raise BadInput("expected a string", f"{where}.thread_id")
    if parent not in parents:
        raise BadInput(f"no thread {parent!r} in this state", f"{where}.thread_id")
