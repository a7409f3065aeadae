"""The plan of a run on many machines: which threads are in which shard.

A plan is a row of objects, see `threadkeep.scale.plan_objects`. Each of them is created once. Who finds that another
run was first follows the other's plan, and adds shards for the ids that it does not have; so does every later run with
a longer list.
"""

import os
import re
from collections.abc import Callable, Iterable, Iterator
from typing import TypeAlias

import attrs

from threadkeep.errors import OutputUnusable
from threadkeep.scale.object_store import ObjectDamaged, ObjectMissing, ObjectStore
from threadkeep.scale.plan_objects import (
    RESTORE,
    SHARD_NAME,
    PlanHeader,
    PlanObject,
    decode_header,
    decode_plan,
    encode_plan,
)
from threadkeep.scale.planned_ids import Planned, PlannedIds
from threadkeep.storage.index import AUTO, IndexHeader
from threadkeep.storage.session import ThreadList, refuse_other

__all__ = [
    "FIRST",
    "MOST_THREADS",
    "Damaged",
    "make_plan",
    "planned_header",
    "planned_ids",
    "read_plan",
    "read_plan_without_repeats",
    "refuse_unplanned",
    "shard_size",
    "unplanned",
]

MOST_THREADS = 500
"""No shard has more threads."""

FIRST = "plan/000001.ndjson"
"""The name of the first object of a plan."""

# So many shards are in one object at most: half a million ids, some 20 MB.
_SHARDS = 1000

_OBJECT = re.compile(r"plan/([0-9]{6,})\.ndjson")
_SHARD_OBJECT = re.compile(rf"shards/({SHARD_NAME})/.+")

_MOST_NAMED = 5


def shard_size(threads: int, workers: int) -> int:
    """Return how many threads a shard has: so few that the last shards do not keep one worker busy for long."""
    return max(1, min(MOST_THREADS, threads // (4 * workers)))


Damaged: TypeAlias = Callable[[str, ObjectDamaged], None]
"""Takes the name of an object of a plan that is missing or damaged, and the error that says why."""


def _refuse_damaged(_name: str, error: ObjectDamaged) -> None:
    raise error


def read_plan(store: ObjectStore, on_damaged: Damaged = _refuse_damaged) -> Iterator[PlanObject]:
    """Yield the objects of a plan, in their order.

    Args:
        store: where they are.
        on_damaged: receives those that are missing or damaged, or are not of this export or not of this place. If it
            returns, the next objects are read.

    Raises:
        ObjectDamaged: there is such an object, and ``on_damaged`` was not given.
        OutputUnusable: the store refuses.
    """
    numbers = {int(found[1]) for name in store.names("plan") if (found := _OBJECT.fullmatch(name)) is not None}
    first: PlanHeader | None = None
    for number in range(1, max(numbers, default=0) + 1):
        try:
            planned = _planned(store, number)
            if planned is None:
                raise ObjectMissing(f"{_place(store, number)} is missing, and later ones are there. {RESTORE}")
            _refuse_misplaced(planned.header, number, first or planned.header, store)
        except ObjectDamaged as error:
            on_damaged(_name(number), error)
            continue
        first = first or planned.header
        yield planned


def _planned(store: ObjectStore, number: int) -> PlanObject | None:
    content = store.get(_name(number))
    return None if content is None else decode_plan(content, _place(store, number))


def _refuse_misplaced(header: PlanHeader, number: int, first: PlanHeader, store: ObjectStore) -> None:
    if (header.number, header.export_id, header.of) != (number, first.export_id, first.of):
        raise ObjectDamaged(f"{_place(store, number)} is of another export, or of another place. {RESTORE}")


def planned_header(store: ObjectStore) -> PlanHeader:
    """Return the header of the first object of the plan. What comes behind it is not read.

    Raises:
        ObjectMissing: there is no plan.
        OutputUnusable: it is damaged; or the store refuses.
    """
    first = b""
    try:
        for piece in store.stream(_name(1)):
            first += piece
            if b"\n" in piece:
                break
    except ObjectMissing:
        raise ObjectMissing(
            f"{store.url} has no plan of threadkeep, {_name(1)}: nothing was exported there, or the plan was removed."
            " Check the name, or restore the plan from a backup."
        ) from None
    return decode_header(first.partition(b"\n")[0], _place(store, 1))


def read_plan_without_repeats(store: ObjectStore, on_damaged: Damaged = _refuse_damaged) -> Iterator[PlanObject]:
    """Yield the objects of a plan as `read_plan` does. One that plans an id once more is damaged, too."""
    with PlannedIds.opened() as lists:
        for planned in read_plan(store, on_damaged):
            try:
                lists.know(planned, _place(store, planned.header.number))
            except ObjectDamaged as error:
                on_damaged(_name(planned.header.number), error)
                continue
            yield planned


def planned_ids(store: ObjectStore) -> Iterator[str]:
    """Yield all ids in the order of the plan.

    Raises:
        ObjectDamaged, OutputUnusable: as `read_plan`; or an id is planned twice.
    """
    for planned in read_plan_without_repeats(store):
        for shard in planned.shards:
            yield from shard.ids


def unplanned(store: ObjectStore, names: Iterable[str], on_damaged: Damaged = _refuse_damaged) -> list[str]:
    """Return the names of shards that no object of the plan has, in order.

    Args:
        store: where they are.
        names: of shards. They were listed before the plan is read here: whoever puts a shard has planned it.
        on_damaged: as of `read_plan`.

    Raises:
        ObjectDamaged, OutputUnusable: as `read_plan`.
    """
    left = {*names}
    for planned in read_plan(store, on_damaged) if left else ():
        left.difference_update(shard.name for shard in planned.shards)
    return sorted(left)


def refuse_unplanned(store: ObjectStore, names: Iterable[str]) -> None:
    """Refuse shards without a plan: one is lost, and another must not be put in its place.

    Args:
        store: where they are.
        names: as of `unplanned`.

    Raises:
        OutputUnusable: there are some; or as `read_plan`.
    """
    if left := unplanned(store, names):
        named = ", ".join(f"shards/{name}" for name in left[:_MOST_NAMED])
        raise OutputUnusable(
            f"{store.url}: {len(left):,} shards are in no plan, such as {named}. Restore the objects of plan/ from a"
            " backup. If these shards are of another export, move them away."
        )


def make_plan(store: ObjectStore, header: IndexHeader, wanted: ThreadList, workers: int) -> Planned:
    """Put the shards of those threads that no earlier run has planned.

    Args:
        store: where the export goes.
        header: what it is of.
        wanted: which threads the run is for.
        workers: how many there are.

    Raises:
        OtherExport: the plan that is there is for something else.
        OutputUnusable: something that is no export is there, or the plan is damaged; or the store refuses, or does not
            refuse to write over an object.
        UnreadableIds: the list cannot be read.
    """
    with PlannedIds.opened() as lists:
        listed = lists.fill(wanted)
        first: PlanHeader | None = None
        number = 1
        for planned in read_plan(store):
            first = first or planned.header
            refuse_other(planned.header.of, header, store.url)
            lists.know(planned, _place(store, planned.header.number))
            number += 1
        added = lists.left()
        if added:
            _refuse_unusable(store, is_new=first is None)
        export_id = os.urandom(16).hex() if first is None else first.export_id
        size = shard_size(added, workers)
        while found := lists.next(size * _SHARDS):
            ids = [thread_id for thread_id, _ in found]
            shards = [tuple(ids[at : at + size]) for at in range(0, len(ids), size)]
            named = {thread_id: one for thread_id, one in found if one is not None and header.assistant_id == AUTO}
            planned = _put(store, number, encode_plan(export_id, number, header, shards, named))
            refuse_other(planned.header.of, header, store.url)
            first = first or planned.header
            _refuse_misplaced(planned.header, number, first, store)
            export_id = first.export_id
            lists.know(planned, _place(store, planned.header.number))
            number += 1
    return attrs.evolve(listed, added=added)


def _put(store: ObjectStore, number: int, content: bytes) -> PlanObject:
    """Create an object of a plan, and read it back: it is that of another run if that was first."""
    store.create(_name(number), content)
    planned = _planned(store, number)
    if planned is None:
        raise OutputUnusable(f"{_place(store, number)} was put and is not there. Check the store.")
    return planned


def _refuse_unusable(store: ObjectStore, *, is_new: bool) -> None:
    """Refuse a store before something is planned there: one that has something else, or writes over objects."""
    found = (_SHARD_OBJECT.fullmatch(name) for name in store.names("shards"))
    refuse_unplanned(store, {one[1] for one in found if one is not None})
    if is_new and any(not name.startswith(("plan/", "shards/")) for name in store.names()):
        raise OutputUnusable(f"{store.url} is not empty, and no export of shards: choose another prefix.")
    # Each run of the two below is the first to create the object, or meets one of other bytes.
    name = "plan/create-only"
    store.create(name, os.urandom(16).hex().encode())
    if store.create(name, os.urandom(16).hex().encode()):
        raise OutputUnusable(
            f"{store.url} writes over an object that is to be created only once, so two runs could lose the threads of"
            " each other. It must understand the header If-None-Match: choose another store, or update it."
        )


def _name(number: int) -> str:
    return f"plan/{number:06}.ndjson"


def _place(store: ObjectStore, number: int) -> str:
    return f"{store.url}/{_name(number)}"
