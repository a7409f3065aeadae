"""Validation from Python: its arguments, and what it counts."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

import threadkeep
from canned_threads import message
from threadkeep.errors import OutputUnusable, UnreadableIds
from threadkeep.records.ndjson import encode_message
from threadkeep.validation.findings import Severity

NOW = datetime(2026, 8, 1, tzinfo=UTC)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """Two threads of three messages, of three months, without an index; the last time is in no calendar."""
    times = [1_774_963_800, 1_777_000_000, 1_779_000_000, 1_774_963_800, 1_774_963_800, 10**16]
    rows = [message(f"thread_{'ab'[n // 3]}", n, created_at=when) for n, when in enumerate(times)]
    path = tmp_path / "out.ndjson"
    path.write_bytes(b"".join(encode_message(row, assistant_id="asst_1") + b"\n" for row in rows))
    return path


def test_months_and_sizes_are_counted(out: Path) -> None:
    """A time that no calendar has is in no month, and has its finding."""
    report = threadkeep.validate(out, now=NOW)
    assert report.months == {"2026-03": 3, "2026-04": 1, "2026-05": 1}
    assert report.sizes == {3: 2}
    assert (report.totals.threads, report.totals.messages, report.totals.bytes) == (2, 6, out.stat().st_size)
    assert report.outcomes is None
    assert report.counts == {"odd_timestamp": 1, "unvouched": 1}


def test_what_counts_as_the_future_is_a_parameter(out: Path) -> None:
    """The same export is noted for more, the earlier it is."""
    early = threadkeep.validate(str(out), now=datetime(2024, 1, 1, tzinfo=UTC))
    assert early.counts["odd_timestamp"] == 6
    assert threadkeep.validate(out, now=datetime(2024, 1, 1, tzinfo=UTC), most=2).counts["odd_timestamp"] == 6
    assert len(threadkeep.validate(out, now=datetime(2024, 1, 1, tzinfo=UTC), most=2)) == 3


def test_the_ids_are_taken_as_the_export_takes_them(out: Path) -> None:
    """With the blanks of their file, each once, and in their order: findings come in no other."""
    ids = ["thread_b\n", " thread_z", "thread_y", "", "thread_z"]
    report = threadkeep.validate(out, ids=iter(ids), now=NOW)
    assert [(one.code, one.thread_id) for one in report if one.severity is not Severity.NOTE] == [
        ("not_exported", "thread_z"),
        ("not_exported", "thread_y"),
        ("not_wanted", "thread_a"),
    ]
    assert report.refetch == ("thread_z", "thread_y")


def test_what_cannot_be_meant_is_refused(out: Path) -> None:
    """One id for many, other types, none of each code; and an export that is not there."""
    with pytest.raises(UnreadableIds, match=r"one thread is \['thread_a'\]"):
        threadkeep.validate(out, ids="thread_a")
    with pytest.raises(TypeError, match="a thread id is a str, and 5 is none"):
        threadkeep.validate(out, ids=[5])  # type: ignore[list-item]
    with pytest.raises(ValueError, match="at least 1"):
        threadkeep.validate(out, most=0)
    with pytest.raises(OutputUnusable):
        threadkeep.validate(out.with_name("other.ndjson"))


@pytest.mark.parametrize(
    ("name", "content"),
    [("ids.txt", "{0}\n{1}\n"), ("ids.csv", "user,mine\n1,{0}\n2,{1}\n"), ("ids.json", '["{0}", "{1}"]')],
)
def test_the_ids_may_be_a_file(name: str, content: str, out: Path, tmp_path: Path) -> None:
    """In any form that the command takes, by its path or its name, with the column named where there is one."""
    listed, ids = tmp_path / name, ["thread_y", "thread_of_nobody"]
    listed.write_text(content.format(*ids))
    expected = threadkeep.validate(out, ids=ids, now=NOW)
    column = "mine" if name.endswith(".csv") else None
    assert threadkeep.validate(out, ids=listed, column=column, now=NOW) == expected
    assert threadkeep.validate(out, ids=str(listed), now=NOW) == expected


def test_nothing_is_changed(out: Path) -> None:
    """Whoever validates may have no right to write."""
    before = {path: path.read_bytes() for path in out.parent.iterdir()}
    threadkeep.validate(out, now=NOW)
    assert {path: path.read_bytes() for path in out.parent.iterdir()} == before


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b"\xff", b'{"totals":3}', b"[" * 5000])
def test_an_unreadable_manifest_is_a_finding(out: Path, content: bytes) -> None:
    """And no traceback."""
    out.with_name("out.ndjson.manifest.json").write_bytes(content)
    report = threadkeep.validate(out, now=NOW)
    assert {"unreadable_manifest", "lost_index"} <= report.counts.keys()
    assert report.refetch == ("thread_a", "thread_b")


@pytest.mark.parametrize("content", [b"\n", b"{}\n", b"\xff\n\n", b"[" * 5000 + b"\n", b"x"])
def test_an_unreadable_index_is_a_finding(out: Path, content: bytes) -> None:
    """And no row of it claims a thread."""
    out.with_name("out.ndjson.index").write_bytes(content)
    report = threadkeep.validate(out, now=NOW)
    assert {"unreadable_index", "unindexed_lines"} <= report.counts.keys()
    assert report.refetch == ("thread_a", "thread_b")


def test_what_is_no_file_is_refused(out: Path, tmp_path: Path) -> None:
    """A link may lead anywhere, and a sparse file has no lines."""
    out.with_name("out.ndjson.index").symlink_to(out)
    with pytest.raises(OutputUnusable, match="symbolic link"):
        threadkeep.validate(out)
    sparse = tmp_path / "sparse.ndjson"
    with sparse.open("wb") as file:
        file.truncate(2**33)
    with pytest.raises(OutputUnusable, match="is a binary file, and no export"):
        threadkeep.validate(sparse)
