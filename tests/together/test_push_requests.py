"""How many requests a push sends, and how fast: no write too many, none after completion, and the quota is used."""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai import AsyncOpenAI

from canned import HTTP
from command import Run
from exporting import threads_of
from exports import beside
from fake_assistants import Clock, FakeAssistants, Reply, Request
from pushes import ADDRESSES, Target, export_of
from threadkeep.api.client import PacingOptions
from threadkeep.errors import ServerUnreachable

KINDS = ("openai", "foundry")
SIZES = {
    f"thread_{number}": size
    for number, size in enumerate([2000, 300, 100, 100, 60, 45, 41, 40, 39, 21, 20, 19] + 4 * [10, 4, 3, 2, 1])
}
WRITES = {name: 1 + -(-size // 20) for name, size in SIZES.items()}
"""Of each thread: its conversation, and one request for each twenty items."""


class Hours:
    """A clock that only waiting moves."""

    now = 0.0

    async def sleep(self, seconds: float) -> None:
        """Advance it at once, and let other tasks run."""
        self.now += seconds
        await asyncio.sleep(0)

    def pace(self, **options: Any) -> PacingOptions:
        """Return a pace by this clock."""
        return PacingOptions(sleep=self.sleep, clock=lambda: self.now, jitter=lambda: 0.5, **options)


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An export of these threads."""
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


def writes(target: Target, *, faulted: bool = True) -> Counter[str]:
    """How many requests that write each thread took; without those to which a fault happened if that is asked for."""
    threads = {row["id"]: row["metadata"]["thread_id"] for row in target.fake.state["conversations"]}
    found = Counter[str]()
    for entry in target.fake.requests:
        if entry.method != "GET" and (faulted or entry.fault is None):
            end = entry.path.partition("/conversations")[2]
            found[threads[end.split("/")[1]] if end else entry.body["metadata"]["thread_id"]] += 1
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_without_faults_each_thread_takes_as_many_writes_as_it_must(kind: str, out: Path) -> None:
    """One for its conversation, and one for each twenty items. Nothing is read."""
    target = Target(kind)
    assert target.push(out).is_complete
    assert writes(target) == WRITES
    assert {entry.method for entry in target.fake.requests} == {"POST"}


@pytest.mark.parametrize("kind", KINDS)
@given(seed=st.integers(0, 10**6), concurrency=st.sampled_from([1, 8, 64]))
@settings(max_examples=8)
def test_with_faults_it_takes_no_more_but_for_those_that_they_happened_to(
    kind: str, exported: Path, seed: int, concurrency: int
) -> None:
    """Of all requests 5 % get no answer, and some fail: what arrived all the same is not sent again."""
    out, target = fresh(exported), Target(kind, FakeAssistants(profile=kind, seed=seed, faults=faults()))
    for _ in range(2):
        result = target.push(out, concurrency=concurrency, pace=Hours().pace())
    assert result.is_complete
    threads = {row["id"]: row["metadata"]["thread_id"] for row in target.fake.state["conversations"]}
    assert Counter(threads[row["conversation_id"]] for row in target.fake.state["conversation_items"]) == SIZES
    assert writes(target, faulted=False).total() <= 1.05 * sum(WRITES.values())


def faults() -> Sequence[Mapping[str, Any]]:
    """Half of the requests without an answer are carried out."""
    effects: Sequence[tuple[float, Mapping[str, Any]]] = (
        (0.025, {"drop": "before"}),
        (0.025, {"drop": "mid-body"}),
        (0.01, {"status": 429}),
        (0.01, {"status": 500}),
    )
    return [{"match": {"probability": probability}, "do": effect} for probability, effect in effects]


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_complete_is_not_written_again(kind: str, out: Path) -> None:
    """A push of it asks nothing, and a verification reads."""
    target = Target(kind)
    target.push(out)
    before = len(target.fake.requests)
    assert target.push(out).is_complete
    assert len(target.fake.requests) == before
    result = target.push(out, verify=True)
    assert (result.is_complete, result.verified) == (True, len(SIZES))
    assert {entry.method for entry in target.fake.requests[before:]} == {"GET"}


@pytest.mark.parametrize("profile", KINDS)
def test_what_is_complete_is_not_written_again_by_the_command(
    profile: str, out: Path, threadkeep: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor over HTTP."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
    fake = FakeAssistants(profile=profile)
    with fake.serve() as server:
        address = server.base_url + ("" if profile == "openai" else "/openai/v1")
        arguments = ("push", out, "--to", "conversations", "--base-url", address, "--target", profile)
        assert threadkeep(*arguments).code == 0
        before = len(fake.requests)
        assert threadkeep(*arguments).code == 0
        assert len(fake.requests) == before
        assert threadkeep(*arguments, "--verify").code == 0
        assert {entry.method for entry in fake.requests[before:]} == {"GET"}


# --- the pace


class Timed(FakeAssistants):
    """Notes when it was asked, and whether it has granted that.

    Attributes:
        granted, refused: the times.
    """

    def __init__(self, hours: Hours, **options: Any) -> None:
        super().__init__(clock=Clock(lambda: hours.now), **options)
        self._hours = hours
        self.granted: list[float] = []
        self.refused: list[float] = []

    def handle(self, request: Request) -> Reply:
        """Answer."""
        reply = super().handle(request)
        (self.refused if reply.status == 429 else self.granted).append(self._hours.now)
        return reply

    def share(self, rate: float, start: float, end: float) -> tuple[float, float]:
        """Which part of the quota was used between two times, and which part of the requests was refused."""
        granted, refused = (sum(start <= time < end for time in times) for times in (self.granted, self.refused))
        return granted / (rate * (end - start)), refused / (granted + refused)


RPM, MINUTES = 300, 3


@pytest.mark.parametrize("is_given", [True, False])
def test_the_quota_is_used(is_given: bool, tmp_path: Path) -> None:
    """As in an export: 97 % of one that is given, and 90 % of one that has to be found, after the first minute."""
    hours = Hours()
    fake = Timed(hours, rpm=RPM)
    target = Target("openai", fake)
    out = export_of(tmp_path, threads_of(**{str(number): 1 for number in range(RPM * MINUTES // 2)}))
    pace = PacingOptions(rpm=RPM if is_given else None, sleep=hours.sleep, clock=lambda: hours.now, jitter=lambda: 0.5)
    result = target.push(out, pace=pace, concurrency=64)
    assert result.is_complete
    used, refused = fake.share(RPM / 60, 60 if not is_given else 0, hours.now)
    assert used >= (0.97 if is_given else 0.9)
    assert refused <= (0.005 if is_given else 0.03)


# --- servers that do not answer


class Silent(HTTP.AsyncBaseTransport):  # type: ignore[misc]  # which library it is depends on the SDK
    """Gives an error to so many requests, and answers all others."""

    def __init__(self, fake: FakeAssistants, error: Any, count: float) -> None:
        self._honest, self._error, self._left = fake.async_transport(), error, count
        self.asked = 0

    async def handle_async_request(self, request: Any) -> Any:
        """Answer a request."""
        self.asked += 1
        self._left -= 1
        if self._left >= 0:
            raise self._error("silence", request=request)
        return await self._honest.handle_async_request(request)


class SilentTarget(Target):
    """A target that does not answer at first."""

    silence: Silent

    def client(self, key: str = "sk-test") -> AsyncOpenAI:
        """A client that reaches it."""
        http_client = HTTP.AsyncClient(transport=self.silence)
        return AsyncOpenAI(api_key=key, base_url=ADDRESSES[self.kind], http_client=http_client)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("concurrency", [1, 8])
def test_a_server_that_cannot_be_reached_at_first_is_asked_again(kind: str, concurrency: int, out: Path) -> None:
    """What has reached nobody was not carried out, so that nothing is left over of it."""
    target = SilentTarget(kind)
    target.silence = Silent(target.fake, HTTP.ConnectError, 2)
    result = target.push(out, concurrency=concurrency)
    assert (result.is_complete, result.leftovers) == (True, ())
    assert writes(target) == WRITES


@pytest.mark.parametrize("kind", KINDS)
def test_a_first_request_without_an_answer_does_not_end_the_push(kind: str, out: Path) -> None:
    """It may have been carried out, and so it is not repeated at once."""
    target = SilentTarget(kind)
    target.silence = Silent(target.fake, HTTP.ReadTimeout, 1)
    result = target.push(out, concurrency=1)
    assert (result.is_complete, len(result.leftovers)) == (True, int(kind == "openai"))
    assert writes(target) == WRITES


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("error", ["ConnectError", "ReadTimeout"])
def test_a_server_that_never_answers_ends_the_push(error: str, kind: str, out: Path) -> None:
    """Soon, and in words."""
    target = SilentTarget(kind)
    target.silence = Silent(target.fake, getattr(HTTP, error), float("inf"))
    result = target.push(out, concurrency=8)
    assert isinstance(result.ended_by, ServerUnreachable)
    assert target.silence.asked <= 3 * 8
    assert beside(out, ".push").exists() == (error == "ReadTimeout")
