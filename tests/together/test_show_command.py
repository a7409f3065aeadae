"""The command that shows conversations: as text, as a list, through a pager, and as pages."""

import os
import pty
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from command import Run
from converting import meant, put_bare, text_message
from exporting import Export
from exports import ASSISTANT
from small_world import IDS, OPTIONS, world
from strategies import odd_messages
from terminal import in_terminal
from threadkeep import convert, read
from threadkeep.cli.commands.show import _PAGES, _conversation, _list
from threadkeep.html_report.visible_text import visible

CITATION = {
    "type": "file_citation",
    "text": "【4:0†a.txt】",
    "start_index": 4,
    "end_index": 15,
    "file_citation": {"file_id": "file-1"},
}
PATH = {**CITATION, "type": "file_path", "file_path": {"file_id": "file-2"}, "text": "sandbox:/mnt/data/b.csv"}
CODE = "```python\n" + "x = 1  # " + "long " * 60 + "\n\n\tdef\n```"


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """A file without index, with every kind of part."""
    cited = {"value": "see 【4:0†a.txt】, and more", "annotations": [CITATION, PATH, {"type": "odd"}]}
    parts = [
        {"type": "text", "text": cited},
        {"type": "image_file", "image_file": {"file_id": "file-3"}},
        {"type": "image_url", "image_url": {"url": "https://x/" + "y" * 300}},
        {"type": "refusal", "refusal": "I can't"},
        {"type": "audio", "text": "spoken"},
        {"video": 1},
    ]
    messages = [
        text_message(1, text=CODE, attachments=[{"file_id": "file-4"}, 5]),
        text_message(2, "assistant", content=parts),
        text_message(3, text="a\r\nb\rc\x1b[31m \ud800"),
        {**text_message(4, content=[]), "role": None, "created_at": "x"},
        text_message(5, thread_id="thread_b", text="other"),
    ]
    return put_bare(tmp_path / "out.ndjson", messages)


def test_a_conversation_as_text(bare: Path, threadkeep: Run) -> None:
    """Roles and times; code as it is, citations as footnotes, images by name, control characters that can be seen."""
    done = threadkeep("show", bare, "thread_a")
    assert (done.code, done.err) == (0, "")
    assert (
        done.out
        == f"""thread_a

User, 2026-03-31 13:30:00 UTC, msg_1
{CODE}
[attached file-4]

Assistant, 2026-03-31 13:30:00 UTC, msg_2
see [1], and more

[1] a.txt (file-1)
[2] b.csv (file-2)
[image file-3]
[image https://x/{"y" * 190}… (110 more characters)]
[refusal] I can't
[audio] spoken
[a part without a type] {{"video":1}}

User, 2026-03-31 13:30:00 UTC, msg_3
a
b\\u000dc\\u001b[31m \\ud800

No role, no time, msg_4
[no content]
"""
    )


@given(st.lists(odd_messages(), min_size=1, max_size=4))
def test_every_text_is_shown_and_does_nothing(drawn: list[dict[str, Any]]) -> None:
    """In order, whatever it holds; no character is left that a terminal obeys."""
    with tempfile.TemporaryDirectory() as folder:
        out = put_bare(Path(folder, "o"), [{**row, "thread_id": "thread_a"} for row in drawn])
        with read(out) as export:
            shown = "".join(_conversation(next(export.threads()))).replace("\x1b[1m", "").replace("\x1b[0m", "")
            listed = "".join(_list(export))
            records = [*export]
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e\ud800-\udfff]", shown + listed)
    assert listed.count("\n") == 1
    place = 0
    for record in records:
        for part, (word, value) in zip(record.parts, meant(record), strict=True):
            if word in ("text", "refusal") and value is not None and not getattr(part, "annotations", ()):
                place = shown.index(visible(value.replace("\r\n", "\n")), place)


@pytest.fixture
def export(tmp_path: Path) -> Export:
    """An export with thread objects and downloads, and a thread that is missing."""
    return Export(tmp_path).run_alone(IDS, world(), **OPTIONS)


def test_the_list_of_a_bare_file(bare: Path, threadkeep: Run, tmp_path: Path) -> None:
    """With how many messages, their days, and the first words, on one line."""
    first, second = threadkeep("show", bare).out.splitlines()
    assert first.startswith("thread_a                             4 messages 2026-03-31              ```python x = 1 #")
    assert first.endswith("…")
    assert second == "thread_b                              1 message 2026-03-31              other"
    empty = tmp_path / "empty"
    empty.touch()
    done = threadkeep("show", empty)
    assert (done.code, done.out) == (0, f"{empty} has no threads.\n")
    later = put_bare(tmp_path / "l", [text_message(1, content=[]), text_message(2, text="\x1b b", created_at=2**31)])
    assert threadkeep("show", later).out.split(maxsplit=3)[3] == "2026-03-31 – 2038-01-19 \\u001b b\n"


def test_the_list_fits_a_terminal_of_80_columns(bare: Path) -> None:
    """The first words of a thread are in a line of their own there."""
    with in_terminal("show", bare, PAGER="cat", COLUMNS="80") as terminal:
        assert terminal.ended() == 0
    lines = terminal.shown.splitlines()
    assert lines[0] == "thread_a                             4 messages 2026-03-31"
    assert lines[1].startswith("  ```python x = 1 #")
    assert lines[2:4] == ["thread_b                              1 message 2026-03-31", "  other"]
    assert max(map(len, lines)) <= 80


def test_what_a_damaged_export_may_lack_is_named(export: Export, threadkeep: Run) -> None:
    """Its threads would seem to be empty."""
    export.paths.out.unlink()
    done = threadkeep("show", export.paths.out)
    assert "threadkeep: the export is damaged, and messages may be left out: " in done.err
    assert "`threadkeep validate` finds what is missing" in done.err


def test_the_list_of_an_export(export: Export, threadkeep: Run) -> None:
    """Of a thread that is not complete it has the outcome."""
    rows = threadkeep("show", export.paths.out).out.splitlines()
    assert [row.split()[0] for row in rows] == [*IDS]
    assert [row[31:47].strip() for row in rows] == ["3 messages", "150 messages", "2 messages", "0 messages"]
    assert rows[-1].endswith("(missing)")


def test_what_belongs_to_a_thread(export: Export, threadkeep: Run) -> None:
    """Its assistant, its files by name, and why it is not complete."""
    shown = threadkeep("show", export.paths.out, "thread_a").out
    assert f"  assistant     {ASSISTANT}\n" in shown
    assert "  created       " in shown
    assert "[attached file-1.png]" in shown
    assert "[attached file-gone]" in shown
    missing = threadkeep("show", export.paths.out, IDS[-1]).out
    assert "  missing       No thread found" in missing
    assert missing.endswith("\nno messages\n")


def test_the_metadata_of_a_thread(threadkeep: Run, tmp_path: Path) -> None:
    """It is shown as JSON, on one line."""
    fake = world()
    fake.load({"threads": [{"id": "thread_x", "object": "thread", "metadata": {"a": "\x85"}}]})
    out = Export(tmp_path).run_alone(("thread_x",), fake, **OPTIONS).paths.out
    assert '  metadata      {"a":"\\x85"}\n' in threadkeep("show", out, "thread_x").out
    folder = convert(out, to="markdown", target=tmp_path / "pages").path
    assert threadkeep("show", folder, "thread_x").out == threadkeep("show", out, "thread_x").out


def test_every_form_of_an_export_is_shown(export: Export, threadkeep: Run, tmp_path: Path) -> None:
    """A bare file, a flat one and a folder of pages, each with the texts of the export."""
    out = export.paths.out
    wanted = threadkeep("show", out, "thread_b").out.split("msg_", 1)[1]
    folder = convert(out, to="markdown", target=tmp_path / "pages").path
    bare, flat = tmp_path / "bare", tmp_path / "flat"
    with read(out) as opened:
        rows = [dict(record.raw) for record in opened]
    put_bare(bare, rows)
    put_bare(flat, rows, flat=True)
    for form in (folder, bare, flat):
        assert threadkeep("show", form, "thread_b").out.split("msg_", 1)[1] == wanted
        assert [row.split()[0] for row in threadkeep("show", form).out.splitlines()] == [*IDS[:3]]


def test_an_unknown_thread_is_a_mistake(bare: Path, threadkeep: Run) -> None:
    """The nearest ids are named: those that have the piece that was typed, else those that are like it."""
    for typed, near in (("thread", "thread_a, thread_b"), ("thraed_b", "thread_b"), ("thread_\x1b", "thread_a")):
        done = threadkeep("show", bare, typed)
        assert (done.code, done.out) == (2, "")
        assert "is not a thread of" in done.err
        assert near in done.err.split("Nearest: ")[1]
        assert "\x1b" not in done.err
    assert "Nearest" not in threadkeep("show", bare, "x").err


def test_what_cannot_be_read(bare: Path, threadkeep: Run, tmp_path: Path) -> None:
    """Exit 5, in words."""
    (tmp_path / "text").write_text("no JSON\n")
    with bare.open("ab") as file:
        file.write(b"{}\n")
    for arguments, words in (
        (["none"], "does not exist"),
        (["."], "does not name a file"),
        (["text"], "text is a text file, and no export"),
        (["text", "thread_a"], "text is a text file, and no export"),
        (["out.ndjson"], "line 6 of out.ndjson"),
        (["../" + tmp_path.name], "is a folder: give the NDJSON file"),
    ):
        path, *more = arguments
        done = threadkeep("show", tmp_path / path if path != "." else path, *more)
        assert (done.code, words in done.err) == (2 if path == "." else 5, True)


def test_one_thread_as_a_page(export: Export, threadkeep: Run, tmp_path: Path) -> None:
    """A file with all of it, whose images are those of the export."""
    page = tmp_path / "page.md"
    arguments = ("show", export.paths.out, "thread_a", "--format", "markdown", "-o", page)
    done = threadkeep(*arguments)
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith(f"{page}: made from 1 thread, 3 messages\n")
    assert f"Attached: [file-1]({export.paths.files.name}/file-1.png)" in page.read_text()
    again = threadkeep(*arguments)
    assert (again.code, "exists already" in again.err) == (5, True)
    assert threadkeep(*arguments, "--force").code == 0


@pytest.mark.parametrize("to", _PAGES)
def test_each_format_makes_a_page(to: str, export: Export, threadkeep: Run, tmp_path: Path) -> None:
    """Of one thread a file, of all a folder."""
    assert threadkeep("show", export.paths.out, "thread_b", "--format", to, "-o", tmp_path / "page").code == 0
    page = (tmp_path / "page").read_text(encoding="utf-8")
    with read(export.paths.out) as opened:
        assert all(record.text in page for record in opened["thread_b"].messages)
    assert threadkeep("show", export.paths.out, "--format", to, "-o", tmp_path / "pages").code == 0
    assert (tmp_path / "pages").is_dir()


def test_all_threads_as_pages(export: Export, threadkeep: Run, tmp_path: Path) -> None:
    """The folder that a conversion makes; threads that are not complete are counted."""
    done = threadkeep("show", export.paths.out, "--format", "markdown", "-o", tmp_path / "pages")
    assert (done.code, done.err) == (
        0,
        f"threadkeep: not converted, since not complete: 1 thread of {export.paths.out}\n",
    )
    other = convert(export.paths.out, to="markdown", target=tmp_path / "other").path
    for path in other.rglob("*.md"):
        assert (tmp_path / "pages" / path.name).read_bytes() == path.read_bytes()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--format", "markdown"], "Give --format and --output together"),
        (["-o", "x"], "Give --format and --output together"),
        (["--format", "markdown", "-o", "-"], "--output takes a file or folder"),
        (["--format", "toml", "-o", "x"], "'toml' is not"),
        (["thread_none", "--format", "markdown", "-o", "x"], "is not a thread of"),
    ],
)
def test_what_is_refused(arguments: list[str], words: str, bare: Path, threadkeep: Run) -> None:
    """Before anything is written."""
    done = threadkeep("show", bare, *arguments)
    assert (done.code, words in done.err) == (2, True)
    assert [path.name for path in bare.parent.iterdir()] == ["out.ndjson"]


def test_a_thread_that_is_not_complete_has_no_page(export: Export, threadkeep: Run, tmp_path: Path) -> None:
    """As with a conversion."""
    done = threadkeep("show", export.paths.out, IDS[-1], "--format", "markdown", "-o", tmp_path / "x")
    assert (done.code, "is not a complete thread" in done.err) == (2, True)
    assert not (tmp_path / "x").exists()


def on_terminal(*arguments: object, pager: str) -> tuple[int, bytes]:
    """Run the command on a terminal, and return its code and what came to the terminal."""
    ours, theirs = pty.openpty()
    environment = {**os.environ, "PAGER": pager, "TERM": "xterm"}
    command = [sys.executable, "-m", "threadkeep", *map(str, arguments)]
    with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment) as run:
        os.close(theirs)
        seen = b""
        with open(ours, "rb", buffering=0) as terminal:
            try:
                while piece := terminal.read(65536):
                    seen += piece
            except OSError:  # the other end was closed
                pass
    return run.returncode, seen


def test_a_pager_on_a_terminal(bare: Path, tmp_path: Path) -> None:
    """The one of PAGER; its leaving early is no error."""
    seen = tmp_path / "seen"
    script = tmp_path / "pager"
    script.write_text(f"#!/bin/sh\ncat > {seen}\necho paged\n")
    script.chmod(0o700)
    code, terminal = on_terminal("show", bare, "thread_a", pager=str(script))
    assert (code, terminal) == (0, b"paged\r\n")
    assert seen.read_text().startswith("thread_a\n\nUser, 2026-03-31 13:30:00 UTC, msg_1\n```python\n")
    put_bare(bare, [text_message(number, text="x" * 1000) for number in range(1000)])
    assert on_terminal("show", bare, "thread_a", pager="true") == (0, b"")


def test_an_error_behind_a_pager_is_named(bare: Path) -> None:
    """In words and by the code, after what could be shown."""
    with bare.open("ab") as file:
        file.write(b"{}\n")
    code, terminal = on_terminal("show", bare, pager="cat")
    assert (code, b"line 6 of out.ndjson" in terminal, b"Traceback" in terminal) == (5, True, False)


def test_a_reader_may_go_away(bare: Path) -> None:
    """As head does."""
    put_bare(bare, [text_message(number, text="x" * 1000) for number in range(1000)])
    command = f"'{sys.executable}' -m threadkeep show '{bare}' thread_a | head -1"
    done = subprocess.run(["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "thread_a\n", "")
