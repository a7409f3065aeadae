"""What ends an export before its time: nothing more is asked, and what came is kept."""

import asyncio
import re
from pathlib import Path
from typing import Any

import pytest

from canned import HTTP
from canned_threads import ThreadServer, thread_of
from exporting import ASSISTANT, PATIENCE, Answering, Ending, Export, silence, threads_of
from threadkeep.api.client import PacingOptions
from threadkeep.errors import AccessRefused, ApiGone, RunEnded, ServerUnreachable, WrongAddress
from threadkeep.records.mapping import from_message_json
from threadkeep.records.ndjson import encode
from threadkeep.storage.index import DownloadOutcome, Outcome

pytestmark = pytest.mark.anyio


async def test_the_sunset_keeps_the_pages_that_came(tmp_path: Path) -> None:
    """A thread that the sunset cuts off is partial: its pages are in the partial file, and not in the export."""
    threads = threads_of(a=50, b=450, c=450, d=5)
    server = Ending(threads, lambda: HTTP.Response(404), count=4)
    export = await Export(tmp_path).run(list(threads), server, concurrency=2)
    assert isinstance(export.ended_by, ApiGone)
    assert export.outcomes["thread_a"] is Outcome.COMPLETE
    cut_off = [name for name, outcome in export.outcomes.items() if outcome is Outcome.PARTIAL]
    assert cut_off
    kept = export.messages(export.paths.partial)
    assert set(kept) == set(cut_off)
    for name in cut_off:
        row = export.rows[name]
        assert kept[name] == threads[name][: row.messages]
        assert row.last_id == kept[name][-1]["id"]
        assert name not in export.messages()


async def test_the_partial_file_holds_full_lines_also_of_a_flat_export(tmp_path: Path) -> None:
    """What cannot be fetched again is kept with everything that came."""
    threads = threads_of(a=3, b=450)
    server = Ending(threads, lambda: HTTP.Response(410), count=3)
    export = await Export(tmp_path).run(list(threads), server, concurrency=1, flat=True)
    assert export.messages(export.paths.partial) == {"thread_b": threads["thread_b"][:200]}
    expected = [
        encode(from_message_json(row, assistant_id=ASSISTANT), flat=True) + b"\n" for row in threads["thread_a"]
    ]
    assert export.lines == expected


ENDINGS = [
    (lambda: HTTP.Response(401, content=b"{}"), AccessRefused),
    (lambda: HTTP.Response(403, content=b"{}"), AccessRefused),
    (lambda: HTTP.Response(404, content=b"<html>"), ApiGone),
    (lambda: HTTP.Response(404, content=b'{"error":{"message":"Invalid URL (GET /v1/threads)"}}'), WrongAddress),
    (lambda: HTTP.Response(404), ApiGone),
    (lambda: HTTP.Response(410), ApiGone),
]


@pytest.mark.parametrize(("end", "kind"), ENDINGS)
async def test_an_ending_stops_the_run_at_once(end: Any, kind: type[RunEnded], tmp_path: Path) -> None:
    """Nothing more is asked, whole threads stay, and pages that came are kept, whatever the end was taken for."""
    threads = threads_of(a=5, b=450, c=5, d=5)
    server = Ending(threads, end, count=2)
    export = await Export(tmp_path).run(list(threads), server, concurrency=1)
    assert type(export.ended_by) is kind
    assert len(server.asked) == 3
    assert export.outcomes == {
        "thread_a": Outcome.COMPLETE,
        "thread_b": Outcome.PARTIAL,
        "thread_c": Outcome.UNFINISHED,
        "thread_d": Outcome.UNFINISHED,
    }
    assert export.messages(export.paths.partial) == {"thread_b": threads["thread_b"][:100]}


class CutOff:
    """Falls silent at the second page of thread_a; an answer that was on its way then comes when that has been told."""

    def __init__(self, threads: Any, told: asyncio.Event) -> None:
        self._honest, self._told, self._both = ThreadServer(threads), told, asyncio.Event()

    @property
    def asked(self) -> list[str]:
        """What it answered."""
        return self._honest.asked

    async def __call__(self, request: Any) -> Any:
        """Answer one request."""
        if thread_of(request.url) == "thread_a":
            await asyncio.wait_for(self._both.wait(), PATIENCE)
            return HTTP.Response(410) if "after" in request.url.params else self._honest(request)
        self._both.set()
        await asyncio.wait_for(self._told.wait(), PATIENCE)
        return self._honest(request)


async def test_an_answer_on_its_way_when_the_sunset_falls_is_still_taken(tmp_path: Path) -> None:
    """A thread whose last page arrives after another thread was told of the end is complete."""
    threads = threads_of(a=150, b=5)
    export = Export(tmp_path)
    await export.run(list(threads), CutOff(threads, export.thread_ended), concurrency=2)
    assert isinstance(export.ended_by, ApiGone)
    assert export.messages() == {"thread_b": threads["thread_b"]}


async def test_nothing_more_is_asked_once_the_run_has_ended(tmp_path: Path) -> None:
    """A page that arrives after the end is kept; the next one is not asked for."""
    threads = threads_of(a=150, b=250)
    export = Export(tmp_path)
    server = CutOff(threads, export.thread_ended)
    await export.run(list(threads), server, concurrency=2)
    assert [thread_of(HTTP.URL(url)) for url in server.asked] == ["thread_a", "thread_b"]
    assert export.outcomes == {"thread_a": Outcome.PARTIAL, "thread_b": Outcome.PARTIAL}
    assert export.messages(export.paths.partial) == {name: rows[:100] for name, rows in threads.items()}


async def test_a_page_that_is_not_believed_is_no_answer_of_the_api(tmp_path: Path) -> None:
    """A web page with status 200 and then one with 404 is a wrong address, not a sunset."""
    answers = [HTTP.Response(200, content=b"<html>"), HTTP.Response(404, content=b"<html>")]
    export = await Export(tmp_path).run(["thread_a"], answers)
    assert isinstance(export.ended_by, WrongAddress)


async def test_a_server_that_dies_is_not_asked_about_every_file(tmp_path: Path) -> None:
    """The threads are whole; so many files fail as threads would, and those behind them are left."""
    threads = threads_of(a=1)
    threads["thread_a"][0]["attachments"] = [{"file_id": f"file-{number}", "tools": []} for number in range(40)]
    export = await Export(tmp_path).run(
        list(threads), Ending(threads, silence, count=1), concurrency=1, files=True, pace=PacingOptions(max_retries=0)
    )
    assert isinstance(export.ended_by, ServerUnreachable)
    assert export.outcomes == {"thread_a": Outcome.COMPLETE}
    outcomes = [file.outcome for file in export.result.downloads()]
    assert [outcomes.count(one) for one in (DownloadOutcome.FAILED, DownloadOutcome.UNFINISHED)] == [16, 24]


async def test_files_that_the_api_does_not_know_are_no_silence(tmp_path: Path) -> None:
    """Also where nothing else is asked for: the threads are whole since an earlier run."""
    threads = threads_of(a=1)
    threads["thread_a"][0]["attachments"] = [{"file_id": f"file-{number}", "tools": []} for number in range(20)]
    unknown = b'{"error": {"message": "No such File object"}}'

    def missing() -> Any:
        return HTTP.Response(404, content=unknown)

    for count in (1, 0):
        export = await Export(tmp_path).run(
            list(threads), Ending(threads, missing, count=count), concurrency=1, files=True
        )
        assert export.ended_by is None
        assert [file.outcome for file in export.result.downloads()] == [DownloadOutcome.MISSING] * 20


async def test_a_server_that_never_answers_is_not_asked_about_every_thread(tmp_path: Path) -> None:
    """The first thread's failure ends a run that has heard nothing yet."""
    server = Ending(threads_of(a=1, b=1, c=1), silence, count=0)
    export = await Export(tmp_path).run(list(server.threads), server, concurrency=1)
    assert isinstance(export.ended_by, ServerUnreachable)
    assert len(server.asked) == 3  # one thread, and its two retries
    assert export.notices == [f"{export.ended_by}; retrying"]
    assert export.result.outcomes == dict.fromkeys(Outcome, 0) | {"failed": 1, "unfinished": 2}
    assert export.contents() == {}


async def test_a_server_that_falls_silent_fails_some_threads_and_then_ends_the_run(tmp_path: Path) -> None:
    """After twice as many silent threads as are walked at a time, or sixteen, nobody is there any more."""
    server = Ending(threads_of(**{f"n{number}": 1 for number in range(60)}), silence, count=5)
    export = await Export(tmp_path).run(list(server.threads), server, concurrency=2)
    assert isinstance(export.ended_by, ServerUnreachable)
    outcomes = list(export.outcomes.values())
    assert outcomes.count(Outcome.COMPLETE) == 5
    assert outcomes.count(Outcome.FAILED) in (16, 17)  # the last was on its way


@pytest.mark.parametrize("answer", [(200, b"<html>Log in</html>"), (503, b""), (418, b"")], ids=str)
async def test_an_address_that_never_answers_as_an_api_is_not_asked_about_every_thread(
    answer: tuple[int, bytes], tmp_path: Path
) -> None:
    """The page of a login, or of a server that is down, is the same for each. No file is left of that."""
    status, content = answer
    ids = [f"thread_{number}" for number in range(50)]
    export = await Export(tmp_path).run(ids, lambda _request: HTTP.Response(status, content=content), concurrency=4)
    assert isinstance(export.ended_by, ServerUnreachable)
    assert 16 <= export.result.outcomes["failed"] < 24
    assert export.result.outcomes["failed"] + export.result.outcomes["unfinished"] == 50
    assert export.contents() == {}


async def test_now_and_then_a_silence_ends_no_run(tmp_path: Path) -> None:
    """Only silence upon silence does: an answer in between begins the count anew, in the second round too."""
    threads = threads_of(**{f"n{number}": 1 for number in range(20)})
    odd = re.compile(r"thread_n\d?[13579]$")
    server = Answering(threads, lambda request, _times: silence() if odd.match(thread_of(request.url)) else None)
    export = await Export(tmp_path).run(list(server.threads), server, concurrency=1)
    assert export.ended_by is None
    assert list(export.outcomes.values()).count(Outcome.FAILED) == 10


async def test_what_failed_before_the_end_keeps_its_reason(tmp_path: Path) -> None:
    """A thread that waits for its second chance when the run ends is failed, not forgotten."""
    threads = threads_of(a=1, b=1, c=1)

    class Failing(Ending):
        def spoil(self, request: Any, times: int) -> Any:
            own = thread_of(request.url) == "thread_a"
            return HTTP.Response(200, content=b"{}") if own else super().spoil(request, times)

    server = Failing(threads, lambda: HTTP.Response(410), count=4)
    export = await Export(tmp_path).run(list(threads), server, concurrency=1)
    assert isinstance(export.ended_by, ApiGone)
    assert list(export.outcomes.values()) == [Outcome.FAILED, Outcome.COMPLETE, Outcome.UNFINISHED]


async def test_the_end_in_the_second_round_leaves_every_outcome(tmp_path: Path) -> None:
    """What was whole by then is complete, and what was not is failed with its first reason."""
    threads = threads_of(a=1, b=1)
    not_now = HTTP.Response(400, content=b'{"error": {"message": "Not now."}}')

    def answer(request: Any, times: int) -> Any:
        return not_now if times == 1 else HTTP.Response(410) if thread_of(request.url) == "thread_b" else None

    export = await Export(tmp_path).run(list(threads), Answering(threads, answer), concurrency=1)
    assert isinstance(export.ended_by, ApiGone)
    assert export.outcomes == {"thread_a": Outcome.COMPLETE, "thread_b": Outcome.FAILED}
    assert "Not now." in str(export.rows["thread_b"].reason)
