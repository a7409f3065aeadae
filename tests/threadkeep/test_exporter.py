"""The export, over the real SDK and a canned server: every thread whole or not at all, each with its reason."""

import asyncio
import contextlib
import json
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings

import strategies
from canned import HTTP, async_client
from canned_threads import MISSING, ThreadServer, message, page, thread_of
from threadkeep.codec import decode, encode
from threadkeep.disk import OsGrowing
from threadkeep.errors import AccessRefused, ApiGone, OutputUnusable, RunEnded, ServerUnreachable, WrongAddress
from threadkeep.events import Event, Notice
from threadkeep.exporter import Options, export_threads
from threadkeep.journal import Entry, FileEntry, FileOutcome, Header, Journal, Outcome, fold
from threadkeep.mapping import from_message_json
from threadkeep.outfiles import Finished, OutFiles
from threadkeep.paths import Paths
from threadkeep.sdk import Api
from threadkeep.validate import Vouchers, validate
from threadkeep.walker import Pace

ASSISTANT = "asst_abc123"
PATIENCE = 300  # seconds after which a test is thought to hang
pytestmark = pytest.mark.anyio


async def no_wait(_seconds: float) -> None:
    """Waits not at all, but lets the others go on."""
    await asyncio.sleep(0)


class Export:
    """An export into a folder, and what came of it."""

    def __init__(self, folder: Path) -> None:
        self.paths = Paths(folder / "out.ndjson")
        self.ended_by: RunEnded | None = None
        self.reported: list[Event] = []
        self.told = asyncio.Event()

    def hear(self, event: Event) -> None:
        """Keep what is reported; `told` is set when a thread's fate is."""
        self.reported.append(event)
        if isinstance(event, Entry):
            self.told.set()

    async def run(self, ids: Sequence[str], *servers: Any, **options: Any) -> "Export":
        """Export these threads from a server, or from several keys' points of view."""
        header = Header(source="https://api.test/v1", assistant_id=ASSISTANT, flat=False, started_at="now")
        chosen = Options(assistant_id=ASSISTANT, **{"pace": Pace(max_retries=2, sleep=no_wait), **options})
        with OutFiles.begin(self.paths, header) as out:
            async with contextlib.AsyncExitStack() as opened:
                apis = [await opened.enter_async_context(Api(async_client(server))) for server in servers]
                try:
                    await export_threads(ids, apis, out, chosen, on_event=self.hear)
                except RunEnded as ending:
                    self.ended_by = ending
            self.journal: Journal = out.journal
        return self

    @property
    def lines(self) -> list[bytes]:
        """The export's lines."""
        return self.paths.out.read_bytes().splitlines(keepends=True)

    @property
    def outcomes(self) -> dict[str, Outcome]:
        """What became of each thread."""
        return {thread_id: entry.outcome for thread_id, entry in self.journal.entries.items()}

    def messages(self, path: Path | None = None) -> dict[str, list[dict[str, Any]]]:
        """What a file holds, by thread."""
        found: dict[str, list[dict[str, Any]]] = {}
        for line in (path or self.paths.out).read_bytes().split(b"\n")[:-1]:
            record = decode(line)
            found.setdefault(record.thread_id, []).append(dict(record.raw))
        return found


def threads_of(**sizes: int) -> dict[str, list[dict[str, Any]]]:
    """Threads of ordinary messages, by name and size."""
    return {
        f"thread_{name}": [message(f"thread_{name}", number) for number in range(size)] for name, size in sizes.items()
    }


@given(threads=strategies.threads())
@settings(max_examples=60)
async def test_every_message_comes_out_once_unharmed_and_in_order(
    threads: Mapping[str, list[dict[str, Any]]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The export holds each thread's messages as they were served, and nothing else."""
    export = await Export(tmp_path_factory.mktemp("export")).run(list(threads), ThreadServer(threads))
    expected = {thread_id: rows for thread_id, rows in threads.items() if rows}
    assert json.dumps(export.messages(), sort_keys=True) == json.dumps(expected, sort_keys=True)
    assert set(export.outcomes.values()) <= {Outcome.COMPLETE}
    assert set(export.outcomes) == set(threads)


async def test_threads_of_many_pages_stand_together_in_order(tmp_path: Path) -> None:
    """However many are walked at a time, a thread's lines are contiguous and in the server's order."""
    threads = threads_of(a=250, b=0, c=100, d=101, e=1, f=399)
    export = await Export(tmp_path).run(list(threads), ThreadServer(threads), concurrency=4)
    assert export.messages() == {name: rows for name, rows in threads.items() if rows}
    runs = [decode(line).thread_id for line in export.lines]
    assert sum(1 for before, after in pairwise(runs) if before != after) == 4


async def test_no_more_threads_than_allowed_are_walked_at_a_time(tmp_path: Path) -> None:
    """Concurrency is a bound on the requests in flight."""
    in_flight, most, all_there = 0, 0, asyncio.Event()
    server = ThreadServer(threads_of(**{f"n{number}": 3 for number in range(12)}))

    async def answer(request: Any) -> Any:
        nonlocal in_flight, most
        in_flight += 1
        most = max(most, in_flight)
        if most == 3:
            all_there.set()
        await asyncio.wait_for(all_there.wait(), PATIENCE)
        in_flight -= 1
        return server(request)

    await Export(tmp_path).run(list(server.threads), answer, concurrency=3)
    assert most == 3


async def test_the_journal_vouches_for_each_thread(tmp_path: Path) -> None:
    """The journal on the disk says what the run says, and the export validates against it."""
    threads = threads_of(a=250, b=0)
    export = await Export(tmp_path).run([*threads, "thread_gone", "undefined"], ThreadServer(threads))
    journal = fold(export.paths.journal.read_bytes())
    assert dict(journal.entries) == dict(export.journal.entries)
    assert list(journal.entries.values()) == [event for event in export.reported if isinstance(event, Entry)]
    assert export.outcomes == {
        "thread_a": Outcome.COMPLETE,
        "thread_b": Outcome.COMPLETE,
        "thread_gone": Outcome.MISSING,
        "undefined": Outcome.INVALID,
    }
    assert journal.end_offset == len(export.paths.out.read_bytes())
    codes = {finding.code for finding in validate(export.lines, Vouchers(journal=journal))}
    assert codes == {"thread_missing", "thread_invalid", "unfinished_run"}


async def test_a_malformed_id_costs_no_request(tmp_path: Path) -> None:
    """Nothing is asked about what cannot be a thread id."""
    server = ThreadServer({})
    export = await Export(tmp_path).run(["undefined", "thread_a/../../files"], server)
    assert server.asked == []
    assert set(export.outcomes.values()) == {Outcome.INVALID}


async def test_an_id_that_the_server_calls_malformed_is_invalid(tmp_path: Path) -> None:
    """The server's own check of the prefix counts as well."""
    text = "Invalid 'thread_id': 'threadless'. Expected an ID that begins with 'thread_'."
    refused = json.dumps({"error": {"message": text}}).encode()
    export = await Export(tmp_path).run(["threadless"], lambda _request: HTTP.Response(400, content=refused))
    assert export.journal.entries["threadless"].outcome is Outcome.INVALID
    assert export.journal.entries["threadless"].reason == text


class Spoiled(ThreadServer):
    """Spoils the second page of thread_a, the first ``times`` that it is asked for."""

    def __init__(self, threads: Any, answer: Any, times: int) -> None:
        super().__init__(threads)
        self._answer, self._times = answer, times

    def spoil(self, request: Any, times: int) -> Any:
        if thread_of(request.url) == "thread_a" and "after" in request.url.params and times <= self._times:
            return self._answer(self.honest(request))
        return None


SPOILS = {
    "truncated": lambda honest: HTTP.Response(200, content=honest.content[:-30]),
    "html": lambda _honest: HTTP.Response(200, content=b"<html>busy</html>", headers={"content-type": "text/html"}),
    "empty body": lambda _honest: HTTP.Response(200),
    "repeated page": lambda _honest: HTTP.Response(200, content=page(threads_of(a=100)["thread_a"], has_more=True)),
    "empty with has_more": lambda _honest: HTTP.Response(200, content=page([], has_more=True)),
    "another thread's": lambda _honest: HTTP.Response(200, content=page(threads_of(b=3)["thread_b"], has_more=False)),
}


@pytest.mark.parametrize("spoil", SPOILS.values(), ids=SPOILS.keys())
async def test_a_bad_page_is_asked_for_again(spoil: Any, tmp_path: Path) -> None:
    """A page that is no page, or contradicts its cursor, is a passing fault at first."""
    threads = threads_of(a=250, b=5)
    export = await Export(tmp_path).run(list(threads), Spoiled(threads, spoil, times=2))
    assert export.messages() == threads


@pytest.mark.parametrize("spoil", SPOILS.values(), ids=SPOILS.keys())
async def test_a_page_that_stays_bad_fails_its_thread_only(spoil: Any, tmp_path: Path) -> None:
    """After the last retry the thread is failed, none of it is in the export, and the others are whole."""
    threads = threads_of(a=250, b=5)
    export = await Export(tmp_path).run(list(threads), Spoiled(threads, spoil, times=99))
    assert export.messages() == {"thread_b": threads["thread_b"]}
    entry = export.journal.entries["thread_a"]
    assert entry.outcome is Outcome.FAILED
    assert (
        "the page after msg_thread_a_00099" in str(entry.reason)
        or "the answer is" in str(entry.reason)
        or "belongs to" in str(entry.reason)
    )
    assert export.ended_by is None


@pytest.mark.parametrize("depth", [200, 900, 940, 985, 100_000])
async def test_a_message_too_deep_to_write_fails_its_thread(depth: int, tmp_path: Path) -> None:
    """What can be read and written is exported, what cannot be is told, and the other threads go on."""
    row = json.dumps(message("thread_a", 0))[:-1] + f', "deep": {"[" * depth}{"]" * depth}}}'
    deep = HTTP.Response(200, content=f'{{"data": [{row}], "has_more": false}}'.encode())
    server = Deep(threads_of(b=2), deep)
    export = await Export(tmp_path).run(["thread_a", "thread_b"], server)
    assert export.messages()["thread_b"] == server.threads["thread_b"]
    assert ("thread_a" in export.messages()) == (export.outcomes["thread_a"] is Outcome.COMPLETE)
    assert depth > 200 or export.outcomes["thread_a"] is Outcome.COMPLETE
    assert depth < 100_000 or export.outcomes["thread_a"] is Outcome.FAILED


class Deep(ThreadServer):
    """Answers one page for thread_a."""

    def __init__(self, threads: Any, answer: Any) -> None:
        super().__init__(threads)
        self._answer = answer

    def spoil(self, request: Any, times: int) -> Any:
        del times
        return self._answer if thread_of(request.url) == "thread_a" else None


class Ending(ThreadServer):
    """Answers every request after the first ``count`` with the end."""

    def __init__(self, threads: Any, end: Any, count: int) -> None:
        super().__init__(threads)
        self._end, self._count = end, count

    def spoil(self, request: Any, times: int) -> Any:
        del request, times
        return self._end() if len(self.asked) > self._count else None


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
        entry = export.journal.entries[name]
        assert kept[name] == threads[name][: entry.messages]
        assert entry.cursor == entry.last_id == kept[name][-1]["id"]
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
    (lambda: HTTP.Response(404, content=b"<html>"), WrongAddress),
    (lambda: HTTP.Response(404, content=b'{"detail":"Not Found"}'), WrongAddress),
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
    assert export.outcomes == {"thread_a": Outcome.COMPLETE, "thread_b": Outcome.PARTIAL}
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
    await export.run(list(threads), CutOff(threads, export.told), concurrency=2)
    assert isinstance(export.ended_by, ApiGone)
    assert export.messages() == {"thread_b": threads["thread_b"]}


async def test_nothing_more_is_asked_once_the_run_has_ended(tmp_path: Path) -> None:
    """A page that arrives after the end is kept; the next one is not asked for."""
    threads = threads_of(a=150, b=250)
    export = Export(tmp_path)
    server = CutOff(threads, export.told)
    await export.run(list(threads), server, concurrency=2)
    assert [thread_of(HTTP.URL(url)) for url in server.asked] == ["thread_a", "thread_b"]
    assert export.outcomes == {"thread_a": Outcome.PARTIAL, "thread_b": Outcome.PARTIAL}
    assert export.messages(export.paths.partial) == {name: rows[:100] for name, rows in threads.items()}


async def test_a_cursor_that_is_gone_is_no_missing_thread(tmp_path: Path) -> None:
    """A 404 about a message fails its thread; nothing says that the thread does not exist."""
    threads = threads_of(a=250, b=1)
    gone = HTTP.Response(404, content=json.dumps({"error": {"message": "No message found with id 'msg_9'."}}).encode())
    export = await Export(tmp_path).run(list(threads), Spoiled(threads, lambda _honest: gone, times=9))
    assert export.outcomes == {"thread_a": Outcome.FAILED, "thread_b": Outcome.COMPLETE}


async def test_a_page_that_is_not_believed_is_no_answer_of_the_api(tmp_path: Path) -> None:
    """A web page with status 200 and then an empty 404 is a wrong address, not a sunset."""
    answers = [HTTP.Response(200, content=b"<html>"), HTTP.Response(404)]
    export = await Export(tmp_path).run(["thread_a"], answers)
    assert isinstance(export.ended_by, WrongAddress)


async def test_a_server_that_dies_is_not_asked_about_every_file(tmp_path: Path) -> None:
    """The threads are whole; so many files fail as threads would, and those behind them are left."""
    threads = threads_of(a=1)
    threads["thread_a"][0]["attachments"] = [{"file_id": f"file-{number}", "tools": []} for number in range(40)]
    export = await Export(tmp_path).run(
        list(threads), Ending(threads, silence, count=1), concurrency=1, files=True, pace=Pace(max_retries=0)
    )
    assert isinstance(export.ended_by, ServerUnreachable)
    assert export.outcomes == {"thread_a": Outcome.COMPLETE}
    assert [file.outcome for file in export.journal.files.values()] == [FileOutcome.FAILED] * 16


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
        assert [file.outcome for file in export.journal.files.values()] == [FileOutcome.MISSING] * 20


def silence() -> Any:
    """No answer at all."""
    raise HTTP.ConnectError("no route to host")


async def test_a_server_that_never_answers_is_not_asked_about_every_thread(tmp_path: Path) -> None:
    """The first thread's failure ends a run that has heard nothing yet."""
    server = Ending(threads_of(a=1, b=1, c=1), silence, count=0)
    export = await Export(tmp_path).run(list(server.threads), server, concurrency=1)
    assert isinstance(export.ended_by, ServerUnreachable)
    assert len(server.asked) == 3  # one thread, and its two retries
    notices = [event.text for event in export.reported if isinstance(event, Notice)]
    assert notices == [f"{export.ended_by}; it is asked again"]
    assert export.outcomes == {"thread_a": Outcome.FAILED}


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
    """The page of a login, or of a server that is down, is the same for each. What was tried is failed."""
    status, content = answer
    ids = [f"thread_{number}" for number in range(50)]
    export = await Export(tmp_path).run(ids, lambda _request: HTTP.Response(status, content=content), concurrency=4)
    assert isinstance(export.ended_by, ServerUnreachable)
    assert set(export.outcomes.values()) == {Outcome.FAILED}
    assert 16 <= len(export.outcomes) < 24


async def test_now_and_then_a_silence_ends_no_run(tmp_path: Path) -> None:
    """Only silence upon silence does: an answer in between begins the count anew, in the second round too."""

    class Stuttering(ThreadServer):
        def spoil(self, request: Any, times: int) -> Any:
            del times
            return silence() if int(thread_of(request.url).removeprefix("thread_n")) % 2 else None

    server = Stuttering(threads_of(**{f"n{number}": 1 for number in range(20)}))
    export = await Export(tmp_path).run(list(server.threads), server, concurrency=1)
    assert export.ended_by is None
    assert list(export.outcomes.values()).count(Outcome.FAILED) == 10


async def test_a_full_disk_ends_the_run_behind_the_last_whole_thread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who waits for the writer is told, the error names the file, and what was committed stays."""
    write, journalled = OsGrowing.write, list[bytes]()

    def write_half(file: OsGrowing, content: bytes) -> None:
        if b"thread_b" not in content:
            write(file, content)
            return
        write(file, content[:9])
        journalled.append(content)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(OsGrowing, "write", write_half)
    threads = threads_of(a=5, b=5)
    with pytest.raises(OutputUnusable, match=r"out\.ndjson: No space left on device"):
        await Export(tmp_path).run(list(threads), ThreadServer(threads), concurrency=1)
    assert journalled
    assert Export(tmp_path).messages() == {"thread_a": threads["thread_a"]}


async def test_a_thread_goes_to_the_other_key_where_one_does_not_know_it(tmp_path: Path) -> None:
    """Keys may be of different projects. Missing is what no key knows."""
    threads = threads_of(a=5, b=5)
    mine, other = (ThreadServer({name: threads[name]}) for name in threads)
    export = await Export(tmp_path).run([*threads, "thread_none"], mine, other, concurrency=2)
    assert export.messages() == threads
    assert export.outcomes["thread_none"] is Outcome.MISSING


async def test_a_refused_key_leaves_its_threads_to_the_others(tmp_path: Path) -> None:
    """That is told once; the run goes on, and no thread is lost."""
    threads = threads_of(**{f"n{number}": 130 for number in range(9)})
    refused = Ending(threads, lambda: HTTP.Response(401, content=b'{"error": {"message": "No."}}'), count=1)
    export = await Export(tmp_path).run(list(threads), refused, ThreadServer(threads), concurrency=4)
    assert export.messages() == threads
    (notice,) = [event for event in export.reported if isinstance(event, Notice)]
    assert notice.text.startswith("a key was refused, the others go on: 401")


async def test_what_only_a_refused_key_might_know_is_failed_and_not_missing(tmp_path: Path) -> None:
    """Nobody has said that it is not there. What the key was asked for before is missing."""
    threads = threads_of(a=1, b=1)
    refused = Ending(threads, lambda: HTTP.Response(401, content=b'{"error": {"message": "No."}}'), count=2)
    ids = ["thread_none", "thread_a", "thread_b", "thread_theirs"]
    export = await Export(tmp_path).run(ids, refused, ThreadServer(threads), concurrency=1)
    assert export.messages() == threads
    assert export.outcomes["thread_none"] is Outcome.MISSING
    entry = export.journal.entries["thread_theirs"]
    assert entry.outcome is Outcome.FAILED
    assert str(entry.reason).startswith("a key was refused, and no other knows this thread: No thread found")


async def test_pages_that_came_with_a_key_that_is_then_refused_are_kept_aside(tmp_path: Path) -> None:
    """The other keys may not know the thread, and this one is never asked again."""
    threads = threads_of(a=250)
    refused = Ending(threads, lambda: HTTP.Response(401, content=b'{"error": {"message": "No."}}'), count=1)
    export = await Export(tmp_path).run(["thread_a"], refused, ThreadServer({}), concurrency=1)
    assert export.outcomes == {"thread_a": Outcome.FAILED}
    assert export.messages(export.paths.partial) == {"thread_a": threads["thread_a"][:100]}


async def test_a_thread_deleted_while_one_of_several_keys_walks_it_keeps_its_pages_aside(tmp_path: Path) -> None:
    """The other keys are not asked: this one knew it."""
    threads = threads_of(a=250)
    gone = HTTP.Response(404, content=MISSING)
    export = await Export(tmp_path).run(
        ["thread_a"], Spoiled(threads, lambda _honest: gone, times=9), ThreadServer({}), concurrency=1
    )
    assert export.outcomes == {"thread_a": Outcome.MISSING}
    assert export.messages(export.paths.partial) == {"thread_a": threads["thread_a"][:100]}


async def test_when_every_key_is_refused_the_run_ends(tmp_path: Path) -> None:
    """As with a single one."""
    threads = threads_of(a=5, b=5, c=5)
    servers = [Ending(threads, lambda: HTTP.Response(401, content=b"{}"), count=0) for _ in range(2)]
    export = await Export(tmp_path).run(list(threads), *servers, concurrency=2)
    assert isinstance(export.ended_by, AccessRefused)
    assert export.outcomes == {}


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
    assert export.outcomes == {"thread_b": Outcome.COMPLETE, "thread_a": Outcome.FAILED}


async def test_the_end_in_the_second_round_leaves_every_outcome(tmp_path: Path) -> None:
    """What was whole by then is complete, and what was not is failed with its first reason."""
    threads = threads_of(a=1, b=1)

    class Twice(ThreadServer):
        def spoil(self, request: Any, times: int) -> Any:
            if times == 1:
                return HTTP.Response(400, content=b'{"error": {"message": "Not now."}}')
            return HTTP.Response(410) if thread_of(request.url) == "thread_b" else None

    export = await Export(tmp_path).run(list(threads), Twice(threads), concurrency=1)
    assert isinstance(export.ended_by, ApiGone)
    assert export.outcomes == {"thread_a": Outcome.COMPLETE, "thread_b": Outcome.FAILED}
    assert "Not now." in str(export.journal.entries["thread_b"].reason)


async def test_a_cancelled_export_waits_for_what_is_being_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its lines are not taken away under the writer; the batch is whole in the export, and nothing hangs."""
    threads = threads_of(**{f"n{number}": 3 for number in range(8)})
    export = Export(tmp_path)
    task = asyncio.ensure_future(export.run(list(threads), ThreadServer(threads), concurrency=2))
    commit = OutFiles.commit

    def interrupting(out: OutFiles, finished: Sequence[Finished]) -> tuple[Entry | FileEntry, ...]:
        for _ in range(3):  # people press Ctrl-C more than once
            task.get_loop().call_soon_threadsafe(task.cancel)
            asyncio.run_coroutine_threadsafe(asyncio.sleep(0), task.get_loop()).result(PATIENCE)
        return commit(out, finished)

    monkeypatch.setattr(OutFiles, "commit", interrupting)
    with pytest.raises(asyncio.CancelledError):
        await task
    journal = fold(export.paths.journal.read_bytes())
    assert len(journal.complete) in (1, 2)
    assert export.messages() == {entry.thread_id: threads[entry.thread_id] for entry in journal.complete}


async def test_the_end_of_the_loop_ends_an_export_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All tasks are cancelled then, and more than once: what is being written is waited for, and nothing hangs."""
    threads = threads_of(**{f"n{number}": 3 for number in range(8)})
    export, loop = Export(tmp_path), asyncio.get_running_loop()
    others, commit = asyncio.all_tasks(), OutFiles.commit

    def cancel_all() -> None:
        for task in asyncio.all_tasks(loop) - others:
            task.cancel()

    def interrupting(out: OutFiles, finished: Sequence[Finished]) -> tuple[Entry | FileEntry, ...]:
        for _ in range(2):
            loop.call_soon_threadsafe(cancel_all)
            asyncio.run_coroutine_threadsafe(_nothing(), loop).exception(10)
        return commit(out, finished)

    monkeypatch.setattr(OutFiles, "commit", interrupting)
    task = asyncio.ensure_future(export.run(list(threads), ThreadServer(threads), concurrency=2))
    _, hanging = await asyncio.wait({task}, timeout=30)
    assert (hanging, task.cancelled()) == (set(), True)
    journal = fold(export.paths.journal.read_bytes())
    assert 1 <= len(journal.complete) <= 4
    assert export.messages() == {entry.thread_id: threads[entry.thread_id] for entry in journal.complete}


async def test_what_a_listener_raises_comes_out_and_what_is_written_stays(tmp_path: Path) -> None:
    """Nobody waits for a writer that was thrown out of its work."""

    class Deaf(list[Event]):
        def append(self, event: Event) -> None:
            if isinstance(event, Entry):
                raise ZeroDivisionError

    threads, export = threads_of(a=1, b=1), Export(tmp_path)
    export.reported = Deaf()
    with pytest.raises(ZeroDivisionError):
        await export.run(list(threads), ThreadServer(threads), concurrency=1)
    assert export.messages() == {"thread_a": threads["thread_a"]}


async def _nothing() -> None:
    """Is run in its turn."""


async def test_a_thread_deleted_while_it_is_walked_keeps_its_pages_aside(tmp_path: Path) -> None:
    """What came before the deletion cannot be fetched again, so it is kept, and not in the export."""
    threads = threads_of(a=250, b=1)
    gone = HTTP.Response(
        404, content=json.dumps({"error": {"message": "No thread found with id 'thread_a'."}}).encode()
    )
    export = await Export(tmp_path).run(list(threads), Spoiled(threads, lambda _honest: gone, times=9))
    entry = export.journal.entries["thread_a"]
    assert entry.outcome is Outcome.MISSING
    assert "100 messages are kept" in str(entry.reason)
    assert export.messages(export.paths.partial) == {"thread_a": threads["thread_a"][:100]}
    assert export.messages() == {"thread_b": threads["thread_b"]}


async def test_a_thread_larger_than_memory_allows_goes_by_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A spool that rolls over to a file gives the same bytes."""
    monkeypatch.setattr("threadkeep.spool._SPOOL_BYTES", 1_000)
    threads = threads_of(a=250)
    export = await Export(tmp_path).run(list(threads), ThreadServer(threads))
    assert export.messages() == threads


async def test_requests_are_paced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every request, asked again or not, takes its turn at a limiter of the wanted rate."""
    limiters: list[Any] = []

    class Limiter:
        def __init__(self, most: float, seconds: float) -> None:
            self.rate, self.turns = most / seconds, 0
            limiters.append(self)

        def has_capacity(self) -> bool:
            return True

        async def acquire(self) -> None:
            self.turns += 1

    monkeypatch.setattr("threadkeep.turns.AsyncLimiter", Limiter)
    threads = threads_of(a=150)
    server = Spoiled(threads, SPOILS["truncated"], times=2)
    await Export(tmp_path).run(list(threads), server, pace=Pace(rpm=1200, max_retries=2, sleep=no_wait))
    (limiter,) = limiters
    assert limiter.rate == pytest.approx(20)
    assert limiter.turns == len(server.asked) == 4
