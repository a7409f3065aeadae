"""Cases: files and vector stores, as far as threads and assistants lean on them."""

from fake_assistants.conformance.api import Api
from fake_assistants.conformance.case import Case
from fake_assistants.conformance.expectations import Found
from fake_assistants.conformance.fixtures import served

_BOUNDARY = "conformance-boundary"
_CONTENT = "Ada\r\nŁódź\x00".encode()


def _upload(api: Api, purpose: str, name: str = "notes.txt") -> Found:
    """A new file; multipart, as every client sends it."""
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
    """An uploaded file has its name, purpose and size, and is retrieved the same; no beta header is wanted."""
    made = _upload(api, "assistants")
    made.has(object="file", purpose="assistants", filename="notes.txt", bytes=len(_CONTENT), status="processed")
    made["id"].like("file-[A-Za-z0-9]{22,24}", "file- and 22 or 24 letters and digits")
    made["created_at"].number()
    api.get(f"/files/{made['id'].text()}").ok().same(made.value)


def locked_content(api: Api) -> None:
    """400 for the content of what was uploaded for assistants."""
    made = _upload(api, "assistants")
    answer = api.get(f"/files/{made['id'].text()}/content")
    answer.refused(400, "Not allowed to download files of purpose: assistants")


def content(api: Api) -> None:
    """A file for vision downloads with its bytes."""
    made = _upload(api, "vision", "a.png")
    answer = api.get(f"/files/{made['id'].text()}/content")
    if (answer.status, answer.body) != (200, _CONTENT):
        raise answer.deviates("the uploaded bytes")


def unknown(api: Api) -> None:
    """404, No such File object: ..., said twice: in the envelope and beside it."""
    answer = served(api.get("/files?limit=1")) and api.get("/files/fake_id")
    answer.refused(404, "No such File object: fake_id", param="id")
    answer.json()["detail"].same({"message": "No such File object: fake_id", "code": None})


def delete(api: Api) -> None:
    """Delete says so; after it the file is unknown."""
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


CASES = (
    Case("files", "upload", "recorded", upload, needs=("raw",)),
    Case("files", "locked-content", "quoted", locked_content, needs=("raw",)),
    Case("files", "content", "spec", content, needs=("raw",)),
    Case("files", "unknown", "recorded", unknown),
    Case("files", "delete", "spec", delete, needs=("raw",)),
    Case("stores", "life", "spec", store),
)
