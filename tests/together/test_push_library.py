"""The push from Python: over real HTTP, with and without an event loop, and with a caller's own client."""

import asyncio
import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from openai import AsyncOpenAI, OpenAI

import threadkeep
from converting import put_bare, text_message
from exporting import threads_of
from exports import beside
from pushes import Target, export_of, rows_of_map
from threadkeep import PushResult, apush, push
from threadkeep.api.endpoints import ApiSource
from threadkeep.api.keys import Key
from threadkeep.errors import AccessRefused, ApiGone, MalformedAddress, OutputUnusable
from threadkeep.migration.events import ConversationVerified, PushBegun, PushEvent, ThreadPushed, VerificationBegun
from watched import Watched

SIZES = {"thread_a": 45, "thread_b": 3, "thread_c": 1}

pytestmark = pytest.mark.usefixtures("base_url")


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """An export of three threads."""
    return export_of(tmp_path, threads_of(a=45, b=3, c=1), metadata={"thread_a": {"user": "u-1"}})


def own(base_url: str, **options: Any) -> AsyncOpenAI:
    """A caller's own client."""
    return AsyncOpenAI(base_url=base_url, api_key="sk-own", default_headers={"x-team": "archive"}, **options)


def sizes(fake: Watched) -> dict[str, int]:
    """How many items the conversation of each thread has."""
    return {name: len(items) for name, items in Target("openai", fake).items.items()}


def test_a_push_from_python_is_complete_and_says_so(fake: Watched, out: Path) -> None:
    """Without an event loop; the events come in order, and the same call again sends nothing."""
    told: list[PushEvent] = []
    result: PushResult = push(str(out), verify=True, on_event=told.append)
    assert (result.is_complete, result.ended_by, result.problems) == (True, None, ())
    assert (result.pushed, result.items, result.sent, result.verified) == (3, 49, 49, 3)
    assert sizes(fake) == SIZES
    assert isinstance(told[0], PushBegun)
    pushed = [event for event in told if isinstance(event, ThreadPushed)]
    assert {event.thread_id: event.items for event in pushed} == SIZES
    assert {event.thread_id: event.conversation_id for event in pushed} == {
        name: row["conversation_id"] for name, row in rows_of_map(out).items()
    }
    begun = next(place for place, event in enumerate(told) if isinstance(event, VerificationBegun))
    assert told[begun].total == 3  # type: ignore[union-attr]
    assert [type(event) for event in told[begun + 1 :]] == [ConversationVerified] * 3
    asked = len(fake.asked)
    again = push(out)
    assert (again.is_complete, again.sent, again.requests, len(fake.asked)) == (True, 0, 0, asked)


def test_in_a_running_loop_it_is_awaited(fake: Watched, base_url: str, out: Path) -> None:
    """A caller's own client is asked through, with its key and its headers, and is not closed."""

    async def app() -> bool:
        async with own(base_url, max_retries=9) as client:
            assert (await apush(out, client=client)).is_complete
            return client.is_closed()

    assert asyncio.run(app()) is False
    assert {(asked.headers["x-team"], asked.headers["authorization"]) for asked in fake.asked} == {
        ("archive", "Bearer sk-own")
    }
    assert sizes(fake) == SIZES


def test_the_retries_of_a_client_are_left_out(fake: Watched, base_url: str, out: Path) -> None:
    """A request that writes is never repeated blindly: a creation that may be there is counted before another one."""
    fake.faults = [{"match": {"method": "POST"}, "do": {"status": 500}}]
    result = push(out, client=own(base_url, max_retries=9), only=["thread_a"], max_retries=0)
    assert (result.is_complete, result.problem_count) == (False, 1)
    assert [request.path for request in fake.asked] == ["/v1/conversations"] * len(fake.asked)
    assert len(result.leftovers) <= len(fake.asked) <= 2


def test_without_a_loop_the_connections_of_a_client_end_with_the_call(base_url: str, out: Path) -> None:
    """They live in the loop that ends."""
    client = own(base_url)
    assert push(out, client=client).is_complete
    assert client.is_closed()


def test_the_query_of_a_client_goes_with_every_request(fake: Watched, base_url: str, out: Path) -> None:
    """Also with those that write."""
    assert push(out, client=own(base_url, default_query={"api-version": "preview"}), verify=True).is_complete
    assert {request.asked("api-version") for request in fake.asked} == {"preview"}


def test_no_request_has_the_header_of_assistants(fake: Watched, out: Path) -> None:
    """It is another API."""
    push(out, verify=True)
    assert all("openai-beta" not in request.headers for request in fake.asked)


def test_a_source_has_several_keys(fake: Watched, base_url: str, out: Path) -> None:
    """Each is asked with."""
    source = ApiSource(base_url=base_url, keys=(Key("sk-one"), Key("sk-two")))
    assert push(out, source=source, verify=True, concurrency=2).is_complete
    assert {request.headers["authorization"] for request in fake.asked} == {"Bearer sk-one", "Bearer sk-two"}


def test_the_end_user_is_named_in_every_request(fake: Watched, base_url: str, out: Path) -> None:
    """By the present name of the header and by the earlier one; by a caller's own client, too."""
    assert push(out, user_identity="user-7", only=["thread_a"], verify=True).is_complete
    assert push(out, user_identity="user-7", client=own(base_url), verify=True).is_complete
    names = ("x-ms-user-identity", "x-ms-user-isolation-key")
    assert {tuple(request.headers.get(name) for name in names) for request in fake.asked} == {("user-7", "user-7")}


def test_without_one_no_user_is_named(fake: Watched, out: Path) -> None:
    """Neither of the headers is sent."""
    push(out)
    assert not [name for request in fake.asked for name in request.headers if name.startswith("x-ms-user")]


def test_what_ended_it_is_a_result(fake: Watched, out: Path) -> None:
    """What was sent is recorded, and the same call resumes; a run in which nothing was sent leaves nothing."""
    fake.faults = [{"match": {}, "do": {"status": 410}}]
    before = {*out.parent.iterdir()}
    result = push(out)
    assert (type(result.ended_by), result.is_complete, result.sent) == (ApiGone, False, 0)
    assert not beside(out, ".push").exists()
    assert {*out.parent.iterdir()} - before <= {beside(out, ".conversations.ndjson")}
    fake.faults = [{"match": {"path": "/items$", "nth": 2, "times": 99}, "do": {"status": 401}}]
    result = push(out, concurrency=1)
    assert (type(result.ended_by), result.is_complete, result.sent) == (AccessRefused, False, 20)
    assert "sk-test" not in str(result.ended_by)
    fake.faults = []
    result = push(out, verify=True)
    assert (result.is_complete, result.sent, sizes(fake)) == (True, 29, SIZES)


def test_the_map_may_have_another_name(out: Path, tmp_path: Path) -> None:
    """So have the losses then."""
    result = push(out, map=tmp_path / "mine")
    assert (result.map_path, result.losses_path) == (tmp_path / "mine", tmp_path / "mine.losses.ndjson")
    assert (tmp_path / "mine").read_bytes().count(b"\n") == 3
    assert (tmp_path / "mine.losses.ndjson").read_bytes() == b""
    assert not beside(out, ".conversations.ndjson").exists()


def test_a_dry_run_returns_a_plan(fake: Watched, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It needs no key, asks nothing, and writes nothing."""
    monkeypatch.delenv("OPENAI_API_KEY")
    before = {path: path.read_bytes() for path in out.parent.iterdir()}
    result = push(out, dry_run=True)
    assert (result.plan.conversations, result.plan.items, result.plan.requests) == (3, 49, 3 + 5)
    assert (result.pushed, result.sent, result.map_path) == (0, 0, None)
    assert result.plan.minutes(4) == 2
    assert fake.asked == []
    assert {path: path.read_bytes() for path in out.parent.iterdir()} == before


# --- listeners, cancellation, and what cannot be meant


class Stop(BaseException):
    """Not an Exception."""


@pytest.mark.parametrize("kind", [PushBegun, ThreadPushed, VerificationBegun, ConversationVerified])
@pytest.mark.parametrize("error", [ValueError("mine"), Stop(), SystemExit(3)], ids=repr)
def test_what_the_listener_raises_ends_the_push_in_order(
    error: BaseException, kind: type, fake: Watched, out: Path
) -> None:
    """It is raised when the store is closed, nothing more is reported, and the same call resumes."""
    told: list[type] = []

    def listen(event: PushEvent) -> None:
        told.append(type(event))
        if isinstance(event, kind):
            raise error

    with pytest.raises(type(error)):
        push(out, on_event=listen, verify=True, concurrency=2)
    assert told.index(kind) == len(told) - 1
    assert not beside(out, ".conversations.ndjson").exists()
    result = push(out, verify=True)
    assert (result.is_complete, sizes(fake)) == (True, SIZES)


def test_a_cancelled_push_is_cancelled_and_resumed(fake: Watched, out: Path) -> None:
    """What was sent is recorded."""

    async def app() -> bool:
        task = asyncio.ensure_future(apush(out, on_event=lambda _event: cancel(), concurrency=1))
        cancel = task.cancel
        await asyncio.wait({task})
        return task.cancelled()

    assert asyncio.run(app())
    assert push(out, verify=True).is_complete
    assert sizes(fake) == SIZES


def test_in_a_running_loop_the_other_call_is_named(out: Path) -> None:
    """Rather than a word about loops alone."""

    async def app() -> None:
        push(out)

    with pytest.raises(RuntimeError, match=r"await threadkeep\.apush"):
        asyncio.run(app())


async def _listen(_event: PushEvent) -> None:
    """Cannot be awaited by the push."""


REFUSED: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"out": None}, TypeError, "out must be a str or a Path, and is NoneType"),
    ({"out": b"out"}, TypeError, "out must be a str or a Path, and is bytes"),
    ({"out": ""}, OutputUnusable, "name"),
    ({"out": "a\0b"}, OutputUnusable, "name"),
    ({"out": "nowhere.ndjson"}, OutputUnusable, "nowhere"),
    ({"to": "threads"}, ValueError, "to is 'threads': it must be "),
    ({"to": None}, ValueError, "to is None: it must be "),
    ({"to": []}, ValueError, "to is .*: it must be "),
    ({"target": "azure"}, ValueError, "target is 'azure': it must be 'openai' or 'foundry'"),
    ({"map": 3}, TypeError, "map must be a str or a Path, and is int"),
    ({"map": ""}, OutputUnusable, "does not name a file. Name the map"),
    ({"user_identity": 7}, TypeError, "user_identity must be a str, and is int"),
    ({"user_identity": "two\nlines"}, ValueError, "the identity of the end user holds a blank, a line end"),
    ({"user_identity": "zoë"}, ValueError, "the identity of the end user holds a blank, a line end"),
    ({"user_identity": ""}, ValueError, "the identity of the end user is empty"),
    ({"only": 3}, TypeError, "only must be ids, and is int"),
    ({"only": "thread_a"}, TypeError, "only is a str: give the ids themselves"),
    ({"only": ["thread_a", None]}, TypeError, "only has None, which is no id"),
    ({"only": ["thread_none"]}, ValueError, "thread_none is not a complete thread"),
    ({"upload_files": 1}, TypeError, "upload_files must be True or False, and is int"),
    ({"inline_images": "no"}, TypeError, "inline_images must be True or False, and is str"),
    ({"dry_run": None}, TypeError, "dry_run must be True or False, and is NoneType"),
    ({"verify": "yes"}, TypeError, "verify must be True or False, and is str"),
    ({"citations": "drop"}, ValueError, "citations is 'drop'"),
    ({"unsupported": "image"}, ValueError, "unsupported is 'image'"),
    ({"concurrency": 0}, ValueError, "concurrency is 0: it must be 1 to 256"),
    ({"concurrency": "8"}, TypeError, "concurrency must be a whole number, and is str"),
    ({"rpm": 0}, ValueError, "rpm is 0: it must be at least 1"),
    ({"max_retries": 101}, ValueError, "0 to 100"),
    ({"on_event": 3}, TypeError, "on_event must be a function, and is int"),
    ({"on_event": _listen}, TypeError, "plain function"),
    ({"client": AsyncOpenAI}, TypeError, "must be an AsyncOpenAI, and is type"),
    ({"client": object()}, TypeError, "must be an AsyncOpenAI, and is object"),
    ({"client": object(), "api_key": "k"}, TypeError, "client or base_url or api_key, not both"),
    ({"client": object(), "source": ApiSource()}, TypeError, "client or source, not both"),
    ({"source": "http://x/v1"}, TypeError, "source must be a threadkeep.ApiSource, and is str"),
    ({"base_url": "http://x", "source": ApiSource()}, TypeError, "source or base_url or api_key, not both"),
    ({"base_url": 3}, TypeError, "base_url must be a str, and is int"),
    ({"base_url": "ftp://x"}, MalformedAddress, "is not an address"),
    ({"base_url": "http://x", "api_key": "two words\n"}, AccessRefused, "the key"),
]


@pytest.mark.parametrize(("arguments", "error", "words"), REFUSED, ids=lambda value: str(value)[:40])
def test_what_cannot_be_meant_is_raised(
    arguments: dict[str, Any], error: type[Exception], words: str, tmp_path: Path, fake: Watched
) -> None:
    """Before anything is asked or written; by a dry run alike, but that needs no key."""
    out = put_bare(tmp_path / "out.ndjson", [text_message(1)])
    for dry_run in (False, True):
        given: dict[str, Any] = {"out": out, "dry_run": dry_run, **arguments}
        if dry_run and error is AccessRefused:
            assert asyncio.run(apush(**given)).plan.threads == 1
            continue
        with pytest.raises(error, match=words):
            asyncio.run(apush(**given))
    assert [*tmp_path.iterdir()] == [out]
    assert fake.asked == []


def test_a_listener_that_returns_a_coroutine_is_refused(out: Path) -> None:
    """Nobody would await it."""
    with pytest.raises(TypeError, match="on_event must be a plain function"):
        push(out, on_event=lambda event: _listen(event))


def test_a_closed_client_and_a_sync_client_are_refused(base_url: str, out: Path) -> None:
    """Before anything is written."""
    client = own(base_url)
    asyncio.run(client.close())
    with pytest.raises(ValueError, match="client is closed"):
        push(out, client=client)
    with OpenAI(api_key="k") as other:
        lent: Any = other
        with pytest.raises(TypeError, match="must be an AsyncOpenAI, and is OpenAI"):
            push(out, client=lent)
    assert not beside(out, ".push").exists()


def test_both_calls_take_the_same() -> None:
    """And the package has them, with their results and events."""
    parameters: Callable[..., Mapping[str, Any]] = lambda call: inspect.signature(call).parameters  # noqa: E731
    assert parameters(push) == parameters(apush)
    for name in ("apush", "PushResult", "PushPlan", "PushBegun", "ThreadPushed", "VerificationBegun"):
        assert getattr(threadkeep, name).__name__ == name
