"""Foreign text does nothing to a terminal, and turns nothing round, wherever a person reads it."""

import json
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from command import Run
from exports import write_ids
from messages import message, world
from threadkeep.cli.suggestions import command_on
from watched import Watched

HOSTILE = "a\x1b[31m\x1b]0;title\x07\x9b2J\x7f\r\u202eb\u2066c\u2028\u200fd"
"""Colours, the title of the window, a C1 control, DEL, a carriage return, and all that turns text round."""

ASSISTANT = f"asst_{HOSTILE}"

_TURNS = ("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI")


def raw_in(text: str, *, allowed: str = "\n") -> list[str]:
    """The characters of a text that do something."""
    return [
        char
        for char in text
        if char not in allowed
        and (
            unicodedata.category(char) in ("Cc", "Zl", "Zp")
            or unicodedata.bidirectional(char) in _TURNS
            or char in "\u200e\u200f\u061c"
        )
    ]


@pytest.fixture
def fake() -> Watched:
    """Threads, files, assistants and metadata that are all hostile."""
    parts: list[Any] = [
        {
            "type": "text",
            "text": {
                "value": f"{HOSTILE} 【1†x】",
                "annotations": [
                    {
                        "type": "file_citation",
                        "text": "【1†x】",
                        "start_index": 0,
                        "end_index": 999,
                        "file_citation": {"file_id": f"file-{HOSTILE}"},
                    }
                ],
            },
        },
        {"type": "image_file", "image_file": {"file_id": f"file-{HOSTILE}"}},
        {"type": "image_url", "image_url": {"url": f"https://h/{HOSTILE}"}},
        {"type": "refusal", "refusal": HOSTILE},
        {"type": HOSTILE, "what": HOSTILE},
    ]
    messages = [message(1, "thread_a", None, *parts), message(2, "thread_a", ASSISTANT, *parts)]
    messages[0]["metadata"] = {"k": HOSTILE}
    messages[1] |= {"id": f"msg_{HOSTILE}"}
    messages[1]["attachments"] = [{"file_id": f"file-{HOSTILE}", "tools": [{"type": HOSTILE}]}]
    state = world([*messages, message(3, "thread_b", None)])
    state["threads"][0]["metadata"] = {"k": HOSTILE, HOSTILE[:5]: "v"}
    state["assistants"] = [
        {"id": ASSISTANT, "object": "assistant", "created_at": 1_700_000_000, "model": "m", "name": HOSTILE}
    ]
    return Watched.holding(state)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder whose name is hostile too."""
    folder = tmp_path / HOSTILE.replace("\r", "")
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def commands(out: str, page: str) -> Iterator[list[object]]:
    """Every command that shows what an export holds."""
    yield ["export", "ids.txt", "asst_1", out, "--include", "threads,runs", "--files"]
    yield ["export", "ids.txt", "asst_1", out, "--include", "threads,runs", "--files", "--json", "--refresh"]
    yield ["export", "ids.txt", "auto", out, "--include", "threads,runs"]
    yield ["validate", out]
    yield ["validate", out, "--json"]
    yield ["validate", out, "--report", page]
    yield ["validate", out, "--live"]
    yield ["status", out]
    yield ["status", out, "--json"]
    yield ["status", out, "--done"]
    yield ["show", out]
    yield ["show", out, "thread_a"]
    yield ["show", out, HOSTILE]
    yield ["show", out, "--format", "markdown", "-o", f"{out}.pages"]
    yield ["convert", out, "--to", "markdown", "-o", f"{out}.md"]
    yield ["convert", out, "--to", "html", "-o", f"{out}.html"]
    yield ["convert", out, "--to", "chat", "-o", f"{out}.chat", "--json"]
    yield ["push", out, "--to", "conversations", "--dry-run"]
    yield ["push", out, "--to", "conversations"]
    yield ["push", out, "--to", "conversations", "--json"]
    yield ["merge", out, "-o", f"{out}.merged"]
    yield ["split", out, "--by", "assistant"]
    yield ["assistants"]
    yield ["threads"]
    yield ["chat", "thread_a", "--from", out, "--model", HOSTILE, "--history", "h.json"]
    yield ["validate", f"nothing{HOSTILE}"]
    yield ["export", f"ids{HOSTILE}", "asst_1", out]
    yield ["export", "ids.txt", HOSTILE, out]
    yield [HOSTILE]
    yield ["status", f"--{HOSTILE}"]
    yield ["write", out]


@pytest.mark.usefixtures("base_url")
def test_hostile_text_is_harmless_in_every_command(folder: Path, threadkeep: Run) -> None:
    """On both streams of every command, and in the files that people open; machines get it as JSON escapes."""
    write_ids(folder, "thread_a", "thread_b", f"gone{HOSTILE[:4]}", "thread_none", HOSTILE.replace("\r", ""))
    out, page = f"o{HOSTILE[:20]}.ndjson", "report.html"
    for arguments in commands(out, page):
        done = threadkeep(*arguments)
        assert raw_in(done.err) == [], arguments
        assert raw_in(done.out, allowed="\n\t") == [], arguments
        assert done.out + done.err, arguments
        if "--json" in arguments:
            json.loads(done.out)
    assert "a\\u001b[31m" in (folder / out).read_text()
    opened = [path for path in folder.rglob("*") if path.suffix in (".md", ".html") and path.is_file()]
    assert len(opened) > 5
    for path in opened:
        assert raw_in(path.read_bytes().decode(), allowed="\n\t") == [], path


@pytest.mark.usefixtures("base_url")
@pytest.mark.parametrize("status", [400, 403, 404, 410])
def test_a_hostile_error_is_harmless(fake: Watched, folder: Path, threadkeep: Run, status: int) -> None:
    """Whatever the server says, whatever it means."""
    body = {"error": {"message": HOSTILE, "type": HOSTILE, "code": HOSTILE, "param": HOSTILE}}
    write_ids(folder, "thread_a")
    fake.faults = [{"match": {"path": ".*"}, "do": {"status": status, "body": body}}]
    for options in ([], ["--json"]):
        done = threadkeep("export", "ids.txt", "asst_1", "o.ndjson", "--max-retries", 0, *options)
        assert done.code != 0
        assert raw_in(done.out + done.err) == []
    assert raw_in("".join((done := threadkeep("assistants", "--max-retries", 0)).out + done.err)) == []


@pytest.mark.parametrize(
    ("name", "typed"),
    [
        ("o", "o"),
        ("a b", "'a b'"),
        ("it's", "'it'\"'\"'s'"),
        ("\x1b[2J", r"$'\x1b[2J'"),
        ("'\\\u202e", r"$'\'\\\xe2\x80\xae'"),
        ("\udcff", r"$'\xff'"),
        ("\ud800", r"$'\xed\xa0\x80'"),
    ],
)
def test_commands_are_typed_as_they_must_be(name: str, typed: str) -> None:
    """A shell takes the name that is meant, and a terminal shows it."""
    assert command_on("validate", Path(name)) == f"threadkeep validate {typed}"
