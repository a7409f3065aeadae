"""Exports that are written line by line, without any API, for tests of what is done with them afterwards."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from canned_threads import message
from exporting import ASSISTANT, SOURCE
from threadkeep.records.content import files_of
from threadkeep.records.ndjson import encode_message
from threadkeep.serialization.lossless_json import dumps
from threadkeep.storage.combine import Lines, ThreadToWrite
from threadkeep.storage.index import DownloadRow, IndexHeader, Outcome
from threadkeep.storage.manifest import Manifest
from threadkeep.storage.paths import Paths
from threadkeep.storage.writer import RunFacts, put_in_place, write_new_set

__all__ = ["at", "known", "messages_of", "numbered", "thread", "write_part"]


def at(hour: int) -> str:
    """A time, as manifests have it."""
    return f"2026-08-01T{hour:02}:00:00+00:00"


def numbered(thread_id: str, numbers: Iterable[int], **fields: Any) -> list[dict[str, Any]]:
    """Messages of a thread."""
    return [message(thread_id, number, **fields) for number in numbers]


def messages_of(
    rows: Sequence[Mapping[str, Any]], *, assistant_id: str | None = ASSISTANT, flat: bool = False
) -> Lines:
    """The lines of messages."""
    encoded = ((row, encode_message(row, assistant_id=assistant_id, flat=flat)) for row in rows)
    return Lines(((str(row["id"]),), files_of(row), line + b"\n") for row, line in encoded)


def known(key: str, thread_id: str, *rows: Mapping[str, Any]) -> Lines:
    """The lines of a sidecar file: ``key`` is the name of a row's id there, if it has one."""
    return Lines(((str(row.get(key, "")),), (), dumps({"thread_id": thread_id, **row}) + b"\n") for row in rows)


def thread(
    thread_id: str,
    outcome: Outcome = Outcome.COMPLETE,
    rows: Sequence[Mapping[str, Any]] | None = (),
    partial: Sequence[Mapping[str, Any]] = (),
    *,
    assistant_id: str | None = ASSISTANT,
    flat: bool = False,
    **more: Any,
) -> ThreadToWrite:
    """A thread with its messages in OUT, if it is complete, and those in the partial file."""
    is_complete = outcome is Outcome.COMPLETE
    return ThreadToWrite(
        thread_id=thread_id,
        assistant_id=assistant_id,
        outcome=outcome,
        messages=messages_of(rows or (), assistant_id=assistant_id, flat=flat) if is_complete else None,
        partial=messages_of(partial, assistant_id=assistant_id) if partial else None,
        **more,
    )


def write_part(
    out: Path,
    *threads: ThreadToWrite,
    hour: int = 1,
    downloads: Mapping[str, DownloadRow] | None = None,
    ended_by: str | None = None,
    **header: Any,
) -> Paths:
    """Write an export that was finished at an hour."""
    out.parent.mkdir(exist_ok=True, parents=True)
    usual = {"source": SOURCE, "assistant_id": ASSISTANT, "flat": False, "include": ()}
    facts = RunFacts(started_at=at(0), finished_at=at(hour), versions={"threadkeep": "0"}, ended_by=ended_by)
    paths = Paths(out)
    manifest: Manifest = write_new_set(paths, IndexHeader(**{**usual, **header}), threads, facts, downloads=downloads)
    put_in_place(paths, manifest)
    return paths
