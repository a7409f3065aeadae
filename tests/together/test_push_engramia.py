"""A push to Engramia stores each pattern once, whatever is lost on the way, and a verification finds what is wrong."""

import re
import tempfile
from collections import Counter
from pathlib import Path

import attrs
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from converting import lines
from engramia_pushes import ADDRESS, Hours, Pushes, learn, put_pairs, server
from engramia_server import KEY, Engramia, Fault, planned
from fake_assistants import Reply, Request
from threadkeep.errors import AccessRefused, QuotaSpent, ServerUnreachable
from threadkeep.exporter.events import Notice
from threadkeep.migration.engramia import delivery as engramia_delivery
from threadkeep.migration.targets import TARGETS

LEARN, EXPORT = "/v1/learn", "/v1/governance/export"

TEXTS = st.tuples(st.sampled_from(["hello", "why?", "what?"]), st.sampled_from(["hi", "ho"]))
THREADS = st.lists(st.lists(TEXTS, max_size=4), max_size=4).map(
    lambda rows: {f"thread_{number}": row for number, row in enumerate(rows)}
)
FAULTS = st.dictionaries(
    st.tuples(st.sampled_from([LEARN, EXPORT]), st.integers(1, 12)), st.sampled_from(Fault), max_size=12
)


@given(threads=THREADS, before=st.lists(TEXTS, max_size=3), plan=FAULTS, keeps_runs=st.booleans())
def test_each_pattern_is_stored_once(
    threads: dict[str, list[tuple[str, str]]],
    before: list[tuple[str, str]],
    plan: dict[tuple[str, int], Fault],
    keeps_runs: bool,
) -> None:
    """As often as it occurs, in addition to the patterns that were there. Then nothing is sent any more."""
    pairs = [pair for row in threads.values() for pair in row]
    engramia = server(keeps_runs=keeps_runs)
    learn(engramia, before)
    engramia.faults = planned(plan)
    with tempfile.TemporaryDirectory() as folder:
        pushes = Pushes(put_pairs(Path(folder) / "out.ndjson", threads), engramia)
        result = pushes.run()
        assert (result.is_complete, result.problems) == (True, ())
        assert result.items == len(pairs)
        assert Counter(engramia.stored()) == Counter(pairs) + Counter(before)
        repeats = Counter(path for path, nth in plan if nth <= engramia.requests[path])
        assert engramia.requests[LEARN] <= len(pairs) + repeats[LEARN]
        assert engramia.requests[EXPORT] <= bool(pairs) + repeats.total()
        engramia.faults = planned({})
        engramia.requests.clear()
        again = pushes.run(verify=True)
    assert (again.is_complete, again.sent, again.verified) == (True, 0, result.pushed)
    assert engramia.requests == ({EXPORT: 1} if pairs else {})


MAILS = st.tuples(st.sampled_from(["hello", "why?"]), st.sampled_from(["hi", "mail a@b.cz", "mail c@d.cz"]))
REDACTED = {code: re.sub(r"\w@\w\.cz", "[REDACTED_EMAIL]", code) for code in ("hi", "mail a@b.cz", "mail c@d.cz")}


@given(pairs=st.lists(MAILS, max_size=6), plan=FAULTS)
@example(
    pairs=[("hello", "mail a@b.cz"), ("hello", "mail c@d.cz")],
    plan={(LEARN, 1): Fault.DROP_AFTER, (LEARN, 2): Fault.DROP_BEFORE},
)
def test_what_a_redaction_hides_is_named_and_not_sent_again(
    pairs: list[tuple[str, str]], plan: dict[tuple[str, int], Fault]
) -> None:
    """Lines of which the server shows the same are not told apart: nothing is sent twice, and nothing is forgotten."""
    engramia = server(faults=planned(plan))
    with tempfile.TemporaryDirectory() as folder:
        result = Pushes(put_pairs(Path(folder) / "out.ndjson", {"thread_a": pairs}), engramia).run()
    missing = Counter((task, REDACTED[code]) for task, code in pairs) - Counter(engramia.stored())
    assert Counter(engramia.stored()) <= Counter((task, REDACTED[code]) for task, code in pairs)
    assert result.is_complete or not missing.total() or result.problem_count == 1
    if not result.is_complete:
        ((thread_id, reason),) = result.problems
        assert thread_id == "thread_a"
        assert re.fullmatch(
            r"it is not known whether \d patterns? ha(s|ve) arrived: what the server has may be these, or others like"
            " them",
            reason,
        )
    else:
        assert not missing


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """An export of two threads, with an answer that is redacted."""
    return put_pairs(tmp_path / "out.ndjson", {"thread_a": PAIRS_A, "thread_b": PAIRS_B})


PAIRS_A = [("hello", "hi"), ("why?", "mail a@b.cz"), ("hello", "ho")]
PAIRS_B = [("hello", "hi")]
STORED = sorted([("hello", "hi"), ("why?", "mail [REDACTED_EMAIL]"), ("hello", "ho"), ("hello", "hi")])


def test_a_server_that_fails_after_each_effect_is_asked_once_for_each_pattern(out: Path) -> None:
    """As one does without its provider of embeddings: one list shows that all are there."""
    engramia = server(faults=lambda path, _nth: Fault.FAIL_AFTER if path == LEARN else None)
    result = Pushes(out, engramia).run()
    assert (result.is_complete, result.sent, sorted(engramia.stored())) == (True, 4, STORED)
    assert engramia.requests == {LEARN: 4, EXPORT: 2}


class Slow(Engramia):
    """A server that takes an hour for each pattern, which is stored all the same."""

    def handle(self, request: Request) -> Reply:
        reply = super().handle(request)
        return attrs.evolve(reply, delay=3600) if request.path == LEARN else reply


def test_a_server_that_falls_silent_is_not_sent_all_patterns(tmp_path: Path) -> None:
    """Each would take the time of an answer. What it has stored is not sent again."""
    pairs = [(f"question {number}", "answer") for number in range(5)]
    slow = Slow(clock=Hours(), per_minute=None, per_key=None)
    pushes = Pushes(put_pairs(tmp_path / "out.ndjson", {f"thread_{number}": pairs for number in range(40)}), slow)
    result = pushes.run()
    assert isinstance(result.ended_by, ServerUnreachable)
    assert slow.requests[LEARN] == len(slow.stored()) == 16
    pushes.engramia = attrs.evolve(server(), clock=slow.clock)
    pushes.engramia.patterns = slow.patterns
    assert pushes.run(verify=True).is_complete
    assert pushes.engramia.requests[LEARN] == 200 - 16


def test_the_usual_pace_is_within_the_limits_of_the_server(tmp_path: Path) -> None:
    """60 requests a minute: none is refused, and no time is lost."""
    engramia = server(per_minute=60, per_key=120)
    pairs = [(f"question {number}", "answer") for number in range(150)]
    result = Pushes(put_pairs(tmp_path / "out.ndjson", {"thread_a": pairs}), engramia).run(rpm=TARGETS["engramia"].rpm)
    assert (result.is_complete, engramia.requests[LEARN]) == (True, 150)
    assert 145 < engramia.clock.now < 160


def test_maintenance_is_waited_for_and_said(out: Path) -> None:
    """It is an hour, of which nothing would be seen otherwise."""
    pushes = Pushes(out, server(faults=planned({(LEARN, 2): Fault.MAINTENANCE})))
    assert pushes.run().is_complete
    assert sorted(pushes.engramia.stored()) == STORED
    (notice,) = [event.text for event in pushes.events if isinstance(event, Notice)]
    assert notice.startswith(f"503 from {ADDRESS}: Service is under scheduled maintenance.")
    assert notice.endswith("; retrying in 900 s")


# --- a key that may not list


def test_a_key_that_may_not_list_pushes_all_the_same(out: Path) -> None:
    """It is said once, since nothing can be found out then."""
    pushes = Pushes(out, server(keys={"key-two": "editor"}), "key-two")
    result = pushes.run()
    assert (result.is_complete, sorted(pushes.engramia.stored())) == (True, STORED)
    assert [event.text for event in pushes.events if isinstance(event, Notice)] == [
        "a pattern without an answer will not be sent again: the key may not list patterns, which takes the role admin"
        f" or owner: 403 from {ADDRESS}: Role 'editor' does not have permission 'export'."
    ]
    result = pushes.run(verify=True)
    assert not result.is_complete
    assert {reason.partition(":")[0] for _, reason in result.problems} == {"it cannot be read back"}


@pytest.mark.parametrize("fault", [Fault.DROP_BEFORE, Fault.DROP_AFTER])
def test_without_a_list_what_has_no_answer_is_not_sent_again(out: Path, fault: Fault) -> None:
    """It is counted and named, and all others are sent. A key that may list finds it missing, or never knows."""
    pushes = Pushes(out, server(keys={"key-two": "editor", KEY: "admin"}, faults=planned({(LEARN, 1): fault})))
    pushes.key = "key-two"
    for _ in range(2):
        result = pushes.run()
        assert not result.is_complete
        ((thread_id, reason),) = result.problems
        assert thread_id == "thread_a"
        assert reason.startswith("it is not known whether 1 pattern has arrived: the key may not list patterns")
        assert pushes.engramia.requests[LEARN] == 4
    pushes.key = KEY
    assert pushes.run().is_complete is (fault is Fault.DROP_BEFORE)
    assert sorted(pushes.engramia.stored()) == STORED


# --- what a server refuses


def test_a_pattern_that_is_too_large_is_named_and_stops_no_other(tmp_path: Path) -> None:
    """It is tried again by the next push: a server may be given another limit."""
    pairs = [("hello", "x" * 1000), ("hello", "hi"), ("why?", "y" * 1000), ("why?", "so")]
    pushes = Pushes(put_pairs(tmp_path / "out.ndjson", {"thread_a": pairs, "thread_b": PAIRS_B}), server(max_body=900))
    result = pushes.run()
    assert sorted(pushes.engramia.stored()) == [("hello", "hi"), ("hello", "hi"), ("why?", "so")]
    too_large = f"413 from {ADDRESS}: Request body too large. Maximum allowed: 900 bytes."
    assert result.problems == (
        ("thread_a", f"2 of 4 patterns refused: the one of msg_1: {too_large}; the one of msg_5: {too_large}"),
    )
    pushes.engramia.max_body = 9000
    pushes.engramia.requests.clear()
    assert pushes.run().is_complete
    assert pushes.engramia.requests == {LEARN: 2}


@pytest.mark.parametrize("limit", [{"full_at": 2}, {"max_patterns": 2}])
def test_a_server_that_takes_no_more_ends_the_push(out: Path, limit: dict[str, int]) -> None:
    """No pattern is thought to be refused for good: the same command sends the others when there is room."""
    pushes = Pushes(out, server(**limit))
    result = pushes.run()
    assert isinstance(result.ended_by, QuotaSpent)
    assert (len(pushes.engramia.stored()), pushes.engramia.requests[LEARN]) == (2, 3)
    pushes.engramia.full_at, pushes.engramia.max_patterns = 100, None
    assert pushes.run().is_complete
    assert (sorted(pushes.engramia.stored()), pushes.engramia.requests[EXPORT]) == (STORED, 1)


def test_a_key_that_may_not_learn_ends_the_push_and_leaves_nothing(out: Path) -> None:
    """As if it had never begun."""
    pushes = Pushes(out, server(keys={"key-two": "reader"}), "key-two")
    assert isinstance(pushes.run().ended_by, AccessRefused)
    assert [path.name for path in out.parent.iterdir()] == ["out.ndjson"]


# --- verification


def pushed(out: Path, **settings: object) -> Pushes:
    """A push that is through."""
    pushes = Pushes(out, server(**settings))
    assert pushes.run(verify=True).is_complete
    return pushes


def key_of(pushes: Pushes, code: str) -> str:
    """The key of the first pattern with this answer."""
    return next(key for key, pattern in pushes.engramia.patterns.items() if pattern["design"]["code"] == code)


def test_a_pattern_that_is_removed_is_found(out: Path) -> None:
    """By its number in its thread. It is not sent again: whoever removed it may have meant that."""
    pushes = pushed(out)
    del pushes.engramia.patterns[key_of(pushes, "ho")]
    del pushes.engramia.patterns[key_of(pushes, "mail [REDACTED_EMAIL]")]
    result = pushes.run(verify=True)
    assert result.problems == (("thread_a", "pattern 2 is gone, pattern 3 is gone"),)
    assert (result.is_complete, result.sent, result.verified) == (False, 0, 1)


def test_of_equal_patterns_one_is_gone(out: Path) -> None:
    """It does not matter which."""
    pushes = pushed(out)
    del pushes.engramia.patterns[key_of(pushes, "hi")]
    assert pushes.run(verify=True).problems == (("thread_b", "pattern 1 is gone"),)


def test_a_pattern_that_is_changed_is_found(out: Path) -> None:
    """The one that has its task now is named."""
    pushes = pushed(out)
    key = key_of(pushes, "ho")
    pushes.engramia.patterns[key]["design"]["code"] = "hoho"
    assert pushes.run(verify=True).problems == (("thread_a", f"pattern 3 is gone or changed: {key} has its task"),)


def test_a_pattern_that_is_there_more_than_once_is_found(out: Path) -> None:
    """Somebody has sent it too: the export itself, without this push."""
    pushes = pushed(out)
    learn(pushes.engramia, [("hello", "ho")])
    key = [*pushes.engramia.patterns][-1]
    assert pushes.run(verify=True).problems == (("thread_a", f"pattern 3 is there more than once: {key}"),)


def test_patterns_of_others_are_no_difference(out: Path) -> None:
    """A server is in use: others learn more about the same tasks, before and after. Scores change all the time."""
    engramia = server(keeps_runs=True)
    learn(engramia, [("hello", "ho"), ("other", "ho")])
    pushes = Pushes(out, engramia)
    assert pushes.run(verify=True).is_complete
    learn(engramia, [("hello", "hey"), ("hello", "ho"), ("more", "ho")])
    for pattern in engramia.patterns.values():
        pattern["success_score"] += 0.1
    result = pushes.run(verify=True)
    assert (result.is_complete, result.verified) == (True, 2)


def test_a_large_push_is_compared_in_parts(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not all texts are in memory at a time. All patterns of a task are in one part."""
    monkeypatch.setattr(engramia_delivery, "_TOGETHER", 1)
    pushes = pushed(out)
    assert pushes.engramia.requests[EXPORT] > 2
    for key in [*pushes.engramia.patterns]:
        pattern = pushes.engramia.patterns.pop(key)
        assert not pushes.run(verify=True).is_complete
        pushes.engramia.patterns[key] = pattern
    assert pushes.run(verify=True).is_complete


def test_what_the_server_has_redacted_is_a_loss(out: Path) -> None:
    """So is the thread of a pattern, where the storage does not keep it. A second look finds no more."""
    pushes = pushed(out)
    for _ in range(2):
        assert pushes.run(verify=True).losses == {"redacted": 1, "run_id": 2}
    rows = lines(out.with_name("out.ndjson.engramia.losses.ndjson"))
    assert [(row["thread_id"], row["message_id"], row["lost"]) for row in rows] == [
        ("thread_a", "msg_3", "redacted"),
        ("thread_a", None, "run_id"),
        ("thread_b", None, "run_id"),
    ]
    other = pushed(put_pairs(out.with_name("other.ndjson"), {"thread_b": PAIRS_B}), keeps_runs=True, redacts=False)
    assert other.run(verify=True).losses == {}


# --- another export


def test_a_thread_that_has_grown_gets_its_new_patterns(out: Path) -> None:
    """Those that were sent before are not sent again."""
    pushes = pushed(out)
    put_pairs(out, {"thread_a": [*PAIRS_A, ("more", "yes")], "thread_b": PAIRS_B})
    pushes.engramia.requests.clear()
    result = pushes.run(verify=True)
    assert (result.is_complete, result.sent, pushes.engramia.requests[LEARN]) == (True, 1, 1)
    assert sorted(pushes.engramia.stored()) == sorted([*STORED, ("more", "yes")])


def test_a_thread_that_was_changed_is_named(out: Path) -> None:
    """Nothing that is there is changed, and the others are verified all the same."""
    pushes = pushed(out)
    put_pairs(out, {"thread_a": [("hello", "hi!"), *PAIRS_A[1:]], "thread_b": PAIRS_B})
    pushes.engramia.requests.clear()
    result = pushes.run(verify=True)
    assert (result.is_complete, result.verified, pushes.engramia.requests[LEARN]) == (False, 1, 0)
    assert result.problems == (
        ("thread_a", "it has other items now, by the export or the options, than were pushed before"),
    )


def test_what_is_gone_or_has_changed_is_sent_anew_if_that_is_wanted(out: Path) -> None:
    """And nothing else: what is there stays. The others of a thread are looked up, and not sent again."""
    pushes = pushed(out, keeps_runs=True)
    put_pairs(out, {"thread_a": [("hello", "hi!"), *PAIRS_A[1:]], "thread_b": [*PAIRS_B, ("more", "yes")]})
    assert pushes.run(verify=True).problem_count == 1
    del pushes.engramia.patterns[key_of(pushes, "yes")]
    del pushes.engramia.patterns[key_of(pushes, "ho")]
    assert pushes.run(verify=True).problem_count == 2
    pushes.engramia.requests.clear()
    result = pushes.run(verify=True, anew=True)
    assert (result.problems, result.verified, result.replaced, result.sent) == ((), 2, (), 3 + 2)
    assert pushes.engramia.requests == {LEARN: 3, EXPORT: 2}
    assert sorted(pushes.engramia.stored()) == sorted([*STORED, ("hello", "hi!"), ("more", "yes")])
    pushes.engramia.requests.clear()
    assert (pushes.run(anew=True).is_complete, pushes.engramia.requests) == (True, {})


def test_a_key_that_was_refused_ends_a_verification(out: Path) -> None:
    """Nothing is said about the patterns."""
    pushes = pushed(out)
    pushes.engramia.keys = {}
    result = pushes.run(verify=True)
    assert isinstance(result.ended_by, AccessRefused)
    assert (result.problems, result.verified, result.pushed) == ((), 0, 2)


def test_without_a_list_nothing_is_sent_anew(out: Path) -> None:
    """Nobody can say what is gone."""
    pushes = Pushes(out, server(keys={"key-two": "editor"}), "key-two")
    assert pushes.run(verify=True).problem_count == 2
    pushes.engramia.requests.clear()
    assert (pushes.run(anew=True).problem_count, pushes.engramia.requests) == (2, {})


@pytest.mark.parametrize(
    ("pairs", "words"),
    [
        ([("hello", "hi!"), *PAIRS_A[1:]], "pattern 1 is another one now, by the export or the options, than was sent"),
        ([], "fewer patterns, by the export or the options, than were sent: 0 now"),
    ],
)
def test_a_thread_that_was_changed_in_the_middle_of_its_push_is_named(
    out: Path, pairs: list[tuple[str, str]], words: str
) -> None:
    """Its first pattern has arrived, and then there was no room."""
    pushes = Pushes(out, server(full_at=1))
    assert isinstance(pushes.run().ended_by, QuotaSpent)
    put_pairs(out, {"thread_a": [*pairs, (" ", " ")], "thread_b": PAIRS_B})
    pushes.engramia.full_at = 100
    result = pushes.run()
    assert result.problems == (("thread_a", words),)
    assert sorted(pushes.engramia.stored()) == [("hello", "hi"), ("hello", "hi")]


def test_a_pattern_whose_equal_has_left_the_export_stays_unknown(out: Path) -> None:
    """What is there may be the other one, so it is not sent again."""
    no_list = {(EXPORT, nth): Fault.FAIL_BEFORE for nth in (2, 3)}
    pushes = Pushes(out, server(faults=planned({(LEARN, 4): Fault.DROP_BEFORE, **no_list})))
    for _ in range(2):
        ((thread_id, reason),) = pushes.run(max_retries=0).problems
        assert thread_id == "thread_b"
        assert reason.startswith("it is not known whether 1 pattern has arrived: ")
        put_pairs(out, {"thread_b": PAIRS_B})
    assert pushes.engramia.requests[LEARN] == 4
