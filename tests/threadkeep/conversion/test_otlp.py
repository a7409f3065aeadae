"""Traces in OTLP's JSON: OpenTelemetry's own definition reads them, and every message is in a span of its thread."""

import base64
import json
from collections import Counter
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given

from converting import meant, put_bare, text_message
from odd_threads import by_thread, has_time, odd_threads, part_losses, target_of
from threadkeep import convert
from threadkeep.conversion.formats import otlp

json_format: Any = import_module("google.protobuf.json_format")
REQUEST: Any = import_module("opentelemetry.proto.collector.trace.v1.trace_service_pb2").ExportTraceServiceRequest
WORDS = {"text": "text", "uri": "image_url", "file": "image_file", "refusal": "refusal"}


def spans_of(line: bytes) -> list[dict[str, Any]]:
    """The spans of a line, which is also what protobuf's reader takes: it wants base64 where OTLP has hexadecimals."""
    request = json.loads(line)
    [resource] = request["resourceSpans"]
    [scope] = resource["scopeSpans"]
    found: list[dict[str, Any]] = scope["spans"]
    ids = ("traceId", "spanId", "parentSpanId")
    binary = [
        span | {key: base64.b64encode(bytes.fromhex(span[key])).decode() for key in ids if key in span}
        for span in found
    ]
    scope = scope | {"spans": binary}
    strict = json.dumps({"resourceSpans": [resource | {"scopeSpans": [scope]}]})
    read = json_format.Parse(strict, REQUEST()).resource_spans[0].scope_spans[0].spans
    for span, one in zip(read, found, strict=True):
        assert (len(span.trace_id), len(span.span_id), len(span.parent_span_id) in (0, 8)) == (16, 8, True)
        assert (span.start_time_unix_nano, span.end_time_unix_nano) == times(one)
        assert span.start_time_unix_nano <= span.end_time_unix_nano
        assert len({attribute.key for attribute in span.attributes}) == len(span.attributes)
        assert {attribute.key: attribute.value.string_value for attribute in span.attributes}.items() >= {
            ("gen_ai.conversation.id", attributes(one)["gen_ai.conversation.id"])
        }
    return found


def times(span: dict[str, Any]) -> tuple[int, int]:
    """When a span begins and ends, in nanoseconds; OTLP has them as strings."""
    assert isinstance(span["startTimeUnixNano"], str)
    return int(span["startTimeUnixNano"]), int(span["endTimeUnixNano"])


def attributes(span: dict[str, Any]) -> dict[str, Any]:
    """The attributes of a span, as plain values."""
    found: dict[str, Any] = {}
    for attribute in span["attributes"]:
        [(kind, value)] = attribute["value"].items()
        if kind == "arrayValue":
            value = [one["stringValue"] for one in value["values"]]
        found[attribute["key"]] = int(value) if kind == "intValue" else value
    return found


def said(span: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The messages of a span: those that ask, then those that answer."""
    found = attributes(span)
    for key in ("gen_ai.input.messages", "gen_ai.output.messages"):
        yield from json.loads(found.get(key, "[]"))


def content(part: dict[str, Any]) -> tuple[str, Any]:
    """A part as the API's word and what is in it."""
    value = part.get("content", part.get("uri", part.get("file_id")))
    return ("attachments" if part.get("modality") == "document" else WORDS[part["type"]]), value


@given(messages=odd_threads())
def test_every_part_is_in_a_span_or_named(messages: list[dict[str, Any]]) -> None:
    """In the order of the thread, with the message's id and time. What no reader would take is in no line."""
    files, rows = target_of("otlp", messages)
    traces: dict[str, list[dict[str, Any]]] = {}
    for line in files[""].split(b"\n")[:-1]:
        for span in spans_of(line):
            traces.setdefault(span["traceId"], []).append(span)
    threads = by_thread(messages)
    timeless = {row["message_id"] for row in rows if row["lost"] == "created_at"}
    for spans, (thread_id, records) in zip(traces.values(), threads.items(), strict=True):
        *answers, root = spans
        assert "parentSpanId" not in root
        assert {span["parentSpanId"] for span in answers} <= {root["spanId"]}
        assert len({span["spanId"] for span in spans}) == len(spans)
        assert {attributes(span)["gen_ai.conversation.id"] for span in spans} == {thread_id}
        shown = {message["id"]: message for span in answers for message in said(span)}
        order = [record.message_id for record in records if record.message_id in shown]
        assert [*shown] == order
        for record in records:
            message = shown.get(record.message_id, {"parts": []})
            parts = [content(part) for part in message["parts"]]
            kept = [(word, value) for word, value in meant(record) if word in WORDS.values() and value is not None]
            assert [part for part in parts if part[0] != "attachments"] == kept
            lost = Counter(w for w, value in meant(record) if w not in WORDS.values() or value is None)
            assert part_losses(record, rows) == lost
            is_named = any((row["message_id"], row["lost"]) == (record.message_id, "metadata") for row in rows)
            assert message.get("metadata", {}) == ({} if is_named else record.raw.get("metadata") or {})
            if record.message_id in shown:
                assert (record.message_id in timeless) is not has_time(record)
                assert not has_time(record) or message["created_at"] == record.created_at
                assert message["role"] == ("assistant" if record.role == "assistant" else "user")


def test_a_question_and_its_answer_are_one_span() -> None:
    """With the attributes of the conventions; its times are those of its messages. A next question begins another."""
    question = text_message(1, created_at=1_700_000_000)
    answer = text_message(2, "assistant", created_at=1_700_000_005, run_id="run_1", assistant_id="asst_1")
    files, rows = target_of("otlp", [question, answer, text_message(3, created_at=1_700_000_009)])
    first, second, root = spans_of(files[""])
    assert rows == []
    assert times(first) == (1_700_000_000 * 10**9, 1_700_000_005 * 10**9)
    assert (first["name"], first["kind"], root["name"], root["kind"]) == ("invoke_agent", 3, "thread", 1)
    asked = {"role": "user", "parts": [{"type": "text", "content": "text 1"}], "id": "msg_1"}
    answered = {"role": "assistant", "parts": [{"type": "text", "content": "text 2"}], "id": "msg_2"}
    found = attributes(first)
    assert json.loads(found.pop("gen_ai.input.messages")) == [{**asked, "created_at": 1_700_000_000}]
    assert json.loads(found.pop("gen_ai.output.messages")) == [
        {**answered, "created_at": 1_700_000_005, "finish_reason": "stop"}
    ]
    assert found == {
        "gen_ai.conversation.id": "thread_a",
        "session.id": "thread_a",
        "gen_ai.operation.name": "invoke_agent",
        "gen_ai.provider.name": "openai",
        "gen_ai.agent.id": "asst_1",
        "gen_ai.response.finish_reasons": ["stop"],
    }
    assert [message["id"] for message in said(second)] == ["msg_3"]
    assert times(root) == (1_700_000_000 * 10**9, 1_700_000_009 * 10**9)


@pytest.mark.parametrize(
    ("reason", "shown"), [("max_tokens", "length"), ("content_filter", "content_filter"), ("run_failed", "run_failed")]
)
def test_an_answer_that_was_cut_off_has_the_reason(reason: str, shown: str) -> None:
    """In the words of the conventions where they have one."""
    files, _ = target_of("otlp", [text_message(1, "assistant", incomplete_details={"reason": reason})])
    assert attributes(spans_of(files[""])[0])["gen_ai.response.finish_reasons"] == [shown]


def test_answers_of_several_runs_are_several_spans() -> None:
    """And those of one run are one span."""
    runs = ["run_1", "run_1", "run_2", None]
    files, _ = target_of("otlp", [text_message(n, "assistant", run_id=run_id) for n, run_id in enumerate(runs)])
    ids = [[message["id"] for message in said(span)] for span in spans_of(files[""])]
    assert ids == [["msg_0", "msg_1"], ["msg_2"], ["msg_3"], []]


def test_long_threads_are_many_spans_and_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory does not grow with a thread, nor a request beyond what a receiver takes; the trace stays one."""
    monkeypatch.setattr(otlp, "_MOST_MESSAGES", 2)
    monkeypatch.setattr(otlp, "_MOST_SPANS", 2)
    files, _ = target_of("otlp", [text_message(n) for n in range(5)])
    requests = [spans_of(line) for line in files[""].split(b"\n")[:-1]]
    assert [[[one["id"] for one in said(span)] for span in spans] for spans in requests] == [
        [["msg_0", "msg_1"], ["msg_2", "msg_3"]],
        [["msg_4"], []],
    ]
    assert len({span["traceId"] for spans in requests for span in spans}) == 1


def test_ids_that_are_no_utf8_are_readable() -> None:
    """Two such threads are two traces."""
    files, _ = target_of("otlp", [text_message(n, thread_id=one) for n, one in enumerate(["\ud800", "\udfff", "?"])])
    roots = [spans_of(line)[-1] for line in files[""].split(b"\n")[:-1]]
    assert len({root["traceId"] for root in roots}) == 3
    assert {attributes(root)["session.id"] for root in roots} == {"?"}


def test_the_same_export_is_the_same_bytes(tmp_path: Path) -> None:
    """No clock and no chance is in them."""
    out = put_bare(tmp_path / "out.ndjson", [text_message(1), text_message(2, "assistant")])
    first, second = (convert(out, to="otlp", target=tmp_path / name).path.read_bytes() for name in "ab")
    assert first == second


@pytest.mark.parametrize("status", [{"type": "failed"}, ["failed"], 7, None])
def test_a_run_of_an_odd_status(status: Any) -> None:
    """It is one without a status."""
    assert otlp._status({"status": status}) == {}
    assert otlp._error({"status": status}) == {}
