"""The audit: a whole export has nothing but notes, and what is wrong is found where it is."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

import strategies
from canned_threads import message
from threadkeep.journal import Entry, FileEntry, FileOutcome, Header, Journal, Outcome, Span, encode_line, fold
from threadkeep.records.mapping import from_message_json
from threadkeep.records.ndjson import encode
from threadkeep.storage.manifest import Ending, ExportTotals, Manifest, build
from threadkeep.storage.paths import Paths
from threadkeep.validation.export_check import Audit, Evidence
from threadkeep.validation.findings import Finding, Severity

PATHS = Paths(Path("out.ndjson"))
NOW = 1_800_000_000
HEADER = Header(source="http://here/v1", assistant_id="asst_1", flat=False, started_at="2026-08-01T00:00:00+00:00")


def digest(lines: list[bytes]) -> str:
    """The sha256 that a journal holds for these lines."""
    return hashlib.sha256(b"".join(lines)).hexdigest()


def is_whole(findings: list[Finding]) -> bool:
    """Whether there are only notes."""
    return all(one.severity is Severity.NOTE for one in findings)


@attrs.frozen
class Made:
    """An export in memory with all that vouches for it."""

    lines: list[bytes]
    journal: Journal
    manifest: Manifest

    def check(self, **changes: Any) -> list[Finding]:
        """The findings, with other vouchers where given."""
        vouchers = Evidence(**{"journal": self.journal, "manifest": self.manifest, **changes})
        return list(Audit(PATHS, vouchers, now=NOW).findings(lambda: self.lines))

    def worse(self, **changes: Any) -> list[Finding]:
        """Those that are more than notes."""
        return [one for one in self.check(**changes) if one.severity is not Severity.NOTE]


def made(threads: dict[str, list[dict[str, Any]]], *others: Entry, flat: bool = False, never: str = "") -> Made:
    """A whole export of these threads, with journal entries for others."""
    lines, entries = list[bytes](), list[Entry]()
    for name, messages in threads.items():
        own = [encode(from_message_json(row, assistant_id="asst_1"), flat=flat) + b"\n" for row in messages]
        lines += own
        entries.append(
            Entry(
                thread_id=name,
                outcome=Outcome.COMPLETE,
                messages=len(own),
                first_id=messages[0]["id"] if messages else None,
                last_id=messages[-1]["id"] if messages else None,
                end_offset=sum(map(len, lines)),
                sha256=digest(own),
            )
        )
    header = attrs.evolve(HEADER, flat=flat)
    journal = Journal(header, {entry.thread_id: entry for entry in [*entries, *others]})
    ending = Ending(finished_at="later", listed=[*journal.entries, *never.split()], ended_by=None)
    return Made(lines, journal, build(header, journal, ending, {}))


def small() -> Made:
    """Two threads of three messages."""
    return made({name: [message(name, number) for number in range(3)] for name in ("thread_a", "thread_b")})


@given(strategies.threads(), st.booleans())
def test_a_whole_export_has_nothing_but_notes(threads: dict[str, list[dict[str, Any]]], flat: bool) -> None:
    """Whatever the messages, full or flat, with the ids that were wanted or without."""
    export = made(threads, flat=flat)
    assert export.worse() == []
    assert export.worse(ids=frozenset(threads)) == []


@given(strategies.threads(), st.data())
def test_any_changed_byte_is_found(threads: dict[str, list[dict[str, Any]]], draw: st.DataObject) -> None:
    """One byte that is another, anywhere in the export, and it is not whole any more."""
    export = made(threads)
    content = bytearray(b"".join(export.lines))
    if not content:
        return
    place = draw.draw(st.integers(0, len(content) - 1))
    content[place] = draw.draw(st.integers(0, 255).filter(lambda byte: byte != content[place]))
    lines = bytes(content).split(b"\n")
    damaged = attrs.evolve(export, lines=[line + b"\n" for line in lines[:-1]] + ([lines[-1]] if lines[-1] else []))
    assert not is_whole(damaged.check())


def test_without_a_journal_nothing_vouches() -> None:
    """A note, and still whole for what it is."""
    findings = small().check(journal=None, manifest=None)
    assert [(row.code, row.severity) for row in findings] == [("unvouched", Severity.NOTE)]
    assert is_whole(findings)


def edited(line: bytes, **changes: Any) -> bytes:
    """A line with other keys; None takes a key away."""
    value = json.loads(line) | changes
    return json.dumps({key: inner for key, inner in value.items() if inner is not ...}).encode() + b"\n"


def replaced(number: int, line: bytes) -> Callable[[list[bytes]], list[bytes]]:
    """Another line in the place of one."""
    return lambda lines: [*lines[:number], line, *lines[number + 1 :]]


def changed(number: int, **changes: Any) -> Callable[[list[bytes]], list[bytes]]:
    """One line with other keys."""
    return lambda lines: [*lines[:number], edited(lines[number], **changes), *lines[number + 1 :]]


DAMAGE: dict[str, tuple[Callable[[list[bytes]], list[bytes]], tuple[str, int | None, str | None]]] = {
    "not utf-8": (replaced(1, b'{"text": "\xff"}\n'), ("not_utf8", 2, "$")),
    "not json": (replaced(1, b'{"text": \n'), ("malformed_line", 2, "$")),
    "blank": (replaced(1, b"\n"), ("blank_line", 2, None)),
    "no object": (replaced(1, b"[1]\n"), ("not_an_object", 2, "$")),
    "a key is missing": (changed(1, role=...), ("missing_key", 2, "$.role")),
    "a key has another type": (changed(1, created_at="now"), ("wrong_type", 2, "$.created_at")),
    "a truth value is no number": (changed(1, created_at=True), ("wrong_type", 2, "$.created_at")),
    "the message has no place": (changed(1, message={}), ("malformed_message", 2, "$.message")),
    "the message is no object": (changed(1, message=3), ("malformed_message", 2, "$.message")),
    "text against parts": (changed(1, text="other"), ("text_mismatch", 2, "$.text")),
    "a key against the message": (changed(1, message_id="msg_other"), ("key_mismatch", 2, "$.message_id")),
    "a line twice": (lambda lines: [lines[0], *lines], ("duplicate_message", 2, "$.message_id")),
    "a line lost": (lambda lines: lines[1:], ("digest_mismatch", 1, None)),
    "two lines swapped": (lambda lines: [lines[1], lines[0], *lines[2:]], ("digest_mismatch", 1, None)),
    "a thread lost": (lambda lines: lines[:3], ("lost_thread", None, None)),
    "a thread split": (lambda lines: [*lines[:2], *lines[3:], lines[2]], ("split_thread", 6, None)),
    "the end cut off": (lambda lines: [*lines[:-1], lines[-1][:-5]], ("torn_line", 6, None)),
}


@pytest.mark.parametrize(("damage", "expected"), DAMAGE.values(), ids=DAMAGE.keys())
def test_damage_is_found_where_it_is(
    damage: Callable[[list[bytes]], list[bytes]], expected: tuple[str, int | None, str | None]
) -> None:
    """Each kind of damage has its code, its line and its path, as an error."""
    export = small()
    found = attrs.evolve(export, lines=damage(export.lines)).check()
    assert expected in {(row.code, row.line, row.path) for row in found if row.severity is Severity.ERROR}


def test_one_line_can_have_several_findings() -> None:
    """The first trouble does not hide the second."""
    lines = changed(0, role=..., text=3)(small().lines)
    codes = [(row.code, row.path) for row in attrs.evolve(small(), lines=lines).check(journal=None)]
    assert ("missing_key", "$.role") in codes
    assert ("wrong_type", "$.text") in codes


@pytest.mark.parametrize(
    ("outcome", "code", "severity"),
    [
        (Outcome.FAILED, "thread_failed", Severity.ERROR),
        (Outcome.PARTIAL, "thread_partial", Severity.ERROR),
        (Outcome.MISSING, "thread_missing", Severity.WARNING),
        (Outcome.INVALID, "thread_invalid", Severity.WARNING),
    ],
)
def test_threads_that_are_not_complete_are_named(outcome: Outcome, code: str, severity: Severity) -> None:
    """With its reason, whether the ids are given or not, and once."""
    export = made({"thread_a": []}, Entry(thread_id="thread_x", outcome=outcome, reason="because"))
    for ids in (None, ["thread_a", "thread_x"]):
        (row,) = export.check(ids=ids)
        assert (row.code, row.severity, row.thread_id) == (code, severity, "thread_x")
        assert row.message.startswith("because; ")


def test_a_wanted_thread_of_which_nothing_is_known_is_missed() -> None:
    """By the ids file, with a journal and without."""
    for vouchers in ({}, {"journal": None, "manifest": None}):
        found = small().check(ids=["thread_a", "thread_b", "thread_c"], **vouchers)
        assert [row.thread_id for row in found if row.code == "not_exported"] == ["thread_c"]


def test_threads_that_never_had_their_turn_are_named_by_the_manifest() -> None:
    """Also without the ids file."""
    (row,) = made({"thread_a": []}, never="thread_z").check()
    assert row.code == "not_exported"
    assert row.thread_id == "thread_z"


def test_a_list_hides_no_thread_that_another_run_was_asked_for() -> None:
    """The manifest names it, or what a run was asked for: it is missed, whatever the list names, and once."""
    export = made({"thread_a": []}, never="thread_z")
    for ids in (["thread_a"], ["thread_a", "thread_z"]):
        found = export.check(ids=dict.fromkeys(ids).keys(), wanted=("thread_z", "thread_y"))
        assert [(row.code, row.thread_id) for row in found] == [
            ("not_exported", "thread_z"),
            ("not_exported", "thread_y"),
        ]


def test_what_a_killed_run_did_not_come_to_is_named_by_what_it_was_asked_for() -> None:
    """What has an entry has been come to; what has only lines is missed. A list adds to it, and takes nothing away.

    A kill may come before the manifest of the run before is gone: it says nothing of the ids of this one.
    """
    export = small()
    (first, _) = export.journal.entries.values()

    def missed(**vouchers: Any) -> list[str | None]:
        found = export.check(wanted=("thread_a", "thread_b", "thread_z", "thread_y"), **vouchers)
        return [row.thread_id for row in found if row.code == "not_exported"]

    assert missed(manifest=None) == ["thread_z", "thread_y"]
    unvouched = {"manifest": None, "journal": Journal(HEADER, {first.thread_id: first})}
    assert missed(**unvouched) == ["thread_b", "thread_z", "thread_y"]
    assert missed(manifest=None, ids=frozenset({"thread_y"})) == ["thread_y", "thread_z"]
    for vouchers in ({}, {"manifest": None, "manifest_fault": "cut"}, {"manifest": None, "journal": None}):
        assert missed(**vouchers) == ["thread_z", "thread_y"]
    once = made({"thread_a": []}, never="thread_z").check(wanted=("thread_z",))
    assert [row.thread_id for row in once] == ["thread_z"]


def test_lines_that_the_journal_does_not_know_are_unjournalled() -> None:
    """A torn last journal entry leaves its thread unvouched for, and both are findings; after a kill, notes."""
    export = small()
    entries = list(export.journal.entries.values())
    whole = encode_line(HEADER) + encode_line(entries[0]) + encode_line(entries[1])
    killed: dict[str, Any] = {"manifest": None, "wanted": ["thread_b"]}
    for vouchers, severity in (({}, Severity.ERROR), (killed, Severity.NOTE)):
        found = {row.code: row for row in export.check(journal=fold(whole[:-9]), **vouchers)}
        others = {"manifest_mismatch", "unfinished_run", "not_exported"}
        assert found.keys() - others == {"torn_journal", "unjournalled_thread"}
        assert found["unjournalled_thread"].thread_id == "thread_b"
        assert {found[code].severity for code in ("torn_journal", "unjournalled_thread")} == {severity}
    failed = Entry(thread_id="thread_b", outcome=Outcome.FAILED, end_offset=entries[0].end_offset)
    codes = [row.code for row in export.worse(journal=Journal(HEADER, {"thread_a": entries[0], "thread_b": failed}))]
    assert codes == ["unjournalled_thread", *["manifest_mismatch"] * (len(codes) - 2), "thread_failed"]


def test_what_a_run_has_written_and_not_vouched_for_is_no_damage() -> None:
    """It is missed, since it is fetched again. With entries behind the lines, or none to be read, it is damage."""
    export = small()
    first, second = export.journal.entries.values()

    def found(*entries: Entry, **vouchers: Any) -> list[tuple[str, str | None]]:
        journal = Journal(HEADER, {entry.thread_id: entry for entry in entries})
        rows = export.worse(**{"journal": journal, "manifest": None, "wanted": ["thread_b"], **vouchers})
        return [(row.code, row.thread_id) for row in rows]

    ended = ("unfinished_run", None)
    assert found(first) == [ended, ("not_exported", "thread_b")]
    assert found(first, ids={"thread_a": 1, "thread_b": 2}.keys()) == [ended, ("not_exported", "thread_b")]
    failed = attrs.evolve(first, thread_id="thread_b", outcome=Outcome.FAILED)
    assert found(first, failed) == [ended, ("thread_failed", "thread_b")]
    assert found(second) == [("unjournalled_thread", "thread_a"), ended]
    codes = {code for code, _ in found(journal=Journal(None, {}, torn=True), wanted=())}
    assert codes == {"unjournalled_thread", "unreadable_journal", "unfinished_run"}


@pytest.mark.parametrize("content", [b"", b'{"source":"htt'])
def test_a_run_that_was_killed_at_its_beginning_has_damaged_nothing(content: bytes) -> None:
    """Its journal has no line yet. Where a manifest says that there was an export, or lines do, it had some."""
    export = made({})
    found = [(row.code, row.severity) for row in export.check(journal=fold(content), manifest=None)]
    assert found == [("torn_journal", Severity.NOTE), ("unfinished_run", Severity.WARNING)]
    for other in (export.worse(journal=fold(content)), small().worse(journal=fold(content), manifest=None)):
        assert "unreadable_journal" in {row.code for row in other}


def test_a_torn_line_behind_a_whole_journal_is_normal() -> None:
    """A run that was killed while writing leaves one; without a manifest it is a note only."""
    export = attrs.evolve(small(), lines=[*small().lines, b'{"thread_id": "thr'])
    severities = {row.code: row.severity for row in export.check(manifest=None)}
    assert severities == {"torn_line": Severity.NOTE, "unfinished_run": Severity.WARNING}
    assert {row.code: row.severity for row in export.check()} == {"torn_line": Severity.ERROR}


def test_a_foreign_journal_vouches_for_nothing() -> None:
    """Each unreadable line is named, and the missing header too."""
    found = made({}).check(journal=fold(b"hello\nworld\n"))
    assert [(row.line, row.message.partition(";")[0]) for row in found if row.code == "unreadable_journal"] == [
        (1, "the journal does not begin with its header"),
        (2, "line 2 of the journal cannot be read"),
    ]
    (row,) = [row for row in made({}).check(journal=fold(b'{"format":"another/7"}\n')) if row.line == 1]
    assert (row.code, row.path) == ("unreadable_journal", "$.format")


def test_whose_lines_are_as_they_were_written_is_not_blamed_for_a_message_that_stands_twice() -> None:
    """The thread before it is, since its lines were changed."""
    export = small()
    taken = changed(1, message_id="msg_thread_b_00000", message=message("thread_a", 1, id="msg_thread_b_00000"))
    found = attrs.evolve(export, lines=taken(export.lines)).check()
    (row,) = [one for one in found if one.code == "duplicate_message"]
    assert (row.thread_id, row.line, row.severity) == ("thread_a", 2, Severity.ERROR)


TOTALS = ExportTotals(threads=2, unfinished=0, messages=7, bytes=1)


@pytest.mark.parametrize(
    ("field", "change"),
    [
        ("digest", lambda row: attrs.evolve(row, claims=attrs.evolve(row.claims, digest="0" * 64))),
        ("totals", lambda row: attrs.evolve(row, claims=attrs.evolve(row.claims, totals=TOTALS))),
        ("source", lambda row: attrs.evolve(row, source="http://elsewhere")),
        ("assistant_id", lambda row: attrs.evolve(row, assistant_id="asst_other")),
        ("flat", lambda row: attrs.evolve(row, flat=True)),
    ],
)
def test_a_manifest_that_claims_something_else_is_found(field: str, change: Callable[[Manifest], Manifest]) -> None:
    """The manifest must say what the journal says."""
    export = small()
    rows = export.check(manifest=change(export.manifest))
    assert {row.code for row in rows} == {"manifest_mismatch"}
    assert {str(row.path).split(".")[1] for row in rows} == {field}


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"source": "http://elsewhere"}, "$.source"),
        ({"assistant_id": "asst_other"}, "$.assistant_id"),
        ({"flat": True}, "$.flat"),
        ({"include": ("runs",)}, "$.beside.runs"),
        ({"started_at": "once"}, "$.started_at"),
    ],
)
def test_what_an_export_is_of_is_mended_by_no_run(change: dict[str, Any], path: str) -> None:
    """If it was the journal that was changed, the same command is refused: that is another export's by now."""
    export = small()
    found = export.check(journal=attrs.evolve(export.journal, header=attrs.evolve(HEADER, **change)))
    (one,) = [row for row in found if row.code == "manifest_mismatch"]
    remedy = "one of the two files was changed: restore it, or export to another place"
    if path == "$.started_at":
        remedy = "run the same export command again: it goes on"
    assert (one.path, one.message.split("; ")[1]) == (path, remedy)


def test_a_journal_with_downloads_is_of_an_export_with_downloads() -> None:
    """Its header was changed else, and no run with downloads goes on with it."""
    export = small()
    file = FileEntry(file_id="file-a", outcome=FileOutcome.MISSING)
    for files in (True, False):
        journal = attrs.evolve(export.journal, header=attrs.evolve(HEADER, files=files), files={"file-a": file})
        assert journal.header is not None
        manifest = build(journal.header, journal, Ending(finished_at="later", listed=[], ended_by=None), {})
        found = [(row.code, row.path) for row in export.worse(journal=journal, manifest=manifest)]
        assert found == ([] if files else [("manifest_mismatch", "$.files")])


def test_a_manifest_without_its_journal_is_no_proof() -> None:
    """Also of an export that was emptied: whoever deletes the journal must not get a verdict of whole."""
    whole, emptied = (attrs.evolve(small(), lines=lines).check(journal=None) for lines in (small().lines, []))
    assert [(row.code, row.severity) for row in whole] == [("lost_journal", Severity.ERROR)]
    assert [row.code for row in emptied] == ["lost_journal", *["manifest_mismatch"] * 3]
    assert [row.path for row in emptied[1:]] == ["$.totals.messages", "$.totals.bytes", "$.digest"]


def test_a_manifest_that_cannot_be_read_is_a_finding() -> None:
    """And the lines are still checked."""
    (row,) = small().check(manifest=None, manifest_fault="no manifest: digest is missing")
    assert row.code == "unreadable_manifest"
    assert row.message.startswith("no manifest: digest is missing; ")
    codes = {row.code for row in small().check(journal=None, manifest=None, manifest_fault="cut")}
    assert codes == {"unreadable_manifest", "lost_journal"}


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"first_id": "msg_other"}, "journal_mismatch"),
        ({"last_id": None}, "journal_mismatch"),
        ({"messages": 2}, "journal_mismatch"),
        ({"end_offset": 7}, "misplaced_thread"),
        ({"sha256": None}, "digest_mismatch"),
    ],
)
def test_an_entry_that_contradicts_the_lines_is_found(change: dict[str, Any], code: str) -> None:
    """Each of its fields is held against the export."""
    export = small()
    entry = export.journal.entries["thread_a"]
    journal = Journal(HEADER, {**export.journal.entries, "thread_a": attrs.evolve(entry, **change)})
    assert code in {row.code for row in export.check(journal=journal)}


def test_threads_that_changed_places_are_found() -> None:
    """Each is whole, and neither is where it was written."""
    export = small()
    found = attrs.evolve(export, lines=export.lines[3:] + export.lines[:3]).check()
    assert {row.code for row in found} == {"misplaced_thread"}
    assert [row.thread_id for row in found] == ["thread_b", "thread_a"]


@pytest.mark.parametrize("place", range(4))
def test_entries_that_changed_places_are_found(place: int) -> None:
    """Also those of threads without messages, and where only the files beside the export tell them apart.

    The exporter refuses such a journal: where each thread begins is known from the entry before it.
    """
    export = made(
        {name: [message(name, 1)] if name == "thread_a" else [] for name in ["thread_a", "thread_b", "thread_c"]}
    )
    entries = [
        attrs.evolve(one, beside={"runs": Span(lines=lines, end_offset=end, sha256="0")})
        for one, lines, end in zip(export.journal.entries.values(), (0, 2, 0), (0, 9, 9), strict=True)
    ]
    assert export.worse(journal=Journal(HEADER, {one.thread_id: one for one in entries})) == []
    swapped = [*entries[:place], *entries[place : place + 2][::-1], *entries[place + 2 :]]
    journal = fold(encode_line(HEADER) + b"".join(map(encode_line, swapped)))
    found = [(row.code, row.file, row.path) for row in export.worse(journal=journal)]
    assert bool(found) is (swapped != entries)
    assert set(found) <= {
        ("misplaced_thread", PATHS.journal.name, path) for path in ("$.end_offset", "$.beside.runs.end_offset")
    }


def test_a_lost_entry_is_not_blamed_on_the_threads_behind_it() -> None:
    """They end where the journal says that they do, though it does not say what stands before them."""
    export = small()
    entries = {name: one for name, one in export.journal.entries.items() if name != "thread_a"}
    found = [row for row in export.worse(journal=Journal(HEADER, entries)) if row.file == PATHS.out.name]
    assert [(row.code, row.thread_id) for row in found] == [("unjournalled_thread", "thread_a")]


def test_lines_put_before_a_thread_are_not_blamed_on_it() -> None:
    """It ends as many bytes later as they have."""
    export = small()
    strange = encode(from_message_json(message("thread_x", 1), assistant_id="asst_1")) + b"\n"
    found = attrs.evolve(export, lines=[strange, *export.lines]).worse()
    assert [(row.code, row.thread_id) for row in found] == [("unjournalled_thread", "thread_x")]


def test_a_message_is_blamed_on_the_thread_that_was_changed() -> None:
    """Also when that stands before the thread from which it was copied."""
    export = small()
    stolen = json.loads(export.lines[-1])["message_id"].encode()
    first = export.lines[0]
    own = json.loads(first)["message_id"].encode()
    found = attrs.evolve(export, lines=[first.replace(own, stolen), *export.lines[1:]]).check()
    (row,) = [row for row in found if row.code == "duplicate_message"]
    assert (row.line, row.thread_id, row.severity) == (1, "thread_a", Severity.ERROR)


def test_pages_that_were_kept_must_still_be_there() -> None:
    """The journal counts what went into the partial file."""
    entry = Entry(thread_id="thread_x", outcome=Outcome.PARTIAL, messages=2, reason="gone")
    export = made({"thread_a": []}, entry)
    kept = [encode(from_message_json(message("thread_x", number), assistant_id="asst_1")) for number in range(2)]
    assert [row.code for row in export.check(partial=kept)] == ["thread_partial"]
    found = export.check(partial=[kept[0], b"{"])
    assert [(row.code, row.line) for row in found] == [
        ("lost_partial", 2),
        ("lost_partial", None),
        ("thread_partial", None),
    ]


def test_pages_of_which_no_journal_tells_are_threads_that_were_never_finished() -> None:
    """Each is named once, unless its lines are in the export after all."""
    kept = [encode(from_message_json(message(name, 1), assistant_id="asst_1")) for name in ("thread_a", "thread_x")]
    found = small().check(journal=None, manifest=None, partial=kept)
    assert [(row.code, row.line, row.thread_id) for row in found if row.code == "thread_partial"] == [
        ("thread_partial", 2, "thread_x")
    ]


@given(st.data())
def test_messages_that_only_the_partial_file_has_are_noted(data: st.DataObject) -> None:
    """Those of complete threads whose ids the export has not: once a thread, with how many and where the first is."""
    export = small()
    drawn = data.draw(st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 5)), max_size=8, unique=True))
    rows = [message(f"thread_{name}", number) for name, number in drawn]
    partial = [encode(from_message_json(row, assistant_id="asst_1")) + b"\n" for row in rows]
    for lines in (export.lines, replaced(1, b"what is this\n")(export.lines)):
        found = attrs.evolve(export, lines=lines).check(partial=partial)
        has = [
            (name, number)
            for name in "ab"
            for number in range(3)
            if lines is export.lines or (name, number) != ("a", 1)
        ]
        only = [(name, line) for line, (name, number) in enumerate(drawn, 1) if (name, number) not in has]
        assert {
            (one.thread_id, one.line, one.message.split()[6]) for one in found if one.code == "only_in_partial"
        } == {
            (f"thread_{name}", min(line for other, line in only if other == name), f"{sum(o == name for o, _ in only)}")
            for name, _ in only
        }
        assert lines is not export.lines or is_whole(found)


def test_what_the_partial_file_alone_says_is_noted() -> None:
    """The export has the message, and nothing in it: the API gave it empty the second time. Blanks are no loss."""
    export = made({"thread_a": [message("thread_a", number, content=[]) for number in range(2)]})
    rows = [message("thread_a", 0), message("thread_a", 1, content=[])]
    partial = [encode(from_message_json(row, assistant_id="asst_1")) + b"\n" for row in rows]
    found = [
        (one.line, one.message.split()[6]) for one in export.check(partial=partial) if one.code == "only_in_partial"
    ]
    assert found == [(1, "1")]
    assert "only_in_partial" not in {one.code for one in export.check(partial=partial[1:])}


def test_a_line_that_does_not_say_of_which_thread_it_was_is_mended_by_no_run() -> None:
    """So nobody is told to fetch a thread again."""
    (one,) = small().check(partial=[b"what is this\n"])
    assert (one.code, one.severity, one.line) == ("lost_partial", Severity.ERROR, 1)
    assert one.message.endswith("; no run mends it: restore the file, or take the line out")


def test_wanted_ids_that_cannot_be_read_are_told() -> None:
    """A run was asked for something, and nobody knows for what."""
    (_, one) = small().worse(manifest=None, wanted_fault="these are no wanted ids")
    assert (one.code, one.severity, one.file) == ("unreadable_wanted", Severity.ERROR, "out.ndjson.wanted.json")
    assert one.message == "these are no wanted ids; delete it and export all ids again"


def test_pages_of_a_thread_that_a_killed_run_was_asked_for_are_no_strangers() -> None:
    """It is missed as a whole; nobody is told that nobody asked for it."""
    kept = [encode(from_message_json(message("thread_x", 1), assistant_id="asst_1"))]
    codes = [{row.code for row in small().check(manifest=None, partial=kept, wanted=ids)} for ids in ((), ["thread_x"])]
    assert codes == [{"unfinished_run", "thread_partial"}, {"unfinished_run", "not_exported"}]


def test_threads_that_nobody_asked_for_are_told() -> None:
    """As a warning: nothing is lost, and somebody should look."""
    (row,) = small().check(ids=frozenset({"thread_a"}))
    assert (row.code, row.severity, row.thread_id, row.line) == ("not_wanted", Severity.WARNING, "thread_b", 4)
