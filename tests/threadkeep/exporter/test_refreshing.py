"""A refreshed export is that of the world as it is now; one that could be refreshed in part is poorer in nothing."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from canned import HTTP
from canned_threads import ThreadServer, message, page, thread_of
from exporting import Answering, Ending, Export, cut_off_at_commit, no_room_to_write, threads_of
from threadkeep.api.client import PacingOptions
from threadkeep.errors import ApiGone, OutputUnusable
from threadkeep.exporter.events import ThreadEnded, ThreadsBegun
from threadkeep.storage.index import Outcome

Threads = Mapping[str, Sequence[Mapping[str, Any]]]

OLD = threads_of(a=3, b=150, c=0, d=2, e=101, f=1)


def grown() -> dict[str, list[dict[str, Any]]]:
    """Some threads have more messages, one has fewer, one was changed, and two are as they were."""
    new = threads_of(a=5, b=250, c=2, d=2, e=100, f=1)
    new["thread_f"] = [message("thread_f", 0, metadata={"seen": "yes"})]
    return new


NEW = grown()
JOINED = NEW | {"thread_e": OLD["thread_e"]}
"""The new threads, with what only the old ones have."""


def present(threads: Threads) -> dict[str, list[Any]]:
    """The threads that have lines."""
    return {name: list(rows) for name, rows in threads.items() if rows}


@pytest.fixture
def export(tmp_path: Path) -> Export:
    """An export of the old threads."""
    export = Export(tmp_path).run_alone(OLD, ThreadServer(OLD))
    assert export.result.is_complete
    export.events.clear()
    return export


def test_a_refreshed_export_is_as_one_made_afresh(export: Export, tmp_path: Path) -> None:
    """Messages that came since and changed since, and those that went since; and its manifest says the same."""
    export.run_alone(OLD, ThreadServer(NEW), refresh=True)
    assert (export.result.is_complete, export.result.already_complete, export.result.not_refreshed) == (True, 0, 0)
    (begun,) = [event for event in export.events if isinstance(event, ThreadsBegun)]
    ended = [event for event in export.events if isinstance(event, ThreadEnded)]
    assert (begun.total, begun.before, len(ended)) == (6, 0, 6)
    assert export.messages() == present(JOINED)
    (tmp_path / "afresh").mkdir()
    afresh = Export(tmp_path / "afresh").run_alone(OLD, ThreadServer(JOINED))
    assert export.paths.index.read_bytes() == afresh.paths.index.read_bytes()
    assert export.result.manifest == afresh.result.manifest


def test_a_world_that_did_not_change_changes_no_byte(export: Export) -> None:
    """Every thread is asked for."""
    before, server = export.contents(), ThreadServer(OLD)
    export.run_alone(OLD, server, refresh=True)
    assert {thread_of(HTTP.URL(url)) for url in server.asked} == set(OLD)
    assert export.contents() == before


@pytest.mark.parametrize("flat", [False, True])
def test_a_refresh_takes_no_message_out(flat: bool, tmp_path: Path) -> None:
    """Of a thread that has lost twenty messages and has one more, every one is there, once, in its place."""
    export = Export(tmp_path).run_alone(OLD, ThreadServer(OLD), flat=flat)
    before = export.lines
    rows = [row for number, row in enumerate(OLD["thread_b"]) if not 40 <= number < 60]
    world = {**OLD, "thread_b": [*rows, message("thread_b", 150)]}
    export.run_alone(OLD, ThreadServer(world), refresh=True, flat=flat)
    lines = [line for line in export.lines if b"msg_thread_b" in line]
    assert lines[:-1] == [line for line in before if b"msg_thread_b" in line]
    assert b"msg_thread_b_00150" in lines[-1]
    assert export.result.is_complete


def test_a_server_that_answers_with_empty_pages_changes_no_byte(export: Export) -> None:
    """What is there stays."""
    before = export.paths.out.read_bytes()
    export.run_alone(OLD, ThreadServer({name: [] for name in OLD}), refresh=True)
    assert export.result.is_complete
    assert export.paths.out.read_bytes() == before


@pytest.mark.parametrize("count", range(9))
@pytest.mark.parametrize("concurrency", [1, 4])
def test_a_sunset_in_the_middle_of_a_refresh_costs_nothing(count: int, concurrency: int, export: Export) -> None:
    """After any number of requests: each thread is there once, as it was or as it is; and who was not is counted."""
    server = Ending(NEW, lambda: HTTP.Response(410), count=count)
    result = export.run_alone(OLD, server, refresh=True, concurrency=concurrency).result
    assert isinstance(result.ended_by, ApiGone)
    assert not result.is_complete
    not_refreshed = dict(result.not_refreshed_examples)
    assert len(not_refreshed) == result.not_refreshed
    found = export.messages()
    for name in OLD:
        assert found.get(name, []) == list((OLD if name in not_refreshed else JOINED)[name])
    assert result.outcomes["complete"] == len(OLD)
    came = "thread_b" in not_refreshed and any("msg_thread_b_00099" in url for url in server.asked[:count])
    assert export.messages(export.paths.partial) == ({"thread_b": NEW["thread_b"][150:200]} if came else {})
    assert export.run_alone(OLD, ThreadServer(NEW), refresh=True).result.is_complete
    assert export.messages() == present(JOINED)
    assert not export.paths.partial.exists()


@pytest.mark.parametrize("number", range(1, 12))
def test_a_refresh_that_was_cut_off_is_merged_all_the_same(number: int, export: Export) -> None:
    """By a run that does not refresh; with --refresh, threads that it has fetched completely are not asked again."""
    with cut_off_at_commit(number):
        export.run_alone(OLD, ThreadServer(NEW), refresh=True, concurrency=1)
    ended = {event.thread_id for event in export.events if isinstance(event, ThreadEnded)}
    server = ThreadServer(NEW)
    export.run_alone(OLD, server, refresh=number % 2 == 0)
    assert export.ended_by is None
    asked = {thread_of(HTTP.URL(url)) for url in server.asked}
    assert asked == (set(OLD) - ended if number % 2 == 0 else set())
    found = export.messages()
    for name in ended:
        assert found.get(name, []) == list(JOINED[name])
    for name in set(OLD) - ended - asked:
        assert found.get(name, []) == list(OLD[name])


def test_pages_of_a_refresh_that_was_cut_off_stay_until_they_are_in_the_export(tmp_path: Path) -> None:
    """Also through a run that does not ask for the thread."""
    export, ids = Export(tmp_path), ["thread_b"]
    export.run_alone(ids, ThreadServer({"thread_b": OLD["thread_b"]}), flat=True)
    server = Ending({"thread_b": NEW["thread_b"]}, lambda: HTTP.Response(410), count=2)
    export.run_alone(ids, server, flat=True, refresh=True)
    kept = export.paths.partial.read_bytes()
    assert export.messages(export.paths.partial) == {"thread_b": NEW["thread_b"][150:200]}
    assert export.rows["thread_b"].messages == 150
    export.run_alone([*ids, "thread_more"], ThreadServer({}), flat=True)
    assert export.paths.partial.read_bytes() == kept
    export.run_alone(ids, ThreadServer({"thread_b": NEW["thread_b"]}), flat=True, refresh=True)
    assert not export.paths.partial.exists()


def broken(request: Any, _times: int) -> Any:
    """Answer the second page of thread_b, and any of thread_d, with errors."""
    name = thread_of(request.url)
    is_broken = name == "thread_d" or (name == "thread_b" and "after" in request.url.params)
    return HTTP.Response(500) if is_broken else None


def test_a_thread_that_cannot_be_refreshed_stays_as_it_is(export: Export) -> None:
    """One that was deleted since, and those that the server fails to give; each is named with its reason."""
    world = {name: rows for name, rows in NEW.items() if name != "thread_a"}
    export.run_alone(OLD, Answering(world, broken), refresh=True, pace=PacingOptions(max_retries=0))
    assert (export.ended_by, export.result.is_complete, list(export.result.problems())) == (None, False, [])
    reasons = dict(export.result.not_refreshed_examples)
    assert list(reasons) == ["thread_a", "thread_b", "thread_d"]
    assert reasons["thread_a"].startswith("No thread found")
    assert reasons["thread_b"].startswith("it could not be fetched to its end: 500")
    assert export.messages() == present(JOINED | {name: OLD[name] for name in reasons})
    assert not export.paths.partial.exists()
    assert export.result.manifest is not None
    assert export.result.manifest.is_complete


def test_what_was_not_complete_is_exported_as_ever(tmp_path: Path) -> None:
    """A refresh asks for the others too, and one that is missing is missing."""
    export = Export(tmp_path)
    export.run_alone(OLD, ThreadServer({name: OLD[name] for name in OLD if name not in ("thread_a", "thread_d")}))
    export.run_alone(OLD, ThreadServer({name: NEW[name] for name in NEW if name != "thread_d"}), refresh=True)
    assert [row.outcome for row in export.result.problems()] == [Outcome.MISSING]
    assert export.result.not_refreshed == 0
    assert set(export.messages()) == set(NEW) - {"thread_d"}


def test_a_disk_that_has_no_room_for_the_new_files(export: Export) -> None:
    """The old ones stay; and what the run has refreshed is there when the next one has the room."""
    before = export.paths.out.read_bytes()
    with no_room_to_write():
        export.run_alone(OLD, ThreadServer(NEW), refresh=True)
    assert isinstance(export.ended_by, OutputUnusable)
    assert export.paths.out.read_bytes() == before
    server = ThreadServer(NEW)
    assert export.run_alone(OLD, server).result.is_complete
    assert (export.messages(), server.asked) == (present(JOINED), [])


# --- the law: never poorer

NUMBERS = st.sampled_from(range(5))
MESSAGES = st.dictionaries(NUMBERS, st.sampled_from(["", " ", "a text", "another"]), max_size=5)
"""What each message holds."""
STEPS = st.dictionaries(NUMBERS, st.lists(NUMBERS, unique=True, max_size=4), max_size=3)
"""The steps of each run."""


class Version(ThreadServer):
    """A thread as a server gives it, now or then."""

    def __init__(self, texts: Mapping[int, str], runs: Mapping[int, Sequence[int]], time: int = 1) -> None:
        self._texts, self._runs, self._time = texts, runs, time
        super().__init__({"thread_a": [*self.messages().values()]})

    def messages(self) -> dict[str, dict[str, Any]]:
        """By their ids, in order."""
        rows = (message("thread_a", one, created_at=self._time, content=self._content(one)) for one in self._texts)
        return {row["id"]: row for row in rows}

    def _content(self, number: int) -> Any:
        text = {"type": "text", "text": {"value": self._texts[number], "annotations": []}}
        return [text] if self._texts[number] else ([], None)[number % 2]

    def spoil(self, request: Any, times: int) -> Any:
        del times
        kinds = str(request.url.path).split("/")[4:]
        if kinds[:1] != ["runs"]:
            return None
        base = {"thread_id": "thread_a", "time": self._time}
        if len(kinds) == 1:
            return HTTP.Response(
                200, content=page([{**base, "id": f"run_{one}"} for one in self._runs], has_more=False)
            )
        steps = self._runs[int(kinds[1].removeprefix("run_"))]
        rows = [{**base, "id": f"step_{one}", "run_id": kinds[1]} for one in steps]
        return HTTP.Response(200, content=page(rows, has_more=False))


def _stays(then: str, now: str, *, flat: bool) -> bool:
    """A text of blanks is a part, and an empty one none."""
    return bool(then.strip() and not now.strip()) or (bool(then) and not now and not flat)


@given(MESSAGES, MESSAGES, STEPS, STEPS, st.booleans())
@example({1: "a"}, {1: ""}, {1: [1, 2, 3]}, {1: []}, False)
@example({1: "a"}, {1: ""}, {1: [1, 2, 3]}, {1: [3]}, True)
def test_an_export_is_never_poorer_for_a_refresh(
    tmp_path_factory: pytest.TempPathFactory,
    then: dict[int, str],
    now: dict[int, str],
    runs: dict[int, list[int]],
    runs_now: dict[int, list[int]],
    flat: bool,
) -> None:
    """Every message, run and step of both versions is in it, the new ones unless they have lost what they held."""
    export = Export(tmp_path_factory.mktemp("export"))
    old, new = Version(then, runs), Version(now, runs_now, time=2)
    export.run_alone(["thread_a"], old, flat=flat, include=("runs",))
    export.run_alone(["thread_a"], new, flat=flat, include=("runs",), refresh=True)
    rows = [json.loads(line) for line in export.lines]
    assert {row["message_id"]: row["created_at"] for row in rows} == {
        f"msg_thread_a_{one:05}": 2 if one in now and not _stays(then.get(one, ""), now[one], flat=flat) else 1
        for one in {**then, **now}
    }
    assert len(rows) == len({**then, **now})
    order = [row["message_id"] for row in rows]
    assert [one for one in order if one in new.messages()] == [*new.messages()]
    assert {
        row["run_id"]: (row["run"]["time"], sorted(step["id"] for step in row["steps"]))
        for row in export.sidecar("runs")
    } == {
        f"run_{one}": (
            2 if one in runs_now else 1,
            sorted({f"step_{step}" for step in [*runs.get(one, ()), *runs_now.get(one, ())]}),
        )
        for one in {**runs, **runs_now}
    }
    before = export.contents()
    export.run_alone(["thread_a"], new, flat=flat, include=("runs",), refresh=True)
    assert export.contents() == before


@pytest.mark.parametrize("gone_again", [False, True])
@pytest.mark.parametrize("commits", [2, 4])
def test_a_refresh_that_was_cut_off_and_written_keeps_the_order(commits: int, gone_again: bool, tmp_path: Path) -> None:
    """What came of it waits in the partial file, and takes its place behind what was exported before it."""
    old = threads_of(a=250)
    rows, newest = old["thread_a"], message("thread_a", 999)
    now = {"thread_a": [*rows[1:], newest]}
    export = Export(tmp_path).run_alone(old, ThreadServer(old))
    with cut_off_at_commit(commits):
        export.run_alone(old, ThreadServer(now), refresh=True)
    export.write()
    has_newest = any(
        row["id"] == newest["id"] for kept in export.messages(export.paths.partial).values() for row in kept
    )
    later = {"thread_a": rows[1:]} if gone_again else now
    export.run_alone(old, ThreadServer(later), refresh=True)
    expected = rows if gone_again and not has_newest else [*rows, newest]
    assert export.messages() == {"thread_a": expected}


def test_an_auto_thread_that_was_cut_off_gets_its_newest_assistant(tmp_path: Path) -> None:
    """Not the one that was the newest when it was cut off."""
    rows = threads_of(a=250)["thread_a"]
    for place, assistant_id in ((10, "asst_old"), (240, "asst_new")):
        rows[place] |= {"role": "assistant", "assistant_id": assistant_id}
    export = Export(tmp_path)
    with cut_off_at_commit(3):
        export.run_alone(["thread_a"], ThreadServer({"thread_a": rows}), assistant_id="auto")
    export.write()
    export.run_alone(["thread_a"], ThreadServer({"thread_a": rows}), assistant_id="auto")
    assert {json.loads(line)["assistant_id"] for line in export.lines} == {"asst_new"}
