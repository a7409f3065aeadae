"""The journal's fold and the manifest: pure, total, and the last entry of a thread counts."""

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

import strategies
from threadkeep.journal import Entry, Header, Journal, Outcome, encode_line, fold
from threadkeep.serialization.lossless_json import dumps, dumps_pretty
from threadkeep.storage.manifest import Ending, ExportTotals, build, claims, read, to_json

HEADER = Header(source="http://here/v1", assistant_id="asst_1", flat=False, started_at="2026-08-01T00:00:00+00:00")
DIGESTS = st.text("0123456789abcdef", min_size=64, max_size=64)
ENTRIES = st.builds(
    Entry,
    thread_id=st.one_of(st.sampled_from(["thread_a", "thread_b"]), strategies.raw_text),
    outcome=st.sampled_from(Outcome),
    messages=st.integers(0, 100_000),
    first_id=st.none() | strategies.raw_text,
    last_id=st.none() | strategies.raw_text,
    end_offset=st.integers(0, 2**40),
    sha256=st.none() | DIGESTS,
    cursor=st.none() | strategies.raw_text,
    reason=st.none() | strategies.raw_text,
)


def written(entries: list[Entry]) -> bytes:
    """A journal's bytes."""
    return encode_line(HEADER) + b"".join(encode_line(entry) for entry in entries)


@given(st.lists(ENTRIES, max_size=8))
def test_a_journal_reads_back(entries: list[Entry]) -> None:
    """The header and the last entry of each thread come back, in the order in which they were written."""
    journal, entries = fold(written(entries)), news(entries)
    last = {entry.thread_id: entry for entry in entries}
    assert journal.header == HEADER
    assert dict(journal.entries) == last
    assert list(journal.entries.values()) == [
        entry for n, entry in enumerate(entries) if entry.thread_id not in {e.thread_id for e in entries[n + 1 :]}
    ]
    assert not journal.torn
    assert not journal.unreadable


def news(entries: list[Entry]) -> list[Entry]:
    """Those that do not call a thread complete in the words of its last entry."""
    new: list[Entry] = []
    for entry in entries:
        last = next((one for one in reversed(new) if one.thread_id == entry.thread_id), None)
        new += [] if entry == last and entry.outcome is Outcome.COMPLETE else [entry]
    return new


@given(st.lists(ENTRIES, min_size=1, max_size=6), st.data())
def test_a_line_that_stands_twice_says_nothing_new(entries: list[Entry], draw: st.DataObject) -> None:
    """Right behind itself or later, as long as nothing else was said of the thread: nothing is superseded by it."""
    place = draw.draw(st.integers(0, len(entries) - 1))
    entries[place] = again = attrs.evolve(entries[place], outcome=Outcome.COMPLETE)
    later = [n for n, entry in enumerate(entries) if n > place and entry.thread_id == again.thread_id]
    to = draw.draw(st.integers(place + 1, min([*later, len(entries)])))
    once, twice = fold(written(entries)), fold(written([*entries[:to], again, *entries[to:]]))
    assert (twice.entries, twice.written, twice.superseded) == (once.entries, once.written, once.superseded)
    assert list(twice.entries) == list(once.entries)
    assert twice.unreadable == ()
    assert twice.readable == once.readable + 1


BIG = st.integers(min_value=2**63)


@pytest.mark.parametrize("field", ["end_offset", "messages", "span lines", "span end_offset", "bytes"])
@given(number=BIG)
def test_a_number_that_no_file_can_have_is_unreadable(field: str, number: int) -> None:
    """Whoever looked there would stumble."""
    span = {"lines": 1, "end_offset": 1, "sha256": ""}
    rows: dict[str, dict[str, object]] = {
        "span lines": {"beside": {"runs": span | {"lines": number}}},
        "span end_offset": {"beside": {"runs": span | {"end_offset": number}}},
    }
    about = {"file_id": "file-1", "outcome": "saved"} if field == "bytes" else {"thread_id": "a", "outcome": "complete"}
    row = about | rows.get(field, {field: number})
    assert fold(encode_line(HEADER) + dumps(row) + b"\n").unreadable == (2,)


@given(st.lists(ENTRIES, min_size=1, max_size=5), st.data())
def test_a_torn_last_line_costs_its_own_entry_only(entries: list[Entry], draw: st.DataObject) -> None:
    """Cut anywhere in the last line, the journal is what it was before that line."""
    whole = written(entries)
    line = encode_line(entries[-1])
    cut = draw.draw(st.integers(1, len(line) - 1))
    torn = fold(whole[: len(whole) - cut])
    assert torn == attrs.evolve(fold(written(entries[:-1])), torn=True)


@given(strategies.json_values, st.data())
def test_a_line_of_another_shape_is_unreadable(value: object, draw: st.DataObject) -> None:
    """Any value in the place of any field, and a field too few, raise nothing; what is kept has the right types."""
    fields = attrs.asdict(Entry(thread_id="thread_a", outcome=Outcome.FAILED))
    name = draw.draw(st.sampled_from(sorted(fields)))
    lacking = {key: inner for key, inner in fields.items() if key != "outcome"}
    lines = [encode_line(HEADER), dumps(fields | {name: value}) + b"\n", dumps(lacking) + b"\n"]
    journal = fold(b"".join(lines))
    assert 3 in journal.unreadable
    assert len(journal.entries) + len(journal.unreadable) == 2
    for entry in journal.entries.values():
        assert isinstance(entry.thread_id, str)
        assert isinstance(entry.messages, int)
        assert isinstance(entry.end_offset, int)
        assert entry.reason is None or isinstance(entry.reason, str)


@given(st.binary(max_size=200))
def test_any_bytes_can_be_folded(content: bytes) -> None:
    """Foreign bytes are no entries, and each whole line of them is named."""
    journal = fold(content)
    assert not journal.entries
    assert len(journal.unreadable) == content.count(b"\n")


def test_foreign_lines_are_named_by_number() -> None:
    """A line that is JSON and no entry is named like one that is not JSON."""
    entry = Entry(thread_id="thread_a", outcome=Outcome.COMPLETE)
    foreign = b'{"thread_id":"thread_b","outcome":"lost"}\n[]\n\n{"format":1}\n' + encode_line(HEADER)
    journal = fold(encode_line(HEADER) + foreign + encode_line(entry))
    assert journal.unreadable == (2, 3, 4, 5, 6)
    assert dict(journal.entries) == {"thread_a": entry}


def test_an_empty_journal_vouches_for_nothing() -> None:
    """No bytes, no header, no claims."""
    assert fold(b"") == Journal(None, {})
    assert fold(b"").end_offset == 0


def test_the_manifest_says_what_the_journal_says() -> None:
    """Totals and outcomes are counted over the last entries; what was never reached is counted too."""
    entries = [
        Entry(thread_id="thread_a", outcome=Outcome.FAILED, end_offset=0),
        Entry(thread_id="thread_b", outcome=Outcome.COMPLETE, messages=3, end_offset=300, sha256="b" * 64),
        Entry(thread_id="thread_a", outcome=Outcome.COMPLETE, messages=2, end_offset=500, sha256="a" * 64),
        Entry(thread_id="thread_c", outcome=Outcome.PARTIAL, messages=100, end_offset=500),
        Entry(thread_id="x", outcome=Outcome.INVALID, end_offset=500),
    ]
    journal = fold(written(entries))
    ending = Ending(finished_at="now", listed=[*"abcde", *journal.entries], ended_by="the API is gone")
    manifest = build(HEADER, journal, ending, {"threadkeep": "1"})
    assert manifest.claims.totals == ExportTotals(threads=9, unfinished=5, messages=5, bytes=500)
    assert manifest.claims.outcomes == {"complete": 2, "missing": 0, "invalid": 1, "partial": 1, "failed": 0}
    assert manifest.ended_by == "the API is gone"
    assert [row.thread_id for row in manifest.not_whole] == ["thread_c", "x"]
    assert manifest.unfinished == tuple("abcde")
    assert manifest.claims == claims(journal, listed=9)
    assert read(dumps_pretty(to_json(manifest))) == manifest
    assert next(iter(to_json(manifest))) == "format"


RIGHT_KINDS = {"ended_by": (str, type(None)), "versions": (dict,)}
FIELDS = st.sampled_from(["totals", "outcomes", "digest", "flat", "versions", "source", "ended_by"])


@given(FIELDS, strategies.json_values)
def test_a_manifest_of_another_shape_is_refused(field: str, value: object) -> None:
    """Whatever stands in the place of a field, and when nothing does."""
    manifest = build(HEADER, fold(written([])), Ending(finished_at="now", listed=[], ended_by=None), {})
    fields = to_json(manifest)
    right = fields.pop(field)
    with pytest.raises(ValueError, match=r"\w"):
        read(dumps_pretty(fields))
    if not isinstance(value, RIGHT_KINDS.get(field, (type(right),))):
        with pytest.raises(ValueError, match=r"\w"):
            read(dumps_pretty({**fields, field: value}))


@pytest.mark.parametrize("content", [b"", b"[]", b"3", b"{}", b'{"totals": {}, "outcomes": {}, "digest": ""}', b"\xff"])
def test_what_is_no_manifest_is_refused(content: bytes) -> None:
    """Foreign bytes are no claims."""
    with pytest.raises(ValueError, match=r"\w"):
        read(content)


def test_the_digest_does_not_depend_on_the_order() -> None:
    """The same threads in another order are the same export; the same lines under another id are not."""
    a, b = (Entry(thread_id=f"thread_{name}", outcome=Outcome.COMPLETE, sha256=name * 64) for name in "ab")
    c = attrs.evolve(b, thread_id="thread_c")
    orders = ((a, b), (b, a), (a, c))
    forward, backward, other = (claims(fold(written(list(order))), listed=2).digest for order in orders)
    assert forward == backward != other


def test_a_manifest_counts_every_outcome() -> None:
    """One that is left out is not zero."""
    manifest = build(HEADER, fold(written([])), Ending(finished_at="now", listed=[], ended_by=None), {})
    with pytest.raises(ValueError, match="an outcome is missing"):
        read(dumps_pretty({**to_json(manifest), "outcomes": {"complete": 0}}))
