"""Handlers for /vector_stores, and the tools and tool resources of threads, assistants and runs.

Recorded: a store with files is `in_progress` in the answer that creates it. In every later answer of the fake it is
`completed`: no file is read or cut into chunks.
"""

from collections import Counter
from typing import Any

import fake_assistants.engine.pagination as paging
import fake_assistants.schemas.vector_stores as bodies
from fake_assistants.engine.backend import Backend, Call, found
from fake_assistants.errors.ids import no_such_file_in_store
from fake_assistants.http.lossless_json import Obj
from fake_assistants.resources.file_checks import refuse_unsearchable
from fake_assistants.store.collection import Field
from fake_assistants.store.kinds import FILES, VECTOR_STORE_FILES, VECTOR_STORES

_DAY = 24 * 60 * 60
STATUSES = ("in_progress", "completed", "failed", "cancelled")  # in the recorded order of the counts

# The recorded default.
_CHUNKS: Obj = {"type": "static", "static": {"max_chunk_size_tokens": 800, "chunk_overlap_tokens": 400}}


def make(backend: Backend, fields: Obj) -> Obj:
    """Create a store with its files, and return it as it is stored. Key order as recorded."""
    now = backend.clock.now()
    store: Obj = {
        "id": backend.new_id("vs_"),
        "object": "vector_store",
        "created_at": now,
        "name": fields.get("name"),
        "description": fields.get("description"),
        "usage_bytes": 0,
        "file_counts": dict.fromkeys((*STATUSES, "total"), 0),
        "status": "completed",
        "expires_after": fields.get("expires_after"),
        "expires_at": _expiry(now, fields.get("expires_after")),
        "last_active_at": now,
        "metadata": fields.get("metadata") or {},
    }
    backend.database.put(VECTOR_STORES, store)
    for file_id in fields.get("file_ids", []):
        attach(backend, store["id"], {"file_id": file_id, "chunking_strategy": fields.get("chunking_strategy")})
    return count_files(backend, store)


def create(backend: Backend, call: Call) -> Obj:
    """POST /vector_stores."""
    body = call.body(bodies.NEW_STORE)
    refuse_unsearchable(backend, body.get("file_ids", []))
    store = make(backend, body)
    total = store["file_counts"]["total"]
    if not total:
        return store
    counts = dict.fromkeys(store["file_counts"], 0) | {"in_progress": total, "total": total}
    return store | {"usage_bytes": 0, "file_counts": counts, "status": "in_progress"}


def retrieve(backend: Backend, call: Call) -> Obj:
    """GET /vector_stores/{vector_store_id}."""
    return _store(backend, call)


def modify(backend: Backend, call: Call) -> Obj:
    """POST /vector_stores/{vector_store_id}: replace the fields that are given."""
    body = call.body(bodies.CHANGED_STORE)
    new = _store(backend, call) | body | ({"metadata": body["metadata"] or {}} if "metadata" in body else {})
    if "expires_after" in body:
        new["expires_at"] = _expiry(backend.clock.now(), body["expires_after"])
    backend.database.put(VECTOR_STORES, new)
    return new


def listing(backend: Backend, call: Call) -> bytes:
    """GET /vector_stores."""
    collection = backend.database.collection(VECTOR_STORES)
    return paging.page(collection, paging.asked(call.request, collection, VECTOR_STORES))


def delete(backend: Backend, call: Call) -> Obj:
    """DELETE /vector_stores/{vector_store_id}: its list of files is deleted, the files themselves are not."""
    store_id = _store(backend, call)["id"]
    backend.database.delete(VECTOR_STORES, store_id)
    return {"id": store_id, "object": "vector_store.deleted", "deleted": True}


# --- the files of a store -----------------------------------------------------------------------------


def attach_file(backend: Backend, call: Call) -> Obj:
    """POST /vector_stores/{vector_store_id}/files. An unknown file is accepted (inferred)."""
    store = _store(backend, call)
    body = call.body(bodies.NEW_STORE_FILE)
    refuse_unsearchable(backend, [body["file_id"]])
    file = attach(backend, store["id"], body)
    count_files(backend, store)
    return file | {"usage_bytes": 0, "status": "in_progress"}


def file_listing(backend: Backend, call: Call) -> bytes:
    """GET /vector_stores/{vector_store_id}/files."""
    collection = backend.database.collection(VECTOR_STORE_FILES, _store(backend, call)["id"])
    ask = paging.asked(call.request, collection, VECTOR_STORE_FILES)
    status = call.request.asked("filter")
    if status is None:
        return paging.page(collection, ask)
    bodies.FILTER(status, "filter")
    return paging.page(collection, ask, keep=Field("status", status))


def retrieve_file(backend: Backend, call: Call) -> Obj:
    """GET /vector_stores/{vector_store_id}/files/{file_id}."""
    return _file(backend, call)


def modify_file(backend: Backend, call: Call) -> Obj:
    """POST /vector_stores/{vector_store_id}/files/{file_id}: its attributes."""
    new = _file(backend, call) | {"attributes": call.body(bodies.CHANGED_STORE_FILE)["attributes"] or {}}
    backend.database.put(VECTOR_STORE_FILES, new)
    return new


def detach_file(backend: Backend, call: Call) -> Obj:
    """DELETE /vector_stores/{vector_store_id}/files/{file_id}: the file itself is not deleted."""
    store, file_id = _store(backend, call), _file(backend, call)["id"]
    backend.database.delete(VECTOR_STORE_FILES, file_id, store["id"])
    count_files(backend, store)
    return {"id": file_id, "object": "vector_store.file.deleted", "deleted": True}


def attach(backend: Backend, store_id: str, fields: Obj) -> Obj:
    """Attach a file to a store. Key order as recorded."""
    file: Obj = {
        "id": fields["file_id"],
        "object": "vector_store.file",
        "usage_bytes": (backend.database.find(FILES, fields["file_id"]) or {}).get("bytes", 0),
        "created_at": backend.clock.now(),
        "vector_store_id": store_id,
        "status": "completed",
        "last_error": None,
        "chunking_strategy": _chunking(fields.get("chunking_strategy")),
        "attributes": fields.get("attributes") or {},
    }
    backend.database.put(VECTOR_STORE_FILES, file)
    return file


def _chunking(fields: Any) -> Obj:
    return dict(fields) if isinstance(fields, dict) and fields.get("type") == "static" else _CHUNKS


def count_files(backend: Backend, store: Obj) -> Obj:
    """Count the files of a store again, and store and return it. A loaded state may have any JSON in their fields."""
    files = [file for _, file in backend.database.collection(VECTOR_STORE_FILES, store["id"]).rows()]
    statuses = Counter(file["status"] for file in files if file.get("status") in STATUSES)
    sizes = [file.get("usage_bytes") for file in files]
    new = store | {
        "usage_bytes": sum(size for size in sizes if type(size) is int),
        "file_counts": {**{status: statuses[status] for status in STATUSES}, "total": len(files)},
    }
    backend.database.put(VECTOR_STORES, new)
    return new


def _expiry(now: int, after: Obj | None) -> int | None:
    return None if after is None else now + after["days"] * _DAY


def _store(backend: Backend, call: Call) -> Obj:
    return found(backend, VECTOR_STORES, call.ids["vector_store_id"])


def _file(backend: Backend, call: Call) -> Obj:
    store, file_id = _store(backend, call), call.ids["file_id"]
    file = backend.database.find(VECTOR_STORE_FILES, file_id, store["id"])
    if file is None:
        raise no_such_file_in_store(file_id, store["id"])
    return file


_WEEK: Obj = {"anchor": "last_active_at", "days": 7}

# Recorded defaults in the echo of a file_search tool.
_RANKING = {"ranker": "default_2024_08_21", "score_threshold": 0.0, "hybrid_search": None}

# Recorded order of keys in the echo of a function tool, and its parameters if none were given.
_FUNCTION_KEYS = ("name", "description", "parameters", "strict")
_NO_PARAMETERS: Obj = {"type": "object", "properties": {}}


def stored_resources(backend: Backend, given: Obj | None) -> Obj:
    """Return tool resources as an object stores them, after creating the vector stores that they define."""
    resources: Obj = {}
    for name, fields in (given or {}).items():
        resources[name] = _search(backend, fields) if name == "file_search" else fields
    return resources


def _search(backend: Backend, fields: Obj) -> Obj:
    made = [_vector_store(backend, store) for store in fields.get("vector_stores", [])]
    return {"vector_store_ids": [*fields.get("vector_store_ids", []), *made]}


def _vector_store(backend: Backend, fields: Obj) -> str:
    """Create a store as the thread and assistant routes do: it expires 7 days after its last use."""
    return str(make(backend, {**fields, "expires_after": _WEEK})["id"])


def tool(given: Obj) -> Obj:
    """Return a tool as it is echoed. Recorded: functions get `parameters` and `strict`, searches ranking options."""
    if given["type"] == "function":
        return {"type": "function", "function": _function(given["function"])}
    if given["type"] == "file_search":
        search = given.get("file_search", {})
        ranking = _RANKING | search.get("ranking_options", {})
        return {"type": "file_search", "file_search": search | {"ranking_options": ranking}}
    return given


def _function(given: Obj) -> Obj:
    parameters = _NO_PARAMETERS if given.get("parameters") is None else given["parameters"]
    full = {**given, "parameters": parameters, "strict": bool(given.get("strict"))}
    return {key: full[key] for key in _FUNCTION_KEYS if key in full}
