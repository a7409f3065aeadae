"""``threadkeep validate`` at the command line: what it says, what it writes, and how its list heals an export."""

import json
import os
from pathlib import Path
from typing import Any

import attrs
import pytest

import threadkeep as library
from command import Run
from exports import ASSISTANT, beside, exported, served, write_ids
from fake_assistants import demo_world
from full_disk import full_disk
from processes import started
from threadkeep.cli.validation_summary import FORMAT
from threadkeep.validation.findings import Finding, Severity
from threadkeep.validation.report import collect
from threadkeep.wanted import encode
from watched import Watched, what_is_behind

MISSING = "thread_missing00000000000000000"


@pytest.fixture
def fake() -> Watched:
    """Threads of one page and of two."""
    return Watched.holding(demo_world(5, 12), demo_world(2, 130, seed=1))


@pytest.fixture
def arguments(base_url: str, ids: Path, out: Path) -> tuple[object, ...]:
    """The command that exports all threads."""
    assert base_url
    return "export", ids, ASSISTANT, out, "--quiet"


@pytest.fixture
def whole(arguments: tuple[object, ...], out: Path, threadkeep: Run) -> Path:
    """A whole export."""
    assert threadkeep(*arguments).code == 0
    return out


def change(path: Path, number: int, old: bytes, new: bytes) -> str:
    """Change a line, by its number from 1; gives its thread."""
    lines = path.read_bytes().splitlines(keepends=True)
    assert old in lines[number - 1]
    thread_id: str = json.loads(lines[number - 1])["thread_id"]
    lines[number - 1] = lines[number - 1].replace(old, new, 1)
    path.write_bytes(b"".join(lines))
    return thread_id


def test_the_object_has_the_documented_keys(whole: Path, ids: Path, threadkeep: Run) -> None:
    """All of them, also where there is nothing to say."""
    done = threadkeep("validate", whole, "--ids", ids, "--json")
    said = json.loads(done.out)
    assert (done.code, done.err) == (0, "")
    documented = (Path(__file__).parents[2] / "docs" / "commands.md").read_text()
    section = documented.partition("## threadkeep validate")[2].partition("\n## ")[0]
    assert all(f"| `{key}`" in section or f", `{key}`" in section for key in said)
    assert said["format"] == FORMAT
    assert said["totals"] == {"threads": 7, "messages": 320, "bytes": whole.stat().st_size}
    assert said["outcomes"]["complete"] == 7
    assert said["sizes"] == {"12": 5, "130": 2}
    assert sum(said["months"].values()) == 320
    assert (said["whole"], said["refetch"], said["live"]) == (True, [], None)
    assert {row["severity"] for row in said["findings"]} == {"note"}
    fields = {field.name for field in attrs.fields(Finding)}
    assert all(row.keys() == fields for row in said["findings"])


def test_the_library_says_the_same(whole: Path, threadkeep: Run) -> None:
    """Typed, and iterable."""
    change(whole, 3, b'"role":"', b'"role":"x')
    report = library.validate(whole, most=2)
    assert isinstance(report, library.ValidationReport)
    assert len(report) == len(list(report)) <= sum(report.counts.values())
    assert (report.is_whole, report.severities[library.Severity.ERROR]) == (False, 2)
    said = json.loads(threadkeep("validate", whole, "--json").out)
    assert said["counts"] == dict(report.counts)
    errors = {row["code"] for row in said["findings"] if row["severity"] == "error"}
    assert errors == {"digest_mismatch", "key_mismatch"}


def test_what_the_library_refuses(whole: Path) -> None:
    """Arguments that cannot be meant, and an export that is not there."""
    with pytest.raises(TypeError, match="give the ids themselves"):
        library.validate(whole, ids="thread_a")
    with pytest.raises(ValueError, match="at least 1"):
        library.validate(whole, most=0)
    with pytest.raises(library.ThreadkeepError, match="No such file"):
        library.validate(whole.with_name("nowhere"))


def test_repeated_findings_are_folded(whole: Path, threadkeep: Run) -> None:
    """The first few with their places, the rest as a number; as many as wanted, on a screen and as JSON."""
    whole.write_bytes(whole.read_bytes().replace(b"\n", b"\r\n"))
    told = threadkeep("validate", whole).out
    assert told.count("the line ends with CR and LF") == 5
    assert "… and 315 more" in told
    assert threadkeep("validate", whole, "--most", 7).out.count("the line ends with CR and LF") == 7
    said = json.loads(threadkeep("validate", whole, "--json").out)
    assert said["counts"]["crlf"] == 320
    assert sum(row["code"] == "crlf" for row in said["findings"]) == 100
    many = json.loads(threadkeep("validate", whole, "--json", "--most", 1000).out)
    assert sum(row["code"] == "crlf" for row in many["findings"]) == 320


def test_the_list_heals_the_export(
    fake: Watched, whole: Path, arguments: tuple[object, ...], ids: Path, threadkeep: Run, tmp_path: Path
) -> None:
    """The command that is told, typed as it stands, asks for the damaged threads only."""
    damaged = {change(whole, 2, b'"role":"', b'"role":"x'), change(whole, 300, b'"role":"', b'"role":"x')}
    assert threadkeep(*arguments).code == 5
    listed = tmp_path / "refetch.txt"
    done = threadkeep("validate", whole, "--ids-to-refetch", listed)
    assert (done.code, set(listed.read_text().split())) == (1, damaged)
    command = done.out.splitlines()[-1].split()
    assert command[:2] == ["threadkeep", "export"]
    asked = len(fake.asked)
    assert threadkeep(*command[1:]).code == 0
    assert {request.path.split("/")[3] for request in fake.asked[asked:]} == damaged
    assert threadkeep("validate", whole, "--ids", ids).code == 0
    assert exported(whole) == served(fake)


def test_nothing_to_fetch_is_an_empty_list(whole: Path, threadkeep: Run, tmp_path: Path) -> None:
    """Also where something else is wrong, and then it is said what."""
    listed = tmp_path / "refetch.txt"
    assert threadkeep("validate", whole, "--ids-to-refetch", listed).code == 0
    assert listed.read_text() == ""
    manifest = beside(whole, ".manifest.json")
    manifest.write_bytes(manifest.read_bytes().replace(b'"messages": 320', b'"messages": 321'))
    done = threadkeep("validate", whole)
    assert done.code == 1
    assert done.out.splitlines()[-1] == "Next: run the same export command again: it goes on."
    assert "out.ndjson.manifest.json $.totals.messages: " in done.out


def test_without_a_journal_the_list_is_for_another_place(whole: Path, threadkeep: Run, tmp_path: Path) -> None:
    """Nothing vouches for any thread then."""
    beside(whole, ".journal").unlink()
    listed = tmp_path / "refetch.txt"
    done = threadkeep("validate", whole, "--ids-to-refetch", listed)
    assert len(listed.read_text().split()) == 7
    assert done.out.splitlines()[-1].startswith(f"Next: export the threads in {listed} to another place")
    assert "--ids-to-refetch" in threadkeep("validate", whole).out.splitlines()[-1]


def test_threads_that_the_export_never_knew_are_asked_for_too(
    whole: Path, ids: Path, threadkeep: Run, tmp_path: Path
) -> None:
    """Beside damaged ones only on demand, which the told command makes."""
    damaged = change(whole, 2, b'"role":"', b'"role":"x')
    more = write_ids(tmp_path / "..", *ids.read_text().split(), MISSING)
    listed = tmp_path / "refetch.txt"
    done = threadkeep("validate", whole, "--ids", more, "--ids-to-refetch", listed)
    assert set(listed.read_text().split()) == {damaged, MISSING}
    assert threadkeep(*done.out.splitlines()[-1].split()[1:]).code == 1
    assert {row.code for row in library.validate(whole) if row.severity is not Severity.NOTE} == {"thread_missing"}


@pytest.mark.parametrize("option", ["--ids-to-refetch", "--report"])
def test_no_file_of_the_export_is_written_over(option: str, whole: Path, threadkeep: Run, tmp_path: Path) -> None:
    """Nor the list of ids, nor the other file that is asked for."""
    before = {path: path.read_bytes() for path in tmp_path.glob("out*")}
    for name in (*before, whole.with_name("out.files") / "file-1"):
        done = threadkeep("validate", whole, option, name)
        assert (done.code, "is a file of the export itself" in done.err) == (2, True)
    twice = tmp_path / "twice"
    done = threadkeep("validate", whole, "--ids-to-refetch", twice, "--report", twice)
    assert (done.code, "are the same file" in done.err) == (2, True)
    assert {path: path.read_bytes() for path in tmp_path.glob("out*")} == before


def test_files_that_cannot_be_written_are_told(whole: Path, threadkeep: Run, tmp_path: Path) -> None:
    """Exit 5, with the name; what is no file, such as standard output, is written to as it is."""
    done = threadkeep("validate", whole, "--report", tmp_path / "nowhere" / "report.html")
    assert (done.code, "nowhere" in done.err) == (5, True)
    done = threadkeep("validate", whole, "--report", tmp_path)
    assert (done.code, f"{tmp_path} is a folder" in done.err) == (5, True)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reading = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    change(whole, 2, b'"role":"', b'"role":"x')
    assert threadkeep("validate", whole, "--ids-to-refetch", pipe).code == 1
    assert os.read(reading, 100).startswith(b"thread_")
    os.close(reading)


def test_a_full_disk_leaves_the_page_that_was_there(whole: Path, threadkeep: Run, tmp_path: Path) -> None:
    """And no draft of the new one."""
    page = tmp_path / "report.html"
    page.write_bytes(b"old")
    before = sorted(tmp_path.iterdir())
    with full_disk(4096):
        done = threadkeep("validate", whole, "--report", page)
    assert (done.code, "report.html" in done.err) == (5, True)
    assert (page.read_bytes(), sorted(tmp_path.iterdir())) == (b"old", before)


def test_an_export_whose_journal_cannot_be_read_is_not_sent_in_circles(whole: Path, threadkeep: Run) -> None:
    """No run goes on with it, whatever the list."""
    journal = beside(whole, ".journal")
    journal.write_bytes(b"{}\n" + journal.read_bytes())
    assert "Next: no run goes on with this journal" in threadkeep("validate", whole).out.splitlines()[-1]


def test_wanted_ids_that_cannot_be_read_are_the_first_thing_to_see_to(whole: Path, ids: Path, threadkeep: Run) -> None:
    """No run goes on beside them; without them one does."""
    wanted = beside(whole, ".wanted.json")
    wanted.write_bytes(b"{")
    assert threadkeep("status", whole).code == 5
    assert threadkeep("export", ids, ASSISTANT, whole).code == 5
    done = threadkeep("validate", whole)
    assert (done.code, done.out.splitlines()[-1]) == (1, "Next: delete it and export all ids again.")
    wanted.unlink()
    assert threadkeep("export", ids, ASSISTANT, whole).code == 0
    assert threadkeep("validate", whole).code == 0


def test_a_header_that_was_changed_is_not_sent_in_circles(whole: Path, threadkeep: Run) -> None:
    """What its finding says of it counts, and not what others of that code ask for."""
    journal = beside(whole, ".journal")
    journal.write_bytes(journal.read_bytes().replace(b'"asst_abc123"', b'"asst_abc124"', 1))
    done = threadkeep("validate", whole)
    assert "do what is said above of manifest_mismatch" in done.out.splitlines()[-1]
    assert "restore" in next(line for line in done.out.splitlines() if "manifest.json $.assistant_id" in line)


def test_a_run_that_was_killed_before_its_first_line_is_gone_on_with(
    ids: Path, arguments: tuple[object, ...], out: Path, threadkeep: Run
) -> None:
    """Its ids are known already, and the same command is what to type."""
    beside(out, ".journal").write_bytes(b'{"sour')
    beside(out, ".wanted.json").write_bytes(encode(ids.read_text().split()[1:]))
    done = threadkeep("validate", out, "--ids-to-refetch", out.with_name("refetch.txt"))
    assert (done.code, done.out.splitlines()[-1]) == (1, "Next: run the same export command again: it goes on.")
    assert threadkeep(*arguments).code == 0
    assert threadkeep("validate", out, "--ids", ids).code == 0


def test_a_link_stays_one(whole: Path, threadkeep: Run, tmp_path: Path) -> None:
    """What it leads to is written."""
    link, page = tmp_path / "link.html", tmp_path / "report.html"
    link.symlink_to(page)
    assert threadkeep("validate", whole, "--report", link).code == 0
    assert (link.is_symlink(), page.read_bytes()[:9].lower()) == (True, b"<!doctype")


def test_no_more_findings_are_listed_than_were_asked_for(whole: Path, threadkeep: Run) -> None:
    """Of each code, for programs too; all are counted."""
    for number in (1, 2, 3):
        change(whole, number, b'"role":"', b'"role":"x')
    said = json.loads(threadkeep("validate", whole, "--json", "--most", 2).out)
    assert [row["code"] for row in said["findings"]].count("key_mismatch") == 2
    assert said["counts"]["key_mismatch"] == 3


def test_lines_alone_are_not_called_more_than_that(whole: Path, threadkeep: Run) -> None:
    """Nothing vouches that they are all."""
    beside(whole, ".journal").unlink()
    beside(whole, ".manifest.json").unlink()
    done = threadkeep("validate", whole)
    assert (done.code, ": whole, by its lines alone (" in done.out) == (0, True)


def test_the_page_is_written(whole: Path, threadkeep: Run, tmp_path: Path) -> None:
    """With the verdict, the findings and the conversation concerned."""
    damaged = change(whole, 2, b'"role":"', b'"role":"x')
    page = tmp_path / "report.html"
    assert threadkeep("validate", whole, "--report", page).code == 1
    text = page.read_text()
    assert text.lower().startswith("<!doctype html>")
    assert "key_mismatch" in text
    assert damaged in text


def test_options_that_contradict_each_other(whole: Path, threadkeep: Run) -> None:
    """Those of a live check without one, above all."""
    for options in (["--sample", 3], ["--live", "--seed", 3], ["--base-url", "http://127.0.0.1:9/v1"]):
        assert threadkeep("validate", whole, *options).code == 2


def test_a_live_check_and_a_refresh(fake: Watched, whole: Path, threadkeep: Run, tmp_path: Path) -> None:
    """Nothing to say; then a new message; then, when its thread was fetched again, nothing to say."""
    done = threadkeep("validate", whole, "--live")
    assert (done.code, "7 of 7 threads compared" in done.out) == (0, True)
    last = fake.snapshot()["messages"][-1]
    fake.load({"messages": [{**last, "id": "msg_new", "created_at": last["created_at"] + 1}]})
    listed = tmp_path / "refetch.txt"
    done = threadkeep("validate", whole, "--live", "--ids-to-refetch", listed)
    assert (done.code, listed.read_text()) == (1, f"{last['thread_id']}\n")
    assert "1 new message" in done.out
    command = done.out.splitlines()[-1].split()
    assert "--refresh" in command
    assert threadkeep(*command[1:]).code == 0
    assert threadkeep("validate", whole, "--live").code == 0
    assert exported(whole) == served(fake)


def test_a_sample(fake: Watched, whole: Path, threadkeep: Run) -> None:
    """So many threads are asked for; the same ones each time, others with another seed."""
    asked = []
    for seed in ([], ["--seed", 0], ["--seed", 5]):
        before = len(fake.asked)
        said = json.loads(threadkeep("validate", whole, "--live", "--sample", 2, *seed, "--json").out)
        assert (said["live"]["wanted"], said["live"]["compared"]) == (2, 2)
        asked.append({request.path for request in fake.asked[before:]})
    assert [len(paths) for paths in asked] == [2, 2, 2]
    assert asked[0] == asked[1] != asked[2]


@pytest.mark.parametrize("style", ["gone", "not-found"])
def test_the_sunset_in_a_live_check(style: Any, fake: Watched, whole: Path, threadkeep: Run) -> None:
    """Exit 3, with what had been compared until then, and no thread called lost."""
    fake.before(lambda: fake.sunset.now(style=style), nth=2, of=what_is_behind)
    done = threadkeep("validate", whole, "--live", "--json")
    assert done.code == 3
    said = json.loads(done.out)
    assert 0 <= said["live"]["compared"] < said["live"]["wanted"] == 7
    assert said["live"]["ended_by"]
    assert said["live"]["compared"] + len(said["live"]["left"]) == 7
    told = threadkeep("validate", whole, "--live", "--sample", 2)
    assert (told.code, "ended before its time, with 2 threads left" in told.out) == (3, True)
    assert {row["severity"] for row in said["findings"]} == {"note"}


@pytest.mark.usefixtures("base_url")
def test_a_live_check_without_journal(whole: Path, threadkeep: Run) -> None:
    """The lines say which threads there are, and what they are of."""
    for suffix in (".journal", ".manifest.json"):
        beside(whole, suffix).unlink()
    done = threadkeep("validate", whole, "--live")
    assert (done.code, "7 of 7 threads compared" in done.out) == (0, True)


def test_a_reader_that_goes_away_changes_nothing(whole: Path) -> None:
    """With colours, tables and all."""
    change(whole, 2, b'"role":"', b'"role":"x')
    with started("validate", whole) as process:
        assert process.stdout is not None
        process.stdout.close()
        _, err = process.communicate()
    assert (process.returncode, err) == (1, b"")


def test_an_error_behind_many_notes_of_its_code_counts() -> None:
    """However few findings are listed."""
    note = Finding(code="torn_line", severity=Severity.NOTE, message="x")
    error = Finding(code="torn_line", severity=Severity.ERROR, message="x")
    folded = collect([note] * 5 + [error], 1)
    assert folded.kept == (note, error)
    assert folded.severities == {Severity.ERROR: 1, Severity.WARNING: 0, Severity.NOTE: 5}


def test_words_of_a_journal_are_no_commands_of_a_terminal(whole: Path, threadkeep: Run, tmp_path: Path) -> None:
    """Whoever wrote an address into it: control characters are shown, and the line stays one."""
    journal = beside(whole, ".journal")
    header, _, rest = journal.read_bytes().partition(b"\n")
    evil = json.loads(header) | {"source": "http://x/\u001b]0;owned\u0007\nrm -rf \u202e"}
    journal.write_bytes(json.dumps(evil).encode() + b"\n" + rest)
    change(whole, 2, b'"role":"', b'"role":"x')
    for command in (["validate", whole, "--ids-to-refetch", tmp_path / "r"], ["status", whole]):
        told = threadkeep(*command)
        assert not set("\x1b\x07\u202e") & set(told.out + told.err)
        assert not any(line.startswith("rm") for line in told.out.splitlines())


def test_a_draft_of_anybody_is_left_alone(whole: Path, ids: Path, threadkeep: Run, tmp_path: Path) -> None:
    """A file that is written whole comes by a name that nobody has; no such name is left behind."""
    theirs = tmp_path / "refetch.txt.draft"
    theirs.write_bytes(ids.read_bytes())
    before = set(tmp_path.iterdir())
    assert threadkeep("validate", whole, "--ids", theirs, "--ids-to-refetch", tmp_path / "refetch.txt").code == 0
    assert theirs.read_bytes() == ids.read_bytes()
    assert set(tmp_path.iterdir()) - before == {tmp_path / "refetch.txt"}
    assert threadkeep("validate", whole, "--ids-to-refetch", "-").code == 2


def test_a_reader_of_status_that_goes_away_changes_nothing(whole: Path) -> None:
    """A whole export stays whole for scripts that look at the first line only."""
    with started("status", whole) as process:
        assert process.stdout is not None
        process.stdout.close()
        _, err = process.communicate()
    assert (process.returncode, err) == (0, b"")


def test_what_is_no_file_is_not_waited_for(whole: Path, threadkeep: Run, tmp_path: Path) -> None:
    """A pipe in the place of the export, or of its journal, and a device without end."""
    pipe = tmp_path / "pipe.ndjson"
    os.mkfifo(pipe)
    assert threadkeep("validate", pipe).code == 5
    assert threadkeep("validate", "/dev/zero").code == 5
    journal = beside(whole, ".journal")
    journal.unlink()
    os.mkfifo(journal)
    done = threadkeep("validate", whole)
    assert (done.code, "out.ndjson.journal is neither a file nor a directory" in done.err) == (5, True)


def test_a_journal_whose_lines_changed_places(whole: Path) -> None:
    """It is told: where one thread ends says where the next one begins."""
    journal = beside(whole, ".journal")
    lines = journal.read_bytes().splitlines(keepends=True)
    lines[2], lines[4] = lines[4], lines[2]
    journal.write_bytes(b"".join(lines))
    found = [row for row in library.validate(whole) if row.severity is Severity.ERROR]
    assert {(row.code, row.file) for row in found} == {("misplaced_thread", journal.name)}


def test_a_thread_without_messages_that_nobody_asked_for(
    fake: Watched, arguments: tuple[object, ...], ids: Path, threadkeep: Run
) -> None:
    """It has no lines, and the journal knows it."""
    fake.load({"threads": [{"id": "thread_empty", "object": "thread", "created_at": 1, "metadata": {}}]})
    ids.write_text(ids.read_text() + "\nthread_empty\n")
    assert threadkeep(*arguments).code == 0
    listed = ids.read_text().replace("thread_empty", "").split()
    (row,) = [row for row in library.validate(arguments[3], ids=listed) if row.severity is not Severity.NOTE]  # type: ignore[arg-type]
    assert (row.code, row.thread_id) == ("not_wanted", "thread_empty")


def test_pages_of_a_thread_of_which_nobody_knows(whole: Path) -> None:
    """They are noted: nothing is thrown away, and nothing that was wanted is missing."""
    line = whole.read_bytes().splitlines(keepends=True)[0]
    thread_id = json.loads(line)["thread_id"].encode()
    beside(whole, ".partial").write_bytes(line.replace(thread_id, b"thread_stranger"))
    report = library.validate(whole)
    (row,) = [row for row in report if row.code == "thread_partial"]
    assert (row.severity, row.thread_id, row.line, report.is_whole) == (Severity.NOTE, "thread_stranger", 1, True)
