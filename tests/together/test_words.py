"""What people read: findings in words, long lists cut short, and what to do next."""

import asyncio
import json
import re
import shlex
from importlib import import_module
from pathlib import Path

import pytest

from command import Run
from exports import ASSISTANT, write_ids
from fake_assistants import FakeAssistants, demo_world
from threadkeep.cli.suggestions import command_on, export_again
from threadkeep.storage.file_set import open_file_set
from threadkeep.storage.paths import Paths
from watched import Watched, what_is_behind

pytestmark = pytest.mark.usefixtures("base_url")


@pytest.fixture
def ids(tmp_path: Path) -> Path:
    """One thread."""
    return write_ids(tmp_path, "thread_a")


@pytest.fixture
def out(fake: FakeAssistants, ids: Path, threadkeep: Run, tmp_path: Path) -> Path:
    """A small complete export."""
    messages = [{"id": f"msg_{number}", "thread_id": "thread_a", "content": []} for number in range(2)]
    fake.load({"threads": [{"id": "thread_a"}], "messages": messages})
    out = tmp_path / "out.ndjson"
    assert threadkeep("export", ids, ASSISTANT, out).code == 0
    return out


def test_threads_without_messages_are_counted_apart(fake: FakeAssistants, threadkeep: Run, tmp_path: Path) -> None:
    """So that the number of threads read is that of the index."""
    messages = [{"id": "msg_1", "thread_id": "thread_a", "content": []}]
    fake.load({"threads": [{"id": "thread_a"}, {"id": "thread_b"}], "messages": messages})
    out = tmp_path / "two.ndjson"
    assert threadkeep("export", write_ids(tmp_path, "thread_a", "thread_b"), ASSISTANT, out).code == 0
    done = threadkeep("validate", out).out
    assert "  read          1 thread and 1 without messages, 1 message, " in done
    assert "  index         2 complete" in done


def test_findings_come_with_their_places(out: Path, threadkeep: Run) -> None:
    """The gravest first, each code with its places, then how many there are, the verdict, and what to do."""
    first, second = out.read_bytes().splitlines(keepends=True)
    out.write_bytes(first + first + second.replace(b'"text":""', b'"text":"x"'))
    done = threadkeep("validate", out)
    assert done.code == 1
    lines = [line.rstrip() for line in done.out.splitlines()]
    assert lines[0] == "error: text_mismatch: a text that is not that of the message's parts"
    assert lines[1] == "  out.ndjson line 3 $.text thread_a msg_1: 'text' is not that of the message's parts."
    assert lines[2] == "error: duplicate_message: a message id that is in the export twice"
    assert lines[3].startswith("  out.ndjson line 2 $.message_id thread_a msg_0: ")
    assert lines[4] == "error: digest_mismatch: lines that are not those that were written"
    assert lines[5].startswith("  out.ndjson line 1 thread_a: ")
    assert f"  {'read':<14}1 thread, 3 messages, {out.stat().st_size:,} bytes" in lines
    assert "  index         1 complete" in lines
    assert "  to refetch    1 thread" in lines
    verdict, next_step, _, command = lines[-4:]
    assert re.fullmatch(rf"{out}: not complete \(\d+ errors\)", verdict)
    assert next_step.startswith("Next: Write a list of only the threads to fetch again")
    assert command == f"  threadkeep validate --ids-to-refetch=refetch.txt {out}"


def test_the_command_after_validate_repairs_the_export(out: Path, threadkeep: Run, tmp_path: Path) -> None:
    """As it is printed, in a shell."""
    out.write_bytes(out.read_bytes()[:-9])
    done = threadkeep("validate", out, "--ids-to-refetch", tmp_path / "refetch.txt")
    program, *typed = shlex.split(done.out.splitlines()[-1])
    assert program == "threadkeep"
    assert threadkeep(*typed).code == 0
    assert threadkeep("validate", out).code == 0


def test_a_long_list_of_reasons_is_cut_short(threadkeep: Run, tmp_path: Path) -> None:
    """The first are printed as they happen, and how many more there were; malformed lines likewise."""
    ids = write_ids(
        tmp_path, *(f"thread_{number}" for number in range(25)), *(f"asst_{number}" for number in range(25))
    )
    done = threadkeep("export", ids, ASSISTANT, tmp_path / "o")
    assert done.out.count(": missing: No thread found") == 0
    assert done.err.count(": missing: No thread found") == 3
    assert done.err.count("is no thread id") == 3
    assert "threadkeep: … and 22 more lines of the list: no thread ids" in done.err.splitlines()
    assert len(json.loads(threadkeep("export", ids, ASSISTANT, tmp_path / "o", "--json").out)["problems"]) == 25
    others = threadkeep("export", write_ids(tmp_path, "thread_other"), ASSISTANT, tmp_path / "o")
    assert "  missing       26 threads: the API knows no such thread\n" in others.out
    assert "No thread found" not in others.out


def test_status_says_what_ended_an_export(fake: FakeAssistants, out: Path, threadkeep: Run, tmp_path: Path) -> None:
    """And how many threads had no turn."""
    fake.sunset.now()
    (tmp_path / "more.txt").write_text("thread_a\nthread_b")
    assert threadkeep("export", tmp_path / "more.txt", ASSISTANT, out, "--fresh").code == 3
    done = threadkeep("status", out)
    assert done.code == 1
    assert "ended by      the Assistants API at" in done.out
    assert "unfinished    2 threads" in done.out


def test_output_that_cannot_be_written_is_named(out: Path, threadkeep: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit 5, in words."""

    def full(*_arguments: object, **_options: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(import_module("threadkeep.cli.commands.validate"), "print_json", full)
    done = threadkeep("validate", out, "--json")
    assert (done.code, done.err) == (5, "threadkeep: cannot write: No space left on device\n")


def test_an_interruption_while_the_ids_are_read(
    threadkeep: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing has begun: no file is left."""

    class Keyboard:
        @property
        def buffer(self) -> object:
            raise KeyboardInterrupt

    monkeypatch.setattr("sys.stdin", Keyboard())
    done = threadkeep("export", "-", ASSISTANT, tmp_path / "o")
    assert (done.code, done.err.strip()) == (130, "threadkeep: interrupted")
    assert list(tmp_path.iterdir()) == []


def test_an_interruption_right_at_the_start(
    threadkeep: Run, ids: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit 130, and the same command resumes."""

    async def ended(_round: object) -> None:
        raise asyncio.CancelledError

    monkeypatch.setattr("threadkeep.exporter.threads.ThreadRound.run", ended)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
    done = threadkeep("export", ids, ASSISTANT, tmp_path / "o", "--base-url", "http://127.0.0.1:1/v1")
    assert done.code == 130
    assert "interrupted (0 of 1 thread fetched)" in done.err
    assert not (tmp_path / "o").exists()
    assert "a run was cut off" in threadkeep("status", tmp_path / "o").out


def test_closed_standard_input_is_named(threadkeep: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """There is nothing to read ids from."""
    monkeypatch.setattr("sys.stdin", None)
    done = threadkeep("export", "-", ASSISTANT, tmp_path / "o", "--base-url", "http://127.0.0.1:1/v1")
    assert done.code == 2
    assert "standard input: it is closed" in done.err


def test_the_console_is_not_sent_what_it_would_obey(threadkeep: Run, tmp_path: Path) -> None:
    """Markup and control characters in foreign text are shown, not followed."""
    (tmp_path / "ids.txt").write_text("thread_a\n[bold]x[/bold]\x1b]0;title\x07")
    done = threadkeep("export", tmp_path / "ids.txt", ASSISTANT, tmp_path / "o")
    assert "x[/bold]\\x1b]0;title\\x07" in done.err
    assert "\x1b" not in done.err + done.out


def test_what_the_sunset_cut_off_is_listed(fake: Watched, threadkeep: Run, tmp_path: Path) -> None:
    """Complete, cut off and where, without a turn; by export, by its JSON and by status, and what to do then.

    When a second page is asked for the third time, two threads are complete; every other that was begun is cut off.
    """
    world = demo_world(12, 150)
    fake.load(world)
    ids, out = write_ids(tmp_path, *(thread["id"] for thread in world["threads"])), tmp_path / "out.ndjson"
    arguments = ("export", ids, ASSISTANT, out, "--concurrency", 8)
    fake.before(fake.sunset.now, nth=3, of=what_is_behind)
    done = threadkeep(*arguments, "--fresh")
    assert done.code == 3
    cut_off = sum(entry.status == 200 for entry in fake.requests) - 2 * 2
    unfinished = f"{12 - 2 - cut_off} threads"
    rows = {line[2:16].strip(): line[16:] for line in done.out.splitlines()[1:] if line[2:3].strip()}
    assert re.fullmatch(r"2 threads with 300 messages, \d+(,\d+)* bytes", rows["complete"])
    assert re.fullmatch(rf"{cut_off} threads?: what came of them is in out\.ndjson\.partial", rows["partial"])
    assert rows["unfinished"] == f"{unfinished}: not asked for yet"
    assert len(re.findall(r"(?m)^thread_\w+: partial: ", done.err)) == min(cut_off, 3)
    assert "If the API comes back: the same command without --fresh resumes the export" in done.err
    summary = json.loads(threadkeep(*arguments, "--json").out)
    partial = [row for row in summary["problems"] if row["outcome"] == "partial"]
    assert [row["messages"] for row in partial] == [100] * cut_off
    assert len(summary["problems"]) == 10
    assert summary["next"]["command"] is None
    assert f"  unfinished    {unfinished}" in threadkeep("status", out).out


def test_a_shorter_list_does_not_complete_the_export(fake: FakeAssistants, threadkeep: Run, tmp_path: Path) -> None:
    """Threads that no run came to are counted, run after run, and the next step names both ways out."""
    world, out, drop = demo_world(12, 1), tmp_path / "o", tmp_path / "drop.txt"
    names = [thread["id"] for thread in world["threads"]]
    ids = write_ids(tmp_path, *names)
    fake.load(world)
    fake.sunset.after_requests(4)
    assert threadkeep("export", ids, ASSISTANT, out, "--concurrency", 1).code == 3
    fake.sunset.lift()
    for _ in range(2):
        done = threadkeep("export", ids, ASSISTANT, out, "--limit", 6)
        assert (done.code, "unfinished    6 threads: not asked for yet" in done.out) == (1, True)
        assert done.err.count("6 threads of earlier runs are not complete, and this run does not ask for them.") == 1
        assert "--drop" in done.err
        assert f"threadkeep validate --ids={ids} {out}" in done.err
    assert threadkeep("status", out).code == 1
    drop.write_text("\n".join(names[6:]))
    done = threadkeep("export", ids, ASSISTANT, out, "--drop", drop)
    assert (done.code, "dropped       6 threads: named in --drop" in done.out) == (0, True)
    assert (threadkeep("status", out).code, threadkeep("validate", out).code) == (0, 0)


def test_status_does_not_resume_what_stays_missing(threadkeep: Run, tmp_path: Path) -> None:
    """It names --drop, as the export does."""
    assert threadkeep("export", write_ids(tmp_path, "thread_none"), ASSISTANT, tmp_path / "o").code == 1
    *_, words, more, command = threadkeep("status", tmp_path / "o").out.splitlines()
    assert (words.startswith("Next: A missing thread stays missing"), "--drop" in more) == (True, True)
    assert command == f"  threadkeep validate {tmp_path / 'o'}"


def test_status_resumes_nothing_without_an_index(out: Path, threadkeep: Run) -> None:
    """An export would be refused."""
    Paths(out).index.unlink()
    last = threadkeep("status", out).out.splitlines()[-1]
    assert last == "Next: Restore the index from a copy, or begin anew with --fresh."


def test_the_command_that_status_names_resumes(
    fake: FakeAssistants, base_url: str, threadkeep: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the ids in the place of THREAD_IDS, in a shell, where names have blanks."""
    folder = tmp_path / "my threads"
    folder.mkdir()
    fake.load({"threads": [{"id": "thread_a"}]})
    fake.faults = [{"match": {"times": 9}, "do": {"status": 500}}]
    (folder / "ids.txt").write_text("thread_a")
    arguments = ["export", folder / "ids.txt", ASSISTANT, folder / "o", "--max-retries", 0, "--flat", "--files"]
    monkeypatch.delenv("OPENAI_BASE_URL")
    done = threadkeep(*arguments, "--include", "runs", "--base-url", f"{base_url}?code=secret-0123")
    assert (done.code, "secret-0123" in done.err + done.out) == (1, False)
    fake.faults = []
    program, *typed = shlex.split(threadkeep("status", folder / "o").out.splitlines()[-1])
    assert program == "threadkeep"
    assert {"--flat", "--files", "--include=runs", f"--base-url={base_url}"} < set(typed)
    last = threadkeep(*(folder / "ids.txt" if word == "THREAD_IDS" else word for word in typed))
    assert (last.code, last.err) == (0, "")
    assert last.out.splitlines()[-1] == f"Next: threadkeep validate '--ids={folder / 'ids.txt'}' '{folder / 'o'}'"


def test_names_that_look_like_options_are_typed_as_names(out: Path) -> None:
    """A command can be typed whatever its files are called."""
    assert command_on("validate", Path("o")) == "threadkeep validate o"
    assert command_on("validate", Path("-o"), "--ids=-i") == "threadkeep validate --ids=-i -- -o"
    with open_file_set(Paths(out)) as files:
        assert files.manifest is not None
        again = export_again(files.manifest, Path("o"), "-i", files=False, refresh=True)
    assert re.fullmatch(rf"threadkeep export --refresh --base-url=\S+ -- -i {ASSISTANT} o", again)


def test_what_was_not_refreshed_and_not_saved_is_named(fake: FakeAssistants, threadkeep: Run, tmp_path: Path) -> None:
    """Each with its reason; the threads stay as they were."""
    image = {"type": "image_file", "image_file": {"file_id": "file-1"}}
    fake.load(
        {
            "threads": [{"id": "thread_a"}],
            "messages": [{"id": "msg_1", "thread_id": "thread_a", "content": [image]}],
        }
    )
    arguments = ("export", write_ids(tmp_path, "thread_a"), ASSISTANT, tmp_path / "o", "--files")
    first = threadkeep(*arguments)
    assert (first.code, "files         0 saved, 1 missing" in first.out) == (1, True)
    assert "  missing files 1, the API has no such files: file-1\n" in first.out
    fake.state = {}
    done = threadkeep(*arguments, "--refresh")
    assert (done.code, "but 1 thread could not be refreshed" in done.err) == (1, True)
    assert "not refreshed 1 thread, complete as exported before" in done.out
    assert done.err.startswith("thread_a: missing: No thread found")
    assert threadkeep("status", tmp_path / "o").code == 0
