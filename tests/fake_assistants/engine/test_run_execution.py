"""Streaming and polling show the same run, whatever the script."""

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fake_assistants.http.message import Cut
from scripts import answers
from staging import Stage, events


def stage(script: list[Any], **options: Any) -> Stage:
    made = Stage(**options)
    made.fake.script = {"default": script}
    return made


def polled(stage: Stage, **fields: Any) -> Any:
    """The run at its end, by polling; outputs are submitted whenever they are wanted."""
    run = stage.poll(stage.run(**fields))
    while run["status"] == "requires_action":
        run = stage.poll(stage.submit(run))
    return run


def streamed(stage: Stage, **fields: Any) -> list[list[tuple[str, Any]]]:
    """The streams of a run up to its end: of its creation, and one for each time outputs were wanted."""
    told = [stage.stream(**fields)]
    while (last := told[-1][-2])[0] == "thread.run.requires_action":
        told.append(stage.submit_stream(last[1]))
    return told


@given(answers, st.none() | st.integers(1, 20))
def test_streaming_and_polling_leave_the_same_world(script: list[Any], limit: int | None) -> None:
    """Ids and times included; and so does a run that moves on at once."""
    one, two, three = stage(script), stage(script), stage(script)
    three.fake.runs = {"progress": "immediate"}
    run = polled(one, max_completion_tokens=limit)
    streamed(two, max_completion_tokens=limit)
    assert polled(three, max_completion_tokens=limit) == run
    assert one.fake.snapshot() == two.fake.snapshot() == three.fake.snapshot()


@given(answers, st.integers(1, 4))
def test_every_status_is_shown_as_often_as_set(script: list[Any], reads: int) -> None:
    """The answer to the creation, or to the submission, counts as showing `queued`."""
    made = stage(script)
    made.fake.runs = {"reads": reads}
    run = made.run()
    while True:
        shown = [run["status"], *(made.read(run)["status"] for _ in range(2 * reads - 1))]
        assert shown == ["queued"] * reads + ["in_progress"] * reads
        run = made.read(run)
        if run["status"] != "requires_action":
            break
        assert made.read(run) == run
        run = made.submit(run)
    assert made.read(run) == run


# What a stream may look like (recorded order); s is a step's name, m a message's.
MESSAGE = r"m\.created m\.in_progress (m\.delta )*m\.(completed|incomplete) "
STEP = rf"(s\.created s\.in_progress ({MESSAGE}|(s\.delta )*)s\.completed )"
LAST = r"s\.created s\.in_progress (s\.delta )*r\.requires_action "
END = r"(r\.completed |r\.incomplete |r\.failed |error )"
FIRST = re.compile(rf"r\.created r\.queued r\.in_progress {STEP}*({LAST}|{END})done ")
LATER = re.compile(rf"s\.completed r\.queued r\.in_progress {STEP}*({LAST}|{END})done ")
SHORT = {"thread.run.step": "s", "thread.message": "m", "thread.run": "r"}


def short(told: list[tuple[str, Any]]) -> str:
    names = []
    for name, _ in told:
        head, _, tail = name.rpartition(".")
        names.append(f"{SHORT[head]}.{tail}" if head else tail)
    return "".join(f"{name} " for name in names)


@given(answers)
def test_events_come_in_the_recorded_order(script: list[Any]) -> None:
    """Of the creation, and of every submission."""
    first, *later = streamed(stage(script))
    assert FIRST.fullmatch(short(first))
    assert all(LATER.fullmatch(short(told)) for told in later)


EMPTY: dict[str, Any] = {"text": lambda: {"value": "", "annotations": []}, "refusal": str}


def accumulated(deltas: list[Any]) -> list[Any]:
    """A message's parts, put together from its deltas as a client does."""
    parts: list[Any] = []
    for delta in deltas:
        part = dict(delta)
        index = part.pop("index")
        if index == len(parts):
            parts.append({**part, **{key: EMPTY[key]() for key in EMPTY if key in part}})
        if "text" in part:
            parts[index]["text"]["value"] += part["text"]["value"]
            parts[index]["text"]["annotations"] += part["text"].get("annotations", [])
        if "refusal" in part:
            parts[index]["refusal"] += part["refusal"]
    return parts


def without_extras(part: Any) -> Any:
    """A delta's annotations have an index, in order, and an empty quote, which the message has not."""
    notes = part.get("text", {}).get("annotations", [])
    for index, note in enumerate(notes):
        assert note.pop("index") == index
        assert note.get("file_citation", {"quote": ""}).pop("quote") == ""
    return part


@given(answers)
def test_deltas_add_up_to_the_message(script: list[Any]) -> None:
    """Part by part; an empty refusal has no delta, and neither has what follows it an index of its own."""
    for told in streamed(stage(script)):
        for place, (name, message) in enumerate(told):
            if name not in ("thread.message.completed", "thread.message.incomplete"):
                continue
            start = max(at for at, (other, _) in enumerate(told[:place]) if other == "thread.message.in_progress")
            deltas = [data["delta"]["content"] for _, data in told[start + 1 : place]]
            assert all(len(delta) == 1 for delta in deltas)
            parts = [without_extras(part) for part in accumulated([delta[0] for delta in deltas])]
            assert parts == message["content"]
            texts = [delta[0]["text"] for delta in deltas if "text" in delta[0]]
            assert not texts or texts[0].get("annotations") is not None


@given(answers, st.integers(0, 6), st.integers(0, 3))
def test_a_cut_stream_changes_nothing_but_the_stream(script: list[Any], cut: int, at: int) -> None:
    """The run goes on without the client that lost it, to the same end."""
    script = [{**step, **({"cut": cut} if index == at else {})} for index, step in enumerate(script)]
    whole, broken = stage(script), stage(script)
    polled(whole)
    chunks = list(broken.chunks(broken.runs, {"assistant_id": broken.assistant}))
    is_cut = Cut() in chunks
    assert (chunks[-1] == Cut()) is is_cut
    run = broken.ask("GET", f"{broken.runs}")["data"][0]
    for _ in range(100):
        if run["status"] == "requires_action":
            run = broken.submit(run)
        run = broken.poll(run)
        if run["status"] != "requires_action":
            break
    assert broken.fake.snapshot() == whole.fake.snapshot()


@given(answers, st.integers(0, 12))
def test_a_client_that_goes_away_does_not_stop_the_run(script: list[Any], taken: int) -> None:
    """Wherever it goes; what it took was the beginning of the whole stream."""
    gone, stayed = stage(script), stage(script)
    chunks = gone.chunks(gone.runs, {"assistant_id": gone.assistant})
    got = [chunk for chunk, _ in zip(chunks, range(taken), strict=False)]
    assert hasattr(chunks, "close")
    chunks.close()
    whole = list(stayed.chunks(stayed.runs, {"assistant_id": stayed.assistant}))
    assert got == whole[:taken]
    run = gone.poll(gone.ask("GET", gone.runs)["data"][0])
    while run["status"] == "requires_action":
        run = gone.poll(gone.submit(run))
    assert run["status"] in ("completed", "failed", "incomplete")


@pytest.mark.parametrize("progress", ["read", "immediate", "clock"])
@pytest.mark.parametrize("fault", [{}, {"truncate": 9}, {"drop": "mid-body"}])
def test_a_stream_that_is_closed_before_it_begins_holds_nobody_up(progress: str, fault: dict[str, Any]) -> None:
    """As when a client does not wait for the first byte: the run goes on by itself, also where the clock carries it."""
    gone = stage([{"reply": "one"}])
    gone.fake.runs = {"progress": progress}
    gone.fake.faults = [{"match": {"times": 1}, "do": {**fault, "delay": 1}}]
    chunks: Any = gone.chunks(gone.runs, {"assistant_id": gone.assistant})
    chunks.close()
    gone.fake.clock.advance(2)
    run = gone.poll(gone.ask("GET", gone.runs)["data"][0])
    assert (run["status"], len(gone.messages())) == ("completed", 2)


@pytest.mark.parametrize("progress", ["read", "immediate", "clock"])
def test_a_poll_beside_a_stream_takes_nothing_from_it(progress: str) -> None:
    """Both see the run; the stream still tells everything, in order."""
    alone, beside = stage([{"reply": "one two three"}]), stage([{"reply": "one two three"}])
    beside.fake.runs = {"progress": progress}
    expected = alone.stream()
    chunks = beside.chunks(beside.runs, {"assistant_id": beside.assistant})
    told = events(iter([next(chunks)]))
    run = told[0][1]
    beside.read(run)
    beside.read(run)
    assert json.dumps(told + events(chunks)) == json.dumps(expected)
