"""Streams of runs: the recorded order of events and shapes of deltas, errors, cuts and pauses."""

from typing import Any

import pytest

from fake_assistants import FakeAssistants, Request
from fake_assistants.http.message import Cut, Pause
from staging import HEADERS, Stage, event, events, heads

MESSAGE = ["message.created", "message.in_progress", "message.delta", "message.completed"]
STEP = ["run.step.created", "run.step.in_progress"]
START = ["run.created", "run.queued", "run.in_progress"]
SHOWN = [
    *("id", "object", "created_at", "assistant_id", "thread_id"),
    *("run_id", "status", "incomplete_details", "incomplete_at", "completed_at"),
    *("role", "content", "attachments", "metadata"),
]
LONG: Any = {"code_interpreter": {"file_ids": []}}


@pytest.fixture
def stage() -> Stage:
    return Stage()


def script(stage: Stage, *steps: Any) -> None:
    stage.fake.script = {"default": list(steps)}


def data(told: list[tuple[str, Any]], name: str) -> list[Any]:
    return [one for other, one in told if other == f"thread.{name}"]


def test_a_plain_run(stage: Stage) -> None:
    """All events in the recorded order; the last is named done and has no JSON."""
    told = stage.stream()
    assert heads(told) == [*START, *STEP, *MESSAGE, "run.step.completed", "run.completed", "done"]
    assert told[-1] == ("done", None)


def test_frames_are_exact(stage: Stage) -> None:
    """Compact JSON, raw UTF-8, no ids, no comments."""
    script(stage, {"reply": "č\u2028", "chunk": 9})
    frames = list(stage.chunks(stage.runs, {"assistant_id": stage.assistant}))
    (delta,) = [frame for frame in frames if isinstance(frame, bytes) and b"delta" in frame]
    message = event(delta)[1]["id"]
    text = '{"index":0,"type":"text","text":{"value":"č\u2028","annotations":[]}}'
    shape = f'{{"id":"{message}","object":"thread.message.delta","delta":{{"content":[{text}]}}}}'
    assert delta.decode() == f"event: thread.message.delta\ndata: {shape}\n\n"
    assert frames[-1] == b"event: done\ndata: [DONE]\n\n"


def test_only_the_first_delta_of_a_text_has_an_empty_list_of_annotations(stage: Stage) -> None:
    """Later ones have none at all."""
    script(stage, {"reply": "one two three"})
    deltas = [one["delta"]["content"] for one in data(stage.stream(), "message.delta")]
    assert deltas == [
        [{"index": 0, "type": "text", "text": {"value": "one", "annotations": []}}],
        [{"index": 0, "type": "text", "text": {"value": " two"}}],
        [{"index": 0, "type": "text", "text": {"value": " three"}}],
    ]


def test_objects_are_longer_than_over_rest(stage: Stage) -> None:
    """A message with its status, a step with its expiry, a run with its empty tool resources in full."""
    told = stage.stream()
    created, *_ = data(told, "message.created")
    (completed,) = data(told, "message.completed")
    assert list(created) == list(completed) == SHOWN
    assert (created["status"], created["content"]) == ("in_progress", [])
    assert (completed["status"], completed["completed_at"]) == ("completed", completed["created_at"])
    (step,) = data(told, "run.step.completed")
    (run,) = data(told, "run.completed")
    assert (step["expires_at"], run["expires_at"]) == (run["created_at"] + 600, None)
    assert run["tool_resources"] == LONG
    assert stage.read(run)["tool_resources"] == {}
    assert stage.steps(run) == [{**step, "expires_at": None}]
    assert data(told, "run.created") == data(told, "run.queued")


def test_a_thread_made_on_the_way_is_told_first(stage: Stage) -> None:
    """In its long form."""
    body = {"assistant_id": stage.assistant, "thread": {"messages": [{"role": "user", "content": "Hi"}]}}
    told = events(stage.chunks("/threads/runs", body))
    assert told[0][0] == "thread.created"
    assert told[0][1]["tool_resources"] == LONG
    assert heads(told)[1:] == [*START, *STEP, *MESSAGE, "run.step.completed", "run.completed", "done"]


def test_a_tool_comes_before_the_message(stage: Stage) -> None:
    """The code in pieces, then each output."""
    script(stage, {"code": {"input": "import sympy", "outputs": ["65"]}}, {"reply": "65."})
    told = stage.stream()
    tool = [*STEP, "run.step.delta", "run.step.completed"]
    assert heads(told) == [*START, *tool, *STEP, *MESSAGE, "run.step.completed", "run.completed", "done"]
    deltas = [one["delta"]["step_details"]["tool_calls"][0] for one in data(told, "run.step.delta")]
    (step, _) = data(told, "run.step.completed")
    (call,) = step["step_details"]["tool_calls"]
    kind = "code_interpreter"
    assert deltas == [
        {"index": 0, "id": call["id"], "type": kind, kind: {"input": "", "outputs": []}},
        {"index": 0, "type": kind, kind: {"input": "import"}},
        {"index": 0, "type": kind, kind: {"input": " sympy"}},
        {"index": 0, "type": kind, kind: {"outputs": [{"index": 0, "type": "logs", "logs": "65"}]}},
    ]
    opened = data(told, "run.step.created")[0]
    assert opened["step_details"] == {"type": "tool_calls", "tool_calls": []}


def test_functions_stop_the_stream_and_outputs_start_another(stage: Stage) -> None:
    """No step.completed at first; no run.created later."""
    script(stage, {"call": [{"name": "weather", "arguments": {"city": "Brno"}}]}, {"reply": "Sunny."})
    told = stage.stream()
    assert heads(told) == [*START, *STEP, "run.step.delta", "run.requires_action", "done"]
    first, *rest = (one["delta"]["step_details"]["tool_calls"][0] for one in data(told, "run.step.delta"))
    assert first["function"] == {"name": "weather", "arguments": "", "output": None}
    assert "".join(one["function"]["arguments"] for one in rest) == '{"city":"Brno"}'
    (run,) = data(told, "run.requires_action")
    later = stage.submit_stream(run)
    assert heads(later) == [
        *("run.step.completed", "run.queued", "run.in_progress"),
        *(*STEP, *MESSAGE, "run.step.completed", "run.completed", "done"),
    ]
    call = later[0][1]["step_details"]["tool_calls"][0]
    assert call["function"]["output"] == f"out of {call['id']}"


def test_the_first_delta_of_a_function_names_it(stage: Stage) -> None:
    """With nothing in its arguments; later ones have arguments alone, and no id."""
    script(stage, {"call": [{"name": "f", "arguments": "{ }", "id": "call_1"}, {"name": "g", "arguments": ""}]})
    told = stage.stream()
    first, *rest, last = data(told, "run.step.delta")
    assert list(first) == ["id", "object", "delta"]
    assert (first["id"], first["object"]) == (data(told, "run.step.created")[0]["id"], "thread.run.step.delta")
    empty = {"name": "f", "arguments": "", "output": None}
    call = {"index": 0, "id": "call_1", "type": "function", "function": empty}
    assert first["delta"] == {"step_details": {"type": "tool_calls", "tool_calls": [call]}}
    assert [one["delta"]["step_details"]["tool_calls"] for one in rest] == [
        [{"index": 0, "type": "function", "function": {"arguments": "{"}}],
        [{"index": 0, "type": "function", "function": {"arguments": " }"}}],
    ]
    assert last["delta"]["step_details"]["tool_calls"][0]["index"] == 1


def test_a_search_has_one_delta(stage: Stage) -> None:
    """With its ranking and no results. What was found is shown at its end, texts only to who includes them."""
    found = {"file_id": "file-1", "content": [{"type": "text", "text": "t"}]}
    script(stage, {"search": {"results": [found]}})
    for query, results in (("", [{"file_id": "file-1"}]), (f"?include[]={INCLUDED}", [found])):
        told = events(stage.chunks(f"{stage.runs}{query}", {"assistant_id": stage.assistant}))
        (delta,) = data(told, "run.step.delta")
        (step,) = data(told, "run.step.completed")
        call_id = step["step_details"]["tool_calls"][0]["id"]
        ranking = {"ranker": "default_2024_08_21", "score_threshold": 0.0}
        assert delta["delta"]["step_details"]["tool_calls"] == [
            {
                "index": 0,
                "id": call_id,
                "type": "file_search",
                "file_search": {"ranking_options": ranking, "results": []},
            }
        ]
        assert step["step_details"]["tool_calls"][0]["file_search"]["results"] == results


INCLUDED = "step_details.tool_calls[*].file_search.results[*].content"


def test_markers_that_overlap_lose_no_text(stage: Stage) -> None:
    """Nor an annotation: each comes when its marker is over."""
    spans = [(0, 5), (3, 7), (6, 8)]
    notes = [
        {"type": "x", "text": "abcdefghi"[start:end], "start_index": start, "end_index": end} for start, end in spans
    ]
    script(stage, {"reply": [{"type": "text", "text": {"value": "abcdefghi", "annotations": notes}}], "chunk": 9})
    texts = [one["delta"]["content"][0]["text"] for one in data(stage.stream(), "message.delta")]
    assert [text["value"] for text in texts] == ["abcde", "f", "gh", "i"]
    told = [[note["index"] for note in text.get("annotations", ())] for text in texts]
    assert told == [[0], [], [1, 2], []]


def test_a_marker_comes_whole_with_its_annotation(stage: Stage) -> None:
    """With an index and an empty quote, which the message does not have."""
    marker = "【4:0†cake.txt】"
    value = f"It is cake {marker}."
    start = value.index(marker)
    where = {"start_index": start, "end_index": start + len(marker)}
    note = {"type": "file_citation", "text": marker, **where, "file_citation": {"file_id": "file-1"}}
    script(stage, {"reply": [{"type": "text", "text": {"value": value, "annotations": [note]}}]})
    told = stage.stream()
    texts = [one["delta"]["content"][0]["text"] for one in data(told, "message.delta")]
    quoted = {"index": 0, **note, "file_citation": {"file_id": "file-1", "quote": ""}}
    assert {"value": marker, "annotations": [quoted]} in texts
    assert data(told, "message.completed")[0]["content"][0]["text"]["annotations"] == [note]


def test_of_markers_that_overlap_the_first_comes_whole(stage: Stage) -> None:
    """The text is told once, and both annotations."""
    notes = [
        {"type": "file_path", "text": "bcd", "start_index": 1, "end_index": 4, "file_path": {"file_id": "file-1"}},
        {"type": "file_path", "text": "cde", "start_index": 2, "end_index": 5, "file_path": {"file_id": "file-2"}},
    ]
    script(stage, {"reply": [{"type": "text", "text": {"value": "abcdef", "annotations": notes}}]})
    texts = [one["delta"]["content"][0]["text"] for one in data(stage.stream(), "message.delta")]
    assert [text["value"] for text in texts] == ["a", "bcd", "ef"]
    assert [note for text in texts for note in text.get("annotations", [])] == [
        {"index": index, **note} for index, note in enumerate(notes)
    ]


def test_a_cut_off_answer_is_an_incomplete_message(stage: Stage) -> None:
    """Its step is complete; the run ends incomplete."""
    script(stage, {"reply": "Half of"}, {"incomplete": "max_completion_tokens"})
    told = stage.stream()
    assert heads(told)[-5:] == ["message.delta", "message.incomplete", "run.step.completed", "run.incomplete", "done"]
    (message,) = data(told, "message.incomplete")
    assert (message["status"], message["incomplete_details"]) == ("incomplete", {"reason": "max_tokens"})
    assert (message["incomplete_at"], message["completed_at"]) == (message["created_at"], None)


def test_an_error_is_wrapped_and_then_the_stream_is_done(stage: Stage) -> None:
    """The real text by default; the run has failed."""
    script(stage, {"reply": "Half"}, {"error": {}})
    told = stage.stream()
    assert heads(told)[-2:] == ["error", "done"]
    error = told[-2][1]["error"]
    assert list(error) == ["message", "type", "param", "code"]
    assert error["message"].startswith("The server had an error processing your request.")
    assert (error["type"], error["code"]) == ("server_error", None)
    (run,) = stage.ask("GET", stage.runs)["data"]
    assert (run["status"], run["last_error"]["code"]) == ("failed", "server_error")


def test_errors_before_the_stream_are_ordinary(stage: Stage) -> None:
    """JSON, with their status."""
    reply = stage.send("POST", stage.runs, {"assistant_id": "asst_x", "stream": True})
    assert (reply.status, reply.header("content-type"), reply.chunks) == (404, "application/json", None)


def test_pauses_and_chunks_are_as_scripted(stage: Stage) -> None:
    """So many characters a delta, so many seconds between them."""
    script(stage, {"reply": "abcdef", "chunk": 4, "pause": 0.25})
    chunks = list(stage.chunks(stage.runs, {"assistant_id": stage.assistant}))
    texts = [one["delta"]["content"][0]["text"]["value"] for one in data(events(iter(chunks)), "message.delta")]
    assert (texts, chunks.count(Pause(0.25))) == (["abcd", "ef"], 1)


@pytest.mark.parametrize(("cut", "deltas"), [(0, 0), (1, 1), (2, 2), (9, 2)])
def test_a_stream_can_be_cut_in_the_middle(stage: Stage, cut: int, deltas: int) -> None:
    """After so many deltas, or at the end of fewer; the run goes on by itself."""
    script(stage, {"reply": "one two", "cut": cut})
    chunks = list(stage.chunks(stage.runs, {"assistant_id": stage.assistant}))
    assert chunks[-1] == Cut()
    assert len(data(events(iter(chunks)), "message.delta")) == deltas
    (run,) = stage.ask("GET", stage.runs)["data"]
    assert stage.poll(run)["status"] == "completed"
    assert stage.messages()[-1]["content"][0]["text"]["value"] == "one two"


def test_a_run_cancelled_under_its_stream_says_so(stage: Stage) -> None:
    """The message is incomplete and has what was told; its step and the run are cancelled."""
    parts = [{"type": "text", "text": "first"}, {"type": "text", "text": "one two three"}]
    script(stage, {"reply": parts})
    chunks = stage.chunks(stage.runs, {"assistant_id": stage.assistant})
    told = events(next(chunks) for _ in range(9))
    assert told[-1][0] == "thread.message.delta"
    stage.ask("POST", f"{stage.runs}/{told[0][1]['id']}/cancel")
    rest = events(chunks)
    assert heads(rest) == ["run.cancelling", "message.incomplete", "run.step.cancelled", "run.cancelled", "done"]
    assert rest[1][1]["incomplete_details"] == {"reason": "run_cancelled"}
    assert [part["text"]["value"] for part in stage.messages()[-1]["content"]] == ["first", "one"]


def test_a_message_that_breaks_off_has_what_was_told_of_it(stage: Stage) -> None:
    """After each delta: of a text its annotations too, of a refusal its words; an image whole."""
    note = {"type": "file_path", "text": "two", "start_index": 4, "end_index": 7, "file_path": {"file_id": "file-1"}}
    text = {"type": "text", "text": {"value": "one two three", "annotations": [note]}}
    image = {"type": "image_file", "image_file": {"file_id": "file-2"}}
    heard = []
    for taken in range(8):
        script(stage, {"reply": [text, {"type": "refusal", "refusal": "I will"}, image]})
        chunks = stage.chunks(stage.runs, {"assistant_id": stage.assistant})
        told = events(next(chunks) for _ in range(7 + taken))
        stage.ask("POST", f"{stage.runs}/{told[0][1]['id']}/cancel")
        heard.append(events(chunks)[1][1]["content"])
    pieces = [("one", []), ("one ", []), ("one two", [note]), ("one two three", [note])]
    texts: list[Any] = [{"type": "text", "text": {"value": value, "annotations": notes}} for value, notes in pieces]
    refusals: list[Any] = [{"type": "refusal", "refusal": said} for said in ("I", "I will")]
    assert heard == [
        [],
        *([one] for one in texts),
        *([texts[-1], one] for one in refusals),
        [texts[-1], refusals[-1], image],
    ]


@pytest.mark.parametrize("progress", ["read", "immediate", "clock"])
def test_a_stream_ends_where_its_run_waits(stage: Stage, progress: str) -> None:
    """Also when the outputs are submitted before the client has taken the stream's end."""
    stage.fake.runs.set({"progress": progress})
    script(stage, {"call": [{"name": "f"}]}, {"reply": "Done."})
    chunks = stage.chunks(stage.runs, {"assistant_id": stage.assistant})
    told = [event(next(chunks)) for _ in range(8)]
    assert told[-1][0] == "thread.run.requires_action"
    submitted = stage.submit(told[-1][1])
    stage.fake.clock.advance(1)
    rest = events(chunks)
    assert heads(rest) == ["done"]
    stage.fake.clock.advance(1)
    assert stage.poll(submitted)["status"] == "completed"


def test_a_run_expires_under_its_stream(stage: Stage) -> None:
    """When another request lets the clock's time count."""
    script(stage, {"call": [{"name": "f"}]})
    chunks = stage.chunks(stage.runs, {"assistant_id": stage.assistant})
    told = events(next(chunks) for _ in range(5))
    stage.fake.clock.advance(600)
    assert stage.read(told[0][1])["status"] == "expired"
    assert heads(events(chunks)) == ["run.step.expired", "run.expired", "done"]


def test_a_stream_itself_lets_the_clock_count(stage: Stage) -> None:
    """No other request is needed for a run to expire under it."""
    script(stage, {"reply": "one two three"})
    chunks = stage.chunks(stage.runs, {"assistant_id": stage.assistant})
    told = events(next(chunks) for _ in range(8))
    assert told[-1][0] == "thread.message.delta"
    stage.fake.clock.advance(600)
    assert heads(events(chunks)) == ["message.incomplete", "run.step.expired", "run.expired", "done"]


def test_a_reset_breaks_streams_off(stage: Stage) -> None:
    """There is no proper end to what is gone."""
    chunks = stage.chunks(stage.runs, {"assistant_id": stage.assistant})
    next(chunks)
    stage.fake.reset()
    assert list(chunks)[-1] == Cut()


def test_a_stream_of_before_a_reset_leaves_the_next_run_alone(stage: Stage) -> None:
    """Ids begin anew with a reset, so the next run bears the same one."""
    chunks = stage.chunks(stage.runs, {"assistant_id": stage.assistant})
    told = events(next(chunks) for _ in range(2))
    stage.fake.reset()
    again = Stage(stage.fake)
    run = again.run()
    assert run["id"] == told[0][1]["id"]
    assert list(chunks) == [Cut()]
    assert again.poll(run)["status"] == "completed"


def test_nothing_is_lost_when_nobody_takes_the_stream() -> None:
    """A reply whose chunks are never asked for leaves a run that polls carry on."""
    stage = Stage()
    body = b'{"assistant_id": "%b", "stream": true}' % stage.assistant.encode()
    reply = stage.fake.handle(Request.of("POST", f"/v1{stage.runs}", HEADERS, body))
    assert reply.chunks is not None
    (run,) = stage.ask("GET", stage.runs)["data"]
    assert stage.poll(run)["status"] == "completed"


def test_at_once_means_also_when_the_client_of_a_stream_goes_away() -> None:
    """The run is over then."""
    stage = Stage(FakeAssistants(runs="immediate"))
    chunks = stage.chunks(stage.runs, {"assistant_id": stage.assistant})
    run = event(next(chunks))[1]
    assert hasattr(chunks, "close")
    chunks.close()
    assert stage.read(run)["status"] == "completed"


@pytest.mark.parametrize("progress", ["read", "immediate", "clock"])
def test_a_stream_that_is_closed_before_its_first_chunk_is_over(progress: Any) -> None:
    """The run moves on as if nobody had ever listened."""
    stage = Stage(FakeAssistants(runs=progress))
    chunks = stage.chunks(stage.runs, {"assistant_id": stage.assistant})
    assert hasattr(chunks, "close")
    chunks.close()
    stage.fake.clock.advance(10)
    (run,) = stage.ask("GET", stage.runs)["data"]
    assert stage.poll(run)["status"] == "completed"


def test_a_lone_surrogate_is_streamed_as_its_escape() -> None:
    """UTF-8 has no other way; it comes back as it was said."""
    stage = Stage(said="a\ud800b")
    (message,) = data(stage.stream(), "message.completed")
    assert message["content"][0]["text"]["value"] == "a\ud800b"


NAMES = {
    "thread.created",
    *(f"thread.run.{name}" for name in ("created", "queued", "in_progress", "requires_action", "completed")),
    *(f"thread.run.{name}" for name in ("incomplete", "failed", "cancelling", "cancelled", "expired")),
    *(f"thread.run.step.{name}" for name in ("created", "in_progress", "delta", "completed")),
    *(f"thread.run.step.{name}" for name in ("failed", "cancelled", "expired")),
    *(f"thread.message.{name}" for name in ("created", "in_progress", "delta", "completed", "incomplete")),
    *("error", "done"),
}


def names(*steps: Any, path: str = "", then: Any = None) -> set[str]:
    """The names of a stream's events; `then` happens when it is half told."""
    stage = Stage()
    script(stage, *steps)
    thread = {"messages": [{"role": "user", "content": "Hi"}]}
    body = {"assistant_id": stage.assistant, **({"thread": thread} if path else {})}
    chunks = stage.chunks(path or stage.runs, body)
    first = [next(chunks) for _ in range(5)]
    if then:
        then(stage, events(iter(first))[0][1])
    return {name for name, _ in events(iter([*first, *chunks]))}


def cancel(stage: Stage, run: Any) -> None:
    stage.ask("POST", f"{stage.runs}/{run['id']}/cancel")


def expire(stage: Stage, run: Any) -> None:
    stage.fake.clock.advance(600)
    stage.read(run)


def test_every_event_has_a_documented_name() -> None:
    """And every documented event happens, but for a step that fails."""
    call, reply = {"call": [{"name": "f"}]}, {"reply": "one two"}
    seen = (
        names({"code": {"input": "1"}}, reply, path="/threads/runs")
        | names(call)
        | names(call, then=cancel)
        | names(call, then=expire)
        | names(reply, {"incomplete": "max_tokens"})
        | names(reply, {"fail": {"code": "server_error", "message": "x"}})
        | names(reply, {"error": {}})
    )
    assert seen == NAMES - {"thread.run.step.failed"}
