"""What people read: findings in words, long lists cut short, and damaged files beside an export."""

import asyncio
import json
import re
import shlex
import sys
from pathlib import Path

import pytest

from command import Run
from exports import ASSISTANT, beside, write_ids
from fake_assistants import FakeAssistants, demo_world
from threadkeep.cli.export_summary import ExportSummary, print_summary
from threadkeep.cli.suggestions import Typed, repeat_command
from threadkeep.errors import ApiGone
from threadkeep.journal import Entry, FileEntry, FileOutcome, Header, Journal, Outcome
from threadkeep.storage.manifest import claims
from threadkeep.storage.paths import Paths
from watched import Watched, what_is_behind


@pytest.fixture
def ids(tmp_path: Path) -> Path:
    """One thread."""
    return write_ids(tmp_path, "thread_a")


@pytest.fixture
def out(fake: FakeAssistants, base_url: str, ids: Path, threadkeep: Run, tmp_path: Path) -> Path:
    """A small whole export."""
    del base_url
    messages = [{"id": f"msg_{number}", "thread_id": "thread_a", "content": []} for number in range(2)]
    fake.load({"threads": [{"id": "thread_a"}], "messages": messages})
    out = tmp_path / "out.ndjson"
    assert threadkeep("export", ids, ASSISTANT, out).code == 0
    return out


def test_findings_are_told_with_their_places(out: Path, threadkeep: Run) -> None:
    """The gravest first, each code with its places, then how many there are, the verdict, and what to do."""
    first, second = out.read_bytes().splitlines(keepends=True)
    out.write_bytes(first + first + second.replace(b'"text":""', b'"text":"x"'))
    done = threadkeep("validate", out)
    assert done.code == 1
    told = [line.rstrip() for line in done.out.splitlines()]
    twice = "the message stands at line 1 too, as one of this thread; fetch its thread again"
    assert told[:6] == [
        "error: text_mismatch: a text that is not that of the message's parts",
        "  out.ndjson line 3 $.text thread_a msg_1: 'text' is not that of the message's parts; fetch its thread again",
        "error: duplicate_message: a message id that stands in the export twice",
        f"  out.ndjson line 2 $.message_id thread_a msg_0: {twice}",
        "error: digest_mismatch: lines that are not those that were written",
        "  out.ndjson line 1 thread_a: the thread's 3 lines are not the 2 that were written; fetch its thread again",
    ]
    assert told[-6:] == [
        f"  {'read':<12}1 thread, 3 messages, {out.stat().st_size:,} bytes",
        "  journal     1 complete",
        "  to refetch  1 thread",
        f"{out}: not whole (3 errors, 6 notes)",
        "Next: this writes the ids of the threads to fetch again, and says how to fetch them:",
        f"  threadkeep validate --ids-to-refetch refetch.txt {out}",
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
    beside(out, ".manifest.json").write_bytes(content)
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
    assert "never begun   2 threads\n    thread_a\n    thread_b\n" in done.out


def test_output_that_cannot_be_written_is_told(out: Path, threadkeep: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit 5, in words."""

    def full(*_arguments: object, **_options: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(sys.modules["threadkeep.cli.commands.validate"], "print_json", full)
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
    threadkeep: Run, ids: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit 130, and status knows."""
    raise_at_once(asyncio.CancelledError(), monkeypatch)
    done = threadkeep("export", ids, ASSISTANT, tmp_path / "o", "--base-url", "http://127.0.0.1:1/v1")
    assert done.code == 130
    assert "interrupted (without outcome: 1 of 1 thread)" in done.err
    assert "the run was ended: interrupted" in threadkeep("status", tmp_path / "o").err


def test_an_end_right_at_the_start_still_leaves_a_manifest(
    threadkeep: Run, ids: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With what ended it."""
    raise_at_once(ApiGone("the Assistants API at http://here/v1 is gone: it is over"), monkeypatch)
    done = threadkeep("export", ids, ASSISTANT, tmp_path / "o", "--base-url", "http://127.0.0.1:1/v1")
    assert done.code == 3
    assert "is gone: it is over (without outcome: 1 of 1 thread)" in done.err
    assert "the run was ended: the Assistants API at http://here/v1 is gone" in threadkeep("status", tmp_path / "o").err


def raise_at_once(error: BaseException, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let exports end before they have asked for anything."""

    async def ended(*_arguments: object, **_options: object) -> None:
        raise error

    monkeypatch.setattr("threadkeep.exporter.job.export_threads", ended)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")


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


@pytest.mark.usefixtures("base_url")
def test_what_the_sunset_cut_off_is_told_thread_by_thread(fake: Watched, threadkeep: Run, tmp_path: Path) -> None:
    """Whole, cut off and where, never begun; by export, by its JSON and by status, and what to type when it is back.

    When a second page is asked for the third time, two threads are whole; every other that was begun is cut off.
    """
    world = demo_world(12, 150)
    fake.load(world)
    ids, out = write_ids(tmp_path, *(thread["id"] for thread in world["threads"])), tmp_path / "out.ndjson"
    arguments = ("export", ids, ASSISTANT, out, "--concurrency", 8)
    fake.before(fake.sunset.now, nth=3, of=what_is_behind)
    done = threadkeep(*arguments, "--fresh")
    assert done.code == 3
    cut_off = sum(entry.status == 200 for entry in fake.requests) - 2 * 2
    never_begun = f"{12 - 2 - cut_off} threads"
    rows = {line[2:16].strip(): line[16:] for line in done.out.splitlines()[1:] if line[2:3].strip()}
    assert re.fullmatch(r"2 threads with 300 messages, \d+(,\d+)* bytes", rows["whole"])
    assert re.fullmatch(rf"{cut_off} threads?; the pages that came are in out\.ndjson\.partial", rows["cut off"])
    assert rows["never begun"] == never_begun
    assert ": 100 messages, up to msg_" in done.out
    assert len([line for line in done.err.splitlines() if line.endswith(": cut off behind 100 messages")]) == cut_off
    assert done.err.splitlines()[-1] == f"  threadkeep export {ids} {ASSISTANT} {out} --concurrency 8"
    assert "If the API comes back, the same command goes on from here" in done.err
    summary = json.loads(threadkeep(*arguments, "--json").out)
    assert [row["messages"] for row in summary["cut_off"]] == [100] * cut_off
    assert f"{len(summary['unfinished'])} threads" == never_begun
    assert summary["next"]["command"] == f"threadkeep export {ids} {ASSISTANT} {out} --concurrency 8 --json"
    assert f"  never begun   {never_begun}\n    thread_" in threadkeep("status", out).out


def test_the_command_that_is_told_goes_on(
    fake: FakeAssistants, base_url: str, threadkeep: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As it stands, in a shell, where names have blanks and the first run had an address with a secret in it."""
    folder = tmp_path / "my threads"
    folder.mkdir()
    fake.load({"threads": [{"id": "thread_a"}]})
    fake.faults = [{"match": {"times": 9}, "do": {"status": 500}}]
    (folder / "ids.txt").write_text("thread_a")
    arguments = ["export", folder / "ids.txt", ASSISTANT, folder / "o", "--max-retries", 0, "--fresh"]
    monkeypatch.delenv("OPENAI_BASE_URL")
    done = threadkeep(*arguments, "--base-url", f"{base_url}?code=secret-0123", "--limit", "1")
    assert done.code == 1
    assert "secret-0123" not in done.err + done.out
    *_, note, command = done.err.splitlines()
    assert note == "  Add --base-url as before: it is not repeated here, since it may hold a secret."
    fake.faults = []
    program, *typed = shlex.split(command)
    assert program == "threadkeep"
    last = threadkeep(*typed, "--base-url", base_url)
    assert (last.code, last.err) == (0, "")
    assert last.out.splitlines()[-1] == f"Next: threadkeep validate '{folder / 'o'}'"


@pytest.mark.parametrize(
    ("typed", "command", "notes"),
    [
        (["export", "-", "a", "o"], "threadkeep export - a o", ["Give the same ids on standard input."]),
        (["export", "i", "a", "o", "--fresh"], "threadkeep export i a o", []),
        (["export", "--done", "--fresh", "i", "a", "o"], "threadkeep export --done --fresh i a o", []),
        (["export", "i", "a", "--", "--fresh"], "threadkeep export i a -- --fresh", []),
        (["export", "i", "--base-url=http://h/v1", "a"], "threadkeep export i --base-url=http://h/v1 a", []),
        (["export", "i", "--base-url=http://u:p@h/v1", "a"], "threadkeep export i a", ["Add --base-url as before"]),
        (["export", "--token-command", "echo t", "i"], "threadkeep export i", ["Add --token-command as before"]),
        (["export", "i", "--base-url"], "threadkeep export i --base-url", []),
    ],
)
def test_the_same_command_again(typed: list[str], command: str, notes: list[str]) -> None:
    """Without what begins anew or may be secret, and nothing else is taken away."""
    found = repeat_command(typed, {"--done", "--base-url", "--token-command"})
    assert found.command == command
    assert len(found.notes) == len(notes)
    assert all(note.startswith(start) for note, start in zip(found.notes, notes, strict=True))


@pytest.mark.parametrize(
    ("out", "ids", "command"),
    [
        ("o", None, "threadkeep validate o"),
        ("-o", None, "threadkeep validate -- -o"),
        ("o", "-i", "threadkeep validate --ids=-i -- o"),
    ],
)
def test_names_that_look_like_options_are_typed_as_names(out: str, ids: str | None, command: str) -> None:
    """The command that validates an export can be typed whatever its files are called."""
    assert Typed(repeat=repeat_command([], set()), out=out, ids=ids).validate == command


def test_long_lists_and_files_are_told_in_the_summary(capsys: pytest.CaptureFixture[str]) -> None:
    """The first names, how many more there are, and each kind of file."""
    cut_off = [
        Entry(thread_id=f"thread_{number}", outcome=Outcome.PARTIAL, messages=1, cursor="msg_1") for number in range(7)
    ]
    files = [
        FileEntry(file_id="file-1", outcome=FileOutcome.NOT_ALLOWED, reason="Not allowed"),
        FileEntry(file_id="file-2", outcome=FileOutcome.SAVED),
    ]
    header = Header(source="s", assistant_id="a", flat=False, started_at="now", include=("runs",))
    journal = Journal(header=header, entries={entry.thread_id: entry for entry in cut_off})
    report = ExportSummary(
        paths=Paths(Path("o")),
        claims=claims(journal, listed=14),
        problems=tuple(cut_off),
        never_begun=tuple(f"thread_{number}" for number in range(7, 14)),
        files=tuple(files),
        files_left=("file-3",),
        resumed=2,
    )
    print_summary(report)
    assert capsys.readouterr().out.splitlines() == [
        "o",
        "  whole         0 threads with 0 messages, 0 bytes; 2 of them complete before this run",
        "  cut off       7 threads; the pages that came are in o.partial",
        *(f"    thread_{number}: 1 message, up to msg_1" for number in range(5)),
        "    … and 2 more",
        "  never begun   7 threads",
        *(f"    thread_{number}" for number in range(7, 12)),
        "    … and 2 more",
        "  runs          0 lines, 0 bytes in o.runs",
        "  files         1 saved, 1 not allowed, 1 never begun",
        "Files that are not saved:",
        "  file-1: not_allowed: Not allowed",
    ]
