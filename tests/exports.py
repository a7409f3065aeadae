"""What tests read of an export's files, and of the world that it was made from."""

import json
from pathlib import Path
from typing import Any

from fake_assistants import FakeAssistants
from threadkeep import decode

__all__ = ["ASSISTANT", "beside", "downloads", "exported", "faults", "manifest", "rows", "served", "write_ids"]

ASSISTANT = "asst_abc123"
"""The assistant that exports are for."""


def write_ids(folder: Path, *lines: str) -> Path:
    """A file of ids."""
    path = folder / "ids.txt"
    path.write_bytes("\n".join(lines).encode())
    return path


def exported(path: Path) -> dict[str, list[Any]]:
    """The messages of an export, or of a partial file, by thread."""
    found: dict[str, list[Any]] = {}
    for line in path.read_bytes().split(b"\n")[:-1]:
        record = decode(line)
        found.setdefault(record.thread_id, []).append(record.raw)
    return found


def served(fake: FakeAssistants) -> dict[str, list[Any]]:
    """The messages of the fake's world, by thread."""
    found: dict[str, list[Any]] = {}
    for message in fake.snapshot()["messages"]:
        found.setdefault(message["thread_id"], []).append(message)
    return found


def manifest(out: Path) -> dict[str, Any]:
    """What an export says of itself."""
    said: dict[str, Any] = json.loads(beside(out, ".manifest.json").read_bytes())
    return said


def downloads(out: Path) -> dict[str, dict[str, Any]]:
    """What became of each file, by its id."""
    lines = beside(out, ".downloads").read_bytes().split(b"\n")[:-1]
    return {row["file_id"]: row for row in map(json.loads, lines)}


def rows(out: Path) -> dict[str, dict[str, Any]]:
    """The rows of the index, by thread."""
    lines = beside(out, ".index").read_bytes().split(b"\n")[1:-1]
    return {row["thread_id"]: row for row in map(json.loads, lines)}


def faults(printed: str) -> list[dict[str, Any]]:
    """The findings that are more than notes, of what `validate --json` printed."""
    return [row for row in json.loads(printed)["findings"] if row["severity"] != "note"]


def beside(out: Path, suffix: str) -> Path:
    """One of the files next to an export, such as ".partial"."""
    return out.with_name(out.name + suffix)
