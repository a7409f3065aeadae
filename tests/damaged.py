"""Exports of every shape, made by the real exporter from a fake in this process, to be damaged by tests."""

import base64
import hashlib
import json
import random
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
import msgspec

import threadkeep
from canned import client_of
from exports import ASSISTANT
from fake_assistants import Request
from threadkeep.serialization.lossless_json import loads
from threadkeep.storage.index import IndexRow, decode_row, encode_line
from threadkeep.storage.manifest import FileClaim, ThreadDigest, decode_manifest, encode_manifest
from watched import Watched, what_is_behind

__all__ = [
    "DOWNLOADS",
    "INDEX",
    "MANIFEST",
    "OUT",
    "PARTIAL",
    "RUNS",
    "THREADS",
    "Files",
    "exports",
    "forged",
    "thread_of",
]

OUT = "out.ndjson"
INDEX = "out.ndjson.index"
MANIFEST = "out.ndjson.manifest.json"
PARTIAL = "out.ndjson.partial"
DOWNLOADS = "out.ndjson.downloads"
RUNS = "out.ndjson.runs"
THREADS = "out.ndjson.threads"

_SINCE = 1_760_000_000
_SIZES = (7, 25, 0, 1, 12, 108, 2, 5)
_TEXTS = (
    "Where is the invoice?",
    "two\nlines, \u2028 and \x85 raw, \"quoted\", C:\\new: 'a' {b} [c]",
    "emoji \U0001f32e\U0010ffff, é, e\u0301, \x00",
    "half of a pair: \ud83d",
    "numbers too: 1, 1.0, 10000000000000000000000000000",
)


@attrs.frozen
class Files:
    """The files of an export, by name, and the ids that were wanted, in order."""

    content: Mapping[str, bytes]
    ids: tuple[str, ...]

    def lines(self, name: str = OUT) -> list[bytes]:
        """A file's lines, with their newlines."""
        return [line + b"\n" for line in self.content[name].split(b"\n")[:-1]]

    def put(self, name: str, content: bytes | Sequence[bytes]) -> "Files":
        """The same with another file."""
        joined = content if isinstance(content, bytes) else b"".join(content)
        return attrs.evolve(self, content={**self.content, name: joined})

    def without(self, *names: str) -> "Files":
        """The same without some files."""
        return attrs.evolve(self, content={name: one for name, one in self.content.items() if name not in names})

    def write(self, folder: Path) -> Path:
        """Put them on the disk; gives the export."""
        for name, content in self.content.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        return folder / OUT

    @property
    def rows(self) -> list[IndexRow]:
        """The rows of the index."""
        return list(map(decode_row, self.lines(INDEX)[1:]))

    def put_rows(self, rows: Sequence[IndexRow]) -> "Files":
        """The same with other rows."""
        return self.put(INDEX, [self.lines(INDEX)[0], *map(encode_line, rows)])

    @property
    def threads(self) -> dict[str, range]:
        """The numbers, from 0, of each thread's lines in OUT."""
        return self.threads_of(OUT)

    def threads_of(self, name: str) -> dict[str, range]:
        """The same of any file whose lines are of threads."""
        found: dict[str, list[int]] = {}
        for number, line in enumerate(self.lines(name)):
            found.setdefault(thread_of(line), []).append(number)
        return {thread_id: range(own[0], own[-1] + 1) for thread_id, own in found.items()}


def thread_of(line: bytes) -> str:
    """The thread that a line says it is of."""
    return str(loads(line)["thread_id"])


def _message(thread_id: str, number: int, draw: random.Random) -> dict[str, Any]:
    text: dict[str, Any] = {"type": "text", "text": {"value": f"{number}: {draw.choice(_TEXTS)}", "annotations": []}}
    content = [text, *_more(number)]
    if number % 9 == 4:
        text["text"]["value"] = "See 【4:0†a.txt】."
        text["text"]["annotations"] = [_citation("【4:0†a.txt】", 4, 14)]
    odd = {"x_number": draw.choice([1, 1.5, 10**30, -0.0, 2**64 - 1, 1e22])}  # the others are as OpenAI gives them
    return {
        "id": f"msg_{thread_id[7:]}{number:04}",
        "object": "thread.message",
        "created_at": _SINCE + number // 2,
        "assistant_id": ASSISTANT if number % 2 else None,
        "thread_id": thread_id,
        "run_id": None,
        "role": ("user", "assistant")[number % 2],
        "content": content,
        "attachments": [],
        "metadata": {"place": f"{number}", "a:b": 'x":'},
        **(odd if number % 3 == 2 else {}),
    }


def _citation(text: str, start: int, end: int) -> dict[str, Any]:
    body = {"file_id": "file-doc1"}
    return {"type": "file_citation", "text": text, "start_index": start, "end_index": end, "file_citation": body}


def _more(number: int) -> list[dict[str, Any]]:
    if number % 7 == 1:
        return [{"type": "image_file", "image_file": {"file_id": "file-img1", "detail": "auto"}}]
    if number % 7 == 2:
        return [{"type": "hologram", "hologram": {"depth": [1, {"a b": None}]}}]
    return [{"type": "text", "text": {"value": "And more.", "annotations": []}}] if number % 7 == 3 else []


_NOTED: dict[str, dict[str, Any]] = {
    "image_not_downloaded": {"content": [{"type": "image_file", "image_file": {"file_id": "file-gone"}}]},
    "annotation_outside_text": {
        "content": [{"type": "text", "text": {"value": "Short.", "annotations": [_citation("x", 4, 14)]}}]
    },
    "marker_without_annotation": {
        "content": [{"type": "text", "text": {"value": "See 【1†source】.", "annotations": []}}]
    },
    "empty_message": {"content": []},
    "text_of_another_shape": {"content": [{"type": "hologram", "text": "words"}]},
    "odd_timestamp": {"created_at": 1_500_000_000},
    "time_goes_back": {"created_at": _SINCE - 5},
}


def _world() -> dict[str, list[dict[str, Any]]]:
    draw = random.Random(7)
    names = [f"thread_{'abcdefgh'[place] * 6}" for place in range(len(_SIZES))]
    rows = [_message(name, number, draw) for name, size in zip(names, _SIZES, strict=True) for number in range(size)]
    for place, change in enumerate(_NOTED.values()):
        rows[20 + 2 * place] |= change
    runs = [
        {"id": f"run_{name[7:]}{number}", "object": "thread.run", "thread_id": name, "status": "completed"}
        for name in names[::2]
        for number in range(2)
    ]
    content = base64.b64encode(b"the picture " * 900).decode()
    return {
        "threads": [{"id": name, "object": "thread", "metadata": {"name": name}} for name in names],
        "messages": rows,
        "runs": runs,
        "files": [{"id": "file-img1", "object": "file", "purpose": "vision", "filename": "a.png", "bytes": 10_800}],
        "file_contents": [{"id": "file-img1", "content": content}],
    }


def _read(folder: Path, ids: Sequence[str]) -> Files:
    paths = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return Files({path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}, tuple(ids))


def _exported(folder: Path, fake: Watched, ids: Sequence[str], **options: Any) -> Files:
    folder.mkdir()
    client = client_of(fake.async_transport())
    threadkeep.export(ids, ASSISTANT, folder / OUT, client=client, concurrency=1, max_retries=0, **options)
    return _read(folder, ids)


def exports(folder: Path) -> dict[str, Files]:
    """Complete ones, full and flat, and one that the sunset cut off; with every file that each can have."""
    fake = Watched()
    fake.load(_world())
    ids = [thread["id"] for thread in fake.snapshot()["threads"]]
    more: dict[str, Any] = {"include": ["threads", "runs"], "files": True}
    made = {
        "full": _exported(folder / "full", fake, ids, **more),
        "flat": _exported(folder / "flat", fake, ids, flat=True, **more),
    }
    wanted = [ids[0], ids[2], "thread_unknown", ids[3], ids[4], ids[5], ids[6]]
    fake.faults = [{"match": {"path": f"threads/{ids[3]}/"}, "do": {"status": 500}}]
    fake.before(fake.sunset.now, of=_behind(ids[5]))
    return made | {"cut": _exported(folder / "cut", fake, wanted)}


def _behind(thread_id: str) -> Callable[[Request], bool]:
    return lambda request: thread_id in request.path and what_is_behind(request)


def forged(files: Files, of: Sequence[str]) -> Files:
    """The same with an index and a manifest that agree with the lines as they are now.

    Args:
        files: the damaged ones.
        of: the thread of each line, by the forger.
    """
    own: dict[str, list[bytes]] = {}
    starts: dict[str, int] = {}
    place = 0
    for line, thread_id in zip(files.content[OUT].split(b"\n"), of, strict=False):
        own.setdefault(thread_id, []).append(line + b"\n")
        starts.setdefault(thread_id, place)
        place += len(line) + 1
    digest = ThreadDigest()
    rows = [_claiming(row, own.get(row.thread_id, []), starts.get(row.thread_id, 0)) for row in files.rows]
    for row in rows:
        digest.add(row)
    files = files.put_rows(rows)
    manifest = decode_manifest(files.content[MANIFEST])
    claims = {
        name: FileClaim(len(content), hashlib.sha256(content).hexdigest())
        for name, content in ((name, files.content[file]) for name, file in (("out", OUT), ("index", INDEX)))
    }
    totals = msgspec.structs.replace(manifest.totals, messages=sum(row.messages or 0 for row in rows))
    manifest = msgspec.structs.replace(manifest, totals=totals, digest=digest.value, files={**manifest.files, **claims})
    return files.put(MANIFEST, encode_manifest(manifest))


def _claiming(row: IndexRow, lines: Sequence[bytes], start: int) -> IndexRow:
    ids = [message_id for message_id in map(_id_of, lines) if message_id]
    content = b"".join(lines)
    return msgspec.structs.replace(
        row,
        messages=len(ids),
        first_id=ids[0] if ids else None,
        last_id=ids[-1] if ids else None,
        offset=start,
        bytes=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
    )


def _id_of(line: bytes) -> str | None:
    try:
        found = json.loads(line)["message_id"]
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    return found if isinstance(found, str) and found else None
