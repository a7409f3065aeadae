"""The index and the manifest are read as they were written, and what is neither is refused in one way."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

import strategies
from threadkeep.serialization.lossless_json import dumps
from threadkeep.storage.index import (
    DownloadOutcome,
    DownloadRow,
    IndexHeader,
    IndexRow,
    Outcome,
    Span,
    decode_download,
    decode_header,
    decode_row,
    encode_line,
)
from threadkeep.storage.manifest import (
    FileClaim,
    Manifest,
    ThreadDigest,
    Totals,
    decode_manifest,
    encode_manifest,
)

SHA = "ab" * 32
TEXTS = st.one_of(st.none(), strategies.raw_text)
COUNTS = st.integers(0, 2**40)
SPANS = st.builds(Span, offset=COUNTS, bytes=COUNTS, sha256=st.just(SHA))
PLACE: dict[str, Any] = {"offset": 5, "bytes": 2**40, "sha256": SHA}
ROWS = st.builds(
    lambda **fields: IndexRow(**fields, **(PLACE if fields["outcome"] is Outcome.COMPLETE else {})),
    thread_id=strategies.identifiers("thread_"),
    assistant_id=TEXTS,
    outcome=st.sampled_from(Outcome),
    messages=st.one_of(st.none(), COUNTS),
    first_id=TEXTS,
    last_id=TEXTS,
    sidecars=st.dictionaries(st.sampled_from(["threads", "runs"]), SPANS),
    partial=st.one_of(st.none(), SPANS),
    files=st.lists(strategies.raw_text).map(tuple),
    reason=TEXTS,
)
HEADERS = st.builds(
    IndexHeader,
    source=strategies.raw_text,
    assistant_id=strategies.raw_text,
    flat=st.booleans(),
    include=st.lists(st.sampled_from(["threads", "runs"]), max_size=2).map(tuple),
)
DOWNLOADS = st.builds(DownloadRow, file_id=strategies.raw_text, outcome=st.sampled_from(DownloadOutcome), reason=TEXTS)


@given(ROWS, HEADERS, DOWNLOADS)
def test_lines_are_read_as_they_were_written(row: IndexRow, header: IndexHeader, download: DownloadRow) -> None:
    """Whatever texts a server has put in; each is one line."""
    for value, decode in ((row, decode_row), (header, decode_header), (download, decode_download)):
        line = encode_line(value)
        assert line.count(b"\n") == 1
        assert decode(line) == value


VALID = {"thread_id": "thread_a", "assistant_id": None, "outcome": "complete", "offset": 0, "bytes": 0, "sha256": SHA}
NO_ROWS: list[dict[str, Any]] = [
    {"thread_id": "no thread"},
    {"offset": -1},
    {"bytes": -1},
    {"bytes": 2**63},
    {"offset": None},
    {"sha256": None},
    {"sha256": "\ud800"},
    {"sha256": SHA.upper()},
    {"partial": {"offset": 2**70, "bytes": 0, "sha256": SHA}},
    {"partial": {"offset": 0, "bytes": 0, "sha256": ""}},
    {"sidecars": {"runs": {"offset": 0, "bytes": -5, "sha256": SHA}}},
    {"sidecars": {"partial": {"offset": 0, "bytes": 0, "sha256": SHA}}},
    {"outcome": "dropped"},
    {"outcome": "whole"},
    {"files": "file-1"},
    {"messages": "3"},
    {"thread_id": 3},
]


def test_a_row_that_is_one() -> None:
    """What the others are held against."""
    assert decode_row(dumps(VALID)).thread_id == "thread_a"


@pytest.mark.parametrize("fields", NO_ROWS, ids=str)
def test_what_is_no_row_is_refused(fields: dict[str, Any]) -> None:
    """A span that no file can have would make whoever reads there stumble."""
    with pytest.raises(ValueError, match=r"."):
        decode_row(dumps({**VALID, **fields}))


@pytest.mark.parametrize("name", ["", ".", "..", "/", "a/b", "a\0b", "\ud800", "x" * 300])
def test_a_name_that_no_file_can_have_is_refused(name: str) -> None:
    """It would lead whoever opens it out of the folder, or nowhere."""
    with pytest.raises(ValueError, match=r"."):
        decode_download(dumps({"file_id": "file-1", "outcome": "saved", "name": name}))


@given(st.one_of(st.binary(), strategies.json_values.map(dumps), st.just(b"[" * 100_000), st.just(b'{"a":' * 100_000)))
def test_foreign_bytes_are_refused(content: bytes) -> None:
    """In one way, whatever they are."""
    for decode in (decode_row, decode_header, decode_download, decode_manifest):
        with pytest.raises(ValueError, match=r"."):
            decode(content)


def manifest(**fields: Any) -> Manifest:
    """An ordinary manifest."""
    return Manifest(
        **{
            "source": "https://api.test/v1",
            "assistant_id": "asst_1",
            "flat": False,
            "include": (),
            "started_at": "then",
            "finished_at": "now",
            "versions": {},
            "totals": Totals(threads=1, messages=2, partial_messages=0),
            "outcomes": {"complete": 1, "missing": 0, "dropped": 3},
            "digest": SHA,
            "files": {"out": FileClaim(1, SHA)},
            **fields,
        }
    )


@given(strategies.raw_text, st.one_of(st.none(), COUNTS), TEXTS)
def test_a_manifest_is_read_as_it_was_written(source: str, kept_as: int | None, ended_by: str | None) -> None:
    """By people too: it is indented."""
    written = manifest(source=source, kept_as=kept_as, ended_by=ended_by)
    content = encode_manifest(written)
    assert decode_manifest(content) == written
    assert content.startswith(b'{\n  "format": ')


@pytest.mark.parametrize(
    ("fields", "is_complete"),
    [
        ({}, True),
        ({"ended_by": "interrupted"}, True),
        ({"outcomes": {"complete": 1, "partial": 1}}, False),
        ({"outcomes": {"complete": 1, "strange": 1}}, False),
        ({"downloads": {"saved": 1, "missing": 2, "not_allowed": 1, "invalid": 1}}, True),
        ({"downloads": {"failed": 1}}, False),
        ({"downloads": {"unfinished": 1}}, False),
    ],
)
def test_when_an_export_is_complete(fields: dict[str, Any], is_complete: bool) -> None:
    """Every thread that is wanted, and every file that can be had."""
    assert manifest(**fields).is_complete is is_complete


@given(st.lists(ROWS, max_size=5), st.randoms())
def test_the_digest_does_not_depend_on_the_order(rows: list[IndexRow], draw: Any) -> None:
    """Nor on threads that are not complete; the same lines under another id are another export."""
    other = list(rows)
    draw.shuffle(other)
    assert digest(rows) == digest(other)
    assert digest([row for row in rows if row.outcome == "complete"]) == digest(rows)
    renamed = [msgspec.structs.replace(row, thread_id=row.thread_id + "x") for row in rows]
    assert (digest(renamed) == digest(rows)) == all(row.outcome != "complete" for row in rows)


def digest(rows: list[IndexRow]) -> str:
    """Of these threads."""
    found = ThreadDigest()
    for row in rows:
        found.add(row)
    return found.value
