"""Cases: files, vector stores, embeddings and models, which assistants depend on."""

from fake_assistants.conformance.api import Api
from fake_assistants.conformance.case import Case
from fake_assistants.conformance.expectations import Found
from fake_assistants.conformance.fixtures import served

_BOUNDARY = "conformance-boundary"
_CONTENT = "Ada\r\nŁódź\x00".encode()


def _upload(api: Api, purpose: str, name: str = "notes.txt") -> Found:
    """Upload a file as a multipart form, as every client does."""
    fields = (
        f'--{_BOUNDARY}\r\ncontent-disposition: form-data; name="purpose"\r\n\r\n{purpose}\r\n'
        f'--{_BOUNDARY}\r\ncontent-disposition: form-data; name="file"; filename="{name}"\r\n'
        "content-type: text/plain\r\n\r\n"
    )
    body = fields.encode() + _CONTENT + f"\r\n--{_BOUNDARY}--\r\n".encode()
    headers = {"content-type": f"multipart/form-data; boundary={_BOUNDARY}", "openai-beta": None}
    made = served(api.ask("POST", "/files", body, headers)).ok()
    api.owns(f"/files/{made['id'].text()}")
    return made


def upload(api: Api) -> None:
    """An uploaded file has its name, purpose and size, and is retrieved the same; no beta header is needed."""
    made = _upload(api, "assistants")
    made.has(object="file", purpose="assistants", filename="notes.txt", bytes=len(_CONTENT), status="processed")
    prefix = "file" if api.setting.service == "openai" else "assistant"
    made["id"].like(f"{prefix}-[A-Za-z0-9]{{22,24}}", f"{prefix}- and 22 or 24 letters and digits")
    made["created_at"].number()
    api.get(f"/files/{made['id'].text()}").ok().same(made.value)


def locked_content(api: Api) -> None:
    """400 for the content of a file that was uploaded for assistants."""
    made = _upload(api, "assistants")
    answer = api.get(f"/files/{made['id'].text()}/content")
    answer.refused(400, "Not allowed to download files of purpose: assistants")


def content(api: Api) -> None:
    """A file for vision downloads with its bytes."""
    made = _upload(api, "vision", "a.png")
    answer = api.get(f"/files/{made['id'].text()}/content")
    if (answer.status, answer.body) != (200, _CONTENT):
        raise answer.deviates("the uploaded bytes")


def listing(api: Api) -> None:
    """Files are listed newest first, by purpose, with limit, order and after."""
    ids = [_upload(api, purpose)["id"].text() for purpose in ("vision", "user_data", "assistants", "vision")]
    api.get("/files?limit=4").ok().ids(ids[::-1])
    first, *others = api.get("/files?purpose=vision&limit=2").ok()["data"].rows(2)
    first.has(id=ids[3], purpose="vision")
    others[0].has(id=ids[0], purpose="vision")
    page = api.get(f"/files?order=desc&limit=2&after={ids[3]}").ok()
    page.ids(ids[2:0:-1])
    page["has_more"].same(True)


def unknown(api: Api) -> None:
    """404, No such File object: ..., in the envelope and again under `detail`."""
    answer = served(api.get("/files?limit=1")) and api.get("/files/fake_id")
    answer.refused(404, "No such File object: fake_id", param="id")
    answer.json()["detail"].same({"message": "No such File object: fake_id", "code": None})


def delete(api: Api) -> None:
    """Delete is confirmed; afterwards the file is unknown."""
    made = _upload(api, "assistants")["id"].text()
    api.delete(f"/files/{made}").ok().same({"object": "file", "id": made, "deleted": True})
    api.get(f"/files/{made}").refused(404, f"No such File object: {made}", param="id")


def store(api: Api) -> None:
    """A vector store is created, retrieved and deleted."""
    made = served(api.post("/vector_stores", {"name": "notes"})).ok()
    made.has(object="vector_store", name="notes", metadata={})
    made["id"].like("vs_[0-9a-f]{32}", "vs_ and 32 hexadecimal digits")
    made["file_counts"]["total"].same(0)
    path = f"/vector_stores/{made['id'].text()}"
    api.get(path).ok().has(id=made["id"].value, name="notes")
    api.delete(path).ok().same({"id": made["id"].value, "object": "vector_store.deleted", "deleted": True})


# --- batches and searches ------------------------------------------------------------------------------

_ENDED = ("completed", "failed", "cancelled")
_COUNTS = ("in_progress", "completed", "failed", "cancelled", "total")


def _store_path(api: Api) -> str:
    made = served(api.post("/vector_stores", {"name": "notes"})).ok()
    return f"/vector_stores/{made['id'].text()}"


def batch(api: Api) -> None:
    """A batch attaches its files, is retrieved until it has ended, and lists them."""
    file, path = _upload(api, "assistants")["id"].text(), _store_path(api)
    made = served(api.post(f"{path}/file_batches", {"file_ids": [file]})).ok()
    made.has(object="vector_store.files_batch", vector_store_id=path.rpartition("/")[2])
    made["file_counts"].keys(_COUNTS)
    made["file_counts"]["total"].same(1)
    ended = api.until(f"{path}/file_batches/{made['id'].text()}", _ENDED)
    ended.has(id=made["id"].value, status="completed")
    listed = api.get(f"{path}/file_batches/{made['id'].text()}/files").ok()
    listed.ids([file])
    listed["data"].only().has(object="vector_store.file", status="completed")


def no_batch(api: Api) -> None:
    """404 for a batch that does not exist."""
    path = _store_path(api)
    answer = api.get(f"{path}/file_batches/vsfb_{'0' * 32}")
    if answer.status != 404:
        raise answer.deviates("status 404")


def search(api: Api) -> None:
    """A search answers a page of results with file, score, attributes and content."""
    file, path = _upload(api, "assistants")["id"].text(), _store_path(api)
    made = served(api.post(f"{path}/file_batches", {"file_ids": [file], "attributes": {"kind": "note"}})).ok()
    api.until(f"{path}/file_batches/{made['id'].text()}", _ENDED)
    page = served(api.post(f"{path}/search", {"query": "Ada", "max_num_results": 1})).ok()
    page.has(object="vector_store.search_results.page", search_query=["Ada"], has_more=False, next_page=None)
    result = page["data"].only()
    result.has(file_id=file, filename="notes.txt", attributes={"kind": "note"})
    result["content"].rows(1)[0].has(type="text")


def scripted_search(api: Api) -> None:
    """A script answers a search."""
    path = _store_path(api)
    with api.staged("script", {"searches": [[{"file_id": "file-1", "score": 0.5, "content": "Ada"}]]}):
        page = api.post(f"{path}/search", {"query": "x"}).ok()
    page["data"].only().has(file_id="file-1", score=0.5, content=[{"type": "text", "text": "Ada"}])


# --- embeddings and models -----------------------------------------------------------------------------

_EMBEDDER = "text-embedding-3-small"


def embeddings(api: Api) -> None:
    """Each input has a vector of the requested size and of length 1, in order."""
    body = {"model": _EMBEDDER, "input": ["Ada", "Łódź"], "dimensions": 8, "encoding_format": "float"}
    answer = served(api.post("/embeddings", body)).ok()
    answer.has(object="list", model=_EMBEDDER)
    for index, row in enumerate(answer["data"].rows(2)):
        row.has(object="embedding", index=index)
        vector = row["embedding"].rows(8)
        length = sum(number.value**2 for number in vector)
        if len(vector) != 8 or abs(length - 1) > 0.01:
            raise row["embedding"].deviates("8 numbers whose squares make 1")
    answer["usage"].keys(("prompt_tokens", "total_tokens"))


def no_embeddings(api: Api) -> None:
    """400 for an empty input."""
    served(api.post("/embeddings", {"model": _EMBEDDER, "input": "Ada"})).ok()
    answer = api.post("/embeddings", {"model": _EMBEDDER, "input": []})
    if answer.status != 400:
        raise answer.deviates("status 400")


def models(api: Api) -> None:
    """Models are listed, and each is retrieved the same."""
    first = served(api.get("/models")).ok()["data"].rows(1)[0]
    first["object"].same("model")
    first["created"].number()
    api.get(f"/models/{first['id'].text()}").ok().has(id=first["id"].value, object="model")


def no_model(api: Api) -> None:
    """404, The model '...' does not exist."""
    served(api.get("/models")).ok()
    text = "The model 'no-such-model' does not exist"
    api.get("/models/no-such-model").refused(404, text, param="model", code="model_not_found")


CASES = (
    Case("files", "upload", "recorded", upload, needs=("raw",)),
    Case("files", "locked-content", "quoted", locked_content, needs=("raw",)),
    Case("files", "content", "spec", content, needs=("raw",)),
    Case("files", "list", "spec", listing, needs=("raw",)),
    Case("files", "unknown", "recorded", unknown),
    Case("files", "delete", "spec", delete, needs=("raw",)),
    Case("stores", "life", "spec", store),
    Case("stores", "batch", "spec", batch, needs=("raw",)),
    Case("stores", "no-batch", "inferred", no_batch),
    Case("stores", "search", "spec", search, needs=("raw",)),
    Case("stores", "scripted-search", "own", scripted_search, needs=("control",)),
    Case("embeddings", "vectors", "spec", embeddings),
    Case("embeddings", "empty-input", "quoted", no_embeddings),
    Case("models", "list", "spec", models),
    Case("models", "unknown", "quoted", no_model),
)
