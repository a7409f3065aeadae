"""The command that converts: what it prints, what it refuses, and what is left when it is cut off."""

import io
import json
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai import OpenAI
from openai.types.chat import ChatCompletionMessageParam
from pydantic import TypeAdapter
from rich.console import Console

import threadkeep as library
from command import Run
from converting import lines, put_bare, text_message
from exports import ASSISTANT, exported, write_ids
from fake_assistants import FakeAssistants, demo_world
from full_disk import full_disk
from kills import command_killed_at
from strategies import messages
from threadkeep import OutputUnusable, convert, from_message_json, to_chat_messages, to_response_items
from threadkeep.cli.progress_display import ThreadsBar
from threadkeep.conversion.entrypoints import FORMATS, format_named

CHAT_MESSAGE: TypeAdapter[Any] = TypeAdapter(ChatCompletionMessageParam)
IMAGE = {"type": "image_file", "image_file": {"file_id": "file-1"}}


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """A file without index: a user's image, an assistant's text."""
    text = text_message(2, "assistant", metadata={"a": "b"})
    return put_bare(tmp_path / "out.ndjson", [text_message(1, content=[IMAGE]), text])


def names(folder: Path) -> set[str]:
    """What is in a folder."""
    return {path.name for path in folder.iterdir()}


def test_the_summary_names_every_loss(bare: Path, threadkeep: Run, tmp_path: Path) -> None:
    """By the API's words, with the report, and once what the format never has a place for. Exit 0; with --strict 1."""
    target = tmp_path / "chat.jsonl"
    done = threadkeep("convert", bare, "--to", "chat", "-o", target)
    assert (done.code, done.err) == (0, "")
    first, lost, report, empty, never, *_ = done.out.splitlines()
    assert first == f"{target}: made from 1 thread, 2 messages"
    assert empty == "  left out      1 message without content for this format"
    assert lost == "  lost          1 image_file, 1 metadata"
    assert report == f"  losses in     {target}.losses.ndjson"
    assert never.startswith("  no place for  ids of messages, ")
    assert lines(target) == [{"thread_id": "thread_a", "messages": [{"role": "assistant", "content": "text 2"}]}]
    strict = threadkeep("convert", bare, "--to", "chat", "-o", target, "--strict", "--force", "--quiet")
    assert (strict.code, strict.out, strict.err) == (1, "", "")
    nothing = threadkeep("convert", bare, "--to", "finetune", "-o", tmp_path / "f", "--only", "thread_a", "--strict")
    assert nothing.code == 1


def test_the_summary_as_json(bare: Path, threadkeep: Run, tmp_path: Path) -> None:
    """One object, and nothing else."""
    target = tmp_path / "items"
    done = threadkeep("convert", bare, "--to", "items", "-o", target, "--json", "--strict")
    summary = json.loads(done.out)
    assert (done.code, done.err) == (1, "")
    assert summary.pop("no_place")
    assert summary == {
        "out": str(bare),
        "exit": 1,
        "to": "items",
        "target": str(target),
        "losses_file": f"{target}.losses.ndjson",
        "threads": 1,
        "messages": 2,
        "losses": {"metadata": 1},
        "left_out": 0,
        "not_complete": 0,
        "flat": False,
    }


def test_what_is_not_known_of_a_flat_export_is_said_once(threadkeep: Run, tmp_path: Path) -> None:
    """It has texts only; no loss is made up."""
    flat = put_bare(tmp_path / "flat", [text_message(1), text_message(2, "assistant")], flat=True)
    done = threadkeep("convert", flat, "--to", "chat", "-o", tmp_path / "t", "--strict")
    assert done.code == 0
    assert done.out.count("OUT has texts only") == 1
    assert "  lost          nothing" in done.out


def test_threads_that_are_not_complete_are_counted(
    fake: FakeAssistants, base_url: str, threadkeep: Run, out: Path, tmp_path: Path
) -> None:
    """They are not in OUT. The others come in its order, with their files and metadata."""
    del base_url
    image = {"id": "file-1", "object": "file", "purpose": "assistants_output", "filename": "a.png", "bytes": 1}
    fake.load(
        {
            "threads": [{"id": "thread_a", "metadata": {"user": "7"}}, {"id": "thread_b"}],
            "messages": [text_message(1, content=[IMAGE]), text_message(2, thread_id="thread_b")],
            "files": [{**image, "created_at": 1}],
            "file_contents": [{"id": "file-1", "content": "iQ=="}],
        }
    )
    ids = write_ids(tmp_path, "thread_b", "thread_none", "thread_a")
    assert threadkeep("export", ids, ASSISTANT, out, "--include", "threads,runs", "--files").code == 1
    done = threadkeep("convert", out, "--to", "chat", "-o", tmp_path / "t", "--inline-images")
    assert (done.code, done.err) == (0, f"threadkeep: not converted, since not complete: 1 thread of {out}\n")
    first, second = lines(tmp_path / "t")
    assert (first["thread_id"], second["thread_id"]) == ("thread_b", "thread_a")
    assert second["messages"][0]["content"][0]["image_url"]["url"].startswith("data:image/png;base64,")
    lost = lines(tmp_path / "t.losses.ndjson")
    assert [(row["thread_id"], row["message_id"], row["lost"]) for row in lost] == [("thread_a", None, "metadata")]
    missing = threadkeep("convert", out, "--to", "chat", "-o", tmp_path / "u", "--only", "thread_none")
    assert (missing.code, "thread_none is not a complete thread" in missing.err) == (2, True)
    assert not (tmp_path / "u").exists()


@pytest.mark.parametrize("to", FORMATS)
def test_every_thread_of_an_export_is_converted(
    to: str, fake: FakeAssistants, base_url: str, threadkeep: Run, out: Path, tmp_path: Path
) -> None:
    """An export with index and manifest, by every format; the export is not touched."""
    del base_url
    world = demo_world(5, 30)
    fake.load(world)
    ids = write_ids(tmp_path, *(thread["id"] for thread in world["threads"]))
    assert threadkeep("export", ids, ASSISTANT, out).code == 0
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    done = threadkeep("convert", out, "--to", to, "-o", tmp_path / "target", "--json")
    summary = json.loads(done.out)
    assert (done.code, summary["threads"]) == (0, 5)
    assert summary["messages"] == sum(map(len, exported(out).values()))
    after = {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.name in before}
    assert after == before
    assert names(tmp_path) - before.keys() == {"target", "target.losses.ndjson"}


def test_the_help_lists_the_formats(threadkeep: Run) -> None:
    """Each with its sentence."""
    shown = " ".join(threadkeep("convert", "--help").out.split())
    for name in FORMATS:
        assert f"{name} {format_named(name).DESCRIPTION}" in shown


def test_events_name_every_thread(bare: Path, tmp_path: Path) -> None:
    """With how many are expected, where that is known."""
    events: list[library.ThreadConverted] = []
    library.convert(bare, to="chat", target=tmp_path / "t", on_event=events.append)
    library.convert(bare, to="chat", target=tmp_path / "u", only=["thread_a"], on_event=events.append)
    assert [(event.thread_id, event.messages, event.total) for event in events] == [
        ("thread_a", 2, None),
        ("thread_a", 2, 1),
    ]


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--to", "chat", "-o", "out.ndjson", "--force"], 5, "a file of the export itself"),
        (["--to", "chat", "-o", "there"], 5, "there exists already. Replace it with --force"),
        (["--to", "chat", "-o", "no/t"], 5, "there is no folder"),
        (["--to", "chat", "-o", "-"], 2, "standard output has the summary"),
        (["--to", "toml", "-o", "t"], 2, "'toml' is not one of"),
        (["--to", "chat", "-o", "t", "--files-url", "x", "--inline-images"], 2, "not both"),
    ],
)
def test_what_is_refused(
    arguments: list[str], code: int, words: str, bare: Path, threadkeep: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before anything is written."""
    monkeypatch.chdir(bare.parent)
    Path("there").write_text("mine")
    before = bare.read_bytes()
    done = threadkeep("convert", "out.ndjson", *arguments)
    assert (done.code, words in done.err) == (code, True)
    assert names(bare.parent) == {"out.ndjson", "there"}
    assert (bare.read_bytes(), Path("there").read_text()) == (before, "mine")


def test_what_python_refuses(bare: Path, tmp_path: Path) -> None:
    """The same, with the errors of the language."""
    with pytest.raises(ValueError, match="there is no format 'toml': choose one of chat, "):
        library.convert(bare, to="toml", target=tmp_path / "t")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="only is a str"):
        library.convert(bare, to="chat", target=tmp_path / "t", only="thread_a")
    with pytest.raises(library.OutputUnusable, match="does not exist"):
        library.convert(tmp_path / "none", to="chat", target=tmp_path / "t")


@pytest.mark.parametrize("is_terminal", [True, False])
def test_the_progress_is_shown(is_terminal: bool) -> None:
    """A bar on a terminal, which ends with the last counts; elsewhere a line now and then; or nothing."""
    file, seconds = io.StringIO(), iter(range(0, 1_000, 6))
    console = Console(file=file, force_terminal=is_terminal, width=80)
    with ThreadsBar(shown=True, clock=lambda: next(seconds), console=console) as bar:
        for total in (None, 3, 3):
            bar.take(1_000, total)
    assert ("3 of 3, 3,000 messages" in file.getvalue()) is is_terminal
    assert ("threadkeep: threads 2 of 3, 2,000 messages\n" in file.getvalue()) is not is_terminal
    hidden = Console(file=io.StringIO(), force_terminal=is_terminal)
    with ThreadsBar(shown=False, clock=lambda: 0.0, console=hidden) as bar:
        bar.take(1, None)
    assert hidden.file.getvalue() == ""  # type: ignore[attr-defined]


def test_a_line_that_is_no_message(bare: Path, threadkeep: Run, tmp_path: Path) -> None:
    """It is named, and nothing is left."""
    bare.write_bytes(bare.read_bytes() + b'{"thread_id":"thread_a"}\n')
    done = threadkeep("convert", bare, "--to", "chat", "-o", tmp_path / "t")
    assert (done.code, "out.ndjson, message 3 of thread_a: " in done.err) == (5, True)
    assert names(tmp_path) == {"out.ndjson"}


def test_ctrl_c_leaves_nothing(bare: Path, threadkeep: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And the target of an earlier conversion stays."""

    def interrupted(*_arguments: object) -> None:
        raise KeyboardInterrupt

    (tmp_path / "t").write_text("old")
    monkeypatch.setattr(import_module("threadkeep.cli.progress_display").ThreadsBar, "take", interrupted)
    done = threadkeep("convert", bare, "--to", "chat", "-o", tmp_path / "t", "--force")
    assert (done.code, done.err.strip()) == (130, "threadkeep: interrupted")
    assert names(tmp_path) == {"out.ndjson", "t"}
    assert (tmp_path / "t").read_text() == "old"


_SIGNALLED = """
import os, signal, sys
from threadkeep.__main__ import main
from threadkeep.cli.progress_display import ThreadsBar
number = getattr(signal, sys.argv.pop())
ThreadsBar.take = lambda *_: os.kill(os.getpid(), number)
main()
"""


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_signal_ends_the_command_in_order(name: str, bare: Path, tmp_path: Path) -> None:
    """One that comes when the first thread was written: exit 130, and nothing is left."""
    command = [sys.executable, "-c", _SIGNALLED, "convert", bare, "--to", "chat", "-o", tmp_path / "t", name]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    assert (done.returncode, "interrupted" in done.stderr, "Traceback" in done.stderr) == (130, True, False)
    assert names(tmp_path) == {"out.ndjson"}


def test_a_full_disk_leaves_nothing(threadkeep: Run, tmp_path: Path) -> None:
    """Exit 5, in words, wherever it is full: at the first block, or at the last bytes."""
    out = put_bare(tmp_path / "o", [text_message(n, metadata={"a": "b"}) for n in range(200)])
    assert threadkeep("convert", out, "--to", "chat", "-o", tmp_path / "t").code == 0
    size = (tmp_path / "t").stat().st_size
    for room in (0, 1, size - 1):
        with full_disk(room):
            done = threadkeep("convert", out, "--to", "chat", "-o", tmp_path / "new")
        assert (done.code, f"{tmp_path / 'new'}: File too large" in done.err) == (5, True)
        assert names(tmp_path) == {"o", "t", "t.losses.ndjson"}


def test_a_kill_leaves_no_half_target(bare: Path, tmp_path: Path) -> None:
    """Whatever change of the disk it comes before."""
    target, nth = tmp_path / "t", 1
    while command_killed_at(nth, "convert", bare, "--to", "chat", "-o", target, "--force"):
        if target.exists():
            assert len(lines(target)) == 1
            assert len(lines(tmp_path / "t.losses.ndjson")) == 2
        nth += 1
    assert nth > 3
    assert len(lines(target)) == 1


@given(drawn=st.lists(messages(thread_id="thread_a", long_texts=False), max_size=6))
def test_the_messages_are_those_of_the_sdk(drawn: list[dict[str, Any]]) -> None:
    """They have the types that openai gives to messages of Chat Completions."""
    found, _ = to_chat_messages([from_message_json(message, assistant_id=None) for message in drawn])
    for message in found:
        sendable = json.loads(json.dumps(message).replace("\\ud", "\\u0"))
        accepted = CHAT_MESSAGE.validate_python(sendable)
        content = accepted["content"]
        parts = content if isinstance(content, str) else [*content]  # each is validated when it is reached
        assert {**accepted, "content": parts} == sendable


@given(drawn=st.lists(messages(thread_id="thread_a", long_texts=False), min_size=1, max_size=6))
def test_the_fake_accepts_the_items(drawn: list[dict[str, Any]]) -> None:
    """Each of them, as openai sends it, in a conversation; and what it gives back has the texts and refusals."""
    drawn = json.loads(json.dumps(drawn).replace("\\ud", "\\u0"))  # what cannot be sent as UTF-8
    items: Any
    items, _ = to_response_items([from_message_json(message, assistant_id=None) for message in drawn])
    with FakeAssistants().mount(), OpenAI(api_key="sk-test", base_url="http://fake/v1") as client:
        created = client.conversations.create(items=items)
        given_back = [*client.conversations.items.list(created.id, order="asc")]
    assert [item.role for item in given_back] == [item["role"] for item in items]
    for sent, got in zip(items, given_back, strict=True):
        words = [part.get("text", part.get("refusal")) for part in sent["content"]]
        assert [getattr(part, "text", getattr(part, "refusal", None)) for part in got.content] == words


@pytest.mark.parametrize(
    ("name", "code", "words"),
    [
        ("out.ndjson", 5, "the export is damaged, and messages would be left out"),
        ("out.ndjson.index", 5, "the export is damaged, and messages would be left out"),
        ("out.ndjson.threads", 0, "out.ndjson.threads has"),
    ],
)
def test_a_damaged_export(
    name: str, code: int, words: str, fake: FakeAssistants, out: Path, base_url: str, threadkeep: Run
) -> None:
    """No message is left out without a word: it is refused, and what only a sidecar had is named."""
    del base_url
    fake.load(demo_world(4, 3))
    ids = write_ids(out.parent, *(thread["id"] for thread in fake.snapshot()["threads"]))
    assert threadkeep("export", ids, ASSISTANT, out, "--include", "threads").code == 0
    path = out.with_name(name)
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-2]))
    done = threadkeep("convert", out, "--to", "markdown", "-o", out.with_name("pages"))
    assert (done.code, words in done.err) == (code, True)
    assert out.with_name("pages").exists() is (code == 0)


def test_what_appears_at_the_target_meanwhile_is_not_replaced(bare: Path, tmp_path: Path) -> None:
    """Whoever made it, in the time that the conversion took."""

    def make(_event: object) -> None:
        (tmp_path / "t").mkdir(exist_ok=True)
        (tmp_path / "t" / "precious").touch()

    with pytest.raises(OutputUnusable, match="exists already"):
        convert(bare, to="chat", target=tmp_path / "t", on_event=make)
    assert names(tmp_path) == {"out.ndjson", "t"}
    assert names(tmp_path / "t") == {"precious"}


@pytest.mark.parametrize("to", ["chat", "markdown", "html", "csv", "otlp", "librechat"])
def test_a_message_that_is_nested_too_deeply(to: str, bare: Path, threadkeep: Run, tmp_path: Path) -> None:
    """It can be read, and not be written: that is said in words."""
    (line,) = put_bare(bare, [text_message(1, content=["deep"])]).read_bytes().splitlines(keepends=True)
    bare.write_bytes(line.replace(b'"deep"', b'{"type":"odd","odd":' + b"[" * 1010 + b"]" * 1010 + b"}"))
    done = threadkeep("convert", bare, "--to", to, "-o", tmp_path / "t")
    assert (done.code, "is nested too deeply for this format" in done.err) == (5, True)
    assert names(tmp_path) == {"out.ndjson"}
