"""An export with several keys: a thread may be known to one of them only."""

from pathlib import Path
from typing import Any

import pytest

from canned import HTTP
from canned_threads import MISSING, ThreadServer
from exporting import Ending, Export, Spoiled, cut_off_at_commit, threads_of
from threadkeep.errors import AccessRefused, QuotaSpent
from threadkeep.storage.index import Outcome

pytestmark = pytest.mark.anyio


def no() -> Any:
    """The key is refused."""
    return HTTP.Response(401, content=b'{"error": {"message": "No."}}')


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
    refused = Ending(threads, no, count=1)
    export = await Export(tmp_path).run(list(threads), refused, ThreadServer(threads), concurrency=4)
    assert export.messages() == threads
    (notice,) = export.notices
    assert notice.startswith("key 1 was rejected, the run continues with the other keys: 401")


async def test_what_only_a_refused_key_might_know_is_failed_and_not_missing(tmp_path: Path) -> None:
    """Nobody has said that it is not there. What the key was asked for before is missing."""
    threads = threads_of(a=1, b=1)
    refused = Ending(threads, no, count=2)
    ids = ["thread_none", "thread_a", "thread_b", "thread_theirs"]
    export = await Export(tmp_path).run(ids, refused, ThreadServer(threads), concurrency=1)
    assert export.messages() == threads
    assert export.outcomes["thread_none"] is Outcome.MISSING
    entry = export.rows["thread_theirs"]
    assert entry.outcome is Outcome.FAILED
    assert str(entry.reason).startswith("no other key knows this, and key 1 was rejected: No thread found")


async def test_pages_that_came_with_a_key_that_is_then_refused_are_kept_aside(tmp_path: Path) -> None:
    """The other keys may not know the thread, and this one is never asked again."""
    threads = threads_of(a=250)
    refused = Ending(threads, no, count=1)
    export = await Export(tmp_path).run(["thread_a"], refused, ThreadServer({}), concurrency=1)
    assert export.outcomes == {"thread_a": Outcome.PARTIAL}
    assert "no other key knows this" in str(export.rows["thread_a"].reason)
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
    servers = [Ending(threads, no, count=0) for _ in range(2)]
    export = await Export(tmp_path).run(list(threads), *servers, concurrency=2)
    assert isinstance(export.ended_by, AccessRefused)
    (notice,) = export.notices
    assert {notice.partition(" was ")[0], str(export.ended_by).partition(":")[0]} == {"key 1", "key 2"}
    assert set(export.outcomes.values()) == {Outcome.UNFINISHED}


async def test_a_key_whose_quota_is_used_up_is_named(tmp_path: Path) -> None:
    """It ends the run, and somebody has to know whose quota to raise."""
    threads = threads_of(a=5, b=5)
    body = b'{"error": {"message": "No.", "code": "insufficient_quota"}}'
    spent = Ending(threads, lambda: HTTP.Response(429, content=body), count=0)
    export = await Export(tmp_path).run(list(threads), ThreadServer(threads), spent, concurrency=2)
    assert isinstance(export.ended_by, QuotaSpent)
    assert str(export.ended_by).startswith("key 2: the quota of this key is used up: 429")


async def test_a_thread_that_was_cut_off_is_resumed_with_the_key_that_knows_it(tmp_path: Path) -> None:
    """Which key has fetched its first pages is remembered nowhere: one that does not know it proves nothing."""
    threads = threads_of(a=250)
    with cut_off_at_commit(2):
        await Export(tmp_path).run(list(threads), ThreadServer(threads))
    server = ThreadServer(threads)
    export = await Export(tmp_path).run(list(threads), ThreadServer({}), server)
    assert export.messages() == threads
    assert sum("after=" not in url for url in server.asked) == 0
