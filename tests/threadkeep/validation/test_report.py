"""Findings, and how a report counts repeated ones."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from reports import report
from threadkeep.validation.findings import KINDS, Finding, Severity, finding, gravest
from threadkeep.validation.report import collect

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


@given(st.lists(FOUND), st.integers(1, 4))
def test_all_are_counted_and_the_first_are_listed_of_each_code(found: list[Finding], most: int) -> None:
    """In their order; the threads to fetch again are all there, listed or not."""
    kinds = [(one.code, one.severity) for one in found]
    collected = collect(iter(found), most)
    assert collected.counts == Counter(one.code for one in found)
    assert collected.severities == {severity: sum(one.severity is severity for one in found) for severity in Severity}
    assert list(collected.listed) == [one for n, one in enumerate(found) if kinds[:n].count(kinds[n]) < most]
    again = [one for one in found if one.thread_id and KINDS[one.code].refetch and one.severity is not Severity.NOTE]
    assert list(collected.refetch) == list(dict.fromkeys(one.thread_id for one in again))
    whole = report(*found, most=most)
    assert (tuple(whole), len(whole)) == (collected.listed, len(collected.listed))
    assert whole.is_complete is all(one.severity is Severity.NOTE for one in found)


@given(st.lists(FOUND))
def test_the_gravest_codes_come_first(found: list[Finding]) -> None:
    """Each with its findings in their order; codes that are as grave in that of the table."""
    groups = report(*found).by_code()
    ranks = [(list(Severity).index(gravest(own)), list(KINDS).index(code)) for code, own in groups.items()]
    assert ranks == sorted(ranks)
    assert groups == {code: [one for one in found if one.code == code] for code in groups}
    assert set(groups) == {one.code for one in found}


def test_a_finding_says_what_and_what_to_do() -> None:
    """In one sentence, with the severity of its kind."""
    one = finding("crlf", "the line ends with CR and LF", line=3)
    assert one.message.startswith("the line ends with CR and LF. Restore the file")
    assert (one.severity, one.line, one.file) == (Severity.ERROR, 3, None)
