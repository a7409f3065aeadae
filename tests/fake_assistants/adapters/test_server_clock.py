"""The server starts and ends whatever a test has done to the clock."""

import threading
import time
from threading import Thread

import httpx
import pytest
from freezegun import freeze_time

import fake_assistants.adapters.server as server
from fake_assistants import FakeAssistants


@pytest.mark.parametrize("moment", ["1970-01-01", "2026-01-01", "2150-01-01"])
def test_it_ends_in_frozen_time(fake: FakeAssistants, moment: str) -> None:
    """Its own timers run on, so a delayed answer comes too, and its thread is gone afterwards."""
    before = set(_threads())
    with freeze_time(moment), fake.serve(latency_ms=20) as served:
        assert httpx.get(f"{served.url}/_fake/health").json() == {"status": "ok"}
    assert set(_threads()) <= before


def test_it_ends_when_time_was_frozen_on_the_way(fake: FakeAssistants) -> None:
    """Also with requests that were open meanwhile, and when the clock has jumped."""
    before = set(_threads())
    with fake.serve() as served, httpx.Client(base_url=served.url) as client:
        client.get("/_fake/health")
        freezer = freeze_time("2026-01-01", tick=True)
        frozen = freezer.start()
        client.get("/_fake/health")
        frozen.move_to("1990-01-01")
        client.get("/_fake/health")
    freezer.stop()
    assert set(_threads()) <= before


def test_it_ends_when_the_clock_was_replaced_by_hand(fake: FakeAssistants, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a constant, as tests do without a library."""
    before = set(_threads())
    with fake.serve() as served:
        monkeypatch.setattr(time, "monotonic", lambda: 0.0)
        monkeypatch.setattr(time, "time", lambda: 0.0)
        assert httpx.get(f"{served.url}/_fake/health").status_code == 200
    monkeypatch.undo()
    assert set(_threads()) <= before


def test_a_thread_that_cannot_end_is_not_waited_for(fake: FakeAssistants, monkeypatch: pytest.MonkeyPatch) -> None:
    """The test goes on, and the thread dies with the process."""
    joined: list[float | None] = []
    monkeypatch.setattr(Thread, "join", lambda _, timeout=None: joined.append(timeout))
    with fake.serve():
        pass
    assert joined == [server._ENDS_WITHIN]
    monkeypatch.undo()
    for thread in _threads():
        thread.join(60)


def test_a_server_that_does_not_start_is_an_error(fake: FakeAssistants, monkeypatch: pytest.MonkeyPatch) -> None:
    """At once, and not a wait without end."""

    async def startup(uvicorn: server._Uvicorn, **_: object) -> None:
        uvicorn.should_exit = True

    monkeypatch.setattr(server._Uvicorn, "startup", startup)
    with pytest.raises(RuntimeError, match="did not start"), fake.serve():
        raise AssertionError("served")


def _threads() -> list[Thread]:
    """The threads of servers that are still alive."""
    return [thread for thread in threading.enumerate() if thread.name == "fake-assistants"]
