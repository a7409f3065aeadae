"""Requests that are carried out after their client has given up, at any time: nothing is doubled without a word."""

import asyncio
import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs
import openai
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai import AsyncOpenAI

from canned import HTTP
from command import Run
from exporting import threads_of
from fake_assistants import FakeAssistants, Reply, Request
from pushes import ADDRESSES, Target, export_of, rows_of_map
from sdkage import HAS_AIOHTTP
from threadkeep import apush
from threadkeep.migration.job import PushResult
from watched import Watched

KINDS = ("openai", "foundry")
SIZES = {"thread_a": 45, "thread_b": 3, "thread_c": 21}


class LateTransport(HTTP.AsyncBaseTransport):  # type: ignore[misc]  # which library it is depends on the SDK
    """Gives no answer to some requests that write, and carries them out later.

    Attributes:
        late: after how many more requests each of them is carried out, by the end of its path and its number, from 1.
        held: the requests that are to be carried out, with the number of the request that each of them waits for.
    """

    def __init__(self, fake: FakeAssistants, late: Mapping[tuple[str, int], int]) -> None:
        self._honest = fake.async_transport()
        self.late = late
        self.held: list[tuple[int, Any]] = []
        self._asked, self._written = 0, Counter[str]()

    async def handle_async_request(self, request: Any) -> Any:
        """Answer a request, or raise the timeout of its client."""
        await request.aread()
        self._asked += 1
        await self.carry_out(self._asked)
        end = str(request.url.path).rpartition("/")[2]
        self._written[end] += request.method == "POST"
        more = self.late.get((end, self._written[end]))
        if request.method != "POST" or more is None:
            return await self._honest.handle_async_request(request)
        self.held.append((self._asked + more, request))
        raise HTTP.ReadTimeout("no answer yet", request=request)

    async def carry_out(self, number: float = float("inf")) -> None:
        """Carry out what waited for the request of this number, or for any before."""
        due = [request for at, request in self.held if at < number]
        self.held = [(at, request) for at, request in self.held if at >= number]
        for request in due:
            await self._honest.handle_async_request(request)


@attrs.define
class LateTarget(Target):
    """A target over such a transport."""

    late: Mapping[tuple[str, int], int] = attrs.field(factory=dict, kw_only=True)
    transport: LateTransport = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.transport = LateTransport(self.fake, self.late)

    def client(self, key: str = "sk-test") -> AsyncOpenAI:
        """A client that reaches it."""
        http_client = HTTP.AsyncClient(transport=self.transport)
        return AsyncOpenAI(api_key=key, base_url=ADDRESSES[self.kind], http_client=http_client)

    def carry_out(self) -> None:
        """Carry out everything that is left."""
        asyncio.run(self.transport.carry_out())


def texts(target: Target, conversation_id: str) -> list[str]:
    """The texts of a conversation."""
    return [item["content"][0]["text"] for item in target.items_of(conversation_id)]


def expected(thread_id: str) -> list[str]:
    """The texts of a thread."""
    return [f"number {number}" for number in range(SIZES[thread_id])]


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An export of three threads."""
    sizes = {name.removeprefix("thread_"): size for name, size in SIZES.items()}
    return export_of(tmp_path_factory.mktemp("export"), threads_of(**sizes))


@pytest.fixture
def out(exported: Path) -> Path:
    """The same, of which nothing was pushed."""
    return fresh(exported)


def fresh(out: Path) -> Path:
    """Remove what a push has left."""
    for path in [*out.parent.glob("out.ndjson.push*"), *out.parent.glob("out.ndjson.conversations*")]:
        path.unlink()
    return out


def others(target: Target) -> Counter[str]:
    """Of which threads there are empty conversations. With items there is one of each."""
    rows = [(row["metadata"]["thread_id"], texts(target, row["id"])) for row in target.fake.state["conversations"]]
    assert Counter(thread_id for thread_id, found in rows if found) == Counter([*SIZES])
    return Counter(thread_id for thread_id, found in rows if not found)


def check(target: Target, out: Path, result: PushResult) -> None:
    """A thread is verified and as it was exported, or it is named with what is wrong with its conversation."""
    problems, rows = dict(result.problems), rows_of_map(out)
    for thread_id in SIZES:
        if thread_id in problems:
            assert " is there twice" in problems[thread_id]
            assert not rows.get(thread_id, {}).get("verified")
        else:
            assert rows[thread_id]["verified"]
            assert texts(target, rows[thread_id]["conversation_id"]) == expected(thread_id)


ITEMS = [("items", number) for number in range(1, 8)]
CREATIONS = [("conversations", number) for number in range(1, 5)]


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
@settings(max_examples=25)
def test_nothing_is_doubled_without_a_word(kind: str, exported: Path, data: st.DataObject) -> None:
    """Each thread is as it was exported, or a verification names it. What is left over is empty, and named."""
    chosen = st.sampled_from(ITEMS if kind == "foundry" else [*ITEMS, *CREATIONS])
    late = data.draw(st.dictionaries(chosen, st.integers(0, 12), max_size=4))
    target, out = LateTarget(kind, late=late), fresh(exported)
    for _ in range(data.draw(st.integers(1, 2))):
        target.push(out, concurrency=data.draw(st.sampled_from([1, 3])))
    target.carry_out()
    for _ in range(2):  # what the first one sends may be late too
        result = target.push(out, verify=True)
        target.carry_out()
    result = target.push(out, verify=True)
    check(target, out, result)
    assert result.is_complete or late
    assert others(target) <= Counter(result.leftovers)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("late", [0, 1])
def test_items_that_arrive_before_they_are_read_back_are_not_sent_again(late: int, kind: str, out: Path) -> None:
    """The reading waits until a retry is due, and is done twice before anything is sent again."""
    target = LateTarget(kind, late={("items", 2): late})
    result = target.push(out, concurrency=1)
    assert result.is_complete
    check(target, out, target.push(out, verify=True))
    assert sum(path.endswith("/items") for path in target.written) == 3 + 1 + 2


AFTER = {
    2: "they are read back, and before they are sent again",
    3: "they are sent again",
    4: "the others are sent, and before all are read back",
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("more", AFTER, ids=AFTER.get)
def test_items_that_arrive_later_are_named_by_the_same_push(more: int, kind: str, out: Path) -> None:
    """They are there twice; a later push sends nothing more there, and the map does not lead there."""
    target = LateTarget(kind, late={("items", 2): more})
    result = target.push(out, concurrency=1)
    assert not result.is_complete
    ((thread_id, problem),) = result.problems
    assert thread_id == "thread_a"
    assert re.search(r": item \d+ is there twice", problem)
    assert len(target.items["thread_a"]) == 65
    assert [*rows_of_map(out)] == ["thread_b", "thread_c"]
    written = target.written
    again = target.push(out, verify=True)
    assert (again.problems, again.verified, target.written) == (result.problems, 2, written)
    assert target.push(out, anew=True, verify=True).is_complete
    assert texts(target, rows_of_map(out)["thread_a"]["conversation_id"]) == expected("thread_a")


@pytest.mark.parametrize("kind", KINDS)
def test_a_conversation_that_is_deleted_before_it_is_complete_is_pushed_anew_only_when_that_is_asked_for(
    kind: str, out: Path
) -> None:
    """It is not there by mistake, as far as anybody knows."""
    target = Target(kind)
    target.fake.faults = [{"match": {"method": "POST", "path": "items$", "nth": [2, 3]}, "do": {"status": 400}}]
    assert not target.push(out, concurrency=1, only=frozenset(["thread_a"])).is_complete
    state = target.fake.state
    target.fake.state = {**state, "conversations": [], "conversation_items": []}
    target.fake.faults = []
    result = target.push(out)
    assert [thread_id for thread_id, _ in result.problems] == ["thread_a"]
    assert "404" in result.problems[0][1]
    assert target.push(out, anew=True, verify=True).is_complete
    assert others(target) == Counter()


def test_a_doubled_conversation_is_named_with_what_can_be_done(
    out: Path, threadkeep: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same command alone would change nothing."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
    fake = Watched()
    fake.before(lambda: fake.handle(fake.asked[-1]), of=lambda request: request.path.endswith("/items"), nth=2)
    with fake.serve() as server:
        arguments = ("push", out, "--to", "conversations", "--base-url", server.base_url, "--concurrency", 1)
        fake.faults = [{"match": {"path": "/items$", "nth": 3}, "do": {"drop": "mid-body"}}]
        done = threadkeep(*arguments)
        assert (done.code, "is there twice" in done.err) == (1, True)
        assert "The same command with --anew pushes these threads again" in done.err
        assert "The same command resumes the push" not in done.err
        assert threadkeep(*arguments, "--anew", "--verify").code == 0


@pytest.mark.parametrize("kind", KINDS)
def test_items_that_arrive_behind_everything_are_named_at_the_end(kind: str, out: Path) -> None:
    """What was not answered is looked at once more when all threads are through."""
    target = LateTarget(kind, late={("items", 2): 5})
    result = target.push(out, concurrency=1)
    assert len(target.items["thread_a"]) == 65
    assert (result.is_complete, [thread_id for thread_id, _ in result.problems]) == (False, ["thread_a"])
    assert "is there twice" in result.problems[0][1]
    assert not rows_of_map(out)["thread_a"]["verified"]
    written = target.written
    assert (target.push(out, verify=True).problems, target.written) == (result.problems, written)


@pytest.mark.parametrize("more", [0, 1, 5, 100])
def test_a_conversation_that_is_created_late_is_left_over_empty_and_named(more: int, out: Path) -> None:
    """Where conversations cannot be listed."""
    target = LateTarget("openai", late={("conversations", 1): more})
    result = target.push(out, concurrency=1, verify=True)
    target.carry_out()
    assert (result.is_complete, result.leftovers) == (True, ("thread_a",))
    assert others(target) == Counter(["thread_a"])


def test_a_conversation_that_is_created_late_is_found_where_they_are_listed(out: Path) -> None:
    """They are listed when the other threads are through."""
    target = LateTarget("foundry", late={("conversations", 1): 3})
    result = target.push(out, concurrency=1, verify=True)
    assert (result.is_complete, result.leftovers, others(target)) == (True, (), Counter())


@pytest.mark.parametrize("path", ["items$", "conversations$"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_client_that_gives_up_after_its_own_timeout(kind: str, path: str, out: Path) -> None:
    """The server has carried the request out by then, and answers too late."""
    fake = Watched(profile=kind, faults=[{"match": {"method": "POST", "path": path, "nth": 2}, "do": {"delay": 3600}}])

    async def app(address: str) -> PushResult:
        async with AsyncOpenAI(base_url=address, api_key="sk-test", timeout=0.5) as client:
            return await apush(out, client=client, target=kind, verify=True)  # type: ignore[arg-type]

    with fake.serve() as server:
        result = asyncio.run(app(server.base_url + ("" if kind == "openai" else "/openai/v1")))
    assert (result.is_complete, result.verified) == (True, 3)
    target = Target(kind, fake)
    assert others(target) == Counter(result.leftovers)
    assert bool(result.leftovers) == (kind == "openai" and path == "conversations$")
    check(target, out, result)


class HangsUp(FakeAssistants):
    """Carries the second request of a kind out, and closes the connection without a byte of an answer."""

    def __init__(self, end: str, **options: Any) -> None:
        super().__init__(**options)
        self._end, self._left = end, 2

    def handle(self, request: Request) -> Reply:
        """Answer, but for that request."""
        reply = super().handle(request)
        self._left -= request.method == "POST" and request.path.endswith(self._end)
        if self._left:
            return reply
        self._left -= 1
        return Reply(0, hang_up=True)


CLIENTS = {"usual": "DefaultAsyncHttpxClient", **({"aiohttp": "DefaultAioHttpClient"} if HAS_AIOHTTP else {})}
"""The classes of the SDK's clients, by the library that they speak HTTP with."""


@pytest.mark.parametrize("end", ["/items", "/conversations"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("library", CLIENTS)
def test_a_connection_that_is_lost_is_no_connection_that_was_not_made(
    library: str, kind: str, end: str, out: Path
) -> None:
    """Whatever a caller's client takes it for: over aiohttp the SDK takes it for a timeout before anything was sent."""
    fake = HangsUp(end, profile=kind)

    async def app(address: str) -> PushResult:
        http_client = getattr(openai, CLIENTS[library])()
        async with AsyncOpenAI(base_url=address, api_key="sk-test", http_client=http_client) as client:
            return await apush(out, client=client, target=kind, verify=True)  # type: ignore[arg-type]

    with fake.serve() as server:
        result = asyncio.run(app(server.base_url + ("" if kind == "openai" else "/openai/v1")))
    target = Target(kind, fake)
    check(target, out, result)
    assert (result.is_complete, others(target)) == (True, Counter(result.leftovers))
    assert bool(result.leftovers) == (kind == "openai" and end == "/conversations")
