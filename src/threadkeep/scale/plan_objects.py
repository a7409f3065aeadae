"""The objects of a plan, ``plan/000001.ndjson`` and so on: a header, then a line for each shard with its ids.

A shard is named by a digest of what it is of: the random id of the export, what the export is of, and the ids. So
nothing of another export, of another list or of another shard is ever taken for it.
"""

from collections.abc import Iterable, Mapping
from hashlib import blake2b, sha256
from types import MappingProxyType
from typing import Annotated, Any, Literal, TypeAlias

import attrs
import msgspec

from threadkeep.scale.object_store import ObjectDamaged
from threadkeep.serialization.lossless_json import dumps, loads
from threadkeep.storage.index import IndexHeader

__all__ = [
    "RESTORE",
    "SHARD_NAME",
    "PlanHeader",
    "PlanObject",
    "PlannedShard",
    "damaged_plan",
    "decode_header",
    "decode_plan",
    "encode_plan",
    "shard_name",
]

SHARD_NAME = r"[0-9a-f]{32}"
"""What the name of a shard looks like."""

RESTORE = "Restore the object from a backup, or export to another prefix."
"""What to do about an object of a plan that is missing or damaged."""

_Name: TypeAlias = Annotated[str, msgspec.Meta(pattern=rf"^{SHARD_NAME}\Z")]


class PlanHeader(msgspec.Struct, frozen=True, kw_only=True):
    """The first line of an object of a plan.

    Attributes:
        export_id: random, and the same in all objects of a plan.
        number: the place of the object in the plan, from 1.
        source, assistant_id, flat, include: as of `threadkeep.storage.index.IndexHeader`.
        shards, ids: how many it has.
        sha256: of the lines behind the header.
    """

    format: Literal["threadkeep-plan/1"] = "threadkeep-plan/1"
    export_id: _Name
    number: int
    source: str
    assistant_id: str
    flat: bool
    include: tuple[Literal["threads", "runs"], ...]
    shards: Annotated[int, msgspec.Meta(ge=1)]
    ids: int
    sha256: str

    @property
    def of(self) -> IndexHeader:
        """What the export is of."""
        return IndexHeader(source=self.source, assistant_id=self.assistant_id, flat=self.flat, include=self.include)


class _Row(msgspec.Struct, frozen=True):
    name: str
    ids: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)]
    assistants: dict[str, str] = {}


@attrs.frozen
class PlannedShard:
    """A shard of a plan.

    Attributes:
        export_id: of the export that it is of.
        header: what that is of.
        ids: of its threads, in the order in which they were first wanted.
        assistants: that the list has named, by the ids of their threads.
        name: a digest of the first three.
    """

    export_id: str
    header: IndexHeader
    ids: tuple[str, ...] = attrs.field(repr=False)
    assistants: Mapping[str, str] = attrs.field(factory=dict, repr=False, hash=False)
    name: str = attrs.field(init=False)

    @name.default
    def _named(self) -> str:
        return shard_name(self.export_id, self.header, self.ids)


@attrs.frozen
class PlanObject:
    """An object of a plan."""

    header: PlanHeader
    shards: tuple[PlannedShard, ...]


def shard_name(export_id: str, header: IndexHeader, ids: Iterable[str]) -> str:
    """Return the name of the shard that has these threads, in this order."""
    what = [export_id, header.source, header.assistant_id, header.flat, header.include, [*ids]]
    return blake2b(dumps(what), digest_size=16).hexdigest()


def encode_plan(
    export_id: str,
    number: int,
    header: IndexHeader,
    shards: Iterable[tuple[str, ...]],
    assistants: Mapping[str, str] = MappingProxyType({}),
) -> bytes:
    """Return an object of a plan, with these ids as its shards, and the assistants that a list has named for them."""
    rows: list[dict[str, Any]] = []
    for ids in shards:
        named = {one: assistants[one] for one in ids if one in assistants}
        rows.append(
            {"name": shard_name(export_id, header, ids), "ids": ids, **({"assistants": named} if named else {})}
        )
    lines = b"".join(dumps(row) + b"\n" for row in rows)
    first = PlanHeader(
        export_id=export_id,
        number=number,
        source=header.source,
        assistant_id=header.assistant_id,
        flat=header.flat,
        include=header.include,
        shards=len(rows),
        ids=sum(len(row["ids"]) for row in rows),
        sha256=sha256(lines).hexdigest(),
    )
    return dumps(msgspec.to_builtins(first)) + b"\n" + lines


def decode_plan(content: bytes, place: str) -> PlanObject:
    """Read an object of a plan.

    Args:
        content: of the object.
        place: its name, for errors.

    Raises:
        ObjectDamaged: it is none, or it is damaged.
    """
    first, _, lines = content.partition(b"\n")
    header = decode_header(first, place)
    if sha256(lines).hexdigest() != header.sha256 or not lines.endswith(b"\n"):
        raise damaged_plan(place, "it was cut off or changed")
    rows = [_decoded(line, _Row, place) for line in lines.split(b"\n")[:-1]]
    shards = tuple(PlannedShard(header.export_id, header.of, row.ids, row.assistants) for row in rows)
    if [row.name for row in rows] != [shard.name for shard in shards]:
        raise damaged_plan(place, "its shards are not those that their names say")
    if (header.shards, header.ids) != (len(rows), len({one for row in rows for one in row.ids})):
        raise damaged_plan(place, "it does not have as many ids as it says, or one of them twice")
    return PlanObject(header, shards)


def decode_header(line: bytes, place: str) -> PlanHeader:
    """Read the first line of an object of a plan.

    Args:
        line: with its newline or without.
        place: the name of the object, for errors.

    Raises:
        ObjectDamaged: it is no header.
    """
    header: PlanHeader = _decoded(line, PlanHeader, place)
    return header


def _decoded(line: bytes, kind: Any, place: str) -> Any:
    try:
        return msgspec.convert(loads(line), kind)
    except ValueError as error:
        raise damaged_plan(place, str(error)) from None


def damaged_plan(place: str, why: str) -> ObjectDamaged:
    """Return the error for an object of a plan that is none, or damaged."""
    return ObjectDamaged(f"{place} is no plan of threadkeep, or damaged: {why}. {RESTORE}")
