"""Whatever is told after damage helps: validate names what is to be typed, and that heals the export."""

import json
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest

from command import Run
from exports import ASSISTANT, beside, exported, served
from fake_assistants import demo_world
from watched import Watched

OPTIONS = ("--include", "threads,runs")


@pytest.fixture
def fake() -> Watched:
    """Eight threads, the last one without messages."""
    fake = Watched.holding(demo_world(5, 3), demo_world(2, 130, seed=1), {"threads": [{"id": "thread_empty"}]})
    fake.add_runs()
    return fake


@pytest.fixture
def whole(ids: Path, out: Path, base_url: str, threadkeep: Run) -> Path:
    """A whole export, one thread after the other."""
    assert base_url
    assert threadkeep("export", ids, ASSISTANT, out, *OPTIONS, "--concurrency", 1).code == 0
    return out


def told(done_out: str) -> list[str]:
    """The command in the last line."""
    return shlex.split(done_out.splitlines()[-1])[1:]


def healed(fake: Watched, whole: Path, ids: Path, threadkeep: Run) -> tuple[list[str], set[str]]:
    """Type what validate says until the export is whole; gives the list, and what was asked for."""
    first = threadkeep("validate", whole)
    assert first.code == 1
    words = [str(whole.with_name("refetch.txt")) if word == "refetch.txt" else word for word in told(first.out)]
    asked = len(fake.asked)
    done = threadkeep(*told(threadkeep(*words).out))
    assert (done.code, exported(whole)) == (0, served(fake))
    again = threadkeep("validate", whole, "--ids", ids)
    assert (again.code, again.err) == (0, "")
    requests = {request.path.split("/")[3] for request in fake.asked[asked:]}
    return whole.with_name("refetch.txt").read_text().split(), requests


def between(line: bytes) -> Callable[[bytes], bytes]:
    """A line that does not belong there, between two threads."""

    def changed(content: bytes) -> bytes:
        lines = content.splitlines(keepends=True)
        names = [json.loads(one)["thread_id"] for one in lines]
        place = next(number for number, name in enumerate(names) if name != names[0])
        return b"".join([*lines[:place], line, *lines[place:]])

    return changed


FOREIGN: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "a foreign run": (".runs", between(b'{"thread_id":"thread_x","run_id":"run_x"}\n')),
    "a run that is none": (".runs", between(b"{}\n")),
    "a foreign thread object": (".threads", between(b'{"thread_id":"thread_x"}\n')),
    "a foreign line": ("", between(b'{"thread_id":"thread_x"}\n')),
    "an empty object": ("", between(b"{}\n")),
    "no JSON": ("", between(b"what is this\n")),
    "no UTF-8": ("", between(b"\xff\n")),
    "a blank line": ("", between(b"\n")),
    "a blank line with CR": ("", between(b"\r\n")),
    "foreign lines at the end": ("", lambda content: content + b"{}\n"),
    "a torn foreign line": ("", lambda content: content + b"{"),
    "a byte order mark": ("", lambda content: b"\xef\xbb\xbf" + content),
    "threads that have changed places": (".threads", lambda content: b"".join(content.splitlines(keepends=True)[::-1])),
}


@pytest.mark.parametrize(("suffix", "harm"), FOREIGN.values(), ids=FOREIGN.keys())
def test_what_does_not_belong_there(
    suffix: str, harm: Callable[[bytes], bytes], fake: Watched, ids: Path, whole: Path, threadkeep: Run
) -> None:
    """A list is told to be exported, be it empty: that helps, and no thread is asked for that nobody knows."""
    path = beside(whole, suffix)
    path.write_bytes(harm(path.read_bytes()))
    listed, requests = healed(fake, whole, ids, threadkeep)
    assert requests <= {*listed}
    assert len(listed) <= 1
    assert "thread_x" not in listed


@pytest.mark.parametrize("number", [1, 3, 6, 7])
def test_a_lost_journal_line(number: int, fake: Watched, ids: Path, whole: Path, threadkeep: Run) -> None:
    """Its thread is listed, and fetched again, and no other."""
    journal = beside(whole, ".journal")
    lines = journal.read_bytes().splitlines(keepends=True)
    name = json.loads(lines.pop(number))["thread_id"]
    journal.write_bytes(b"".join(lines))
    assert healed(fake, whole, ids, threadkeep) == ([name], {name})


@pytest.mark.parametrize("behind", [0, 2])
@pytest.mark.parametrize("number", [1, 4, 6])
@pytest.mark.usefixtures("fake")
def test_a_journal_line_that_stands_twice(number: int, behind: int, ids: Path, whole: Path, threadkeep: Run) -> None:
    """It says nothing new: the export is whole, and gone on with."""
    journal = beside(whole, ".journal")
    lines = journal.read_bytes().splitlines(keepends=True)
    lines.insert(number + 1 + behind, lines[number])
    journal.write_bytes(b"".join(lines))
    assert threadkeep("validate", whole, "--ids", ids).code == 0
    assert threadkeep("export", ids, ASSISTANT, whole, *OPTIONS).code == 0
    assert threadkeep("validate", whole, "--ids", ids).code == 0


@pytest.mark.parametrize("size", [2**62, 10**23])
@pytest.mark.parametrize("key", ["end_offset", "messages", "runs"])
@pytest.mark.usefixtures("fake")
def test_a_journal_of_more_than_any_file_holds(key: str, size: int, ids: Path, whole: Path, threadkeep: Run) -> None:
    """It is told, and never stumbled over."""
    number = 4
    journal = beside(whole, ".journal")
    lines = journal.read_bytes().splitlines(keepends=True)
    row = json.loads(lines[number])
    if key == "runs":
        row["beside"]["runs"]["end_offset"] = size
    else:
        row[key] = size
    journal.write_bytes(b"".join([*lines[:number], json.dumps(row).encode() + b"\n", *lines[number + 1 :]]))
    assert threadkeep("validate", whole).code == 1
    assert threadkeep("export", ids, ASSISTANT, whole, *OPTIONS).code == 5
    refetch = whole.with_name("refetch.txt")
    assert threadkeep("validate", whole, "--ids-to-refetch", refetch).code == 1
    assert threadkeep("export", refetch, ASSISTANT, whole, *OPTIONS).code == (0 if size < 2**63 else 5)


@pytest.mark.parametrize("number", [1, 3, 6, 7])
def test_journal_lines_that_have_changed_places(
    number: int, fake: Watched, ids: Path, whole: Path, threadkeep: Run
) -> None:
    """The exporter refuses them, so validate tells them, and the list, however short, puts them right."""
    journal = beside(whole, ".journal")
    lines = journal.read_bytes().splitlines(keepends=True)
    lines[number : number + 2] = lines[number : number + 2][::-1]
    journal.write_bytes(b"".join(lines))
    assert threadkeep("export", ids, ASSISTANT, whole, *OPTIONS).code == 5
    listed, requests = healed(fake, whole, ids, threadkeep)
    assert requests <= {*listed}


def test_a_lost_export(fake: Watched, ids: Path, whole: Path, threadkeep: Run) -> None:
    """It is read as an empty one: each thread that had messages is listed, and fetched again."""
    whole.unlink()
    every = set(ids.read_text().split())
    listed, requests = healed(fake, whole, ids, threadkeep)
    assert ({*listed}, requests) == (every - {"thread_empty"}, every - {"thread_empty"})


def test_a_lost_export_is_healed_by_the_list_of_all_threads_too(
    fake: Watched, ids: Path, whole: Path, threadkeep: Run
) -> None:
    """Nothing in it is whole that could be asked for by mistake. A shorter list is refused, and changes nothing."""
    whole.unlink()
    short = whole.with_name("short.txt")
    short.write_text("\n".join(ids.read_text().split()[1:]))
    assert threadkeep("export", short, ASSISTANT, whole, *OPTIONS).code == 5
    assert not whole.exists()
    assert threadkeep("export", ids, ASSISTANT, whole, *OPTIONS).code == 0
    assert exported(whole) == served(fake)
    assert threadkeep("validate", whole, "--ids", ids).code == 0


def test_messages_that_only_the_damaged_lines_had(fake: Watched, ids: Path, whole: Path, threadkeep: Run) -> None:
    """The server has them no longer, so healing puts them aside; validate says where they are, and calls it whole."""
    lines = whole.read_bytes().splitlines(keepends=True)
    damaged, only = json.loads(lines[0]), json.loads(lines[1])
    whole.write_bytes(b"".join([lines[0].replace(b'"role"', b'"rule"'), *lines[1:]]))
    state = fake.snapshot()
    fake.state = {**state, "messages": [row for row in state["messages"] if row["id"] != only["message_id"]]}
    healed(fake, whole, ids, threadkeep)
    (note,) = [
        row
        for row in json.loads(threadkeep("validate", whole, "--json").out)["findings"]
        if row["code"] == "only_in_partial"
    ]
    assert (note["severity"], note["file"], note["line"]) == ("note", f"{whole.name}.partial", 1)
    assert note["thread_id"] == damaged["thread_id"] == only["thread_id"]
    assert "1 message is" in note["message"]
    assert only == json.loads(beside(whole, ".partial").read_bytes())


HEADED: dict[str, Callable[[bytes], bytes]] = {
    "source": lambda header: header.replace(b"127.0.0.1", b"127.0.0.2"),
    "flat": lambda header: header.replace(b'"flat":false', b'"flat":true'),
    "assistant_id": lambda header: header.replace(ASSISTANT.encode(), b"asst_other"),
    "beside": lambda header: header.replace(b'"threads",', b""),
}


@pytest.mark.parametrize(("field", "harm"), HEADED.items(), ids=HEADED.keys())
def test_a_changed_header(
    field: str, harm: Callable[[bytes], bytes], fake: Watched, ids: Path, whole: Path, threadkeep: Run
) -> None:
    """No run goes on with it, so nobody is told to run one; what is told instead helps."""
    journal = beside(whole, ".journal")
    content = journal.read_bytes()
    header, _, rest = content.partition(b"\n")
    journal.write_bytes(harm(header) + b"\n" + rest)
    found = json.loads(threadkeep("validate", whole, "--json").out)["findings"]
    (one,) = [row for row in found if row["code"] == "manifest_mismatch"]
    assert one["path"].startswith(f"$.{field}")
    assert "; one of the two files was changed: restore it, or export to another place; " in one["message"]
    assert threadkeep("export", ids, ASSISTANT, whole, *OPTIONS).code == 5
    other = whole.with_name("other.ndjson")
    assert threadkeep("export", ids, ASSISTANT, other, *OPTIONS).code == 0
    assert exported(other) == served(fake)
    journal.write_bytes(content)
    assert threadkeep("validate", whole).code == 0


def test_where_nothing_stands_nothing_is_validated(ids: Path, out: Path, threadkeep: Run) -> None:
    """A manifest without journal and lines is nothing either."""
    assert threadkeep("validate", out, "--ids", ids).code == 5
    beside(out, ".manifest.json").write_text("{}")
    assert threadkeep("validate", out, "--ids", ids).code == 5


@pytest.mark.usefixtures("fake")
def test_the_live_check_of_a_lost_export_compares_what_the_journal_says(whole: Path, threadkeep: Run) -> None:
    """And does not stumble over the lines that are not there."""
    whole.unlink()
    done = threadkeep("validate", whole, "--live", "--report", whole.with_name("page.html"))
    assert (done.code, "lost_thread" in done.out) == (1, True)
