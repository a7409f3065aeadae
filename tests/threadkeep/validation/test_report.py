"""What is said of an export: findings, and how a report folds repeated ones."""

from collections import Counter
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from threadkeep.validation.findings import KINDS, Finding, Severity, finding
from threadkeep.validation.report import LineTotals, ValidationReport, collect

_THREADS = st.sampled_from([None, "thread_a", "thread_b"])
FOUND = st.one_of(
    st.builds(
        lambda code, thread_id: finding(code, "it is so", thread_id=thread_id),
        st.sampled_from(["crlf", "digest_mismatch", "empty_message", "not_wanted", "new_message", "torn_line"]),
        _THREADS,
    ),
    st.builds(  # what a kill leaves is a note, though its code is an error otherwise
        lambda thread_id: Finding(code="torn_line", severity=Severity.NOTE, message="torn", thread_id=thread_id),
        _THREADS,
    ),
)


def kind(one: Finding) -> tuple[str, Severity]:
    """What findings are folded by."""
    return one.code, one.severity


@given(st.lists(FOUND), st.integers(1, 4))
def test_folding_counts_all_and_keeps_the_first_of_each_code(found: list[Finding], most: int) -> None:
    """In their order; whose thread wants to be fetched again is told whether it is kept or not."""
    folded = collect(iter(found), most)
    assert folded.counts == Counter(one.code for one in found)
    assert list(folded.kept) == [
        one for place, one in enumerate(found) if [kind(other) for other in found[:place]].count(kind(one)) < most
    ]
    again = [
        one.thread_id
        for one in found
        if one.thread_id and KINDS[one.code].refetch and one.severity is not Severity.NOTE
    ]
    assert list(folded.refetch) == list(dict.fromkeys(again))
    assert folded.severities == {severity: sum(one.severity is severity for one in found) for severity in Severity}


def test_a_finding_says_what_and_what_to_do() -> None:
    """In one sentence, with the severity of its kind."""
    one = finding("crlf", "the line ends with CR and LF", line=3)
    assert one.message.startswith("the line ends with CR and LF; restore the file")
    assert (one.severity, one.line, one.file) == (Severity.ERROR, 3, None)


@given(st.lists(FOUND), st.integers(1, 3))
def test_a_report_counts_severities_of_what_is_not_listed_too(found: list[Finding], most: int) -> None:
    """And gives the listed ones when it is iterated."""
    folded = collect(found, most)
    report = ValidationReport(
        out=Path("out.ndjson"),
        findings=folded.kept,
        counts=folded.counts,
        severities=folded.severities,
        totals=LineTotals(threads=0, messages=0, bytes=0),
        outcomes=None,
        months={},
        sizes={},
        refetch=folded.refetch,
    )
    assert (tuple(report), len(report)) == (folded.kept, len(folded.kept))
    assert report.severities == {severity: sum(one.severity is severity for one in found) for severity in Severity}
    assert report.is_whole is all(one.severity is Severity.NOTE for one in found)
