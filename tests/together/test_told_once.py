"""Each problem is told once, and many with one reason as a number; every line of ours fits 80 columns."""

import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from command import Run
from exports import write_ids
from messages import message, world
from threadkeep.cli.problems import Problems
from watched import Watched

pytestmark = pytest.mark.usefixtures("base_url")


@pytest.fixture
def fake() -> Watched:
    """Two threads in which three assistants answer, with images whose files are gone."""
    images = [{"type": "image_file", "image_file": {"file_id": f"file-{number:02}"}} for number in range(55)]
    return Watched.holding(
        world(
            [
                message(1, "thread_a", None),
                message(2, "thread_a", "asst_1"),
                *(message(10 + number, "thread_a", "asst_2", image) for number, image in enumerate(images)),
                message(100, "thread_b", "asst_3"),
                message(101, "thread_b", None, {"type": "text", "text": {"value": "", "annotations": []}}),
            ]
        )
    )


@given(
    rows=st.lists(
        st.tuples(st.sampled_from(["a", "bb"]), st.sampled_from(["missing", "failed"]), st.sampled_from("xyz")),
        max_size=60,
    )
)
def test_every_problem_is_in_one_line_or_in_one_number(rows: list[tuple[str, str, str]]) -> None:
    """As a line of its own, or in the number behind those with the same reason."""
    problems = Problems()
    printed = sum(problems.take(name, outcome, f"no {name}, {why}") is not None for name, outcome, why in rows)
    numbers = [int(line.split()[2]) for line in problems.rest()]
    assert printed + sum(numbers) == len(rows)
    assert printed <= 3 * len({(outcome, why) for _, outcome, why in rows})


def test_five_hundred_missing_threads_are_four_lines(tmp_path: Path, out: Path, threadkeep: Run) -> None:
    """The first few as they happen, one line for the others, and a number in the summary."""
    ids = write_ids(tmp_path, "thread_a", *(f"thread_gone{number:03}" for number in range(500)))
    done = threadkeep("export", ids, "asst_1", out, "--concurrency", 1)
    assert done.code == 1
    assert [line for line in done.err.splitlines() if "missing:" in line or "more missing" in line] == [
        *(f"thread_gone{one}: missing: No thread found with id 'thread_gone{one}'." for one in ("000", "001", "002")),
        "… and 497 more missing: No thread found with id '…'.",
    ]
    assert "  missing       500 threads: the API knows no such thread\n" in done.out
    assert "thread_gone" not in done.out


def test_many_lines_that_are_no_ids_are_a_number(tmp_path: Path, out: Path, threadkeep: Run) -> None:
    """The first few with their places."""
    ids = write_ids(tmp_path, *["thread_a"] * 40, *(f"asst_{number}" for number in range(30)))
    done = threadkeep("export", ids, "asst_1", out)
    lines = [line for line in done.err.splitlines() if "of the list" in line and "export" not in line]
    assert (done.code, len(lines)) == (1, 4)
    assert lines[0].startswith("threadkeep: line 41 of the list is no thread id, but an assistant's id: asst_0")
    assert lines[-1] == "threadkeep: … and 27 more lines of the list: no thread ids"


def test_files_that_are_all_missing_are_no_success(tmp_path: Path, out: Path, threadkeep: Run) -> None:
    """One row with the number and the first few, and exit code 1; without --files the same export is complete."""
    ids = write_ids(tmp_path, "thread_a", "thread_b")
    done = threadkeep("export", ids, "asst_1", out, "--files")
    assert done.code == 1
    assert "  files         0 saved, 55 missing\n" in done.out
    words = " missing files 55, the API has no such files: file-00, file-01, file-02 and 52 more "
    assert words in " ".join(done.out.split())
    assert done.err.startswith("threadkeep: every thread is complete in the export, but none of the files is saved")
    assert "without --files" in done.err.replace("\n", " ")
    assert threadkeep("export", ids, "asst_1", out).code == 0


def test_one_saved_file_makes_the_missing_ones_a_number(
    fake: Watched, tmp_path: Path, out: Path, threadkeep: Run
) -> None:
    """A file that the API does not have any more is no failure of an export that has others."""
    kept = {"id": "file-00", "object": "file", "bytes": 3, "filename": "a.png", "purpose": "vision"}
    fake.load({"files": [kept], "file_contents": [{"id": "file-00", "content": "YWJj"}]})
    done = threadkeep("export", write_ids(tmp_path, "thread_a"), "asst_1", out, "--files")
    assert "  files         1 saved, 54 missing\n" in done.out
    assert (done.code, done.err) == (0, "")


def test_messages_of_other_assistants_are_counted(tmp_path: Path, out: Path, threadkeep: Run) -> None:
    """In the summary of the run that fetched them, and in a note of validate; with "auto" they are nothing to say."""
    ids = write_ids(tmp_path, "thread_a", "thread_b")
    done = threadkeep("export", ids, "asst_1", out)
    words = "56 of 59 messages{} are of 2 other assistants: asst_2 (55), asst_3 (1)"
    assert words.format(" that this run fetched") in " ".join(done.out.split())
    assert "other assistants" not in threadkeep("export", ids, "asst_1", out).out
    validated = threadkeep("validate", out)
    assert validated.code == 0
    assert f"note: {words.format('')}." in " ".join(validated.out.split())
    findings = json.loads(threadkeep("validate", out, "--json").out)["findings"]
    assert [row["severity"] for row in findings if row["code"] == "other_assistants"] == ["note"]
    assert "other assistants" not in threadkeep("export", ids, "auto", out, "--fresh").out
    assert "other assistants" not in threadkeep("validate", out).out


def test_notes_are_one_row(tmp_path: Path, out: Path, threadkeep: Run) -> None:
    """By kind and number, in words that alarm nobody, and the verdict counts no notes."""
    threadkeep("export", write_ids(tmp_path, "thread_a", "thread_b"), "asst_1", out)
    done = threadkeep("validate", out)
    assert "  notes         55 images without a file; 1 message without text, at the API too\n" in done.out
    assert done.out.endswith(f"{out}: complete\n")


def test_our_lines_fit_eighty_columns(tmp_path: Path, threadkeep: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows of the summaries of export, status, validate and a dry run of push."""
    monkeypatch.chdir(tmp_path)
    write_ids(tmp_path, "thread_a", "thread_b", *(f"thread_gone{number:03}" for number in range(500)))
    printed = threadkeep("export", "ids.txt", "asst_1", "o.ndjson", "--files", "--include", "threads").out
    for command in ("status", "validate"):
        printed += threadkeep(command, "o.ndjson").out
    printed += threadkeep("push", "o.ndjson", "--to", "conversations", "--dry-run").out
    rows = [line for line in printed.splitlines() if not re.search("threadkeep |thread_gone", line)]
    assert len(rows) > 20
    assert [line for line in rows if len(line) > 80] == []
