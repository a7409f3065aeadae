"""Findings, and how a report counts repeated ones."""

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
    st.builds(  # a finding may be less severe than its code
        lambda thread_id: Finding(code="torn_line", severity=Severity.NOTE, message="torn", thread_id=thread_id),
        _THREADS,
    ),
)


def kind(one: Finding) -> tuple[str, Severity]:
    """The key by which findings are counted."""
    return one.code, one.severity


@given(st.lists(FOUND), st.integers(1, 4))
def test_all_are_counted_and_the_first_are_listed_of_each_code(found: list[Finding], most: int) -> None:
    """In their order; the threads to fetch again are all there, listed or not."""
    collected = collect(iter(found), most)
    assert collected.counts == Counter(one.code for one in found)
    assert list(collected.listed) == [
        one for place, one in enumerate(found) if [kind(other) for other in found[:place]].count(kind(one)) < most
    ]
    again = [
        one.thread_id
        for one in found
        if one.thread_id and KINDS[one.code].refetch and one.severity is not Severity.NOTE
    ]
    assert list(collected.refetch) == list(dict.fromkeys(again))
    assert collected.severities == {severity: sum(one.severity is severity for one in found) for severity in Severity}


def test_a_finding_says_what_and_what_to_do() -> None:
    """In one sentence, with the severity of its kind."""
    one = finding("crlf", "the line ends with CR and LF", line=3)
    assert one.message.startswith("the line ends with CR and LF. Restore the file")
    assert (one.severity, one.line, one.file) == (Severity.ERROR, 3, None)


@given(st.lists(FOUND), st.integers(1, 3))
def test_a_report_counts_severities_of_what_is_not_listed_too(found: list[Finding], most: int) -> None:
    """And gives the listed ones when it is iterated."""
    collected = collect(found, most)
    report = ValidationReport(
        out=Path("out.ndjson"),
        findings=collected.listed,
        counts=collected.counts,
        severities=collected.severities,
        totals=LineTotals(threads=0, messages=0, bytes=0),
        outcomes=None,
        months={},
        sizes={},
        refetch=collected.refetch,
    )
    assert (tuple(report), len(report)) == (collected.listed, len(collected.listed))
    assert report.severities == {severity: sum(one.severity is severity for one in found) for severity in Severity}
    assert report.is_complete is all(one.severity is Severity.NOTE for one in found)
