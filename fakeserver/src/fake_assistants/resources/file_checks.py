"""Refuse files that cannot be used.

Only a fake that was made with `check_files` refuses files that are unknown or of the wrong kind. The kind of a file is
the extension of its name. Those for file search and those of images are documented.
"""

from collections.abc import Iterable, Iterator
from pathlib import PurePosixPath

import fake_assistants.errors.files as errors
import fake_assistants.errors.ids as id_errors
from fake_assistants.engine.backend import Backend, Call
from fake_assistants.http.lossless_json import Obj
from fake_assistants.store.kinds import FILES

_SEARCHABLE = frozenset(
    (
        *(".c", ".cpp", ".cs", ".css", ".doc", ".docx", ".go", ".html", ".java", ".js", ".json", ".md", ".pdf"),
        *(".php", ".pptx", ".py", ".rb", ".sh", ".tex", ".ts", ".txt"),
    )
)
_IMAGES = frozenset((".gif", ".jpeg", ".jpg", ".png", ".webp"))


def refuse_bodies(backend: Backend, *, messages: Iterable[Obj] = (), tool_resources: Iterable[Obj | None] = ()) -> None:
    """Check the files that new messages and new vector stores name. Raise ApiProblem before anything is created."""
    if not backend.check_files:
        return
    for message in messages:
        refuse_unsearchable(backend, _attached(message))
        _refuse_images(backend, list(_images(message)))
    for resources in tool_resources:
        search = (resources or {}).get("file_search", {})
        for store in search.get("vector_stores", []):
            refuse_unsearchable(backend, store.get("file_ids", []))


def refuse_unsearchable(backend: Backend, file_ids: Iterable[str]) -> None:
    """Check the files that a file search is to read. Unknown files are accepted."""
    if not backend.check_files:
        return
    found = [_extension(file) for file in (backend.database.find(FILES, file_id) for file_id in file_ids) if file]
    wrong = [extension for extension in dict.fromkeys(found) if extension not in _SEARCHABLE]
    if wrong:
        raise errors.unsupported_extensions(wrong)


def refuse_items(backend: Backend, call: Call, param: str, given: Iterable[Obj]) -> None:
    """Check the files that items name. Raise ApiProblem before anything is created.

    An id has the prefix of the service, unless a loaded state has it. `param` is the name of the list of items.
    """
    prefix = call.base.file_prefix
    for where, file_id in _files_of(param, given):
        if not file_id.startswith(prefix) and backend.loaded.text(FILES, file_id) is None:
            raise id_errors.foreign_file_id(where, file_id, prefix)
        if backend.check_files and backend.database.text(FILES, file_id) is None:
            raise id_errors.no_such_input_file(param, file_id)


def _files_of(param: str, given: Iterable[Obj]) -> Iterator[tuple[str, str]]:
    """Yield the place and the id of each file in the parts of items, of messages and of outputs of functions."""
    for index, item in enumerate(given):
        for key in ("content", "output"):
            parts = item.get(key)
            for at, part in enumerate(parts if isinstance(parts, list) else ()):
                if isinstance(part, dict) and isinstance(part.get("file_id"), str):
                    yield f"{param}[{index}].{key}[{at}].file_id", part["file_id"]


def _refuse_images(backend: Backend, file_ids: list[str]) -> None:
    files = {file_id: backend.database.find(FILES, file_id) for file_id in file_ids}
    unknown = [file_id for file_id, file in files.items() if file is None]
    if unknown:
        raise errors.image_files_not_found(unknown)
    if any(file is not None and _extension(file) not in _IMAGES for file in files.values()):
        raise errors.unsupported_image_file()


def _extension(file: Obj) -> str:
    """Return the extension of a file's name. A loaded state may have any JSON as a name."""
    return PurePosixPath(str(file.get("filename"))).suffix.lower()


def _attached(message: Obj) -> Iterator[str]:
    for attachment in message.get("attachments") or []:
        if {"type": "file_search"} in attachment.get("tools", []) and "file_id" in attachment:
            yield attachment["file_id"]


def _images(message: Obj) -> Iterator[str]:
    content = message["content"]
    for part in content if isinstance(content, list) else ():
        if part["type"] == "image_file":
            yield part["image_file"]["file_id"]
