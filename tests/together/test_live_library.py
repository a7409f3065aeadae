"""The comparison with the live API from Python: a typed report, with and without an event loop."""

import asyncio
import inspect
import json
from pathlib import Path
from typing import Any

import pytest
from openai import AsyncOpenAI

from exports import ASSISTANT
from fake_assistants import demo_world
from threadkeep import (
    ApiSource,
    Key,
    MalformedAddress,
    ThreadCompared,
    avalidate_live,
    export,
    validate,
    validate_live,
)
from watched import Watched


@pytest.fixture
def fake() -> Watched:
    """Five threads, of which the first has three pages."""
    return Watched.holding(demo_world(5, 4), demo_world(1, 230))


@pytest.fixture
def ids(fake: Watched, base_url: str, out: Path) -> list[str]:
    """Its threads, which are exported."""
    del base_url
    found = [thread["id"] for thread in fake.snapshot()["threads"]]
    assert export(found, ASSISTANT, out).is_complete
    fake.asked.clear()
    return found


def test_what_is_still_there_is_the_report_of_validate_and_more(fake: Watched, ids: list[str], out: Path) -> None:
    """The same findings, and how many threads were compared; each is an event."""
    events = list[ThreadCompared]()
    report = validate_live(out, ids=ids, on_event=events.append)
    before = validate(out, ids=ids)
    assert (report.is_complete, report.findings, report.totals) == (True, before.findings, before.totals)
    assert report.live is not None
    assert (report.live.wanted, report.live.compared, report.live.ended_by) == (5, 5, None)
    assert sorted(event.thread_id for event in events) == sorted(ids)
    assert {event.messages for event in events} == {4, 230}
    assert {request.method for request in fake.asked} == {"GET"}


def test_what_has_changed_is_a_finding(fake: Watched, ids: list[str], out: Path, tmp_path: Path) -> None:
    """And the ids may be a file."""
    state = fake.snapshot()
    gone, shrunk = ids[0], ids[1]
    lost = next(row["id"] for row in state["messages"] if row["thread_id"] == shrunk)
    kept = [row for row in state["messages"] if row["thread_id"] != gone and row["id"] != lost]
    fake.state = {**state, "threads": [row for row in state["threads"] if row["id"] != gone], "messages": kept}
    (tmp_path / "ids.json").write_text(json.dumps(ids))
    report = validate_live(out, ids=tmp_path / "ids.json")
    new = [one for one in report if one not in validate(out, ids=ids).findings]
    assert [(one.code, one.thread_id, one.message_id) for one in new] == [
        ("deleted_thread", gone, None),
        ("deleted_message", shrunk, lost),
    ]


def test_an_early_end_is_a_result(fake: Watched, ids: list[str], out: Path) -> None:
    """What was compared until then counts, and the report says what ended it."""
    fake.sunset.after_requests(4)
    report = validate_live(out, concurrency=1)
    assert report.live is not None
    assert report.live.ended_by is not None
    assert 0 < report.live.compared < len(ids)
    assert report.live.compared + len(report.live.left) == len(ids)


def test_a_sample_and_a_callers_own_client(fake: Watched, base_url: str, ids: list[str], out: Path) -> None:
    """The client is left open by the call for an event loop, and closed by the other."""

    async def app() -> int:
        headers = {"x-team": "archive"}
        async with AsyncOpenAI(base_url=base_url, api_key="sk-own", default_headers=headers) as client:
            report = await avalidate_live(out, client=client, sample=2, seed=7)
            assert report.live is not None
            assert (report.live.seed, client.is_closed()) == (7, False)
            return report.live.wanted

    assert asyncio.run(app()) == 2
    assert {request.headers["x-team"] for request in fake.asked} == {"archive"}
    client = AsyncOpenAI(base_url=base_url, api_key="sk-own")
    assert validate_live(out, client=client).live == validate_live(out, ids=ids).live
    assert client.is_closed()


def test_what_the_callback_raises_comes_out(ids: list[str], out: Path) -> None:
    """As it is."""
    assert ids
    with pytest.raises(ZeroDivisionError):
        validate_live(out, on_event=lambda _event: divmod(1, 0))


def test_a_key_is_sent_to_no_address_that_only_a_file_names(
    fake: Watched, base_url: str, ids: list[str], out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever handed the export on could have written any address into it."""
    monkeypatch.delenv("OPENAI_BASE_URL")
    with pytest.raises(MalformedAddress, match=r"was exported from '.*Give base_url to ask there"):
        validate_live(out)
    assert fake.asked == []
    for given in ({"base_url": base_url}, {"source": ApiSource(base_url=base_url, keys=(Key("sk-one"),))}):
        live = validate_live(out, **given).live
        assert live is not None
        assert live.compared == len(ids)


REFUSED: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"out": ["thread_a"]}, TypeError, "out must be a str or a Path, and is list"),
    ({"ids": 3}, TypeError, "ids must be ids or the path of a file of ids, and is int"),
    ({"most": 0}, ValueError, "most is 0: it must be at least 1"),
    ({"sample": 0}, ValueError, "sample is 0: it must be at least 1"),
    ({"sample": "3"}, TypeError, "sample must be a whole number, and is str"),
    ({"seed": None}, TypeError, "seed must be a whole number, and is NoneType"),
    ({"client": 3, "base_url": "http://x"}, TypeError, "give client or base_url or api_key, not both"),
    ({"client": 3}, TypeError, "client must be an AsyncOpenAI, and is int"),
]


@pytest.mark.parametrize(("arguments", "error", "words"), REFUSED, ids=lambda value: str(value)[:40])
def test_what_cannot_be_meant_is_raised(
    arguments: dict[str, Any], error: type[Exception], words: str, ids: list[str], out: Path
) -> None:
    """In one sentence."""
    assert ids
    with pytest.raises(error, match=words):
        validate_live(**{"out": out, **arguments})


def test_both_calls_take_the_same() -> None:
    """Without an event loop, and with one."""
    assert inspect.signature(validate_live).parameters == inspect.signature(avalidate_live).parameters
