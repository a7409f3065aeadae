"""Handlers for /files. The content of a file is a separate object in the database, as base64."""

import base64
import binascii
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import fake_assistants.engine.pagination as paging
import fake_assistants.errors.files as errors
import fake_assistants.http.multipart as forms
from fake_assistants.engine.backend import Backend, Call, found
from fake_assistants.errors.ids import no_such_file
from fake_assistants.http.lossless_json import Obj
from fake_assistants.http.message import Reply
from fake_assistants.schemas.checks import Choice, Number, Shape
from fake_assistants.store.collection import Field
from fake_assistants.store.kinds import FILE_CONTENTS, FILES

_PURPOSES = ("fine-tune", "assistants", "batch", "user_data", "vision", "evals")  # in the order of the error text

# Quoted: files that users uploaded with these purposes cannot be downloaded.
_NOT_DOWNLOADABLE = ("assistants", "user_data")

_DAY = 24 * 60 * 60
_BATCH_LIFETIME = 30 * _DAY  # documented
_EXPIRY = Shape(
    {"anchor": Choice(("created_at",)), "seconds": Number(3_600, 30 * _DAY, "integer")}, needed=("anchor", "seconds")
)
_WHOLE = re.compile(r"[0-9]{1,12}")
_PLAIN_NAME = re.compile(r"[ !#-\[\]-~]*")  # needs no escaping in a quoted string of a header

_MANY = 10_000


def upload(backend: Backend, call: Call) -> Obj:
    """POST /files, a multipart form. Key order as recorded."""
    form = _form(call)
    file, purpose = form.get("file"), form.get("purpose")
    if file is None or file.filename is None:
        raise errors.required_property("file")
    if purpose is None:
        raise errors.required_property("purpose")
    if purpose.text not in _PURPOSES:
        raise errors.not_one_of("purpose", purpose.text, _PURPOSES)
    lifetime, now = _lifetime(form, purpose.text), backend.clock.now()
    file_id = backend.new_id(_prefix(call, purpose.text))
    made: Obj = {
        "object": "file",
        "id": file_id,
        "purpose": purpose.text,
        "filename": file.filename,
        "bytes": len(file.content),
        "created_at": now,
        "expires_at": None if lifetime is None else now + lifetime,
        "status": "processed",
        "status_details": None,
    }
    backend.database.put(FILES, made)
    backend.database.put(FILE_CONTENTS, {"id": file_id, "content": base64.b64encode(file.content).decode("ascii")})
    return made


def _prefix(call: Call, purpose: str) -> str:
    """Return the prefix of a new file's id. Quoted: what Microsoft's services have for assistants has its own."""
    return f"{call.base.file_prefix if purpose == 'assistants' else 'file'}-"


def listing(backend: Backend, call: Call) -> bytes:
    """GET /files. Documented: `limit` is at most 10,000, which is also the default."""
    collection = backend.database.collection(FILES)
    ask = paging.asked(call.request, collection, FILES, default=_MANY, most=_MANY)
    purpose = call.request.asked("purpose")
    if purpose is None:
        return paging.page(collection, ask)
    return paging.page(collection, ask, keep=Field("purpose", purpose))


def retrieve(backend: Backend, call: Call) -> Obj:
    """GET /files/{file_id}."""
    return found(backend, FILES, call.ids["file_id"])


def delete(backend: Backend, call: Call) -> Obj:
    """DELETE /files/{file_id}. Recorded: the keys have another order than in other replies."""
    file_id = found(backend, FILES, call.ids["file_id"])["id"]
    backend.database.delete(FILES, file_id)
    if backend.database.find(FILE_CONTENTS, file_id):
        backend.database.delete(FILE_CONTENTS, file_id)
    return {"object": "file", "deleted": True, "id": file_id}


def content(backend: Backend, call: Call) -> Reply:
    """GET /files/{file_id}/content. A file that was loaded without content is not found (inferred)."""
    file = found(backend, FILES, call.ids["file_id"])
    if file.get("purpose") in _NOT_DOWNLOADABLE:
        raise errors.not_downloadable(file["purpose"])
    body = _content(backend.database.find(FILE_CONTENTS, file["id"]))
    if body is None:
        raise no_such_file(file["id"])
    disposition = ("content-disposition", _attachment(file.get("filename")))
    return Reply(200, (*backend.headers("application/octet-stream"), disposition), body)


def _content(row: Obj | None) -> bytes | None:
    """Decode the content. Return None if a loaded state has something else there."""
    text = (row or {}).get("content")
    try:
        return base64.b64decode(text, validate=True) if isinstance(text, str) else None
    except (binascii.Error, ValueError):
        return None


def _attachment(filename: Any) -> str:
    """Return a content-disposition. Recorded for plain names; other names are percent-encoded (RFC 6266)."""
    name = filename if isinstance(filename, str) else ""
    if _PLAIN_NAME.fullmatch(name):
        return f'attachment; filename="{name}"'
    return f"attachment; filename*=utf-8''{quote(name, errors='replace')}"


# --- the form -----------------------------------------------------------------------------------------


def _form(call: Call) -> Mapping[str, forms.Part]:
    try:
        return {part.name: part for part in forms.read(call.request)}
    except forms.MalformedForm:
        raise errors.malformed_form() from None


def _lifetime(form: Mapping[str, forms.Part], purpose: str) -> int | None:
    """Return the seconds from the creation of a file to its expiry, or None if it does not expire."""
    given = {key: form[f"expires_after[{key}]"].text for key in _EXPIRY.keys if f"expires_after[{key}]" in form}
    if not given:
        return _BATCH_LIFETIME if purpose == "batch" else None
    expiry = {key: int(value) if _WHOLE.fullmatch(value) else value for key, value in given.items()}
    _EXPIRY(expiry, "expires_after")
    return int(expiry["seconds"])
