"""What formats make of the runs and thread objects that were exported with the messages."""

import json
from pathlib import Path
from typing import Any

import pytest

from command import Run
from converting import lines, text_message
from exports import ASSISTANT, write_ids
from fake_assistants import FakeAssistants

WORLD: dict[str, Any] = {
    "threads": [{"id": "thread_a", "created_at": 1_700_000_000, "metadata": {"user": "7"}}],
    "messages": [
        text_message(1, created_at=1_700_000_001),
        text_message(2, "assistant", created_at=1_700_000_005, run_id="run_1", assistant_id="asst_1"),
        text_message(3, created_at=1_700_000_008),
        text_message(4, "assistant", created_at=1_700_000_009, run_id="run_1", assistant_id="asst_1"),
    ],
    "runs": [
        {
            "id": "run_1",
            "object": "thread.run",
            "thread_id": "thread_a",
            "assistant_id": "asst_1",
            "status": "completed",
            "created_at": 1_700_000_002,
            "completed_at": 1_700_000_007,
            "model": "gpt-4o-mini",
            "usage": {"prompt_tokens": 30, "completion_tokens": 4, "total_tokens": 34},
        },
        {
            "id": "run_2",
            "object": "thread.run",
            "thread_id": "thread_a",
            "assistant_id": "asst_2",
            "status": "failed",
            "created_at": 1_700_000_010,
            "failed_at": 1_700_000_012,
            "last_error": {"code": "rate_limit_exceeded", "message": "Too many"},
        },
        {
            "id": "run_3",
            "object": "thread.run",
            "thread_id": "thread_a",
            "assistant_id": "asst_2",
            "status": "expired",
            "created_at": 1_700_000_013,
        },
    ],
}


@pytest.fixture
def target(fake: FakeAssistants, base_url: str, threadkeep: Run, out: Path, tmp_path: Path) -> Any:
    """A function that converts the export of a thread with an answer and two runs that failed."""
    del base_url
    fake.load(WORLD)
    ids = write_ids(tmp_path, "thread_a")
    assert threadkeep("export", ids, ASSISTANT, out, "--include", "threads,runs").code == 0

    def of(to: str) -> tuple[Path, list[Any]]:
        path = tmp_path / to
        assert threadkeep("convert", out, "--to", to, "-o", path).code == 0
        return path, lines(tmp_path / f"{to}.losses.ndjson")

    return of


def test_a_trace_has_the_times_and_tokens_of_the_runs(target: Any) -> None:
    """Once, on the first span of a run; a run without messages has a span of its own, with its error."""
    path, rows = target("otlp")
    [request] = lines(path)
    spans = request["resourceSpans"][0]["scopeSpans"][0]["spans"]
    values = [{one["key"]: next(iter(one["value"].values())) for one in span["attributes"]} for span in spans]
    assert rows == []
    seconds = [
        tuple(int(span[f"{end}TimeUnixNano"]) // 10**9 - 1_700_000_000 for end in ("start", "end")) for span in spans
    ]
    assert seconds == [(2, 7), (8, 9), (10, 12), (13, 13), (0, 13)]
    assert [span.get("status") for span in spans] == [
        {"code": 1},
        None,
        {"code": 2, "message": "Too many"},
        {"code": 2, "message": "expired"},
        None,
    ]
    assert [one.get("error.type") for one in values] == [None, None, "rate_limit_exceeded", "expired", None]
    assert [one.get("gen_ai.usage.input_tokens") for one in values] == ["30", None, None, None, None]
    assert [one.get("gen_ai.usage.output_tokens") for one in values] == ["4", None, None, None, None]
    assert [one.get("gen_ai.request.model") for one in values] == ["gpt-4o-mini", None, None, None, None]
    assert [one["gen_ai.agent.id"] for one in values] == ["asst_1", "asst_1", "asst_2", "asst_2", ASSISTANT]
    assert [one.get("gen_ai.response.id") for one in values] == ["run_1", None, "run_2", "run_3", None]
    assert values[-1]["threadkeep.metadata"] == '{"user":"7"}'


def test_a_chat_has_the_model_and_the_metadata(target: Any) -> None:
    """In Open WebUI a model can be chosen again; the thread's metadata are with its id."""
    path, rows = target("open-webui")
    [chat] = json.loads(path.read_bytes())
    assert rows == []
    assert chat["chat"]["models"] == ["gpt-4o-mini"]
    assert [one.get("model") for one in chat["chat"]["history"]["messages"].values()][:2] == [None, "gpt-4o-mini"]
    about = {"id": "thread_a", "assistant_id": ASSISTANT, "metadata": {"user": "7"}}
    assert chat["meta"] == {"openai_thread": about}
    assert (chat["created_at"], chat["updated_at"]) == (1_700_000_000, 1_700_000_009)


def test_a_conversation_has_the_model(target: Any) -> None:
    """LibreChat has no place for the thread's metadata."""
    path, rows = target("librechat")
    conversation = json.loads((path / "000001-thread_a.json").read_bytes())
    models = [(one["sender"], one.get("model")) for one in conversation["messages"]]
    assert models == [("User", None), ("gpt-4o-mini", "gpt-4o-mini")] * 2
    assert [(row["thread_id"], row["message_id"], row["lost"]) for row in rows] == [("thread_a", None, "metadata")]
