"""Collect the objects in the answers of a server, as a state that a fake can load."""

import base64
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from heapq import heapify, heappop, heappush
from itertools import chain, pairwise
from math import inf
from typing import Any
from urllib.parse import unquote

import attrs

from fake_assistants.http.lossless_json import OBJECT_LEVELS, MalformedJson, Obj, dumps, dumps_to_keep, loads
from fake_assistants.http.message import Request
from fake_assistants.http.redaction import keys_of
from fake_assistants.store.database import Database
from fake_assistants.store.kinds import (
    ASSISTANTS,
    CONVERSATION_ITEMS,
    CONVERSATIONS,
    FILE_CONTENTS,
    FILES,
    KINDS,
    MESSAGES,
    RESPONSE_INPUT_ITEMS,
    RESPONSES,
    RUN_STEPS,
    RUNS,
    THREADS,
    VECTOR_STORE_FILE_BATCHES,
    VECTOR_STORE_FILES,
    VECTOR_STORES,
    Kind,
)
from fake_assistants.store.snapshot import Staged

# The kind of an object, by its field `object`.
_BY_OBJECT = {
    "assistant": ASSISTANTS,
    "thread": THREADS,
    "thread.message": MESSAGES,
    "thread.run": RUNS,
    "thread.run.step": RUN_STEPS,
    "file": FILES,
    "vector_store": VECTOR_STORES,
    "vector_store.file": VECTOR_STORE_FILES,
    "vector_store.files_batch": VECTOR_STORE_FILE_BATCHES,
    "conversation": CONVERSATIONS,
    "response": RESPONSES,
}

# Items have no field `object`. The path of their list gives their kind.
_BY_SEGMENT = {"items": CONVERSATION_ITEMS, "input_items": RESPONSE_INPUT_ITEMS}

# Parents that were not seen, but without which their objects cannot be reached: the least that a fake needs.
_STAND_INS: dict[str, Obj] = {
    THREADS.name: {"object": "thread", "metadata": {}, "tool_resources": {}},
    CONVERSATIONS.name: {"object": "conversation", "metadata": {}},
}

# Parameters of a list that do not leave out objects in its middle.
_UNFILTERED = frozenset({"after", "before", "limit", "order", "include", "include[]", "api-version"})

# Keys that are shorter are no secrets, and may be part of any word.
_LEAST_KEY = 8


@attrs.define
class _Series:
    """The objects of one kind and parent: stored text, creation time and successor of each, by id."""

    texts: dict[str, bytes] = attrs.field(factory=dict)
    created: dict[str, float] = attrs.field(factory=dict)
    following: dict[str, str] = attrs.field(factory=dict)

    def put(self, value: Obj) -> None:
        created = value.get("created_at")
        self.texts[value["id"]] = dumps_to_keep(value)
        self.created[value["id"]] = created if isinstance(created, int | float) else 0

    def link(self, ids: Sequence[str]) -> None:
        """Record that these ids follow one another, oldest first."""
        self.following.update(pairwise(ids))

    def ordered(self) -> list[str]:
        """Return the ids, oldest first: in the order of the recorded lists, otherwise by `created_at`."""
        ranks = {object_id: (self.created[object_id], rank) for rank, object_id in enumerate(self.texts)}
        links = {one: other for one, other in self.following.items() if one in ranks and other in ranks}
        waiting = Counter(links.values())
        ready = [(rank, object_id) for object_id, rank in ranks.items() if not waiting[object_id]]
        heapify(ready)
        ordered: dict[str, None] = {}
        while ready:
            object_id = heappop(ready)[1]
            ordered[object_id] = None
            after = links.get(object_id)
            if after is not None:
                waiting[after] -= 1
                if not waiting[after]:
                    heappush(ready, (ranks[after], after))
        return [*ordered, *(object_id for object_id in ranks if object_id not in ordered)]  # of lists that disagree


class Recording:
    """The newest version of each object that was seen.

    Attributes:
        unused: the number of answers without an object that a state can hold, by reason.
    """

    def __init__(self) -> None:
        self.unused: Counter[str] = Counter()
        self._series: dict[tuple[str, str], _Series] = {}
        self._batches: dict[str, dict[str, None]] = {}  # the files of a batch, which does not name them itself
        self._keys: set[str] = set()

    def see(
        self, request: Request, status: int, content_type: str, body: bytes, *, is_oldest_first: bool = False
    ) -> None:
        """Record the objects of an answer. An object that was deleted is dropped, with all that it contained.

        `is_oldest_first`: the server begins this list with the oldest where the request names no order.
        """
        self._keys.update(key for key in keys_of(request) if len(key) >= _LEAST_KEY)
        if not 200 <= status < 300:
            self.unused[f"status {status}"] += 1
        elif content_type.startswith("text/event-stream"):
            self._see_events(request, body)
        elif status == 200 and (file_id := _downloaded(request)):
            self._put(FILE_CONTENTS, "", {"id": file_id, "content": base64.b64encode(body).decode()})
        else:
            self._see_json(request, body, "asc" if is_oldest_first else "desc")

    def _see_json(self, request: Request, body: bytes, order: str) -> None:
        try:
            value = loads(body, levels=OBJECT_LEVELS)
        except MalformedJson:
            self.unused["not JSON"] += 1
            return
        rows = value.get("data") if isinstance(value, dict) else None
        if request.method == "DELETE":
            is_used = self._see_deletion(request, value)
        elif isinstance(rows, list):
            is_used = self._see_page(
                request, rows, "asc" if request.method != "GET" else request.asked("order") or order
            )
        else:
            is_used = self._see_object(request, value) is not None
        if not is_used:
            self.unused[_name(value)] += 1

    def _see_page(self, request: Request, rows: list[Any], order: str) -> bool:
        kinds = [self._see_object(request, row) for row in rows]
        if None in kinds:
            return False
        ids = [row["id"] for row in rows]
        batch_id = _batch_listed(request)
        if batch_id is not None:
            self._add_files(batch_id, ids)
        elif kinds and kinds[0] and all(name in _UNFILTERED for name, _ in request.query):
            cursor = request.asked("after")
            walked = ids if cursor is None else [cursor, *ids]
            series = self._series_of(kinds[0], _parent(kinds[0], rows[0], request))
            series.link(walked if order == "asc" else walked[::-1])
        return True

    def _see_events(self, request: Request, body: bytes) -> None:
        """Record the objects of an event stream. Deltas are skipped: the complete object follows them."""
        kinds = set()
        for line in body.split(b"\n"):
            if line.startswith(b"data:"):
                with suppress(MalformedJson):  # the end of the stream, or where it was cut off
                    value = loads(line[5:].strip(), levels=OBJECT_LEVELS)
                    inner = value.get("response") if isinstance(value, dict) else None
                    kinds.add(self._see_object(request, inner or value))
        if not kinds - {None}:
            self.unused["event stream"] += 1

    def _see_object(self, request: Request, value: Any) -> Kind | None:
        """Record an object. Return its kind, or None if a state cannot hold it."""
        kind = _kind(value, request) if isinstance(value, dict) and isinstance(value.get("id"), str) else None
        if kind is VECTOR_STORE_FILE_BATCHES:
            self._add_files(value["id"], _files_asked(request))
        if kind is None or not kind.parent:
            return kind and self._put(kind, "", value)
        parent = _parent(kind, value, request)
        if not parent:
            return None if kind.within else self._put(kind, "", value)
        return self._put(kind, parent, {**value, kind.parent: parent})

    def _see_deletion(self, request: Request, value: Any) -> bool:
        """Drop the object that the path names."""
        kind = _kind(value, request) if isinstance(value, dict) else None
        if kind is not None:
            self._drop(kind, _parent(kind, {}, request), _segments(request)[-1])
        return kind is not None

    def _put(self, kind: Kind, parent: str, value: Obj) -> Kind:
        self._series_of(kind, parent).put(value)
        return kind

    def _add_files(self, batch_id: str, ids: Iterable[str]) -> None:
        self._batches.setdefault(batch_id, {}).update(dict.fromkeys(ids))

    def _series_of(self, kind: Kind, parent: str) -> _Series:
        return self._series.setdefault((kind.name, parent), _Series())

    def _drop(self, kind: Kind, parent: str, object_id: str) -> None:
        self._series_of(kind, parent).texts.pop(object_id, None)
        if kind is FILES:
            self._drop(FILE_CONTENTS, "", object_id)
        for inner in KINDS.values():
            if inner.within is kind:
                for inner_id in [*self._series_of(inner, object_id).texts]:
                    self._drop(inner, object_id, inner_id)

    def counts(self) -> dict[str, int]:
        """Return how many objects of each kind the state has, without kinds that have none."""
        found = {name: sum(1 for _ in (*self._stand_ins(kind), *self._texts(kind))) for name, kind in KINDS.items()}
        return {name: count for name, count in found.items() if count}

    def state(self) -> bytes:
        """Return the state as JSON. Keys that requests were sent with are masked wherever they occur."""
        staged = Staged()
        for kind in KINDS.values():
            for text in (*self._stand_ins(kind), *self._texts(kind)):
                masked = self._masked(text)
                staged.add(kind, loads(masked), masked)
        database = Database()
        database.put_all(staged)
        return database.json()

    def _texts(self, kind: Kind) -> Iterator[bytes]:
        for (name, _), series in self._series.items():
            if name == kind.name:
                texts = map(series.texts.__getitem__, series.ordered())
                yield from map(self._with_files, texts) if kind is VECTOR_STORE_FILE_BATCHES else texts

    def _with_files(self, text: bytes) -> bytes:
        """Return a batch with the ids of its files, as the fake keeps it."""
        batch = loads(text)
        return dumps_to_keep(batch | {"file_ids": [*self._batches[batch["id"]]]})

    def _stand_ins(self, kind: Kind) -> Iterator[bytes]:
        """Yield placeholders for parents that were not recorded, as old as their oldest child."""
        if kind.name in _STAND_INS:
            known = {key for (name, _), series in self._series.items() if name == kind.name for key in series.texts}
            since: dict[str, float] = {}
            for (name, parent), series in self._series.items():
                if KINDS[name].within is kind and series.texts and parent not in known:
                    since[parent] = min(since.get(parent, inf), *map(series.created.__getitem__, series.texts))
            for parent, created in since.items():
                yield dumps_to_keep({"id": parent, "created_at": created, **_STAND_INS[kind.name]})

    def _masked(self, text: bytes) -> bytes:
        for key in self._keys:
            text = text.replace(dumps(key)[1:-1], b"***")
        return text


def _name(value: Any) -> str:
    """Return the name under which an unused answer is counted."""
    name = value.get("object") if isinstance(value, dict) else None
    if name == "list" and (rows := _list(value.get("data"))):
        return f"list of {_name(rows[0])}"
    return name if isinstance(name, str) else "unknown JSON"


def _downloaded(request: Request) -> str | None:
    """Return the id of the file that a request downloads.

    The content of a vector store's file is JSON, not a download.
    """
    segments = _segments(request)
    is_content = segments[-1] == "content" and segments[-3:-2] == ["files"]
    return segments[-2] if is_content and not {"vector_stores", "containers"}.intersection(segments) else None


def _batch_listed(request: Request) -> str | None:
    """Return the id of the batch whose files are listed."""
    segments = _segments(request)
    return segments[-2] if segments[-1] == "files" and segments[-3:-2] == ["file_batches"] else None


def _files_asked(request: Request) -> list[str]:
    """Return the ids of the files that a new batch is to have. A server may have taken any body."""
    try:
        body = loads(request.body)
    except MalformedJson:
        return []
    wanted = body if isinstance(body, dict) else {}
    listed = [wanted[name] for name in ("file_ids", "files") if isinstance(wanted.get(name), list)]
    ids = [one.get("file_id") if isinstance(one, dict) else one for one in chain.from_iterable(listed)]
    return [one for one in ids if isinstance(one, str)]


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _segments(request: Request) -> list[str]:
    return [unquote(segment) for segment in request.path.rstrip("/").split("/")]


def _kind(value: Obj, request: Request) -> Kind | None:
    items = next((kind for segment, kind in _BY_SEGMENT.items() if segment in request.path.split("/")), None)
    name = value.get("object")
    return items or (_BY_OBJECT.get(name.removesuffix(".deleted")) if isinstance(name, str) else None)


def _parent(kind: Kind, value: Obj, request: Request) -> str:
    """Return the id of an object's parent: from its field, or from the path, where it follows the parent's kind.

    A conversation may have a user in its place, whom a header of the request names.
    """
    given = value.get(kind.parent) if kind.parent else None
    if isinstance(given, str):
        return given
    if kind.within is None:
        return request.user_identity if kind.parent else ""
    segments = _segments(request)
    index = segments.index(kind.within.name) + 1 if kind.within.name in segments else len(segments)
    return segments[index] if index < len(segments) else ""
