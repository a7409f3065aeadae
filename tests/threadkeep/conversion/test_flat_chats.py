"""Flat exports, citations and images in the formats that have one text a message."""

import json
from pathlib import Path
from typing import Any

import pytest

from converting import losses, put_bare, text_message
from odd_threads import target_of
from threadkeep import FormatName, convert

FORMATS = ["engramia", "open-webui", "librechat", "otlp"]


@pytest.mark.parametrize("to", FORMATS)
def test_a_flat_export_has_its_texts_and_times(to: FormatName, tmp_path: Path) -> None:
    """Of a message nothing else is known, so nothing else is lost."""
    out = put_bare(tmp_path / "out.ndjson", [text_message(1), text_message(2, "assistant")], flat=True)
    done = convert(out, to=to, target=tmp_path / "target")
    path = done.path if done.path.is_file() else done.path / "000001-thread_a.json"
    assert losses(done) == []
    assert done.is_flat
    assert all(word in path.read_text() for word in ("text 1", "text 2"))
    assert to == "engramia" or any(time in path.read_text() for time in ("1774963800", "2026-03-31T13:30:00.000Z"))


@pytest.mark.parametrize("to", FORMATS)
def test_citations_are_footnotes_in_every_format(to: FormatName) -> None:
    """The marker is gone, and the source stands behind the text."""
    cited = {"type": "file_citation", "text": "【4:0†a.txt】", "start_index": 3, "end_index": 14}
    body = {"value": "Yes【4:0†a.txt】.", "annotations": [{**cited, "file_citation": {"file_id": "file-1"}}]}
    answer = text_message(2, "assistant", content=[{"type": "text", "text": body}])
    files, rows = target_of(to, [text_message(1), answer], citations="footnotes")
    [content] = files.values()
    assert json.dumps("Yes[1].\n\n[1] a.txt (file-1)")[1:-1].replace("\\", "") in content.decode().replace("\\", "")
    assert rows == []
    _, kept = target_of(to, [text_message(1), answer])
    assert [row["lost"] for row in kept] == ["annotations"]


@pytest.mark.parametrize(("to", "shown"), [("open-webui", '"url":"https://x/'), ("otlp", 'uri\\":\\"https://x/')])
def test_an_image_is_a_url_where_there_is_one(to: FormatName, shown: str) -> None:
    """By --files-url, for users and for the assistant."""
    image: dict[str, Any] = {"type": "image_file", "image_file": {"file_id": "file-1"}}
    messages = [text_message(1, content=[image]), text_message(2, "assistant", content=[image])]
    files, rows = target_of(to, messages, files_url="https://x")
    assert files[""].decode().count(shown + "file-1") == 2
    assert rows == []
