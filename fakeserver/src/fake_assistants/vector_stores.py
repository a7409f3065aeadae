"""The vector stores' room, and the maker that threads and assistants share.

Recorded: a store with files is `in_progress` in the answer that creates it. Here it is `completed` in every
answer after that: nothing is ever read or cut into chunks.
"""

from collections import Counter
from typing import Any

import fake_assistants.bodies_stores as bodies
import fake_assistants.paging as paging
from fake_assistants.core import Call, Core
from fake_assistants.kinds import FILES, VECTOR_STORE_FILES, VECTOR_STORES
from fake_assistants.lookup import found
from fake_assistants.refusals.ids import no_such_file_in_store
from fake_assistants.shelf import Field, Obj

_DAY = 24 * 60 * 60
_STATUSES = ("in_progress", "completed", "failed", "cancelled")  # in the recorded order of the counts

# Recorded: how a file is cut when nobody says otherwise.
_CHUNKS: Obj = {"type": "static", "static": {"max_chunk_size_tokens": 800, "chunk_overlap_tokens": 400}}


def make(core: Core, wanted: Obj) -> Obj:
    """Put a new store with its files into the world, and give it back as it is kept. Key order as recorded."""
    now = core.clock.now()
    store: Obj = {
        "id": core.mint("vs_"),
        "object": "vector_store",
        "created_at": now,
        "name": wanted.get("name"),
        "description": wanted.get("description"),
        "usage_bytes": 0,
        "file_counts": dict.fromkeys((*_STATUSES, "total"), 0),
        "status": "completed",
        "expires_after": wanted.get("expires_after"),
        "expires_at": _expiry(now, wanted.get("expires_after")),
        "last_active_at": now,
        "metadata": wanted.get("metadata") or {},
    }
    core.world.put(VECTOR_STORES, store)
    for file_id in wanted.get("file_ids", []):
        _attach(core, store["id"], {"file_id": file_id, "chunking_strategy": wanted.get("chunking_strategy")})
    return _counted(core, store)


def create(core: Core, call: Call) -> Obj:
    """POST /vector_stores."""
    store = make(core, call.body(bodies.NEW_STORE))
    total = store["file_counts"]["total"]
    if not total:
        return store
    counts = dict.fromkeys(store["file_counts"], 0) | {"in_progress": total, "total": total}
    return store | {"usage_bytes": 0, "file_counts": counts, "status": "in_progress"}


def retrieve(core: Core, call: Call) -> Obj:
    """GET /vector_stores/{vector_store_id}."""
    return _store(core, call)


def modify(core: Core, call: Call) -> Obj:
    """POST /vector_stores/{vector_store_id}: what is given replaces, what is not stays."""
    body = call.body(bodies.CHANGED_STORE)
    new = _store(core, call) | body | ({"metadata": body["metadata"] or {}} if "metadata" in body else {})
    if "expires_after" in body:
        new["expires_at"] = _expiry(core.clock.now(), body["expires_after"])
    core.world.put(VECTOR_STORES, new)
    return new


def listing(core: Core, call: Call) -> bytes:
    """GET /vector_stores."""
    shelf = core.world.shelf(VECTOR_STORES)
    return paging.page(shelf, paging.asked(call.request, shelf, VECTOR_STORES))


def delete(core: Core, call: Call) -> Obj:
    """DELETE /vector_stores/{vector_store_id}: what stood in it goes with it, the files themselves stay."""
    store_id = _store(core, call)["id"]
    core.world.delete(VECTOR_STORES, store_id)
    return {"id": store_id, "object": "vector_store.deleted", "deleted": True}


# --- the files of a store -----------------------------------------------------------------------------


def attach_file(core: Core, call: Call) -> Obj:
    """POST /vector_stores/{vector_store_id}/files. A file that nobody uploaded is accepted (inferred)."""
    store = _store(core, call)
    kept = _attach(core, store["id"], call.body(bodies.NEW_STORE_FILE))
    _counted(core, store)
    return kept | {"usage_bytes": 0, "status": "in_progress"}


def file_listing(core: Core, call: Call) -> bytes:
    """GET /vector_stores/{vector_store_id}/files."""
    shelf = core.world.shelf(VECTOR_STORE_FILES, _store(core, call)["id"])
    ask = paging.asked(call.request, shelf, VECTOR_STORE_FILES)
    status = call.request.asked("filter")
    if status is None:
        return paging.page(shelf, ask)
    bodies.FILTER(status, "filter")
    return paging.page(shelf, ask, keep=Field("status", status))


def retrieve_file(core: Core, call: Call) -> Obj:
    """GET /vector_stores/{vector_store_id}/files/{file_id}."""
    return _file(core, call)


def modify_file(core: Core, call: Call) -> Obj:
    """POST /vector_stores/{vector_store_id}/files/{file_id}: its attributes."""
    new = _file(core, call) | {"attributes": call.body(bodies.CHANGED_STORE_FILE)["attributes"] or {}}
    core.world.put(VECTOR_STORE_FILES, new)
    return new


def detach_file(core: Core, call: Call) -> Obj:
    """DELETE /vector_stores/{vector_store_id}/files/{file_id}: the file itself stays."""
    store, file_id = _store(core, call), _file(core, call)["id"]
    core.world.delete(VECTOR_STORE_FILES, file_id, store["id"])
    _counted(core, store)
    return {"id": file_id, "object": "vector_store.file.deleted", "deleted": True}


def _attach(core: Core, store_id: str, wanted: Obj) -> Obj:
    """Put a file into a store. Key order as recorded."""
    file: Obj = {
        "id": wanted["file_id"],
        "object": "vector_store.file",
        "usage_bytes": (core.world.find(FILES, wanted["file_id"]) or {}).get("bytes", 0),
        "created_at": core.clock.now(),
        "vector_store_id": store_id,
        "status": "completed",
        "last_error": None,
        "chunking_strategy": _chunking(wanted.get("chunking_strategy")),
        "attributes": wanted.get("attributes") or {},
    }
    core.world.put(VECTOR_STORE_FILES, file)
    return file


def _chunking(wanted: Any) -> Obj:
    return dict(wanted) if isinstance(wanted, dict) and wanted.get("type") == "static" else _CHUNKS


def _counted(core: Core, store: Obj) -> Obj:
    """The store with its files counted anew, as it is then kept. A state may have brought in odd files."""
    files = [file for _, file in core.world.shelf(VECTOR_STORE_FILES, store["id"]).rows()]
    statuses = Counter(file["status"] for file in files if file.get("status") in _STATUSES)
    sizes = [file.get("usage_bytes") for file in files]
    new = store | {
        "usage_bytes": sum(size for size in sizes if type(size) is int),
        "file_counts": {**{status: statuses[status] for status in _STATUSES}, "total": len(files)},
    }
    core.world.put(VECTOR_STORES, new)
    return new


def _expiry(now: int, after: Obj | None) -> int | None:
    return None if after is None else now + after["days"] * _DAY


def _store(core: Core, call: Call) -> Obj:
    return found(core, VECTOR_STORES, call.ids["vector_store_id"])


def _file(core: Core, call: Call) -> Obj:
    store, file_id = _store(core, call), call.ids["file_id"]
    file = core.world.find(VECTOR_STORE_FILES, file_id, store["id"])
    if file is None:
        raise no_such_file_in_store(file_id, store["id"])
    return file
