"""What people read: findings in words, long lists cut short, and damaged files beside an export."""

import asyncio
import sys
from pathlib import Path

import pytest

from command import Run
from fake_assistants import FakeAssistants
from threadkeep.errors import ApiGone

ASSISTANT = "asst_abc123"


@pytest.fixture
def out(fake: FakeAssistants, base_url: str, threadkeep: Run, tmp_path: Path) -> Path:
    """A small whole export."""
    del base_url
    messages = [{"id": f"msg_{number}", "thread_id": "thread_a", "content": []} for number in range(2)]
    fake.load({"threads": [{"id": "thread_a"}], "messages": messages})
    (tmp_path / "ids.txt").write_text("thread_a")
    out = tmp_path / "out.ndjson"
    assert threadkeep("export", tmp_path / "ids.txt", ASSISTANT, out).code == 0
    return out


def test_findings_are_told_with_their_places(out: Path, threadkeep: Run) -> None:
    """Severity, code, words and where, one line each, and the verdict last."""
    first, second = out.read_bytes().splitlines(keepends=True)
    out.write_bytes(first + first + second.replace(b'"text":""', b'"text":"x"'))
    done = threadkeep("validate", out)
    assert done.code == 1
    assert done.out.splitlines() == [
        "error: duplicate_message: the message stands in the export already [line 2 thread_a msg_0]",
        "error: text_mismatch: 'text' is not what the message says [line 3 $.text thread_a msg_1]",
        "error: digest_mismatch: the thread's 3 lines are not the 2 that were written [line 1 thread_a]",
        f"{out}: not whole (3 errors)",
    ]


def test_a_long_list_of_reasons_is_cut_short(base_url: str, threadkeep: Run, tmp_path: Path) -> None:
    """The summary shows the first, counts the rest, and says where they are."""
    del base_url
    ids = tmp_path / "ids.txt"
    ids.write_text("\n".join(f"bad{number}" for number in range(25)))
    done = threadkeep("export", ids, ASSISTANT, tmp_path / "o")
    assert "… and 5 more, each with its reason in the journal" in done.out
    assert len(done.err.splitlines()) == 25 + 3


@pytest.mark.parametrize("content", [b"{", b"[]", b"\xff"])
def test_a_manifest_that_cannot_be_read_is_told(content: bytes, out: Path, threadkeep: Run) -> None:
    """By status as unusable, by validate as a finding."""
    out.with_name("out.ndjson.manifest.json").write_bytes(content)
    status = threadkeep("status", out)
    assert status.code == 5
    assert "out.ndjson.manifest.json is no manifest" in status.err
    validated = threadkeep("validate", out)
    assert validated.code == 1
    assert "unreadable_manifest" in validated.out


def test_an_export_that_was_ended_is_told_by_status(
    fake: FakeAssistants, out: Path, threadkeep: Run, tmp_path: Path
) -> None:
    """With what ended it and how many threads had no turn."""
    fake.sunset.now()
    (tmp_path / "more.txt").write_text("thread_a\nthread_b")
    assert threadkeep("export", tmp_path / "more.txt", ASSISTANT, out, "--fresh").code == 3
    done = threadkeep("status", out)
    assert done.code == 1
    assert "the run was ended: the Assistants API at" in done.err
    assert "never begun   2 threads: thread_a, thread_b" in done.out


def test_output_that_cannot_be_written_is_told(out: Path, threadkeep: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit 5, in words."""

    def full(*_arguments: object, **_options: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(sys.modules["threadkeep.cli.validate"], "print_json", full)
    done = threadkeep("validate", out, "--json")
    assert (done.code, done.err) == (5, "threadkeep: cannot write: No space left on device\n")


@pytest.mark.usefixtures("base_url")
def test_an_interruption_before_the_first_request_is_told(
    threadkeep: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the ids are read nothing has begun; once it has, the files are brought to their end."""

    class Keyboard:
        @property
        def buffer(self) -> object:
            raise KeyboardInterrupt

    monkeypatch.setattr("sys.stdin", Keyboard())
    done = threadkeep("export", "-", ASSISTANT, tmp_path / "o")
    assert (done.code, done.err.strip()) == (130, "threadkeep: interrupted")
    assert list(tmp_path.iterdir()) == []


def test_an_interruption_right_at_the_start_still_leaves_a_manifest(
    threadkeep: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit 130, and status knows."""

    async def interrupted(*_arguments: object, **_options: object) -> None:
        raise asyncio.CancelledError

    monkeypatch.setattr("threadkeep.job.export_threads", interrupted)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
    (tmp_path / "ids.txt").write_text("thread_a")
    done = threadkeep("export", tmp_path / "ids.txt", ASSISTANT, tmp_path / "o", "--base-url", "http://127.0.0.1:1/v1")
    assert done.code == 130
    assert "interrupted (without outcome: 1 of 1 threads)" in done.err
    assert "the run was ended: interrupted" in threadkeep("status", tmp_path / "o").err


def test_an_end_right_at_the_start_still_leaves_a_manifest(
    threadkeep: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With what ended it."""

    async def ended(*_arguments: object, **_options: object) -> None:
        raise ApiGone("the Assistants API at http://here/v1 is gone: it is over")

    monkeypatch.setattr("threadkeep.job.export_threads", ended)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
    (tmp_path / "ids.txt").write_text("thread_a")
    done = threadkeep("export", tmp_path / "ids.txt", ASSISTANT, tmp_path / "o", "--base-url", "http://127.0.0.1:1/v1")
    assert done.code == 3
    assert "is gone: it is over (without outcome: 1 of 1 threads)" in done.err
    assert "the run was ended: the Assistants API at http://here/v1 is gone" in threadkeep("status", tmp_path / "o").err


def test_closed_standard_input_is_told(threadkeep: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """There is nothing to read ids from."""
    monkeypatch.setattr("sys.stdin", None)
    done = threadkeep("export", "-", ASSISTANT, tmp_path / "o")
    assert done.code == 2
    assert "standard input is closed" in done.err


def test_the_console_is_not_told_what_it_would_obey(base_url: str, threadkeep: Run, tmp_path: Path) -> None:
    """Markup and control characters in foreign text are shown, not followed."""
    del base_url
    (tmp_path / "ids.txt").write_text("[bold]x[/bold]\x1b]0;title\x07")
    done = threadkeep("export", tmp_path / "ids.txt", ASSISTANT, tmp_path / "o")
    assert "[bold]x[/bold]\\x1b]0;title\\x07: invalid: not a thread id" in done.err
    assert "\x1b" not in done.err + done.out
