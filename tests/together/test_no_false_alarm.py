"""No false alarm: whatever world the fake holds, its export is called complete."""

import base64
import shutil
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import strategies
import threadkeep
from canned import client_of
from exports import ASSISTANT
from fake_assistants import FakeAssistants
from threadkeep.validation.findings import Severity


@attrs.frozen
class World:
    """A fake's state, and how it is exported."""

    state: dict[str, list[dict[str, Any]]]
    options: dict[str, Any]
    assistant_id: str


def _files_of(rows: list[dict[str, Any]]) -> list[str]:
    parts = [part for row in rows if isinstance(row.get("content"), list) for part in row["content"]]
    images = [part.get("image_file") for part in parts if isinstance(part, dict)]
    found = [image.get("file_id") for image in images if isinstance(image, dict)]
    return [file_id for file_id in dict.fromkeys(map(str, found)) if file_id.startswith("file-")]


@st.composite
def worlds(draw: st.DrawFn) -> World:
    """Threads, empty or not, of promised and of odd messages; some runs; some of the files that they refer to."""
    ids = draw(st.lists(strategies.identifiers("thread_"), min_size=1, max_size=3, unique=True))
    each = st.one_of(strategies.messages(long_texts=False), strategies.odd_messages())
    rows: list[dict[str, Any]] = []
    for thread_id in ids:
        own = {row["id"]: row for row in draw(st.lists(each, max_size=2))}
        rows += [{**row, "thread_id": thread_id} for row in own.values()]
    runs = draw(st.lists(strategies.identifiers("run_"), max_size=2, unique=True))
    held = [file_id for file_id in _files_of(rows) if draw(st.booleans())]
    content = base64.b64encode(draw(st.binary(max_size=20))).decode()
    include = draw(st.sampled_from([(), ("threads",), ("runs",), ("threads", "runs")]))
    return World(
        state={
            "threads": [
                {"id": name, "object": "thread", "metadata": draw(st.sampled_from([{}, None]))} for name in ids
            ],
            "messages": rows,
            "runs": [{"id": name, "object": "thread.run", "thread_id": ids[0], "status": "completed"} for name in runs],
            "files": [{"id": name, "object": "file", "purpose": "vision", "filename": "a"} for name in held],
            "file_contents": [{"id": name, "content": content} for name in held],
        },
        options={"flat": draw(st.booleans()), "include": include, "files": draw(st.booleans())},
        assistant_id=draw(st.sampled_from([ASSISTANT, "auto"])),
    )


def exported(world: World, folder: Path) -> threadkeep.ExportResult:
    """The export, through the SDK and the fake, in this process."""
    fake = FakeAssistants()
    fake.load(world.state)
    ids = [row["id"] for row in world.state["threads"]]
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    client = client_of(fake.async_transport())
    return threadkeep.export(
        ids, world.assistant_id, folder / "out.ndjson", client=client, max_retries=0, **world.options
    )


@settings(max_examples=500)
@given(worlds())
def test_no_false_alarm(tmp_path_factory: pytest.TempPathFactory, world: World) -> None:
    """Nothing but notes, with the ids that were wanted and without, with the index and without it."""
    folder = tmp_path_factory.getbasetemp() / "world"
    result = exported(world, folder)
    out = folder / "out.ndjson"
    ids = [row["id"] for row in world.state["threads"]]
    assert result.is_complete or result.has_no_file
    for wanted in (None, ids):
        report = threadkeep.validate(out, ids=wanted)
        assert [one for one in report if one.severity is not Severity.NOTE] == []
        assert (report.is_complete, report.refetch) == (True, ())
    assert report.totals.messages == len(world.state["messages"])
    assert report.totals.bytes == out.stat().st_size
    assert sum(size * count for size, count in report.sizes.items()) == len(world.state["messages"])
    assert sum(report.sizes.values()) == len(ids)
    for suffix in (".index", ".manifest.json"):
        out.with_name(out.name + suffix).unlink()
    report = threadkeep.validate(out)
    # Without an index nobody knows whether the API gave a message in two threads.
    assert {one.code for one in report if one.severity is not Severity.NOTE} <= {"duplicate_message"}
    assert report.counts["unvouched"] == 1
