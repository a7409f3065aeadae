"""A thread that was cut off is resumed behind what is stored of it, and is what an unbroken walk would have made it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from canned import HTTP
from canned_threads import MISSING, NO_MESSAGE, ThreadServer, message, page
from exporting import Answering, Ending, Export, cut_off_at_commit, threads_of
from threadkeep.api.client import PacingOptions
from threadkeep.errors import ApiGone
from threadkeep.storage.index import Outcome

pytestmark = pytest.mark.anyio
THREADS = threads_of(a=250)
ROWS = THREADS["thread_a"]


async def cut_off(folder: Path, commits: int = 2, rows: Any = None, **options: Any) -> Export:
    """An export that was cut off behind the first page of its thread."""
    with cut_off_at_commit(commits):
        return await Export(folder).run(THREADS, ThreadServer({"thread_a": rows or ROWS}), **options)


def vanished(rows: Any, answer: Callable[[], Any]) -> ThreadServer:
    """Answers for what is behind the last message of the first page as a server that does not know that any more."""
    return Answering(
        {"thread_a": rows},
        lambda request, _times: answer() if request.url.params.get("after") == ROWS[99]["id"] else None,
    )


def running(runs: Callable[[], Any]) -> ThreadServer:
    """Answers with these runs, which have no steps."""

    def answer(request: Any, _times: int) -> Any:
        kinds = str(request.url.path).split("/")[4:]
        if kinds[:1] != ["runs"]:
            return None
        return HTTP.Response(200, content=page([] if kinds[1:] else runs(), has_more=False))

    return Answering(THREADS, answer)


ANSWERS: dict[str, Callable[[], Any]] = {
    "an empty page": lambda: HTTP.Response(200, content=page([], has_more=False)),
    "no such message": lambda: HTTP.Response(404, content=NO_MESSAGE),
    "an error": lambda: HTTP.Response(400, content=b'{"error": {"message": "Invalid cursor."}}'),
    "a failure": lambda: HTTP.Response(500),
    "nothing that is a page": lambda: HTTP.Response(200, content=b"{}"),
}


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
@pytest.mark.parametrize("flat", [False, True])
async def test_a_thread_whose_last_message_vanished_since_is_walked_anew(
    answer: Callable[[], Any], flat: bool, tmp_path: Path
) -> None:
    """Whatever a server answers for what is behind a message that it does not know: what was fetched of it stays."""
    export = await cut_off(tmp_path, flat=flat)
    rows = [row for number, row in enumerate(ROWS) if number not in (5, 99)]
    server = vanished(rows, answer)
    await export.run(THREADS, server, flat=flat, pace=PacingOptions(max_retries=0))
    assert export.result.is_complete
    assert [json.loads(line)["message_id"] for line in export.lines] == [row["id"] for row in ROWS]


@pytest.mark.parametrize("answer", ["no such message", "an error", "a failure", "nothing that is a page"])
async def test_an_error_behind_a_message_that_is_there_proves_nothing(answer: str, tmp_path: Path) -> None:
    """The thread is partial, with what is stored of it, and asked for again by the next run."""
    export = await cut_off(tmp_path)
    server = vanished(ROWS, ANSWERS[answer])
    await export.run(THREADS, server, pace=PacingOptions(max_retries=0))
    assert export.outcomes == {"thread_a": Outcome.PARTIAL}
    assert export.messages(export.paths.partial) == {"thread_a": ROWS[:100]}
    await export.run(THREADS, ThreadServer(THREADS))
    assert export.messages() == THREADS


async def test_an_empty_page_behind_a_message_that_is_there_is_the_end(tmp_path: Path) -> None:
    """The run was cut off when the thread was as good as complete."""
    export = await cut_off(tmp_path, rows=ROWS[:100])
    server = ThreadServer({"thread_a": ROWS[:100]})
    await export.run(THREADS, server)
    assert export.messages() == {"thread_a": ROWS[:100]}
    assert [url.rpartition("/")[2] for url in server.asked] == [
        *[f"messages?limit=100&order=asc&after={ROWS[99]['id']}"] * 2,
        ROWS[99]["id"],
    ]


@pytest.mark.parametrize("body", [b'{"detail":"Not Found"}', b'{"error":"Unexpected endpoint"}', b"404 page not found"])
async def test_a_server_without_single_messages_is_asked_for_the_thread_again(body: bytes, tmp_path: Path) -> None:
    """It answers as one at a wrong address, which does not end the run: the thread itself is there."""
    export = await cut_off(tmp_path, rows=ROWS[:100])

    def answer(request: Any, _times: int) -> Any:
        is_message = request.url.path.endswith(ROWS[99]["id"])
        return HTTP.Response(404, content=body) if is_message else None

    await export.run(THREADS, Answering({"thread_a": ROWS[:100]}, answer))
    assert export.result.is_complete
    assert export.messages() == {"thread_a": ROWS[:100]}


async def test_messages_that_came_since_are_fetched_too(tmp_path: Path) -> None:
    """They are behind those that are stored."""
    export = await cut_off(tmp_path)
    more = [*ROWS, message("thread_a", 250), message("thread_a", 251)]
    await export.run(THREADS, ThreadServer({"thread_a": more}))
    assert export.messages() == {"thread_a": more}


async def test_a_thread_that_was_deleted_since_keeps_its_pages(tmp_path: Path) -> None:
    """It is missing, and they are in the partial file."""
    export = await cut_off(tmp_path)
    await export.run(THREADS, ThreadServer({}))
    assert export.outcomes == {"thread_a": Outcome.MISSING}
    assert export.messages(export.paths.partial) == {"thread_a": ROWS[:100]}


@pytest.mark.parametrize("count", [0, 1, 2])
async def test_a_sunset_while_a_thread_is_resumed(count: int, tmp_path: Path) -> None:
    """Also when the message of its cursor is being asked for: what is stored stays."""
    export = await cut_off(tmp_path)

    class EmptyThenGone(Ending):
        def spoil(self, request: Any, times: int) -> Any:
            return super().spoil(request, times) or HTTP.Response(200, content=page([], has_more=False))

    await export.run(THREADS, EmptyThenGone(THREADS, lambda: HTTP.Response(410), count))
    if count < 2:
        assert isinstance(export.ended_by, ApiGone)
        assert export.messages(export.paths.partial) == {"thread_a": ROWS[:100]}


async def test_repeated_rows_are_judged_as_in_an_unbroken_walk(tmp_path: Path) -> None:
    """A page that repeats what is stored contradicts its cursor."""
    repeated = HTTP.Response(200, content=page(ROWS[50:150], has_more=True))
    server = Answering(THREADS, lambda request, _times: repeated if "after" in request.url.params else None)
    unbroken = await Export(tmp_path).run(THREADS, server)
    reason = unbroken.rows["thread_a"].reason
    (tmp_path / "resumed").mkdir()
    resumed = await cut_off(tmp_path / "resumed")
    await resumed.run(THREADS, server)
    assert resumed.outcomes == unbroken.outcomes == {"thread_a": Outcome.PARTIAL}
    assert resumed.rows["thread_a"].reason == reason
    assert "repeats msg_thread_a_00050" in str(reason)


async def test_a_walk_that_fails_once_is_resumed_in_the_same_run(tmp_path: Path) -> None:
    """Its second chance goes on behind what is stored."""
    threads = threads_of(a=150)  # of two pages

    def answer(request: Any, times: int) -> Any:
        return HTTP.Response(500) if "after" in request.url.params and times == 1 else None

    server = Answering(threads, answer)
    export = await Export(tmp_path).run(threads, server, pace=PacingOptions(max_retries=0))
    assert export.messages() == threads
    assert sum("after" not in url for url in server.asked) == 1


async def test_the_runs_of_a_thread_that_was_cut_off_are_asked_for_anew(tmp_path: Path) -> None:
    """They may have changed since; and each is saved once."""
    runs = [{"id": "run_1", "thread_id": "thread_a", "status": "queued"}]
    server = running(lambda: runs)
    with cut_off_at_commit(5):
        export = await Export(tmp_path).run(THREADS, server, include=("runs",))
    assert any("/runs" in url for url in server.asked)
    runs[0]["status"] = "completed"
    await export.run(THREADS, server, include=("runs",))
    assert [(row["run_id"], row["run"]["status"]) for row in export.sidecar("runs")] == [("run_1", "completed")]


async def test_many_runs_are_stored_page_by_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not held together, however many there are; those with a broken one fail their thread."""
    monkeypatch.setattr("threadkeep.exporter.threads._SIDECAR_PAGE_BYTES", 100)
    runs = [{"id": f"run_{number}", "thread_id": "thread_a", "pad": "x" * 60} for number in range(5)]
    export = await Export(tmp_path).run(THREADS, running(lambda: runs), include=("runs",))
    assert [row["run_id"] for row in export.sidecar("runs")] == [f"run_{number}" for number in range(5)]


async def test_a_thread_deleted_between_its_messages_and_its_runs(tmp_path: Path) -> None:
    """Is missing, and keeps its messages; no other key is asked."""
    missing, other = HTTP.Response(404, content=MISSING), ThreadServer(THREADS)
    server = Answering(THREADS, lambda request, _times: missing if "runs" in str(request.url.path) else None)
    export = await Export(tmp_path).run(THREADS, server, other, include=("runs",), concurrency=1)
    assert (export.outcomes, other.asked) == ({"thread_a": Outcome.MISSING}, [])
    assert export.messages(export.paths.partial) == THREADS


async def test_what_was_partial_and_is_written_is_fetched_again_and_merged(tmp_path: Path) -> None:
    """The partial file may hold what the server has lost since."""
    export = await Export(tmp_path).run(THREADS, Ending(THREADS, lambda: HTTP.Response(410), 2))
    assert export.messages(export.paths.partial) == {"thread_a": ROWS[:200]}
    rows = [row for number, row in enumerate(ROWS) if number != 50]
    await export.run(THREADS, ThreadServer({"thread_a": rows}))
    assert export.messages() == THREADS
    assert not export.paths.partial.exists()


async def test_a_page_that_comes_empty_the_second_time_stays_as_it_came(tmp_path: Path) -> None:
    """A thread was partial, and the API gives its messages without what they say: that is not taken."""
    export = await Export(tmp_path).run(THREADS, Ending(THREADS, lambda: HTTP.Response(410), 2))
    emptied = [{**row, "content": []} for row in ROWS]
    await export.run(THREADS, ThreadServer({"thread_a": emptied}))
    assert export.messages() == {"thread_a": [*ROWS[:200], *emptied[200:]]}
