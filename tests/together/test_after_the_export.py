"""The page about formats says of each what it can carry, and that is what it carries."""

import re
from pathlib import Path
from typing import Any

import pytest

from converting import put_bare, text_message
from threadkeep import FormatName, convert
from threadkeep.conversion.entrypoints import FORMATS, format_named

PAGE = (Path(__file__).parents[2] / "docs" / "after-the-export.md").read_text(encoding="utf-8")
IMAGE = {"type": "image_file", "image_file": {"file_id": "file-1"}}
CITATION = {
    "type": "file_citation",
    "text": "【1】",
    "start_index": 1,
    "end_index": 4,
    "file_citation": {"file_id": "file-2"},
}


def text(value: str, *annotations: dict[str, Any]) -> dict[str, Any]:
    """A text part."""
    return {"type": "text", "text": {"value": value, "annotations": [*annotations]}}


# What a message has, by the column of the table, with the option that is given.
HELD: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "texts": ({"content": [text("a"), text("b")]}, {}),
    "images by id": ({"content": [text("a"), IMAGE]}, {}),
    "the same, with an option": ({"content": [text("a"), IMAGE]}, {"files_url": "https://example.com"}),
    "images by URL": ({"content": [text("a"), {"type": "image_url", "image_url": {"url": "https://a.b/c.png"}}]}, {}),
    "refusals": ({"content": [text("a"), {"type": "refusal", "refusal": "no"}]}, {}),
    "citations": ({"content": [text("a【1】", CITATION)]}, {}),
    "attachments": ({"attachments": [{"file_id": "file-1", "tools": [{"type": "file_search"}]}]}, {}),
    "metadata": ({"metadata": {"a": "b"}}, {}),
}
WORDS = {(True, True): "yes", (True, False): "users'", (False, True): "assistants'", (False, False): "no"}


def table(first: str) -> dict[str, dict[str, str]]:
    """The rows of a table by the name of the format, each by the heads of its columns."""
    head, *lines = next(block for block in PAGE.split("\n\n") if block.startswith(first)).splitlines()
    names = cells(head)
    rows = [dict(zip(names, cells(line), strict=True)) for line in lines[1:]]
    return {row["format"].strip("`"): row for row in rows}


def cells(line: str) -> list[str]:
    """The cells of a line of a table."""
    return [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]


CARRIES, REASONS = table("| format | texts"), table("| format | take it when")


def test_every_format_has_its_rows() -> None:
    """In the order in which they are listed, with a reason to take it."""
    assert [*CARRIES] == [*FORMATS]
    assert [*REASONS] == [*CARRIES]
    assert all(row["take it when"] for row in REASONS.values())


@pytest.mark.parametrize("to", FORMATS)
def test_a_format_carries_what_its_row_says(to: FormatName, tmp_path: Path) -> None:
    """By what is lost of a message of each role; and by what it never has a place for."""
    expected = {
        name: WORDS[carried(to, name, "user", tmp_path), carried(to, name, "assistant", tmp_path)] for name in HELD
    }
    assert CARRIES[to] == {"format": f"`{to}`", **expected, **never(format_named(to).NO_PLACE)}


def carried(to: FormatName, name: str, role: str, folder: Path) -> bool:
    """Whether nothing is lost of a message of a role, in a thread of a question and its answer."""
    held, options = HELD[name]
    thread = [text_message(n, one, **(held if one == role else {})) for n, one in enumerate(("user", "assistant"))]
    out = put_bare(folder / "out.ndjson", thread)
    return not convert(out, to=to, target=folder / "target", force=True, **options).losses


def never(no_place: tuple[str, ...]) -> dict[str, str]:
    """The last cells."""
    ids = next((place for place in no_place if place.startswith("ids of") and place != "ids of runs"), "")
    has_run_ids = not any(place.startswith("ids of") and "runs" in place for place in no_place)
    of_runs = "ids" if "runs" in no_place else "without steps" if "steps of runs" in no_place else "yes"
    return {
        "times": "no" if "times" in no_place else "yes",
        "ids": "no" if "threads" in ids else "threads" if ids else "yes",
        "runs": of_runs if has_run_ids else "no",
    }
