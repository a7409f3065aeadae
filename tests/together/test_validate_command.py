"""``threadkeep validate`` at the command line: what it prints, what it writes, and how its list repairs an export."""

import json
import os
import re
import shlex
import stat
from pathlib import Path
from typing import Any

import attrs
import pytest

import threadkeep as library
from command import Done, Run
from exports import ASSISTANT, beside, exported, served, write_ids
from fake_assistants import demo_world
from full_disk import full_disk
from processes import started
from threadkeep.cli.validation_summary import FORMAT
from threadkeep.storage.lock import locked
from threadkeep.validation.findings import Finding, Severity
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
def complete(arguments: tuple[object, ...], out: Path, threadkeep: Run) -> Path:
    """A complete export."""
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


def test_the_object_has_the_documented_keys(complete: Path, ids: Path, threadkeep: Run) -> None:
    """All of them, also where there is nothing to say."""
    done = threadkeep("validate", complete, "--ids", ids, "--json")
    printed = json.loads(done.out)
    assert (done.code, done.err) == (0, "")
    documented = (Path(__file__).parents[2] / "docs" / "commands.md").read_text()
    section = documented.partition("## threadkeep validate")[2].partition("\n## ")[0]
    assert all(f"| `{key}`" in section or f", `{key}`" in section for key in printed)
    assert printed["format"] == FORMAT
    assert printed["totals"] == {"threads": 7, "messages": 320, "bytes": complete.stat().st_size}
    assert printed["outcomes"]["complete"] == 7
    assert printed["sizes"] == {"12": 5, "130": 2}
    assert sum(printed["months"].values()) == 320
    assert (printed["complete"], printed["refetch"], printed["live"]) == (True, [], None)
    assert {row["severity"] for row in printed["findings"]} == {"note"}
    fields = {field.name for field in attrs.fields(Finding)}
    assert all(row.keys() == fields for row in printed["findings"])


def test_the_library_says_the_same(complete: Path, threadkeep: Run) -> None:
    """Typed, and iterable."""
    change(complete, 3, b'"role":"', b'"role":"x')
    report = library.validate(complete, most=2)
    assert isinstance(report, library.ValidationReport)
    assert len(report) == len(list(report)) <= sum(report.counts.values())
    assert (report.is_complete, report.severities[library.Severity.ERROR]) == (False, 4)
    printed = json.loads(threadkeep("validate", complete, "--json").out)
    assert printed["counts"] == dict(report.counts)
    errors = {row["code"] for row in printed["findings"] if row["severity"] == "error"}
    assert errors == errors_of(report) == {"digest_mismatch", "key_mismatch", "manifest_mismatch"}


def errors_of(report: library.ValidationReport) -> set[str]:
    """The codes of the errors."""
    return {one.code for one in report if one.severity is library.Severity.ERROR}


def test_repeated_findings_are_folded(complete: Path, threadkeep: Run) -> None:
    """The first few with their places, the rest as a number; as many as wanted, on a screen and as JSON."""
    complete.write_bytes(complete.read_bytes().replace(b"\n", b"\r\n"))
    printed = threadkeep("validate", complete).out
    assert printed.count("the line ends with CR and LF") == 5
    assert "… and 315 more" in printed
    assert threadkeep("validate", complete, "--most", 7).out.count("the line ends with CR and LF") == 7
    printed = json.loads(threadkeep("validate", complete, "--json").out)
    assert printed["counts"]["crlf"] == 320
    assert sum(row["code"] == "crlf" for row in printed["findings"]) == 100
    many = json.loads(threadkeep("validate", complete, "--json", "--most", 1000).out)
    assert sum(row["code"] == "crlf" for row in many["findings"]) == 320


def test_the_list_repairs_the_export(fake: Watched, complete: Path, ids: Path, threadkeep: Run, tmp_path: Path) -> None:
    """The command that is printed, typed as it is, asks for the damaged threads only."""
    damaged = {change(complete, 2, b'"role":"', b'"role":"x'), change(complete, 300, b'"role":"', b'"role":"x')}
    listed = tmp_path / "refetch.txt"
    done = threadkeep("validate", complete, "--ids-to-refetch", listed)
    assert (done.code, set(listed.read_text().split())) == (1, damaged)
    command = shlex.split(done.out.splitlines()[-1])
    assert command[:2] == ["threadkeep", "export"]
    asked = len(fake.asked)
    assert threadkeep(*command[1:]).code == 0
    assert {request.path.split("/")[3] for request in fake.asked[asked:]} == damaged
    assert threadkeep("validate", complete, "--ids", ids).code == 0
    assert exported(complete) == served(fake)


def test_nothing_to_fetch_is_an_empty_list(complete: Path, threadkeep: Run, tmp_path: Path) -> None:
    """Also where something else is wrong, and then the next step says what."""
    listed = tmp_path / "refetch.txt"
    assert threadkeep("validate", complete, "--ids-to-refetch", listed).code == 0
    assert listed.read_text() == ""
    manifest = beside(complete, ".manifest.json")
    manifest.write_bytes(manifest.read_bytes().replace(b'"messages": 320', b'"messages": 321'))
    done = threadkeep("validate", complete)
    assert done.code == 1
    assert done.out.splitlines()[-1] == "Next: Export the list again: what is damaged or contradictory is repaired."
    assert "out.ndjson.manifest.json $.totals.messages: " in done.out


def test_without_an_index_no_export_resumes(complete: Path, threadkeep: Run, tmp_path: Path) -> None:
    """Nothing vouches for any thread then: all are listed, and the next step is a copy or a new export."""
    beside(complete, ".index").unlink()
    listed = tmp_path / "refetch.txt"
    done = threadkeep("validate", complete, "--ids-to-refetch", listed)
    assert (done.code, len(listed.read_text().split())) == (1, 7)
    assert done.out.splitlines()[-1] == "Next: Restore the index from a copy, or begin anew with --fresh."


def test_the_list_that_was_given_is_exported_again(complete: Path, ids: Path, threadkeep: Run) -> None:
    """The next step is a command with that list."""
    change(complete, 2, b'"role":"', b'"role":"x')
    *lines, command = threadkeep("validate", complete, "--ids", ids).out.splitlines()
    assert " ".join(lines).endswith(f" Next: Export the threads in {ids} again, and validate once more:")
    assert re.fullmatch(rf"  threadkeep export .*--base-url=\S+ {ids} {ASSISTANT} {complete}", command)


def test_one_export_repairs_several_things(complete: Path, threadkeep: Run) -> None:
    """The next step is printed once; a damaged manifest and a damaged row here."""
    beside(complete, ".manifest.json").write_text("no JSON")
    beside(complete, ".index").write_bytes(beside(complete, ".index").read_bytes() + b"no row")
    *_, verdict, step = threadkeep("validate", complete).out.splitlines()
    assert verdict == f"{complete}: not complete (2 errors)"
    assert step == "Next: Export the list again: what is damaged or contradictory is repaired."


def test_the_command_that_repairs_can_be_typed(complete: Path, ids: Path, threadkeep: Run) -> None:
    """With --ids it follows the next step, and the export is complete again when it has run."""
    manifest = json.loads(beside(complete, ".manifest.json").read_bytes())
    manifest["totals"]["threads"] += 1
    beside(complete, ".manifest.json").write_text(json.dumps(manifest))
    *_, step, command = threadkeep("validate", complete, "--ids", ids).out.splitlines()
    assert step == "Next: Export the list again: what is damaged or contradictory is repaired."
    assert threadkeep(*shlex.split(command)[1:]).code == 0
    assert threadkeep("validate", complete, "--ids", ids).code == 0


def test_what_is_next_is_printed_once(complete: Path, threadkeep: Run) -> None:
    """A note whose next step is that of the export leaves it out."""
    for ending in ("", ".index", ".manifest.json"):
        beside(complete, ending).unlink()
    with locked(beside(complete, ".lock")):
        out = threadkeep("validate", complete).out
    assert out.count("Validate again when it has ended.") == 1


def test_an_entry_that_is_no_thread_id_is_quoted(complete: Path, ids: Path, threadkeep: Run) -> None:
    """With its kind, if that is known."""
    ids.write_text(f"{ids.read_text()}\nbad id\nrun_123\n")
    out = threadkeep("validate", complete, "--ids", ids).out
    assert "  the list has the entry 'bad id'.\n" in out
    assert "  the list has the entry 'run_123', a run's id.\n" in out


def test_a_comparison_that_was_cut_off_is_counted_once(complete: Path, fake: Watched, threadkeep: Run) -> None:
    """The row about it has the number, and the verdict says that it is about the files."""
    fake.faults = [{"match": {"path": "/threads/"}, "do": {"status": 401}}]
    done = threadkeep("validate", complete, "--live")
    assert done.code == 4
    assert "  live          0 of 7 threads compared with" in done.out
    assert "not compared" not in done.out
    assert done.out.splitlines()[-1] == f"{complete}: complete; the comparison with the API was cut off"


def test_a_file_of_another_size_is_named_with_both_sizes(complete: Path, threadkeep: Run) -> None:
    """That of the file, and that of the manifest, which nobody is advised to delete."""
    size = complete.stat().st_size
    complete.write_bytes(complete.read_bytes() + b"{}\n")
    out = threadkeep("validate", complete).out
    assert f"$.files.out.bytes: out.ndjson has {size + 3:,} bytes, and the manifest says {size:,}." in out
    assert "delete" not in out


def test_threads_that_the_export_never_knew_are_asked_for_too(
    complete: Path, ids: Path, threadkeep: Run, tmp_path: Path
) -> None:
    """With damaged ones, in one list."""
    damaged = change(complete, 2, b'"role":"', b'"role":"x')
    more = write_ids(tmp_path / "..", *ids.read_text().split(), MISSING)
    listed = tmp_path / "refetch.txt"
    done = threadkeep("validate", complete, "--ids", more, "--ids-to-refetch", listed)
    assert set(listed.read_text().split()) == {damaged, MISSING}
    assert threadkeep(*shlex.split(done.out.splitlines()[-1])[1:]).code == 1
    assert {row.code for row in library.validate(complete) if row.severity is not Severity.NOTE} == {"thread_missing"}


@pytest.mark.parametrize("option", ["--ids-to-refetch", "--report"])
def test_no_file_of_the_export_is_written_over(option: str, complete: Path, threadkeep: Run, tmp_path: Path) -> None:
    """Nor the list of ids, nor the other file that is asked for."""
    before = {path: path.read_bytes() for path in tmp_path.glob("out*")}
    for name in (*before, complete.with_name("out.files") / "file-1"):
        done = threadkeep("validate", complete, option, name)
        assert (done.code, "is a file of the export itself" in done.err) == (2, True)
    twice = tmp_path / "twice"
    done = threadkeep("validate", complete, "--ids-to-refetch", twice, "--report", twice)
    assert (done.code, "are the same file" in done.err) == (2, True)
    assert {path: path.read_bytes() for path in tmp_path.glob("out*")} == before


def test_files_that_cannot_be_written_are_named(complete: Path, threadkeep: Run, tmp_path: Path) -> None:
    """Exit 5, with the name; what is no file, such as standard output, is written to as it is."""
    done = threadkeep("validate", complete, "--report", tmp_path / "nowhere" / "report.html")
    assert (done.code, "nowhere" in done.err) == (5, True)
    done = threadkeep("validate", complete, "--report", tmp_path)
    assert (done.code, f"{tmp_path} is a folder" in done.err) == (5, True)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reading = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    change(complete, 2, b'"role":"', b'"role":"x')
    assert threadkeep("validate", complete, "--ids-to-refetch", pipe).code == 1
    assert os.read(reading, 100).startswith(b"thread_")
    os.close(reading)


def test_a_full_disk_leaves_the_page_that_was_there(complete: Path, threadkeep: Run, tmp_path: Path) -> None:
    """And no draft of the new one."""
    page = tmp_path / "report.html"
    page.write_bytes(b"old")
    before = sorted(tmp_path.iterdir())
    with full_disk(4096):
        done = threadkeep("validate", complete, "--report", page)
    assert (done.code, "report.html" in done.err) == (5, True)
    assert (page.read_bytes(), sorted(tmp_path.iterdir())) == (b"old", before)


def test_an_export_that_is_at_work(fake: Watched, arguments: tuple[object, ...], threadkeep: Run) -> None:
    """Validate says so first, and is not satisfied while nothing has been written."""
    out, shown = arguments[3], list[Done]()

    def look() -> None:
        shown.append(threadkeep("validate", out))

    fake.before(look, nth=3)
    with started(*arguments) as process:
        process.wait(300)
    fake.before(look, nth=3)
    with started(*arguments, "--refresh") as process:
        process.wait(300)
    first, second = shown
    assert (first.code, "\nnote: an export is running (" in first.out) == (1, True)
    assert (second.code, "\nnote: an export is running (" in second.out) == (0, True)


def test_a_link_stays_one(complete: Path, threadkeep: Run, tmp_path: Path) -> None:
    """What it leads to is written."""
    link, page = tmp_path / "link.html", tmp_path / "report.html"
    link.symlink_to(page)
    assert threadkeep("validate", complete, "--report", link).code == 0
    assert (link.is_symlink(), page.read_bytes()[:9].lower()) == (True, b"<!doctype")


@pytest.mark.parametrize("option", ["--ids-to-refetch", "--report"])
def test_only_its_owner_may_read_a_new_file(option: str, complete: Path, threadkeep: Run, tmp_path: Path) -> None:
    """As those of the export, since texts of users may be in it. One that is replaced keeps its permissions."""
    written = tmp_path / "written"
    for mode in (0o600, 0o640):
        assert threadkeep("validate", complete, option, written).code == 0
        assert stat.S_IMODE(written.stat().st_mode) == mode
        written.chmod(0o640)


def test_lines_alone_are_not_called_more_than_that(complete: Path, threadkeep: Run) -> None:
    """Nothing vouches that they are all."""
    beside(complete, ".index").unlink()
    beside(complete, ".manifest.json").unlink()
    done = threadkeep("validate", complete)
    assert (done.code, done.out.endswith(": complete, by its lines alone\n")) == (0, True)


def test_the_page_is_written(complete: Path, threadkeep: Run, tmp_path: Path) -> None:
    """With the verdict, the findings and the conversation concerned."""
    damaged = change(complete, 2, b'"role":"', b'"role":"x')
    page = tmp_path / "report.html"
    assert threadkeep("validate", complete, "--report", page).code == 1
    text = page.read_text()
    assert text.lower().startswith("<!doctype html>")
    assert "key_mismatch" in text
    assert damaged in text


def test_options_that_contradict_each_other(complete: Path, threadkeep: Run) -> None:
    """Those of a live check without one, above all."""
    for options in (["--sample", 3], ["--live", "--seed", 3], ["--base-url", "http://127.0.0.1:9/v1"]):
        assert threadkeep("validate", complete, *options).code == 2


def test_a_live_check_and_a_refresh(fake: Watched, complete: Path, threadkeep: Run, tmp_path: Path) -> None:
    """Nothing to say; then a new message; then, when its thread was fetched again, nothing to say."""
    done = threadkeep("validate", complete, "--live")
    assert (done.code, "7 of 7 threads compared" in done.out) == (0, True)
    last = fake.snapshot()["messages"][-1]
    fake.load({"messages": [{**last, "id": "msg_new", "created_at": last["created_at"] + 1}]})
    listed = tmp_path / "refetch.txt"
    done = threadkeep("validate", complete, "--live", "--ids-to-refetch", listed)
    assert (done.code, listed.read_text()) == (1, f"{last['thread_id']}\n")
    assert "1 new message" in " ".join(done.out.split())
    command = shlex.split(done.out.splitlines()[-1])
    assert "--refresh" in command
    assert threadkeep(*command[1:]).code == 0
    assert threadkeep("validate", complete, "--live").code == 0
    assert exported(complete) == served(fake)


def test_a_sample(fake: Watched, complete: Path, threadkeep: Run) -> None:
    """So many threads are asked for; the same ones each time, others with another seed."""
    asked = []
    for seed in ([], ["--seed", 0], ["--seed", 5]):
        before = len(fake.asked)
        printed = json.loads(threadkeep("validate", complete, "--live", "--sample", 2, *seed, "--json").out)
        assert (printed["live"]["wanted"], printed["live"]["compared"]) == (2, 2)
        asked.append({request.path for request in fake.asked[before:]})
    assert [len(paths) for paths in asked] == [2, 2, 2]
    assert asked[0] == asked[1] != asked[2]


@pytest.mark.parametrize("style", ["gone", "not-found"])
def test_the_sunset_in_a_live_check(style: Any, fake: Watched, complete: Path, threadkeep: Run) -> None:
    """Exit 3, with what had been compared until then, and no thread called lost."""
    fake.before(lambda: fake.sunset.now(style=style), nth=2, of=what_is_behind)
    done = threadkeep("validate", complete, "--live", "--json")
    assert done.code == 3
    printed = json.loads(done.out)
    assert 0 <= printed["live"]["compared"] < printed["live"]["wanted"] == 7
    assert printed["live"]["ended_by"]
    assert printed["live"]["compared"] + len(printed["live"]["left"]) == 7
    again = threadkeep("validate", complete, "--live", "--sample", 2)
    assert "ended early, with 2 threads left" in again.out
    assert again.code == 3
    assert {row["severity"] for row in printed["findings"]} == {"note"}


@pytest.mark.usefixtures("base_url")
def test_a_live_check_without_index(complete: Path, threadkeep: Run) -> None:
    """The lines say which threads there are, and what they are of."""
    for suffix in (".index", ".manifest.json"):
        beside(complete, suffix).unlink()
    done = threadkeep("validate", complete, "--live")
    assert (done.code, "7 of 7 threads compared" in done.out) == (0, True)


@pytest.mark.parametrize(("command", "code"), [("validate", 1), ("validate", 0), ("status", 0)])
def test_a_reader_that_goes_away_changes_nothing(command: str, code: int, complete: Path) -> None:
    """With colours, tables and all."""
    if code:
        change(complete, 2, b'"role":"', b'"role":"x')
    with started(command, complete) as process:
        assert process.stdout is not None
        process.stdout.close()
        _, err = process.communicate()
    assert (process.returncode, err) == (code, b"")


def test_words_of_a_manifest_are_no_commands_of_a_terminal(complete: Path, threadkeep: Run, tmp_path: Path) -> None:
    """Whoever wrote an address into it: control characters are shown, and the line stays one."""
    manifest = beside(complete, ".manifest.json")
    evil = json.loads(manifest.read_bytes()) | {"source": "http://x/\u001b]0;owned\u0007\nrm -rf \u202e"}
    manifest.write_bytes(json.dumps(evil | {"ended_by": "\u001b]0;owned\u0007\nrm"}).encode())
    change(complete, 2, b'"role":"', b'"role":"x')
    for command in (["validate", complete, "--ids-to-refetch", tmp_path / "r"], ["status", complete]):
        done = threadkeep(*command)
        assert not set("\x1b\x07\u202e") & set(done.out + done.err)
        assert not any(line.startswith("rm") for line in done.out.splitlines())


def test_without_a_manifest_the_next_step_is_in_words(complete: Path, threadkeep: Run, tmp_path: Path) -> None:
    """No file says by which command the export was made."""
    beside(complete, ".manifest.json").unlink()
    change(complete, 2, b'"role":"', b'"role":"x')
    listed = tmp_path / "refetch.txt"
    listed.write_text("old")
    listed.chmod(0o640)
    done = threadkeep("validate", complete, "--ids-to-refetch", listed)
    words = f" Next: Export the threads in {listed}, with the same export command as before."
    assert " ".join(done.out.splitlines()).endswith(words)
    assert listed.stat().st_mode & 0o777 == 0o640


def test_a_draft_of_anybody_is_left_alone(complete: Path, ids: Path, threadkeep: Run, tmp_path: Path) -> None:
    """A file is written by a name that nobody has; no such name is left behind."""
    theirs = tmp_path / "refetch.txt.draft"
    theirs.write_bytes(ids.read_bytes())
    before = set(tmp_path.iterdir())
    assert threadkeep("validate", complete, "--ids", theirs, "--ids-to-refetch", tmp_path / "refetch.txt").code == 0
    assert theirs.read_bytes() == ids.read_bytes()
    assert set(tmp_path.iterdir()) - before == {tmp_path / "refetch.txt"}
    assert threadkeep("validate", complete, "--ids-to-refetch", "-").code == 2


def test_what_is_no_file_is_not_waited_for(complete: Path, threadkeep: Run, tmp_path: Path) -> None:
    """A pipe in the place of the export, or of its index, and a device without end."""
    pipe = tmp_path / "pipe.ndjson"
    os.mkfifo(pipe)
    assert threadkeep("validate", pipe).code == 5
    assert threadkeep("validate", "/dev/zero").code == 5
    index = beside(complete, ".index")
    index.unlink()
    os.mkfifo(index)
    done = threadkeep("validate", complete)
    assert (done.code, "out.ndjson.index is not a regular file" in done.err) == (5, True)
