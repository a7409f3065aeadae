"""One pass over the lines: what is counted, and where each thread stands."""

import random
from collections import Counter
from collections.abc import Sequence
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from canned_threads import message
from threadkeep.records.ndjson import encode_message
from threadkeep.validation.findings import Finding
from threadkeep.validation.report import LineTotals
from threadkeep.validation.scan import Expected, Reading, Suspicions

NOW = 1_900_000_000
ASSISTANT = "asst_1"
DAY = 24 * 3600


def line(thread_id: str, number: int, *, flat: bool = False, **fields: Any) -> bytes:
    """A line of the export."""
    raw = message(thread_id, number, **{"created_at": 1_774_963_800 + number * 9_000, **fields})
    return encode_message(raw, assistant_id=ASSISTANT, flat=flat) + b"\n"


def read(lines: Sequence[bytes], **expected: Any) -> tuple[Reading, list[Finding]]:
    """What was read, and its findings."""
    reading = Reading(Expected(name="out.ndjson", now=NOW, **expected))
    return reading, list(reading.read(lines))


@given(
    st.lists(st.integers(0, 200), max_size=5),
    st.booleans(),
    st.lists(st.integers(0, 2**16), max_size=4),
    st.randoms(use_true_random=False),
)
def test_everything_is_counted_where_it_stands(
    sizes: list[int], flat: bool, odd: list[int], draw: random.Random
) -> None:
    """However many lines a thread has, and whatever stands between them: those belong to the thread before them."""
    rows = [(f"thread_{place}", n) for place, size in enumerate(sizes) for n in range(size)]
    owned = [(name, line(name, n, flat=flat)) for name, n in rows]
    for place in odd if owned else ():
        number = place % len(owned)
        owned.insert(number + 1, (owned[number][0], draw.choice([b"\n", b"{\n", b"[1]\n", b"\xff\n"])))
    lines = [one for _, one in owned]
    reading, findings = read(lines, assistant_id=ASSISTANT, flat=flat)
    assert len(findings) == len(lines) - sum(sizes)
    assert reading.totals == LineTotals(threads=len(dict(owned)), messages=sum(sizes), bytes=len(b"".join(lines)))
    assert reading.days == Counter((1_774_963_800 + n * 9_000) // DAY for _, n in rows)
    assert reading.suspicions == frozenset()
    content = b"".join(lines)
    for name, place_of in reading.threads.items():
        own = [one for owner, one in owned if owner == name]
        assert content[place_of.start : place_of.end] == b"".join(own)
        assert (place_of.line, place_of.messages) == ([owner for owner, _ in owned].index(name) + 1, len(own))


@pytest.mark.parametrize("size", [1, 62, 63, 64, 65, 127, 128, 129, 200])
@pytest.mark.parametrize("before", [0, 1, 62, 63, 64])
def test_the_edges_of_batches_are_not_seen(before: int, size: int) -> None:
    """Digests, ids and places are the same wherever a thread begins and ends."""
    judged = []
    reading = Reading(Expected(name="x", now=NOW), lambda thread: judged.append(thread) or ())  # type: ignore[func-returns-value]
    lines = [line("thread_a", n) for n in range(before)] + [line("thread_b", n) for n in range(size)]
    assert list(reading.read(iter(lines))) == []
    last = judged[-1]
    assert (last.first_id, last.last_id) == ("msg_thread_b_00000", f"msg_thread_b_{size - 1:05}")
    assert (last.messages, last.ends, last.first_line) == (size, len(b"".join(lines)), before + 1)
    assert reading.totals.messages == before + size


def told(findings: Sequence[Finding]) -> list[tuple[str, int | None, str | None]]:
    """The code, line and thread of each."""
    return [(one.code, one.line, one.thread_id) for one in findings]


def test_times_that_go_back_are_noted_within_a_thread_only() -> None:
    """A thread's first message may be of any time, even before all time."""
    lines = [line("thread_a", 5), line("thread_a", 4), line("thread_b", 0, created_at=-7), line("thread_c", 1)]
    _, findings = read(lines)
    assert told(findings) == [("time_goes_back", 2, "thread_a"), ("odd_timestamp", 3, "thread_b")]


def test_a_form_is_told_also_where_the_assistant_is_missing() -> None:
    """The first trouble does not hide the second."""
    flat = line("thread_a", 1, flat=True).replace(b'"assistant_id":"asst_1",', b"")
    _, findings = read([line("thread_a", 0), flat])
    assert told(findings) == [("missing_key", 2, "thread_a"), ("mixed_formats", 2, "thread_a")]
    _, findings = read([flat, line("thread_a", 2, flat=True)])
    assert told(findings) == [("missing_key", 1, "thread_a")]


@pytest.mark.parametrize("known", [frozenset(), frozenset({"thread_a", "thread_b"})])
def test_a_first_line_that_cannot_be_read_is_of_the_thread_that_it_names(known: frozenset[str]) -> None:
    """Also where no journal knows it: the thread before it is healthy."""
    lines = [line("thread_a", 0), line("thread_b", 0)[:80] + b"\n", line("thread_b", 1)]
    reading, findings = read(lines, known=known)
    assert told(findings) == [("malformed_line", 2, "thread_b")]
    assert reading.threads["thread_b"].messages == 2


def test_a_line_that_names_an_unknown_thread_is_of_the_one_that_its_message_names() -> None:
    """A byte that changed in its key makes no new thread."""
    strange = line("thread_a", 1).replace(b'{"thread_id":"thread_a"', b'{"thread_id":"thread_x"')
    known = frozenset({"thread_a"})
    for lines, where in (([line("thread_a", 0), strange], 2), ([strange, line("thread_a", 2)], 1)):
        reading, findings = read(lines, known=known)
        assert told(findings) == [("foreign_message", where, "thread_a")]
        assert reading.threads.keys() == {"thread_a"}


@pytest.mark.parametrize(
    ("damaged", "named"),
    [
        (b'{"thread_id":"thread_x","te\n', "thread_a"),
        (b"{\n", "thread_a"),
        (b'{"thread_id":"thread_b","te\n', "thread_b"),
    ],
)
def test_a_line_that_cannot_be_read_is_of_a_known_thread(damaged: bytes, named: str) -> None:
    """Of the one at hand where it names none that is known."""
    _, findings = read([line("thread_a", 0), damaged], known=frozenset({"thread_a", "thread_b"}))
    assert told(findings) == [("malformed_line", 2, named)]


@pytest.mark.parametrize(("first", "named"), [(b"{\n", None), (b'{"thread_id":"thread_x",\n', "thread_x")])
def test_a_first_line_of_all_may_be_of_no_thread(first: bytes, named: str | None) -> None:
    """Where nothing names one."""
    reading, findings = read([first, line("thread_a", 0)], known=frozenset({"thread_a"}))
    assert told(findings) == [("malformed_line", 1, named)]
    assert reading.totals.bytes == len(first) + len(line("thread_a", 0))


def test_a_thread_that_comes_again_is_split() -> None:
    """Its first lines are where it stands."""
    lines = [line("thread_a", 0), line("thread_b", 0), line("thread_a", 1)]
    reading, findings = read(lines)
    assert told(findings) == [("split_thread", 3, "thread_a")]
    assert attrs.astuple(reading.threads["thread_a"])[:2] == (1, 1)


@given(st.lists(st.sampled_from([f"msg_{number}" for number in range(30)]), max_size=40), st.integers(1, 9))
def test_the_suspicions_are_just_what_stands_there_twice(ids: list[str], step: int) -> None:
    """Whatever the batches."""
    seen = Suspicions()
    for start in range(0, len(ids), step):
        seen.add(ids[start : start + step])
    assert seen.repeated() == {hash(one) for one, count in Counter(ids).items() if count > 1}
