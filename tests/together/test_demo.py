"""``threadkeep demo``: the main job, end to end, without a key and without a network."""

import asyncio
import sys
from pathlib import Path

import pytest

from command import Run
from threadkeep import ImageFilePart, ImageUrlPart, RefusalPart, TextPart, UnknownPart, decode
from threadkeep.records.model import FileCitation, FilePath


def test_the_demo_exports_and_validates_every_kind_of_part(
    threadkeep: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit 0, a table, the place of the files, and in them every kind of part and annotation."""
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    folder = tmp_path / "new" / "folder"
    done = threadkeep("demo", "--folder", folder)
    assert (done.code, done.err) == (0, "")
    assert "complete      40 threads with" in done.out
    assert "out.ndjson: complete" in done.out
    assert f"the files are in {folder}" in done.out
    records = [decode(line) for line in (folder / "out.ndjson").read_bytes().split(b"\n")[:-1]]
    kinds = {type(part) for record in records for part in record.parts}
    assert kinds == {TextPart, ImageFilePart, ImageUrlPart, RefusalPart, UnknownPart}
    texts = [part for record in records for part in record.parts if isinstance(part, TextPart)]
    assert {FileCitation, FilePath} <= {type(annotation) for part in texts for annotation in part.annotations}
    assert threadkeep("validate", folder / "out.ndjson", "--ids", folder / "thread_ids.txt").code == 0


def test_the_demo_replaces_no_file(threadkeep: Run, tmp_path: Path) -> None:
    """A list of your own may be there."""
    (tmp_path / "thread_ids.txt").write_text("thread_mine")
    done = threadkeep("demo", "--folder", tmp_path)
    assert (done.code, "is not empty" in done.err) == (2, True)
    assert (tmp_path / "thread_ids.txt").read_text() == "thread_mine"


def test_without_the_fake_the_demo_says_what_to_install(threadkeep: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """No traceback where the second package is missing."""
    monkeypatch.setitem(sys.modules, "fake_assistants", None)
    done = threadkeep("demo")
    assert done.code == 2
    assert "pip install ./fakeserver" in done.err


def test_a_demo_that_is_interrupted(threadkeep: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It ends as an export does: there is nothing to validate."""

    async def ended(*_arguments: object, **_options: object) -> None:
        raise asyncio.CancelledError

    monkeypatch.setattr("threadkeep.exporter.threads.ThreadRound.run", ended)
    done = threadkeep("demo", "--folder", tmp_path)
    assert (done.code, "interrupted" in done.err) == (130, True)
