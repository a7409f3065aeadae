"""Streams, waits, cuts and hang-ups come through every adapter as the reply says them."""

import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import takewhile
from threading import Thread
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import fake_assistants.dispatch.api as gate
from fake_assistants import FakeAssistants, Reply, Request
from fake_assistants.adapters.serve_command import SignalWaiter
from fake_assistants.http.message import Chunk, Cut, Pause
from streaming import WAYS, HandMade, Opened, Watched, streaming, until

every_way = pytest.mark.parametrize("opened", WAYS, ids=lambda way: way.__name__)
CHUNKS = st.lists(st.binary(max_size=9) | st.sampled_from([Pause(0), Cut()]), max_size=6)


@every_way
def test_a_stream_arrives_up_to_its_cut(opened: Opened) -> None:
    """All of its bytes and a proper end, or the bytes before the cut and an error; again and again."""
    speaker = HandMade()
    with opened(speaker) as ask:

        @given(CHUNKS)
        def law(chunks: list[Chunk]) -> None:
            speaker.reply = lambda: streaming(*chunks)
            whole = takewhile(lambda chunk: not isinstance(chunk, Cut), chunks)
            arrived = b"".join(chunk for chunk in whole if isinstance(chunk, bytes))
            assert ask() == (arrived, "RemoteProtocolError" if Cut() in chunks else "")

        law()


@every_way
def test_each_chunk_arrives_before_the_next_is_made(opened: Opened) -> None:
    """The client has the first in hand while the stream still waits to go on."""
    seen: list[bytes] = []

    def chunks() -> Iterator[Chunk]:
        yield b"one"
        yield from until(lambda: seen == [b"one"])
        yield b"two"
        yield from until(lambda: seen == [b"one", b"two"])
        yield b"three"

    with opened(HandMade(lambda: Reply(200, chunks=chunks()))) as ask:
        assert ask(each=seen.append) == (b"onetwothree", "")


@every_way
def test_a_client_that_has_enough_closes_the_stream(opened: Opened) -> None:
    """Whatever it would still have given."""
    stream = Watched(b"one", Pause(30), b"two")
    with opened(HandMade(lambda: Reply(200, chunks=stream))) as ask:
        assert ask(enough=True) == (b"one", "")
        assert stream.closed.wait(60)


@every_way
def test_a_cut_and_a_hang_up_close_the_stream_too(opened: Opened) -> None:
    """And nothing arrives of a reply that hangs up, whatever else it holds."""
    cut, hung_up = Watched(b"one", Cut()), Watched(b"never")
    replies = iter([Reply(200, chunks=cut), Reply(200, body=b"x", chunks=hung_up, hang_up=True, delay=0.001)])
    with opened(HandMade(lambda: next(replies))) as ask:
        assert ask() == (b"one", "RemoteProtocolError")
        assert ask() == (b"", "RemoteProtocolError")
        assert cut.closed.wait(60)
        assert hung_up.closed.wait(60)


# Replies that keep a client waiting, and what it got before it gave up. No piece of the silence is too long for it.
PIECES: list[Chunk] = [Pause(0.2), b""]
TOO_LATE: dict[str, tuple[tuple[Chunk, ...], float, bytes]] = {
    "the answer": ((), 30, b""),
    "a chunk": ((b"one", Pause(30), b"two"), 0, b"one"),
    "silence in pieces": ((b"one", *PIECES * 150, b"two"), 0, b"one"),
}


@every_way
@pytest.mark.parametrize(("chunks", "delay", "arrived"), TOO_LATE.values(), ids=TOO_LATE)
def test_who_waits_too_long_times_out(opened: Opened, chunks: tuple[Chunk, ...], delay: float, arrived: bytes) -> None:
    """By its own read timeout, counted from the last byte; and the stream is closed.

    A server on a slow machine may be too late for such a client with what comes at once, too.
    """
    stream = Watched(*chunks)
    with opened(HandMade(lambda: Reply(200, chunks=stream, delay=delay))) as ask:
        got, error = ask(timeout=(60, 0.3, 60, 60))
        assert error == "ReadTimeout"
        assert got == arrived or ("server" in opened.__name__ and got == b"")
        assert stream.closed.wait(60)


@pytest.mark.parametrize("opened", [way for way in WAYS if "server" not in way.__name__], ids=lambda way: way.__name__)
def test_in_process_a_stall_takes_no_time(opened: Opened) -> None:
    """A wait beyond the read timeout is not waited for at all: this one would outlast any test run."""
    stream = Watched(b"one", Pause(10**9))
    with opened(HandMade(lambda: Reply(200, chunks=stream, delay=0))) as ask:
        assert ask(timeout=10**8) == (b"one", "ReadTimeout")
    with opened(HandMade(lambda: Reply(200, body=b"whole", delay=10**9))) as ask:
        assert ask(timeout=10**8) == (b"", "ReadTimeout")


@every_way
def test_who_waits_long_enough_gets_all(opened: Opened) -> None:
    """A wait that fits is waited out; each byte that comes starts the patience anew. None waits for ever."""
    chunks: list[Chunk] = [Pause(0.003), b"one", Pause(0.002), b"", Pause(0.001), b"two"]
    with opened(HandMade(lambda: Reply(200, chunks=iter(chunks), delay=0.001))) as ask:
        assert [ask(timeout=timeout) for timeout in (20, None)] == [(b"onetwo", "")] * 2
    with opened(HandMade(lambda: Reply(200, body=b"whole", delay=0.001))) as ask:
        assert ask() == (b"whole", "")


@every_way
def test_a_length_that_the_reply_states_is_kept(opened: Opened) -> None:
    """So half a body is missing its other half; and the whole of it in pieces is whole."""
    headers = [("Content-Length", "10")]
    replies = [
        streaming(b"hello", Cut(), headers=headers),
        streaming(b"hello", b"world", headers=headers),
        Reply(200, headers, b"helloworld"),
    ]
    speaker = HandMade(lambda: replies.pop(0))
    lengths: list[Any] = []
    with opened(speaker) as ask:
        assert ask(headers=lengths.append) == (b"hello", "RemoteProtocolError")
        assert ask(headers=lengths.append) == (b"helloworld", "")
        assert ask(headers=lengths.append) == (b"helloworld", "")
    assert [given.get_list("content-length") for given in lengths] == [["10"]] * 3


# --- the fake's lock


def is_free(lock: Any) -> bool:
    """Whether another thread could take the lock: its holder always may."""

    def taken() -> bool:
        got: bool = lock.acquire(blocking=False)
        if got:
            lock.release()
        return got

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(taken).result()


def test_a_stream_is_taken_under_the_lock(fake: FakeAssistants, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each step of it, and its end; between the steps others are served."""
    lock: Any = fake._lock
    held: list[bool] = []

    def chunks() -> Iterator[Chunk]:
        try:
            held.append(not is_free(lock))
            yield b"one"
            held.append(not is_free(lock))
            yield Pause(1)
        finally:
            held.append(not is_free(lock))

    monkeypatch.setattr(gate, "answer", lambda *_: Reply(200, chunks=chunks()))
    stream: Any = fake.handle(Request.of("GET", "/v1/x")).chunks
    assert [next(stream), is_free(lock), next(stream), held] == [b"one", True, Pause(1), [True, True]]
    for _ in range(2):
        stream.close()
    assert (held, list(stream), is_free(lock)) == ([True, True, True], [], True)


def test_a_reply_without_a_stream_is_handed_on_as_it_is(fake: FakeAssistants, monkeypatch: pytest.MonkeyPatch) -> None:
    """The very same."""
    reply = Reply(200, body=b"x", delay=3, hang_up=True)
    monkeypatch.setattr(gate, "answer", lambda *_: reply)
    assert fake.handle(Request.of("GET", "/v1/x")) is reply


def test_a_predicate_may_look_at_the_fake_that_asks_it(fake: FakeAssistants) -> None:
    """At its state, and at its API; while it is asked the lock is held, by its own thread."""
    create = Request.of("POST", "/v1/conversations", {"authorization": "Bearer k"})
    fake.script.when(
        lambda _: fake.handle(create).status == 200 and len(fake.state["conversations"]) == 1, [{"reply": "1"}]
    )
    body = b'{"model": "m", "input": "x"}'
    reply = fake.handle(Request.of("POST", "/v1/responses", {"authorization": "Bearer k"}, body))
    assert reply.json()["output"][0]["content"][0]["text"] == "1"


# --- a signal


def told_at(line: int, told: SignalWaiter) -> Callable[..., Any]:
    """A trace that tells at the n-th line of Python that is run, as a signal handler would be run there."""
    lines = iter(range(line + 1))

    def trace(_: object, event: str, __: object) -> Any:
        if event == "line" and next(lines, None) == line:
            told.notify(15)
        return trace

    return trace


@pytest.mark.parametrize("line", range(12))
def test_a_signal_may_come_at_any_moment_of_the_wait(line: int) -> None:
    """The handler runs in the thread that waits, between any two of its steps, and must not wait for it."""
    told = SignalWaiter()

    def wait() -> None:
        sys.settrace(told_at(line, told))
        told.wait()

    waiting = Thread(target=wait, daemon=True)
    waiting.start()
    waiting.join(0.01)
    Thread(target=told.notify, args=(15,), daemon=True).start()  # should the line never be reached
    waiting.join(60)
    assert not waiting.is_alive()
