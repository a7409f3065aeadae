"""A file against the rows of its index: what is intact, damaged, moved or lost, whatever happened to the bytes."""

import hashlib
import random
import tempfile
from collections import Counter
from collections.abc import Sequence
from typing import Any
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from canned_threads import message
from threadkeep.records.ndjson import encode_message
from threadkeep.storage.index import IndexRow, Outcome
from threadkeep.validation.line_check import NO_ID
from threadkeep.validation.scan import MessageLines, RepeatedIds, ThreadFile

NOW = 1_900_000_000
ASSISTANT = "asst_1"
DAY = 24 * 3600


def line(
    thread_id: str, number: int, *, flat: bool = False, assistant_id: str | None = ASSISTANT, **fields: Any
) -> bytes:
    """A line of an export."""
    raw = message(thread_id, number, **{"created_at": 1_774_963_800 + number * 9_000, **fields})
    return encode_message(raw, assistant_id=assistant_id, flat=flat) + b"\n"


def rows_of(lines: Sequence[bytes], owners: Sequence[str], **fields: Any) -> list[IndexRow]:
    """The rows of an index of these lines."""
    rows, place = [], 0
    for thread_id in dict.fromkeys(owners):
        own = [one for one, owner in zip(lines, owners, strict=True) if owner == thread_id]
        content = b"".join(own)
        rows.append(
            IndexRow(
                thread_id=thread_id,
                outcome=Outcome.COMPLETE,
                messages=len(own),
                first_id=f"msg_{thread_id}_00000",
                last_id=f"msg_{thread_id}_{len(own) - 1:05}",
                offset=place,
                bytes=len(content),
                sha256=hashlib.sha256(content).hexdigest(),
                **{"assistant_id": ASSISTANT, **fields},
            )
        )
        place += len(content)
    return rows


class Checked:
    """A file that was checked."""

    def __init__(self, content: bytes, rows: Sequence[IndexRow] | None, **options: Any) -> None:
        given = {"now": NOW, "saved": frozenset(), "assistant_id": NO_ID, "is_flat": None, **options}
        self.messages = MessageLines("out", **given)
        with tempfile.TemporaryFile() as file:
            file.write(content)
            file.flush()
            self.file = ThreadFile("out", file, self.messages, has_index=rows is not None)
            self.findings = list(self._all(rows or ()))

    def _all(self, rows: Sequence[IndexRow]) -> Any:
        for number, row in enumerate(rows, 2):
            assert row.span is not None
            yield from self.file.claim(row, row.span, {"file": "index", "line": number, "thread_id": row.thread_id})
        yield from self.file.finish()

    @property
    def summary(self) -> list[tuple[str, int | None, str | None]]:
        """The code, line and thread of each finding."""
        return [(one.code, one.line, one.thread_id) for one in self.findings]


def world(sizes: Sequence[int], **options: Any) -> tuple[list[bytes], list[str]]:
    """Lines of threads of these sizes, and the thread of each."""
    pairs = [(f"thread_{place}", number) for place, size in enumerate(sizes) for number in range(size)]
    return [line(name, number, **options) for name, number in pairs], [name for name, _ in pairs]


@given(st.lists(st.integers(1, 30), max_size=5), st.booleans(), st.booleans(), st.integers(1, 5_000))
def test_an_intact_file_has_no_finding_and_everything_is_counted(
    sizes: list[int], flat: bool, has_index: bool, block: int
) -> None:
    """With its index and without, however large the blocks are in which it is read."""
    lines, owners = world(sizes, flat=flat)
    with mock.patch("threadkeep.storage.spans.CHUNK", block):
        checked = Checked(b"".join(lines), rows_of(lines, owners) if has_index else None, is_flat=flat)
    assert checked.findings == []
    assert checked.messages.messages == checked.file.lines == len(lines)
    assert checked.messages.days == Counter((1_774_963_800 + n * 9_000) // DAY for size in sizes for n in range(size))
    assert checked.messages.ids.repeated() == frozenset()
    content = b"".join(lines)
    for name, place in checked.file.places.items():
        own = [one for one, owner in zip(lines, owners, strict=True) if owner == name]
        assert content[place.start : place.end] == b"".join(own)
        assert (place.line, place.messages) == (owners.index(name) + 1, len(own))


LOSS = {"digest_mismatch", "lost_thread", "split_thread", "unindexed_lines"}


def own(thread_id: str, lines: Sequence[tuple[str, bytes]]) -> list[bytes]:
    """The lines of one thread."""
    return [text for owner, text in lines if owner == thread_id]


@given(st.lists(st.integers(1, 4), min_size=1, max_size=6), st.randoms(use_true_random=False))
def test_exactly_the_damaged_threads_are_found(sizes: list[int], draw: random.Random) -> None:
    """Lines removed, doubled, changed and put in: threads whose lines are as they were have no finding of loss."""
    lines, owners = world(sizes)
    rows = rows_of(lines, owners)
    now = list(zip(owners, lines, strict=True))
    damaged = set()
    for _ in range(draw.randrange(1, 4)):
        if not now:
            break
        place = draw.randrange(len(now))
        owner, text = now[place]
        damaged.add(owner)
        match draw.randrange(3):
            case 0:
                del now[place]
            case 1:
                now.insert(place, now[place])
            case 2:
                now[place] = (owner, text.replace(b'"role":"user"', b'"role":"robot"'))
    content = b"".join(text for _, text in now)
    checked = Checked(content, rows)
    missed = {one.thread_id for one in checked.findings if one.code in LOSS}
    before = list(zip(owners, lines, strict=True))
    assert missed == {name for name in damaged if own(name, now) != own(name, before)}
    assert {one.code for one in checked.findings if one.code == "misplaced_thread"} == set()
    assert checked.file.damaged == {one.thread_id for one in checked.findings if one.code in LOSS - {"split_thread"}}


@given(st.lists(st.integers(1, 3), min_size=2, max_size=6), st.randoms(use_true_random=False))
def test_threads_that_changed_places_are_found_and_not_lost(sizes: list[int], draw: random.Random) -> None:
    """In whatever order; at least one of them is reported."""
    lines, owners = world(sizes)
    rows = rows_of(lines, owners)
    names = list(dict.fromkeys(owners))
    shuffled = draw.sample(names, len(names))
    content = b"".join(b"".join(one for one, owner in zip(lines, owners, strict=True) if owner == n) for n in shuffled)
    checked = Checked(content, rows)
    assert {one.code for one in checked.findings} == (set() if shuffled == names else {"misplaced_thread"})
    assert {thread_id: place.messages for thread_id, place in checked.file.places.items()} == Counter(owners)


def test_a_last_line_without_a_newline_is_torn() -> None:
    """Also where the digest is that of such lines, whether they are read in one block or in several."""
    lines, owners = world([3])
    lines[-1] = lines[-1][:-1]
    for block in (1, 10**6):
        with mock.patch("threadkeep.storage.spans.CHUNK", block):
            checked = Checked(b"".join(lines), rows_of(lines, owners), is_flat=False)
        assert checked.summary[0] == ("torn_line", 3, "thread_0")


def test_each_line_has_the_assistant_of_its_row() -> None:
    """Where each thread has its own, which may be none."""
    lines = [line("thread_0", 0, assistant_id=None), line("thread_1", 0, assistant_id="asst_b")]
    owners = ["thread_0", "thread_1"]
    first, second = rows_of(lines, owners, assistant_id=None)[0], rows_of(lines, owners, assistant_id="asst_b")[1]
    assert Checked(b"".join(lines), [first, second]).findings == []
    assert Checked(b"".join(lines), None).findings == []
    other = rows_of(lines, owners, assistant_id="asst_c")[1]
    assert Checked(b"".join(lines), [first, other]).summary == [("mixed_assistants", 2, "thread_1")]
    within = [line("thread_0", 0, assistant_id=None), line("thread_0", 1)]
    assert Checked(b"".join(within), None).summary == [("mixed_assistants", 2, "thread_0")]
    assert Checked(b"".join(lines[1:]), None, assistant_id="asst_x").summary == [("mixed_assistants", 1, "thread_1")]


def test_times_that_go_back_are_noted_within_a_thread_only() -> None:
    """A thread's first message may be of any time, even before all time."""
    lines = [line("thread_a", 5), line("thread_a", 4), line("thread_b", 0, created_at=-7), line("thread_c", 1)]
    expected = [("time_goes_back", 2, "thread_a"), ("odd_timestamp", 3, "thread_b")]
    assert Checked(b"".join(lines), None).summary == expected


def test_the_form_is_checked_also_if_the_assistant_is_missing() -> None:
    """The first fault does not hide the second."""
    flat = line("thread_a", 1, flat=True).replace(b'"assistant_id":"asst_1",', b"")
    checked = Checked(line("thread_a", 0) + flat, None)
    assert checked.summary == [("missing_key", 2, "thread_a"), ("mixed_formats", 2, "thread_a")]


@pytest.mark.parametrize(
    ("damaged", "named"),
    [
        (b'{"thread_id":"thread_x","te\n', "thread_0"),
        (b"{\n", "thread_0"),
        (b'{"thread_id":"thread_1","te\n', "thread_1"),
    ],
)
def test_a_line_that_cannot_be_read_is_of_a_known_thread(damaged: bytes, named: str) -> None:
    """Of the one before it if it names none that is known."""
    lines, owners = world([2, 2])
    rows = rows_of(lines, owners)
    checked = Checked(b"".join([lines[0], damaged, *lines[3:]]), rows)
    assert checked.summary[0] == ("malformed_line", 2, named)


def test_without_an_index_a_line_that_cannot_be_read_is_of_the_thread_that_it_names() -> None:
    """The thread before it is in order."""
    content = line("thread_a", 0) + line("thread_b", 0)[:80] + b"\n" + line("thread_b", 1)
    checked = Checked(content, None)
    assert checked.summary == [("malformed_line", 2, "thread_b")]
    assert checked.file.places["thread_b"].messages == 2


def test_a_thread_that_comes_again_is_split() -> None:
    """Its place is that of its first lines; those of an intact thread do not count."""
    lines = [line("thread_a", 0), line("thread_b", 0), line("thread_a", 1)]
    checked = Checked(b"".join(lines), None)
    assert checked.summary == [("split_thread", 3, "thread_a")]
    assert (checked.file.places["thread_a"].messages, checked.file.split) == (1, {"thread_a"})
    rows = rows_of(lines[:2], ["thread_a", "thread_b"])
    assert ("split_thread", 3, "thread_a") in Checked(b"".join(lines), rows).summary


@given(st.lists(st.sampled_from([f"msg_{number}" for number in range(30)]), max_size=40), st.integers(1, 9))
def test_repeated_ids_are_found_by_their_hashes(ids: list[str], step: int) -> None:
    """However they are counted."""
    seen = RepeatedIds()
    for start in range(0, len(ids), step):
        seen.add(ids[start : start + step])
    assert seen.repeated() == {hash(one) for one, count in Counter(ids).items() if count > 1}
