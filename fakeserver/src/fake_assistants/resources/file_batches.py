"""Handlers for /vector_stores/{vector_store_id}/file_batches.

A batch is `in_progress` until it is first read, and can be cancelled until then. Its files are completed at once, as
all files of a store are. The row in the database names the batch's files in `file_ids`, which the API does not show.
"""

from typing import Any

import fake_assistants.engine.pagination as paging
import fake_assistants.schemas.vector_stores as bodies
from fake_assistants.engine.backend import Backend, Call, found
from fake_assistants.errors.values import missing_parameter, mutually_exclusive
from fake_assistants.http.lossless_json import Obj
from fake_assistants.resources.file_checks import refuse_unsearchable
from fake_assistants.resources.vector_stores import STATUSES, attach, count_files
from fake_assistants.store.kinds import VECTOR_STORE_FILE_BATCHES, VECTOR_STORE_FILES, VECTOR_STORES


def create(backend: Backend, call: Call) -> Obj:
    """POST /vector_stores/{vector_store_id}/file_batches. Key order as documented."""
    store = _store(backend, call)
    files = _files(call.body(bodies.NEW_FILE_BATCH))
    refuse_unsearchable(backend, files)
    for file in files.values():
        attach(backend, store["id"], file)
    count_files(backend, store)
    batch: Obj = {
        "id": backend.new_id("vsfb_"),
        "object": "vector_store.files_batch",
        "created_at": backend.clock.now(),
        "vector_store_id": store["id"],
        "status": "in_progress",
        "file_counts": _counts("in_progress", len(files)),
        "file_ids": list(files),
    }
    backend.database.put(VECTOR_STORE_FILE_BATCHES, batch)
    return _shown(batch)


def retrieve(backend: Backend, call: Call) -> Obj:
    """GET /vector_stores/{vector_store_id}/file_batches/{batch_id}."""
    return _shown(_read(backend, call))


def cancel(backend: Backend, call: Call) -> Obj:
    """POST /vector_stores/{vector_store_id}/file_batches/{batch_id}/cancel. A batch that has ended stays as it is."""
    store, batch = _store(backend, call), _batch(backend, call)
    if batch.get("status") != "in_progress":
        return _shown(batch)
    for file_id in _file_ids(batch):
        file = backend.database.find(VECTOR_STORE_FILES, file_id, store["id"])
        if file is not None:
            backend.database.put(VECTOR_STORE_FILES, file | {"status": "cancelled"})
    count_files(backend, store)
    return _shown(_ended(backend, batch, "cancelled"))


def file_listing(backend: Backend, call: Call) -> bytes:
    """GET /vector_stores/{vector_store_id}/file_batches/{batch_id}/files: the files that are still in the store."""
    ids = set(_file_ids(_read(backend, call)))
    collection = backend.database.collection(VECTOR_STORE_FILES, call.ids["vector_store_id"])
    ask = paging.asked(call.request, collection, VECTOR_STORE_FILES)
    status = call.request.asked("filter")
    if status is not None:
        bodies.FILTER(status, "filter")
    return paging.page(collection, ask, keep=lambda file: file["id"] in ids and status in (None, file.get("status")))


def _files(body: Obj) -> dict[str, Obj]:
    """Return the files of a new batch by id, each with the fields to attach it with. Raises ApiProblem."""
    if "file_ids" in body and "files" in body:
        raise mutually_exclusive("file_ids", "files")
    if "files" in body:
        return {file["file_id"]: file for file in body["files"]}
    if "file_ids" not in body:
        raise missing_parameter("file_ids")
    return {file_id: body | {"file_id": file_id} for file_id in body["file_ids"]}


def _read(backend: Backend, call: Call) -> Obj:
    """Return the batch. A batch in progress is completed by this read."""
    _store(backend, call)
    batch = _batch(backend, call)
    is_open = batch.get("status") == "in_progress" and "file_ids" in batch
    return _ended(backend, batch, "completed") if is_open else batch


def _ended(backend: Backend, batch: Obj, status: str) -> Obj:
    ended = batch | {"status": status, "file_counts": _counts(status, len(_file_ids(batch)))}
    backend.database.put(VECTOR_STORE_FILE_BATCHES, ended)
    return ended


def _counts(status: str, count: int) -> Obj:
    return {**dict.fromkeys(STATUSES, 0), status: count, "total": count}


def _file_ids(batch: Obj) -> list[Any]:
    """Return the ids of the batch's files; a loaded state may have any JSON there."""
    ids = batch.get("file_ids")
    return [one for one in ids if isinstance(one, str)] if isinstance(ids, list) else []


def _shown(batch: Obj) -> Obj:
    return {key: value for key, value in batch.items() if key != "file_ids"}


def _store(backend: Backend, call: Call) -> Obj:
    return found(backend, VECTOR_STORES, call.ids["vector_store_id"])


def _batch(backend: Backend, call: Call) -> Obj:
    return found(backend, VECTOR_STORE_FILE_BATCHES, call.ids["batch_id"], call.ids["vector_store_id"])
