"""The remedies help: after damage of any kind validate is not satisfied, and after what it says to do it is."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from command import Run
from exports import ASSISTANT, beside, exported, served
from fake_assistants import demo_world
from watched import Watched

OPTIONS = ("--include", "threads,runs")

Damage = Callable[[list[bytes]], object]


@pytest.fixture
def fake() -> Watched:
    """Eight threads, the last one without messages."""
    fake = Watched.holding(demo_world(5, 3), demo_world(2, 130, seed=1), {"threads": [{"id": "thread_empty"}]})
    fake.add_runs()
    return fake


@pytest.fixture
def complete(ids: Path, out: Path, base_url: str, threadkeep: Run) -> Path:
    """A complete export."""
    assert base_url
    assert threadkeep("export", ids, ASSISTANT, out, *OPTIONS).code == 0
    return out


def change(path: Path, damage: Damage) -> None:
    """Change the lines of a file in place."""
    lines = path.read_bytes().split(b"\n")
    lines = [line + b"\n" for line in lines[:-1]] + ([lines[-1]] if lines[-1] else [])
    damage(lines)
    path.write_bytes(b"".join(lines))


def repaired(fake: Watched, out: Path, threadkeep: Run, ids: Path, *options: str) -> set[str]:
    """Validate, export a list again, and validate: returns the threads that were asked for."""
    assert threadkeep("validate", out).code == 1
    asked = len(fake.asked)
    assert threadkeep("export", ids, ASSISTANT, out, *OPTIONS, *options).code == 0
    assert exported(out) == served(fake)
    again = threadkeep("validate", out)
    assert (again.code, again.err) == (0, "")
    return {request.path.split("/")[3] for request in fake.asked[asked:]}


def put(place: int, line: bytes) -> Damage:
    """Put a line in."""
    return lambda lines: lines.insert(place, line)


def swap(one: int, other: int) -> Damage:
    """Let two lines change places."""

    def swapped(lines: list[bytes]) -> None:
        lines[one], lines[other] = lines[other], lines[one]

    return swapped


FOREIGN: dict[str, tuple[str, Damage]] = {
    "a foreign run": (".runs", put(1, b'{"thread_id":"thread_x","run_id":"run_x"}\n')),
    "a run that is none": (".runs", put(1, b"{}\n")),
    "a foreign thread object": (".threads", put(1, b'{"thread_id":"thread_x"}\n')),
    "a foreign line": ("", put(3, b'{"thread_id":"thread_x"}\n')),
    "an empty object": ("", put(3, b"{}\n")),
    "no JSON": ("", put(3, b"what is this\n")),
    "no UTF-8": ("", put(3, b"\xff\n")),
    "a blank line": ("", put(3, b"\n")),
    "a blank line with CR": ("", put(3, b"\r\n")),
    "foreign lines at the end": ("", lambda lines: lines.append(b"{}\n")),
    "a torn foreign line": ("", lambda lines: lines.append(b"{")),
    "thread objects that have changed places": (".threads", swap(0, 1)),
    "rows that have changed places": (".index", swap(1, 2)),
}


@pytest.mark.parametrize(("suffix", "damage"), FOREIGN.values(), ids=FOREIGN.keys())
def test_lines_that_do_not_belong_there_go(
    suffix: str, damage: Damage, fake: Watched, ids: Path, complete: Path, threadkeep: Run
) -> None:
    """No thread is asked for: every one of them is intact."""
    change(beside(complete, suffix), damage)
    assert repaired(fake, complete, threadkeep, ids) == set()


@pytest.mark.parametrize("number", [1, 3, 6, 7])
def test_a_lost_row_has_its_thread_fetched_again(
    number: int, fake: Watched, ids: Path, complete: Path, threadkeep: Run
) -> None:
    """And no other; also with the list that validate writes."""
    index = beside(complete, ".index")
    name = json.loads(index.read_bytes().split(b"\n")[number])["thread_id"]
    change(index, lambda lines: lines.pop(number))
    refetch = complete.with_name("refetch.txt")
    assert threadkeep("validate", complete, "--ids", ids, "--ids-to-refetch", refetch).code == 1
    assert refetch.read_text().split() == [name]
    assert repaired(fake, complete, threadkeep, refetch) == {name}
    assert threadkeep("validate", complete, "--ids", ids).code == 0


@pytest.mark.parametrize("size", [2**62, -1])
@pytest.mark.parametrize("key", ["offset", "bytes", "messages"])
def test_a_row_of_impossible_numbers_is_no_trouble(
    key: str, size: int, fake: Watched, ids: Path, complete: Path, threadkeep: Run
) -> None:
    """Its thread is fetched again where its lines cannot be found by it."""

    def damage(lines: list[bytes]) -> None:
        lines[4] = json.dumps({**json.loads(lines[4]), key: size}).encode() + b"\n"

    change(beside(complete, ".index"), damage)
    options = ("--refresh",) if key == "messages" else ()
    repaired(fake, complete, threadkeep, ids, *options)


@pytest.mark.parametrize("suffix", ["", ".runs", ".threads"])
def test_a_lost_file_is_written_anew(suffix: str, fake: Watched, ids: Path, complete: Path, threadkeep: Run) -> None:
    """Each thread that had lines there is fetched again."""
    lines = beside(complete, suffix).read_bytes().split(b"\n")[:-1]
    beside(complete, suffix).unlink()
    assert repaired(fake, complete, threadkeep, ids) == {json.loads(line)["thread_id"] for line in lines}


@pytest.mark.parametrize("content", [None, b"", b"{}", b"\xff"])
def test_a_manifest_is_written_anew(
    content: bytes | None, fake: Watched, ids: Path, complete: Path, threadkeep: Run
) -> None:
    """If it is lost or cannot be read; nothing is asked for."""
    manifest = beside(complete, ".manifest.json")
    manifest.unlink()
    if content is not None:
        manifest.write_bytes(content)
    assert repaired(fake, complete, threadkeep, ids) == set()


def test_a_manifest_that_contradicts_the_files_is_written_anew(
    fake: Watched, ids: Path, complete: Path, threadkeep: Run
) -> None:
    """As validate says."""
    manifest = beside(complete, ".manifest.json")
    manifest.write_bytes(manifest.read_bytes().replace(b'"complete": 8', b'"complete": 9'))
    done = threadkeep("validate", complete)
    assert (done.code, done.out.splitlines()[-1]) == (
        1,
        "Next: Export the list again: what is damaged or contradictory is repaired.",
    )
    assert repaired(fake, complete, threadkeep, ids) == set()


def test_messages_that_only_the_damaged_lines_had_are_kept(
    fake: Watched, ids: Path, complete: Path, threadkeep: Run
) -> None:
    """The server does not have them any more. They stay in the export."""
    lines = complete.read_bytes().split(b"\n")
    only = json.loads(lines[1])
    change(complete, lambda lines: lines.__setitem__(2, lines[2].replace(b'"role"', b'"rule"')))
    before = served(fake)
    state = fake.snapshot()
    fake.state = {**state, "messages": [row for row in state["messages"] if row["id"] != only["message_id"]]}
    assert threadkeep("export", ids, ASSISTANT, complete, *OPTIONS).code == 0
    assert exported(complete) == before
    assert threadkeep("validate", complete).code == 0


def test_nothing_is_validated_where_nothing_is(ids: Path, out: Path, threadkeep: Run) -> None:
    """A manifest without index and lines is nothing either."""
    assert threadkeep("validate", out, "--ids", ids).code == 5
    beside(out, ".manifest.json").write_text("{}")
    assert threadkeep("validate", out, "--ids", ids).code == 5


@pytest.mark.usefixtures("fake")
def test_the_live_check_of_a_lost_export_compares_the_threads_of_the_index(complete: Path, threadkeep: Run) -> None:
    """And has no trouble with the lines that are not there."""
    complete.unlink()
    done = threadkeep("validate", complete, "--live", "--report", complete.with_name("page.html"))
    assert (done.code, "lost_thread" in done.out) == (1, True)
