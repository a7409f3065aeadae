"""What is sent to Engramia, what its answers mean, and what its export shows about lines that were sent."""

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import attrs
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from canned import HTTP, async_client
from engramia_server import KEY, Engramia
from fake_assistants import Reply, Request
from threadkeep.api.client import ApiClient, PacingOptions
from threadkeep.api.endpoints import Api
from threadkeep.api.transport import Transport
from threadkeep.errors import ApiError, BadPage
from threadkeep.migration.engramia.requests import (
    EXPORT,
    LEARN,
    Comparison,
    ExportReader,
    Outcome,
    Sent,
    Stored,
    compare,
    is_same,
    outcome,
    read_learned,
    task_hash,
)
from threadkeep.serialization.lossless_json import dumps

pytestmark = pytest.mark.anyio


def line(task: str = "hello", code: str = "hi", thread_id: str = "thread_a") -> dict[str, Any]:
    """A line of ``convert --to engramia``."""
    run_id = f"openai-thread:{thread_id}"
    return {"task": task, "code": code, "eval_score": 5.0, "source": "import", "run_id": run_id}


def server(**settings: Any) -> Engramia:
    """A server that takes any number of requests."""
    return Engramia(**{"per_minute": None, "per_key": None, **settings})


def ask(engramia: Engramia, method: str, route: str, body: bytes = b"") -> Reply:
    """Send a request without HTTP."""
    headers = {"authorization": f"Bearer {KEY}", "content-type": "application/json"}
    return engramia.handle(Request(method, f"/v1{route}", headers=headers, body=body))


def send(engramia: Engramia, lines: Sequence[dict[str, Any]]) -> list[Stored]:
    """Store the lines, and return what the server has then."""
    for each in lines:
        read_learned(ask(engramia, "POST", LEARN, dumps(each)).body)
    return export(engramia)


def export(engramia: Engramia) -> list[Stored]:
    """Return all patterns of the server."""
    reader, reply = ExportReader(), ask(engramia, "GET", EXPORT)
    assert reply.chunks is not None
    found = [pattern for chunk in reply.chunks if isinstance(chunk, bytes) for pattern in reader.feed(chunk)]
    reader.close()
    return found


SECRETS = ["a.b@example.com", "10.0.0.1", "password: hunter22", "token='[REDACTED]'", f"sk-{'a' * 24}", "f" * 32]
TEXTS = st.lists(
    st.sampled_from([*SECRETS, " ", "é", "\n", "[REDACTED]", "[REDACTED_EMAIL]", "hello"]), min_size=1
).map("".join)
WRITABLE = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20).filter(str.strip)


@given(task=WRITABLE, code=TEXTS.filter(str.strip) | WRITABLE, keeps_runs=st.booleans())
@example(task="hello", code="a@b.cza@b.cz", keeps_runs=False)
def test_a_line_is_the_same_after_it_was_stored(task: str, code: str, keeps_runs: bool) -> None:
    """As it was sent, or redacted; with the run if the server keeps it."""
    sent = line(task, code)
    (stored,) = send(server(keeps_runs=keeps_runs), [sent])
    assert is_same(stored, sent)
    assert stored.task_hash == task_hash(task)
    assert stored.run_id == (sent["run_id"] if keeps_runs else None)


@pytest.mark.parametrize(
    ("stored", "sent", "can_be"),
    [
        ("hi", "hi", True),
        ("hi", "ho", False),
        ("mail [REDACTED_EMAIL]!", "mail a@b.cz!", True),
        ("mail [REDACTED_EMAIL]!", "mail a@b.cz", False),
        ("mail [REDACTED_EMAIL]!", "male a@b.cz!", False),
        ("[REDACTED_IP], [REDACTED_IP]", "1.1.1.1, 2.2.2.2", True),
        ("[REDACTED_IP], [REDACTED_IP]", "1.1.1.1; 2.2.2.2", False),
        ("[REDACTED_IP][REDACTED_IP]", "12", True),
        ("[REDACTED_IP][REDACTED_IP]", "1", False),
        ("a[REDACTED]a", "aa", False),
        ("a[REDACTED]a[REDACTED]a", "axaa", False),
        ("a[REDACTED]b[REDACTED]c", "axbxbxc", True),
        ("[REDACTED]", "[REDACTED]", True),
        ("[redacted]", "secret", False),
        (None, "hi", False),
    ],
)
def test_a_mark_is_for_one_character_at_least(stored: str | None, sent: str, can_be: bool) -> None:
    """All other characters are those that were sent."""
    pattern = Stored(key="patterns/2cf24dba_1", task="hello", code=stored, source="import", run_id=None)
    assert is_same(pattern, line(code=sent)) is can_be
    assert is_same(attrs.evolve(pattern, task=stored, code="hi"), line(task=sent)) is can_be


@pytest.mark.parametrize("other", [{"source": "sdk"}, {"source": None}, {"run_id": "openai-thread:thread_b"}])
def test_a_pattern_of_another_source_or_run_is_another(other: dict[str, Any]) -> None:
    """Though the texts are the same."""
    pattern = Stored(key="patterns/2cf24dba_1", task="hello", code="hi", source="import", run_id=None)
    assert is_same(pattern, line())
    assert not is_same(attrs.evolve(pattern, **other), line())


LINES = st.lists(
    st.tuples(
        st.sampled_from(["hello", "why?"]),
        st.sampled_from(["hi", "ho", "mail a@b.cz", "mail c@d.cz"]),
        st.sampled_from(["thread_a", "thread_b"]),
        st.booleans(),  # is it acknowledged?
        st.booleans(),  # is it stored?
    ),
    max_size=8,
)


def about(rows: Sequence[tuple[str, str, str, bool, bool]], **settings: Any) -> Comparison[int]:
    """Compare lines, of which some were acknowledged and some are stored."""
    sent = [line(task, code, thread_id) for task, code, thread_id, _, _ in rows]
    stored = send(server(**settings), [each for each, row in zip(sent, rows, strict=True) if row[4]])
    return compare([Sent(place, each, rows[place][3]) for place, each in enumerate(sent)], stored)


@given(rows=LINES, keeps_runs=st.booleans())
def test_lines_are_counted_where_they_cannot_be_told_apart(
    rows: list[tuple[str, str, str, bool, bool]], keeps_runs: bool
) -> None:
    """Of each kind of lines as many have arrived as are stored beyond those that were acknowledged."""
    found = about(rows, keeps_runs=keeps_runs, redacts=False)

    def by_kind(places: Sequence[Any]) -> Counter[Any]:
        return Counter(rows[place][: 3 if keeps_runs else 2] for place in places)

    every = range(len(rows))
    stored = by_kind([place for place in every if rows[place][4]])
    sure, unsure = (by_kind([place for place in every if rows[place][3] is known]) for known in (True, False))
    assert by_kind(found.gone) == sure - stored
    assert by_kind(found.arrived) == (stored - sure) & unsure
    assert by_kind(found.missing) == unsure - (stored - sure)
    assert (found.undecided, found.redacted, found.doubled, found.foreign) == ((), (), (), ())


@given(rows=LINES, keeps_runs=st.booleans())
def test_what_a_redaction_hides_is_undecided_and_never_wrong(
    rows: list[tuple[str, str, str, bool, bool]], keeps_runs: bool
) -> None:
    """A line is only sent again if it is not there, and only left alone if it is. So every number is right."""
    rows = [(*row[:3], row[3] and row[4], row[4]) for row in rows]  # what was acknowledged is stored
    found = about(rows, keeps_runs=keeps_runs)
    unsure = [place for place, row in enumerate(rows) if not row[3]]
    assert Counter([*found.arrived, *found.missing, *found.undecided]) == Counter(unsure)
    decided = {place for place in unsure if place not in set(found.undecided)}

    def by_look(places: Sequence[Any]) -> Counter[Any]:
        return Counter((rows[place][0], rows[place][1].replace("a@b", "c@d")) for place in places)

    assert by_look(found.arrived) == by_look([place for place in decided if rows[place][4]])
    assert (found.gone, found.doubled, found.foreign) == ((), (), ())
    has_mail = {place for place, row in enumerate(rows) if "@" in row[1]}
    assert {place for place in range(len(rows)) if rows[place][4]} & has_mail <= {*found.redacted} <= has_mail


def test_lines_that_look_alike_when_redacted_are_undecided() -> None:
    """One of two is there, and nobody can say which. If both are there or none is, it does not matter."""
    both = [("hello", "mail a@b.cz", "thread_a", False, True), ("hello", "mail c@d.cz", "thread_a", False, True)]
    one = [both[0], (*both[1][:4], False)]
    none = [(*row[:4], False) for row in both]
    assert [(found.arrived, found.undecided, found.missing) for found in map(about, [both, one, none])] == [
        ((0, 1), (), ()),
        ((), (0, 1), ()),
        ((), (), (0, 1)),
    ]


def test_runs_that_only_some_patterns_have_are_counted_together() -> None:
    """A server forgets the run of a pattern that is classified again: then it can be of each thread."""
    lines = [line(thread_id=f"thread_{place}") for place in range(3)]
    sent = [Sent(place, each, False) for place, each in enumerate(lines)]
    stored = send(server(keeps_runs=True), lines)
    without = attrs.evolve(stored[0], run_id=None)
    assert compare(sent, [without, *stored[1:]]).arrived == (0, 1, 2)
    assert compare(sent, [without, stored[1]]).undecided == (0, 1, 2)
    assert compare(sent, [stored[1]]) == Comparison(arrived=(1,), missing=(0, 2))
    assert (compare(sent, stored).without_run, compare(sent, [without]).without_run) == ((), (0, 1, 2))


def test_a_pattern_too_many_is_doubled_and_another_text_is_foreign() -> None:
    """By their keys. Patterns of other tasks are nobody's matter."""
    stored = send(server(), [line(), line(), line(code="ho"), line(task="other")])
    keys = [pattern.key for pattern in stored if pattern.task == "hello"]
    found = compare([Sent("one", line(), True)], stored)
    assert (found.doubled, found.foreign, found.gone) == ((("one", keys[1]),), ((task_hash("hello"), keys[2]),), ())


@given(cuts=st.lists(st.integers(0, 2_000)), codes=st.lists(WRITABLE | st.just("\u2028\x85\r\n."), max_size=4))
def test_an_export_is_read_however_it_is_cut(cuts: list[int], codes: list[str]) -> None:
    """The chunks of a stream end anywhere. A line ends at a line feed alone."""
    engramia = server()
    stored = send(engramia, [line(code=code) for code in codes])
    chunks = ask(engramia, "GET", EXPORT).chunks
    assert chunks is not None
    content = b"".join(chunk for chunk in chunks if isinstance(chunk, bytes))
    places = sorted({0, len(content), *(min(cut, len(content)) for cut in cuts)})
    reader = ExportReader()
    assert [each for place, end in pairwise(places) for each in reader.feed(content[place:end])] == stored
    reader.close()
    assert [pattern.code for pattern in stored] == codes


@pytest.mark.parametrize("content", [b"{", b"{}", b"[]\n", b'{"key":"patterns/a"}\n', b'{"key":1,"data":{}}\n', b"\n"])
def test_what_is_no_export_is_a_bad_page(content: bytes) -> None:
    """Cut short, or of something else."""
    reader = ExportReader()
    with pytest.raises(BadPage):
        read(reader, content)


def test_a_pattern_of_somebody_else_may_have_any_shape() -> None:
    """It has a key and data, and is none of ours."""
    odd = b'{"key":"patterns/mine","data":{"task":1,"design":[]}}\n{"key":"x","data":{"design":{"code":null}}}\n'
    one, other = ExportReader().feed(odd)
    assert one == Stored(key="patterns/mine", task=None, code=None, source=None, run_id=None)
    assert (one.task_hash, other.task_hash) == ("mine", "x")
    assert not is_same(one, line())


def read(reader: ExportReader, content: bytes) -> list[Stored]:
    """Read all of an export."""
    found = [*reader.feed(content)]
    reader.close()
    return found


ERROR = b'{"error_code":"%s","detail":"%s"}'


@pytest.mark.parametrize(
    ("status", "body", "meaning"),
    [
        (200, b'{"stored":false,"pattern_count":1}', Outcome.UNKNOWN),
        (200, b'{"stored":[]}', Outcome.UNKNOWN),
        (200, b'{"stored":tr', Outcome.UNKNOWN),
        (202, b"{}", Outcome.UNKNOWN),
        (400, b'{"detail":"There was an error parsing the body"}', Outcome.FAILED),
        (401, ERROR % (b"UNAUTHORIZED", b"Invalid API key."), Outcome.FAILED),
        (403, ERROR % (b"FORBIDDEN", b"Role 'reader' does not have permission 'learn'."), Outcome.FAILED),
        (404, b'{"detail":"Not Found"}', Outcome.FAILED),
        (405, b'{"detail":"Method Not Allowed"}', Outcome.FAILED),
        (408, b"", Outcome.UNKNOWN),
        (413, ERROR % (b"PAYLOAD_TOO_LARGE", b"Request body too large."), Outcome.REFUSED),
        (422, b'{"detail":[{"type":"missing","msg":"Field required"}]}', Outcome.REFUSED),
        (422, ERROR % (b"VALIDATION_ERROR", b"Validation error in request."), Outcome.FULL),
        (422, ERROR % (b"VALIDATION_ERROR", b"Invalid request parameters."), Outcome.UNKNOWN),
        (429, ERROR % (b"QUOTA_EXCEEDED", b"Pattern quota reached."), Outcome.FAILED),
        (500, b"Internal Server Error", Outcome.UNKNOWN),
        (501, ERROR % (b"PROVIDER_NOT_CONFIGURED", b"LLM or embedding provider not configured."), Outcome.UNKNOWN),
        (502, b"<html>", Outcome.UNKNOWN),
        (503, ERROR % (b"SERVICE_UNAVAILABLE", b"Service is under scheduled maintenance."), Outcome.FAILED),
        (503, ERROR % (b"STORAGE_ERROR", b"Storage operation failed. Please try again."), Outcome.UNKNOWN),
        (503, b"", Outcome.UNKNOWN),
    ],
)
async def test_after_an_error_a_pattern_may_be_stored(status: int, body: bytes, meaning: Outcome) -> None:
    """Unless the server refuses before it does anything. An answer that is not understood says nothing."""
    assert outcome(await problem_of(HTTP.Response(status, content=body))) is meaning


@pytest.mark.parametrize(("cause", "meaning"), [("ConnectError", Outcome.FAILED), ("ReadTimeout", Outcome.UNKNOWN)])
async def test_without_an_answer_a_pattern_may_be_stored(cause: str, meaning: Outcome) -> None:
    """Unless the request has left nobody."""

    def fail(request: object) -> None:
        raise getattr(HTTP, cause)("trouble", request=request)

    assert outcome(await problem_of(fail)) is meaning


async def problem_of(answer: Any) -> ApiError:
    """What the answer to a pattern comes to."""
    transport = Transport(async_client(answer if callable(answer) else [answer]), api=Api.ENGRAMIA)
    with pytest.raises(ApiError) as caught:
        await ApiClient(transport, PacingOptions()).post(LEARN, line(), read_learned)
    return caught.value


def test_a_pattern_that_is_stored_is_no_error() -> None:
    """The server says so."""
    read_learned(b'{"stored":true,"pattern_count":1}')
