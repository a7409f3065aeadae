"""Tell a file that is no export at all from one that is damaged, and name it: people give the wrong file by mistake.

Only a file with nothing next to it is looked at. It is no export if none of its first lines has the keys of a message,
not even in a damaged line.
"""

import codecs
import shlex
from collections.abc import Callable, Mapping
from io import BytesIO
from itertools import islice
from pathlib import Path
from typing import Any

from threadkeep.errors import OutputUnusable, UnreadableIds
from threadkeep.records.ndjson import FLAT_KEYS
from threadkeep.serialization.id_lists import IdList
from threadkeep.serialization.lossless_json import loads
from threadkeep.serialization.text_files import BINARY_FILES
from threadkeep.storage.paths import Paths, is_prefix
from threadkeep.storage.private_files import on_disk, open_regular

__all__ = ["refuse_no_export"]

# So much of a file is looked at, and so many lines of that.
_HEAD, _LINES = 1024 * 1024, 50

_KEYS = frozenset({*FLAT_KEYS, "message"})
_KEYS_OF_A_MESSAGE = 4  # at least: one or two may be damaged

_MAGIC: Mapping[bytes, str] = {
    **BINARY_FILES,
    codecs.BOM_UTF16_LE: "a file in UTF-16",
    codecs.BOM_UTF16_BE: "a file in UTF-16",
}

# The files that are next to an export, by their endings.
_NEXT_TO: Mapping[str, str] = {
    ".index": "the index of an export",
    ".manifest.json": "the manifest of an export",
    ".store": "the working store of an export",
    ".threads": "the thread objects of an export",
    ".runs": "the runs of an export",
    ".downloads": "the list of the downloads of an export",
    ".lock": "the lock of an export",
    ".push": "the record of a push",
    ".conversations.ndjson": "the map of a push",
    ".losses.ndjson": "a list of losses",
}

_FORMATS = {"threadkeep-index": _NEXT_TO[".index"], "threadkeep-manifest": _NEXT_TO[".manifest.json"]}

# JSON objects by some of their keys; the first that fits counts.
_BY_KEYS: tuple[tuple[frozenset[str], str], ...] = (
    (frozenset({"object", "content", "role"}), "a file of messages as the API gives them"),
    (frozenset({"file_id", "outcome"}), _NEXT_TO[".downloads"]),
    (frozenset({"thread_id", "run_id"}), _NEXT_TO[".runs"]),
    (frozenset({"thread_id", "lost", "why"}), _NEXT_TO[".losses.ndjson"]),
    (frozenset({"thread_id", "conversation_id"}), _NEXT_TO[".conversations.ndjson"]),
    (frozenset({"threads", "messages"}), "a state of fake-assistants"),
    (frozenset({"findings", "complete"}), "a report of validate"),
)


def refuse_no_export(path: Path) -> None:
    """Refuse a file that is plainly no export, and say what it is. What an export has next to it is not looked for.

    Raises:
        OutputUnusable: it is one of another kind, an export in shards, or another folder.
    """
    paths = Paths(path)
    if is_prefix(path):
        merge = f"`threadkeep merge {shlex.quote(str(path))} -o out.ndjson`"
        raise OutputUnusable(f"{path} is an export in shards: make one file of it with {merge}, and give that.")
    if path.is_dir():
        raise OutputUnusable(f"{path} is a folder: {_give(path)}")
    if not path.is_file() or path.is_symlink() or any(one.exists() for one in paths.all_files() if one != path):
        return
    with on_disk(path), open_regular(path) as file:
        kind = _kind(file.read(_HEAD), path.name)
    if kind is not None:
        what = "not the export itself" if kind in _NEXT_TO.values() else "no export"
        raise OutputUnusable(f"{path} is {kind}, and {what}: {_give(path.parent, path)}")


def _give(folder: Path, other: Path | None = None) -> str:
    """Say which file to give: the one that a file is next to, or the exports of the folder."""
    if other is not None:
        for ending in _NEXT_TO:
            out = other.with_name(other.name.removesuffix(ending) or "-")
            if out != other and Paths(out).index.exists():
                return f"give {out}."
    try:
        found = sorted(one.name.removesuffix(".index") for one in folder.iterdir() if one.name.endswith(".index"))
    except OSError:
        found = []
    such = f", such as {folder / found[0]}" if found else ""
    return f"give the NDJSON file that `threadkeep export` has written{such}."


def _kind(head: bytes, name: str) -> str | None:
    """Return what a file is by its beginning; None if it is an export, or may be a damaged one."""
    if not head.strip():  # an export without messages
        return None
    named = next((what for ending, what in _NEXT_TO.items() if name.endswith(ending)), None)
    magic = next((what for begin, what in _MAGIC.items() if head.startswith(begin)), None)
    if magic is not None:
        return named or magic
    lines = head.removeprefix(codecs.BOM_UTF8).split(b"\n")
    if any(map(_is_of_a_message, islice(filter(None, lines), _LINES))):
        return None
    if name.endswith(".lock"):
        return named
    return next(filter(None, (look(head, lines) for look in _LOOKS)), "a text file")


def _is_of_a_message(line: bytes) -> bool:
    value = _value(line)
    if isinstance(value, dict):
        return len(_KEYS & value.keys()) >= _KEYS_OF_A_MESSAGE and "object" not in value
    return b'"thread_id"' in line and b'"message_id"' in line and b'"role"' in line and b'"object":"list"' not in line


def _value(text: bytes) -> Any:
    try:
        return loads(text)
    except (ValueError, RecursionError):
        return None


def _by_keys(head: bytes, lines: list[bytes]) -> str | None:
    for value in (_value(lines[0]), _value(head)):
        if isinstance(value, dict):
            marks = str(value.get("format")).partition("/")[0]
            named = next((what for keys, what in _BY_KEYS if keys <= value.keys()), None)
            only_thread = _NEXT_TO[".threads"] if {*value} == {"thread_id", "thread"} else None
            return _FORMATS.get(marks) or named or only_thread or "JSON of another kind"
    return None


def _list_of_ids(head: bytes, lines: list[bytes]) -> str | None:
    complete = head if len(head) < _HEAD else b"\n".join(lines[:-1])
    try:
        first = islice(IdList(BytesIO(complete), "the file"), _LINES)
        return "a list of thread ids" if any(one.thread_id.startswith("thread_") for one in first) else None
    except UnreadableIds:
        return None


def _text(head: bytes, _lines: list[bytes]) -> str | None:
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return "a binary file"
    if b"\x00" in head:
        return "a binary file"
    return "JSON of another kind" if head.lstrip()[:1] in (b"{", b"[") else None


_Look = Callable[[bytes, list[bytes]], str | None]
_LOOKS: tuple[_Look, ...] = (_by_keys, _list_of_ids, _text)
