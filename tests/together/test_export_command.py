"""``threadkeep export`` against the fake over real HTTP: files, words and exit codes."""

import json
from pathlib import Path
from typing import Any

import pytest

from command import Run
from exports import ASSISTANT, beside, exported, faults, manifest, served, write_ids
from fake_assistants import FakeAssistants, demo_world
from ports import kept_port
from watched import Watched, what_is_behind

pytestmark = pytest.mark.usefixtures("base_url")


@pytest.fixture
def names(fake: FakeAssistants) -> list[str]:
    """The ids of a loaded demo world with threads of more than one page."""
    world = demo_world(4, 130)
    fake.load(world)
    return [thread["id"] for thread in world["threads"]]


def test_a_whole_world_comes_out_whole(
    fake: FakeAssistants, names: list[str], threadkeep: Run, tmp_path: Path, out: Path
) -> None:
    """Every message of the world, field by field, with a summary that counts them, and a valid export."""
    ids = write_ids(tmp_path, *names)
    done = threadkeep("export", ids, ASSISTANT, out)
    assert (done.code, done.err) == (0, "")
    assert "520" in done.out
    assert exported(out) == served(fake)
    assert threadkeep("validate", out, "--ids", ids).code == 0
    assert threadkeep("status", out).code == 0


def test_the_ids_file_is_read_as_people_keep_it(names: list[str], threadkeep: Run, tmp_path: Path, out: Path) -> None:
    """A byte order mark, CRLF, comments, blank lines and repetitions are no obstacle."""
    ids = tmp_path / "ids.txt"
    ids.write_bytes(b"\xef\xbb\xbf" + "\r\n".join(["# mine", names[0], "", f"  {names[1]} ", names[0], ""]).encode())
    assert threadkeep("export", ids, ASSISTANT, out).code == 0
    assert set(exported(out)) == set(names[:2])


def test_what_is_not_exported_has_its_reason_in_one_line(
    fake: FakeAssistants, names: list[str], threadkeep: Run, tmp_path: Path, out: Path
) -> None:
    """On standard error, and not once more in the summary; a malformed line costs no request; the exit code is 1."""
    fake.reset()
    ids = write_ids(tmp_path, "asst_1", "thread_nobody", names[0], "bad\x1b[2Jid", "sk-pasted-by-mistake")
    done = threadkeep("export", ids, ASSISTANT, out)
    assert done.code == 1
    reason = "thread_nobody: missing: No thread found with id 'thread_nobody'."
    first, *lines, verdict, next_step, command = done.err.splitlines()
    assert first == reason
    assert ("missing       1 thread" in done.out, reason in done.out) == (True, False)
    assert lines == [
        "threadkeep: line 1 of the list is no thread id, but an assistant's id: asst_1",
        "threadkeep: line 4 of the list is no thread id: bad\\x1b[2Jid",
        "threadkeep: line 5 of the list is no thread id, but a key: sk-…",
    ]
    assert verdict == "threadkeep: 1 of 2 threads is not complete in the export"
    assert "stays missing" in next_step
    assert command == f"  threadkeep validate {out}"
    assert not [entry for entry in fake.requests if "asst_1" in entry.path]
    assert set(exported(out)) == {names[0]}
    assert threadkeep("status", out).code == 1


@pytest.mark.parametrize("ending", [".index", ".store", ".threads", ".manifest.json"])
def test_the_name_of_a_file_of_another_export_is_refused(
    ending: str, names: list[str], threadkeep: Run, tmp_path: Path, out: Path
) -> None:
    """Two exports would take each other's files; merge refuses it too."""
    ids = write_ids(tmp_path, *names)
    assert threadkeep("export", ids, ASSISTANT, out).code == 0
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    for command in (("export", ids, ASSISTANT, beside(out, ending)), ("merge", out, "-o", beside(out, ending))):
        done = threadkeep(*command)
        assert done.code == 5
        assert f"{out}{ending} is the name of a file of the export {out}. Choose another OUT." in done.err
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_standard_output_is_no_export(names: list[str], threadkeep: Run, tmp_path: Path) -> None:
    """An export is several files."""
    done = threadkeep("export", write_ids(tmp_path, *names), ASSISTANT, "-")
    assert (done.code, "'-' does not name a file." in done.err) == (2, True)


def test_a_web_page_is_named_by_its_title(
    names: list[str], fake: Watched, threadkeep: Run, tmp_path: Path, out: Path
) -> None:
    """The rest of it is made for browsers."""
    body = "<!DOCTYPE HTML>\n<html><head><title>502 Bad &amp; Gateway</title></head><body>long</body></html>"
    fake.faults = [{"match": {}, "do": {"status": 502, "body": body, "headers": {"content-type": "text/html"}}}]
    done = threadkeep("export", write_ids(tmp_path, *names[:1]), ASSISTANT, out, "--max-retries", 0)
    assert 'a web page, "502 Bad & Gateway"' in done.err
    assert "<html" not in done.err


@pytest.mark.parametrize("command", ["validate", "merge"])
def test_a_column_needs_a_list(command: str, threadkeep: Run, out: Path) -> None:
    """Without one, --column would do nothing."""
    done = threadkeep(
        command, out, "--column", "thread", *(["-o", beside(out, ".merged")] if command == "merge" else [])
    )
    assert (done.code, "Give --ids too: --column names a column of that list." in done.err) == (2, True)


def test_the_next_step_for_programs_is_without_blanks_around_it(
    names: list[str], fake: Watched, threadkeep: Run, tmp_path: Path, out: Path
) -> None:
    """Also where there is no hint before it."""
    fake.faults = [{"match": {}, "do": {"status": 500}}]
    done = threadkeep("export", write_ids(tmp_path, *names[:1]), ASSISTANT, out, "--max-retries", 0, "--json")
    words = json.loads(done.out)["next"]["words"]
    assert words == "The same command resumes the export: complete threads are not asked for again."


@pytest.mark.parametrize("answered", [0, 1, 2, 3])
def test_the_next_step_after_the_sunset_names_what_is_there(
    answered: int, names: list[str], fake: Watched, threadkeep: Run, tmp_path: Path, out: Path
) -> None:
    """The complete threads and the partial file, each where there are any."""
    fake.faults = [{"match": {"nth": answered + 1}, "do": {"status": 410}}]
    done = threadkeep("export", write_ids(tmp_path, *names), ASSISTANT, out, "--concurrency", 1)
    assert done.code == 3
    assert ("The complete threads are in the export." in done.err) == bool(exported(out))
    assert ("out.ndjson.partial" in done.err) == beside(out, ".partial").exists()


def test_malformed_lines_are_forgotten(names: list[str], threadkeep: Run, tmp_path: Path, out: Path) -> None:
    """They make their own run end with 1, and no later one."""
    done = threadkeep("export", write_ids(tmp_path, "asst_1", *names), ASSISTANT, out)
    assert (done.code, "but 1 line of the list is no thread id" in done.err) == (1, True)
    assert "malformed     1 line of the list" in done.out
    assert threadkeep("status", out).code == 0
    assert threadkeep("export", write_ids(tmp_path, *names), ASSISTANT, out).code == 0


def test_json_summary(names: list[str], threadkeep: Run, tmp_path: Path, out: Path) -> None:
    """One JSON object on standard output, for programs, with every problem and the documented keys."""
    ids = write_ids(tmp_path, *names, "asst_1", "thread_nobody")
    done = threadkeep("export", ids, ASSISTANT, out, "--json")
    summary = json.loads(done.out)
    assert (done.code, summary["exit"], summary["written"]) == (1, 1, True)
    assert summary["totals"] == {"threads": 5, "messages": 520, "partial_messages": 0}
    assert summary["outcomes"]["complete"] == 4
    assert (summary["invalid_count"], summary["invalid"]) == (
        1,
        [{"place": 5, "text": "asst_1", "kind": "an assistant's id"}],
    )
    (problem,) = summary["problems"]
    assert (problem["thread_id"], problem["outcome"]) == ("thread_nobody", "missing")
    documented = (Path(__file__).parents[2] / "docs" / "commands.md").read_text()
    section = documented.partition("## threadkeep export")[2].partition("\n## ")[0]
    assert all(f"| `{key}`" in section or f", `{key}`" in section for key in summary)


def test_limit_and_quiet(names: list[str], threadkeep: Run, tmp_path: Path, out: Path) -> None:
    """The first N threads only, and not a word when all is well."""
    done = threadkeep("export", write_ids(tmp_path, *names), ASSISTANT, out, "--limit", 2, "--quiet")
    assert (done.code, done.out, done.err) == (0, "", "")
    assert set(exported(out)) == set(names[:2])


def test_an_empty_list_of_ids_is_refused(threadkeep: Run, tmp_path: Path, out: Path) -> None:
    """It is hardly what was meant: exit 2, and no file."""
    done = threadkeep("export", write_ids(tmp_path, "# nothing"), ASSISTANT, out)
    assert (done.code, "no thread ids in" in done.err) == (2, True)
    assert list(tmp_path.glob("out*")) == []


def test_each_thread_with_its_own_assistant(fake: FakeAssistants, threadkeep: Run, tmp_path: Path, out: Path) -> None:
    """That of its newest assistant message, else none; and `split` makes an export of each."""
    texts = [("thread_a", "asst_1"), ("thread_a", "asst_2"), ("thread_b", None), ("thread_c", "asst_1")]
    fake.load(
        {
            "threads": [{"id": name} for name in ("thread_a", "thread_b", "thread_c")],
            "messages": [
                {"id": f"msg_{number}", "thread_id": name, "role": "assistant", "assistant_id": one, "content": []}
                for number, (name, one) in enumerate(texts)
            ],
        }
    )
    ids = write_ids(tmp_path, "thread_a", "thread_b", "thread_c")
    assert threadkeep("export", ids, "auto", out, "--include", "threads").code == 0
    lines = [json.loads(line) for line in out.read_bytes().splitlines()]
    assert [line["assistant_id"] for line in lines] == ["asst_2", "asst_2", None, "asst_1"]
    done = threadkeep("split", out, "--by", "assistant")
    assert done.code == 0
    assert [line.partition(": ")[2] for line in done.out.splitlines()] == [
        "1 complete thread, 2 messages",
        "1 complete thread, 1 message",
        "1 complete thread, 1 message",
        "Run `threadkeep validate` on each of them.",
    ]
    for name, threads in (("asst_2", {"thread_a"}), ("none", {"thread_b"}), ("asst_1", {"thread_c"})):
        part = tmp_path / f"out.{name}.ndjson"
        assert set(exported(part)) == threads
        assert threadkeep("status", part).code == 0
        assert threadkeep("validate", part).code == 0
    assert threadkeep("split", out, "--by", "assistant").code == 0
    (tmp_path / "out.none.ndjson.manifest.json").write_text("{}")
    again = threadkeep("split", out, "--by", "assistant")
    assert (again.code, "exists already, and is not what this split" in again.err) == (5, True)


@pytest.mark.parametrize("style", ["gone", "not-found"])
def test_the_sunset_in_the_middle(
    style: Any, fake: Watched, names: list[str], threadkeep: Run, tmp_path: Path, out: Path
) -> None:
    """Exit 3, complete threads in the export, cut-off pages in the partial file, and validate agrees.

    When a second page is asked for the second time, one thread is complete, one is not, and two fetched at a time have
    not come to the fourth.
    """
    fake.before(lambda: fake.sunset.now(style=style), nth=2, of=what_is_behind)
    ids = write_ids(tmp_path, *names)
    done = threadkeep("export", ids, ASSISTANT, out, "--concurrency", 2)
    assert done.code == 3
    assert "is gone" in done.err
    assert ".partial" in done.err
    complete, partial, world = exported(out), exported(beside(out, ".partial")), served(fake)
    assert len(complete) == 1
    assert 1 <= len(partial) <= 2
    assert not set(complete) & set(partial)
    assert all(messages == world[name] for name, messages in complete.items())
    assert all(messages == world[name][:100] for name, messages in partial.items())
    assert sum(len(messages) for messages in [*complete.values(), *partial.values()]) == sum(
        min(100, len(world[name]) - 100 * page) for name, page in walked_pages(fake)
    )
    assert manifest(out)["ended_by"]
    codes = {row["code"] for row in faults(threadkeep("validate", out, "--ids", ids, "--json").out)}
    assert codes == {"thread_partial", "thread_unfinished"}


def walked_pages(fake: FakeAssistants) -> list[tuple[str, int]]:
    """Thread and number of each page that was served with success."""
    pages: list[tuple[str, int]] = []
    for entry in fake.requests:
        if entry.status == 200:
            name = entry.path.split("/")[3]
            pages.append((name, sum(1 for seen, _ in pages if seen == name)))
    return pages


def test_an_empty_404_as_the_first_answer_of_all(
    fake: FakeAssistants, base_url: str, names: list[str], threadkeep: Run, tmp_path: Path, out: Path
) -> None:
    """It is what OpenAI answers since it has closed: the run ends at once, and no thread has had its turn."""
    fake.sunset.now(style="not-found")
    done = threadkeep("export", write_ids(tmp_path, *names), ASSISTANT, out, "--concurrency", 1)
    assert done.code == 3
    assert f"the Assistants API at {base_url} is gone" in done.err
    assert len(list(fake.requests)) == 1
    assert out.read_bytes() == b""


def test_an_address_without_v1_is_a_wrong_one(
    base_url: str, names: list[str], threadkeep: Run, tmp_path: Path, out: Path
) -> None:
    """The server's own "Invalid URL" is no missing thread: exit 2, and no file."""
    wrong = base_url.removesuffix("/v1")
    done = threadkeep("export", write_ids(tmp_path, *names), ASSISTANT, out, "--base-url", wrong)
    assert (done.code, done.out) == (2, "")
    assert f"does not serve the Assistants API: {wrong}" in done.err
    assert "Invalid URL" in done.err
    assert "--base-url" in done.err.splitlines()[-1]
    assert list(tmp_path.glob("out*")) == []


def test_a_refused_key_stops_at_once(threadkeep: Run, tmp_path: Path, out: Path) -> None:
    """Exit 4, the API's own words without the key, and one request only."""
    fake = FakeAssistants(api_keys=["sk-right"])
    with fake.serve() as server:
        ids = write_ids(tmp_path, "thread_a", "thread_b")
        monkey = pytest.MonkeyPatch()
        monkey.setenv("OPENAI_API_KEY", "sk-wrong-0123456789-secret-0123456789")
        done = threadkeep("export", ids, ASSISTANT, out, "--base-url", server.base_url, "--concurrency", 1)
        monkey.undo()
    assert done.code == 4
    assert "Incorrect API key provided" in done.err
    assert "0123456789-secret" not in done.err
    assert "OPENAI_API_KEY" in done.err
    assert len(list(fake.requests)) == 1


def test_no_server_at_all(threadkeep: Run, tmp_path: Path, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A closed port ends the run with its address, not with a traceback for each thread."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
    ids = write_ids(tmp_path, *(f"thread_{number}" for number in range(50)))
    with kept_port() as port:
        address = f"http://127.0.0.1:{port}/v1"
        done = threadkeep("export", ids, ASSISTANT, out, "--base-url", address, "--max-retries", 0)
    assert done.code == 1
    assert f"no complete answer from {address}" in done.err


def test_a_file_is_never_overwritten(names: list[str], threadkeep: Run, tmp_path: Path, out: Path) -> None:
    """One without an index is refused with 5 and not changed."""
    out.write_bytes(b"precious\n")
    refused = threadkeep("export", write_ids(tmp_path, *names), ASSISTANT, out)
    assert refused.code == 5
    assert "--fresh" in refused.err
    assert out.read_bytes() == b"precious\n"
    assert list(tmp_path.glob("out*")) == [out]


def test_fresh_keeps_the_old_files(names: list[str], threadkeep: Run, tmp_path: Path, out: Path) -> None:
    """Valid, under another name, each time."""
    ids = write_ids(tmp_path, *names[:2])
    assert threadkeep("export", ids, ASSISTANT, out).code == 0
    before = out.read_bytes()
    assert threadkeep("export", ids, ASSISTANT, out, "--fresh", "--limit", 1).code == 0
    assert threadkeep("export", ids, ASSISTANT, out, "--fresh", "--limit", 1).code == 0
    old = tmp_path / "out.old-1.ndjson"
    assert old.read_bytes() == before
    assert threadkeep("validate", old, "--ids", ids).code == 0
    assert (tmp_path / "out.old-2.ndjson").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["export", "{tmp}/none.txt", ASSISTANT, "{tmp}/o"], 2, "none.txt: No such file"),
        (["export", "{tmp}", ASSISTANT, "{tmp}/o"], 2, "Is a directory"),
        (["export", "{tmp}/picture.png", ASSISTANT, "{tmp}/o"], 2, "not utf-8 text"),
        (["export", "{tmp}/ids.txt", ASSISTANT, "{tmp}/no/such/o"], 5, "no/such is not a folder"),
        (["export", "{tmp}/ids.txt", ASSISTANT, "{tmp}"], 5, "is a folder"),
        (["export", "{tmp}/ids.txt", ASSISTANT, "{tmp}/o", "--base-url", "localhost:1"], 2, "must begin with http"),
        (["export", "{tmp}/ids.txt", ASSISTANT, "{tmp}/o", "--concurrency", "0"], 2, "concurrency"),
        (["export", "{tmp}/ids.txt", ASSISTANT], 2, "OUT"),
        (["validate", "{tmp}/none"], 5, "none"),
        (["validate", "{tmp}"], 5, "is a folder"),
        (["validate", "{tmp}/ids.txt", "--ids", "{tmp}/none.txt"], 2, "none.txt: No such file"),
        (["status", "{tmp}/none"], 5, "none does not exist: there is no none.index and no none.store. Check OUT."),
        (["status", "{tmp}/ids.txt"], 5, "ids.txt is a list of thread ids, and no export: give the NDJSON file"),
        (["status", "{tmp}/none", "--done"], 5, "none.index does not exist"),
        (["status", "{tmp}/none", "--done", "--json"], 2, "not both"),
        (["write", "{tmp}/none"], 5, "there is nothing to write"),
        (["split", "{tmp}/none", "--by", "assistant"], 5, "there is nothing of that name"),
        (["split", "{tmp}/none"], 2, "--by"),
        (["merge", "{tmp}/none", "-o", "{tmp}/o"], 5, "there is nothing of that name"),
        (["merge", "{tmp}/none"], 2, "-o"),
        (["merge", "-o", "{tmp}/o"], 2, "PARTS"),
        (["merge", "{tmp}/none", "-o", "{tmp}/o", "--ids", "{tmp}/none.txt"], 2, "none.txt: No such file"),
        (["merge", "{tmp}/none", "-o", "{tmp}/ids.txt", "--ids", "{tmp}/ids.txt"], 2, "take the place of the file of"),
        *(
            (["export", "{tmp}/ids.txt", ASSISTANT, "{tmp}/o", "--shard", shard], 2, words)
            for shard, words in {
                "": "'' is no shard, such as 0/4",
                "1": "'1' is no shard",
                "0-2": "'0-2' is no shard",
                "-1/2": "'-1/2' is no shard",
                "2/2": "there is no shard 2 of 2: shards are numbered from 0",
                "0/0": "there is no shard 0 of 0",
            }.items()
        ),
        (["export", "-", ASSISTANT, "{tmp}/o", "--done", "-"], 2, "can be standard input"),
        (["export", "{tmp}/ids.txt", ASSISTANT, "{tmp}/o", "--fresh", "--refresh"], 2, "not both"),
        (["export", "{tmp}/ids.txt", ASSISTANT, "{tmp}/o", "--include", "threads,steps"], 2, "'steps' is none of"),
        *(
            (["export", "{tmp}/ids.txt", ASSISTANT, "{tmp}/o", "--sunset", date], 2, "such as 2027-03-31")
            for date in ("soon", "2027-13-01", "31.3.2027", "")
        ),
        (["validate", "{tmp}/ids.txt", "--sample", "3"], 2, "--sample says how many"),
        (["validate", "{tmp}/ids.txt", "--seed", "3"], 2, "--seed chooses"),
        (["validate", "{tmp}/ids.txt", "--auth", "bearer"], 2, "--auth says where to ask"),
        (["export", "{tmp}/ids.txt", ASSISTANT, "{tmp}/o", "--drop", "{tmp}/none.txt"], 2, "none.txt: No such file"),
        (["export", "{tmp}/ids.txt", "AUTO", "{tmp}/o"], 2, 'ASSISTANT_ID is AUTO, no id: write "auto"'),
        (["export", "{tmp}/ids.txt", ASSISTANT, "auto"], 2, "OUT is auto, which is an ASSISTANT_ID"),
        (["export", "{tmp}/ids.txt", "", "{tmp}/o"], 2, "ASSISTANT_ID is empty"),
        (
            ["export", "{tmp}/ids.txt", "thread_a", "{tmp}/o"],
            2,
            "ASSISTANT_ID is thread_a, a thread's id. The order is",
        ),
        (
            ["export", "{tmp}/ids.txt", "asst_1,asst_2", "{tmp}/o"],
            2,
            'a list: an export is for one assistant, or for "auto"',
        ),
        (["export", "{tmp}/ids.txt", "out.ndjson", "{tmp}/o"], 2, "ASSISTANT_ID is out.ndjson, a file name. The order"),
        (["export", "{tmp}/ids.txt", "https://x/v1", "{tmp}/o"], 2, "ASSISTANT_ID is https://x/v1, an address"),
        *(
            (["export", "{tmp}/ids.txt", given, "{tmp}/o"], 2, f"ASSISTANT_ID is {given}, {words}. The order is")
            for given, words in (
                ("'asst_1'", "in quotes or blanks: write asst_1"),
                ("auto ", 'no id: write "auto"'),
                ("all", 'no id: write "auto"'),
                ("asst_", "no id"),
                ("asst_abc\u2026", "an id that is cut off"),
                ("ASST_1", "no id: one begins with asst_, in small letters"),
                ("gpt-4o", "the name of a model"),
            )
        ),
        (["export", "{tmp}/ids.txt", "'sk-secret'", "{tmp}/o"], 2, "ASSISTANT_ID is a key. The order is"),
        (["export", "thread_a", ASSISTANT, "{tmp}/o"], 2, "THREAD_IDS is thread_a, an id, and no file. Write the ids"),
        (["export", "{tmp}/ids.txt", "sk-secret", "{tmp}/o"], 2, "ASSISTANT_ID is a key. The order is"),
        (["export", "{tmp}/ids.txt", "{tmp}/o", ASSISTANT], 2, "OUT is asst_abc123, an assistant's id. The order is"),
        (["export", ASSISTANT, "{tmp}/ids.txt", "{tmp}/o"], 2, "THREAD_IDS is asst_abc123, an assistant's id"),
        (["export", "{tmp}/ids.txt", ASSISTANT, "{tmp}/ids.txt", "--fresh"], 2, "take the place of the file of ids"),
        (["export", "{tmp}/ids.txt", ASSISTANT, "{tmp}", "--fresh"], 5, "is a folder"),
        (["export", "{tmp}/ids.txt", ASSISTANT, ""], 2, "does not name a file"),
        (["export", "{tmp}/ids.txt", ASSISTANT, "{tmp}/" + "o" * 245], 5, "File name too long"),
        (["validate", "."], 2, "does not name a file"),
        (["status", "/"], 2, "does not name a file"),
        (["demo", "--folder", "{tmp}/ids.txt/x"], 5, "Not a directory"),
        (["nonsense"], 2, "No such command"),
    ],
)
def test_bad_input_is_named_in_words(
    arguments: list[str], code: int, words: str, threadkeep: Run, tmp_path: Path
) -> None:
    """Never a traceback: what happened, where, and the exit code of its kind."""
    write_ids(tmp_path, "thread_a")
    (tmp_path / "picture.png").write_bytes(b"\x89PNG\r\n")
    done = threadkeep(*(argument.format(tmp=tmp_path) for argument in arguments))
    assert done.code == code
    assert words in done.err
    assert "Traceback" not in done.err
    assert not (tmp_path / "o").exists()


def test_the_help_names_every_command(threadkeep: Run) -> None:
    """In the order in which they are needed, each with one line."""
    done = threadkeep("--help")
    listed = [line.split()[0] for line in done.out.partition("\nExport:\n")[2].splitlines() if line[:1] == " "]
    assert listed == [
        *("export", "validate", "status", "write", "show", "convert", "chat", "push", "move", "merge", "split"),
        *("threads", "assistants", "demo"),
    ]


def test_no_key_is_refused_before_anything_is_written(
    threadkeep: Run, tmp_path: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit 4, and no files of an export that never began."""
    for name in ("OPENAI_API_KEY", "OPENAI_ADMIN_KEY"):
        monkeypatch.delenv(name, raising=False)
    done = threadkeep("export", write_ids(tmp_path, "thread_a"), ASSISTANT, out)
    assert done.code == 4
    assert "OPENAI_API_KEY" in done.err
    assert not out.exists()


def test_assistants_are_listed(fake: FakeAssistants, threadkeep: Run) -> None:
    """Id, tab, name; control characters in a name are made visible; no name is an empty name."""
    rows = [("asst_1", "Tutor"), ("asst_2", None), ("asst_3", "red\x1b[31m")]
    base = {"object": "assistant", "created_at": 1, "model": "gpt-4o"}
    fake.state = {"assistants": [{"id": name, "name": title, **base} for name, title in rows]}
    done = threadkeep("assistants")
    assert (done.code, done.out) == (0, "asst_1\tTutor\nasst_2\t\nasst_3\tred\\x1b[31m\n")


def test_every_awkward_message_is_exported_as_it_is(
    fake: FakeAssistants, threadkeep: Run, tmp_path: Path, out: Path
) -> None:
    """Number types, key order, lone surrogates, NUL, U+2028 and unknown fields come through HTTP to the letter."""
    raw = (
        '{"id":"msg_1","zz":[1,1.0,-0.0,18446744073709551615,1e22,18446744073709551616,-9223372036854775809],'
        '"thread_id":"thread_1","role":"user","created_at":1700000000,"content":['
        '{"type":"text","text":{"value":"a\\u0000b\\ud800c\u2028d\\u0085e\\r\\n\U0001f32e","annotations":[],"new":null}},'
        '{"type":"hologram","depth":{"x":[[]]}},{"type":"refusal","refusal":"no"}],"aa":"1234567890123456789012"}'
    )
    fake.load(f'{{"threads":[{{"id":"thread_1"}}],"messages":[{raw}]}}'.encode())
    assert threadkeep("export", write_ids(tmp_path, "thread_1"), ASSISTANT, out).code == 0
    (line,) = out.read_bytes().split(b"\n")[:-1]
    assert json.dumps(json.loads(line)["message"]) == json.dumps(json.loads(raw))
    assert json.loads(line)["text"] == "a\x00b\ud800c\u2028d\x85e\r\n\U0001f32e"
    assert threadkeep("validate", out).code == 0
