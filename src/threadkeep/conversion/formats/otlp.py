"""Traces in OTLP's JSON: a trace for each thread, with a span for each answer, for Langfuse, Phoenix and others.

Each line is an ``ExportTraceServiceRequest``, as the file exporter of OpenTelemetry writes it: ids are hexadecimal,
times are nanoseconds in strings. A thread is one line, or several with the same trace id where it has many spans. The
attributes are those of the semantic conventions for generative AI, version 1.41.0 (development), the last before they
moved to a repository of their own: ``invoke_agent`` spans with ``gen_ai.input.messages`` and ``gen_ai.output.messages``
as JSON. That JSON has the id, the time and the metadata of each message, for which the conventions leave room.

A span has the messages before an answer, and the assistant's messages of one run. Its times are those of the run where
runs were saved, else those of its first and last message. A run without messages, such as one that failed, has a span
of its own. All ids of traces and spans come from the ids of the export: the same thread gives the same bytes.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from threadkeep.conversion.chat_ui import Times, plain_metadata, runs_by_id, seconds, well_formed
from threadkeep.conversion.content import Carries, carry, thread_losses
from threadkeep.conversion.job import Conversion
from threadkeep.conversion.source import Thread
from threadkeep.records.model import ImageFilePart, ImageUrlPart, MessageRecord, Part, RefusalPart, TextPart
from threadkeep.serialization.lossless_json import dumps
from threadkeep.storage.private_files import create

__all__ = ["DESCRIPTION", "NO_PLACE", "write"]

DESCRIPTION = "OpenTelemetry traces in OTLP's JSON, one trace for each thread."
NO_PLACE = (
    "steps of runs",
    "instructions and tools of runs",
    "tools of attachments",
    "tool_resources",
    "unknown fields",
)

_ALL = {"image_file", "image_url", "refusal", "attachments"}
_CARRIES: Carries = {"user": _ALL, "assistant": _ALL}
_CARRIES_METADATA: Carries = {"user": _ALL | {"metadata"}, "assistant": _ALL | {"metadata"}}
_MOST_MESSAGES = 100  # in a span, which is held in memory
_MOST_SPANS = 512  # in a line: the usual batch of an exporter
_RESOURCE = {"attributes": [{"key": "service.name", "value": {"stringValue": "threadkeep"}}]}
_HEAD = (
    b'{"resourceSpans":[{"resource":' + dumps(_RESOURCE) + b',"scopeSpans":[{"scope":{"name":"threadkeep"},"spans":['
)
_TAIL = b'],"schemaUrl":"https://opentelemetry.io/schemas/1.41.0"}]}]}\n'

_INTERNAL, _CLIENT = 1, 3  # kinds of spans
_OK, _ERROR = 1, 2  # codes of a status
_ENDS = ("completed_at", "failed_at", "cancelled_at")
_FAILED = {"failed", "expired", "cancelled", "incomplete"}
_USAGE = {"gen_ai.usage.input_tokens": "prompt_tokens", "gen_ai.usage.output_tokens": "completion_tokens"}
_FINISH_REASONS = {"max_tokens": "length", "content_filter": "content_filter"}


def write(threads: Iterable[Thread], path: Path, conversion: Conversion) -> None:
    """Write the traces, span by span. A message with nothing left is omitted."""
    with create(path) as file:
        for thread in threads:
            for number, span in enumerate(_Trace(thread, conversion).spans()):
                is_first = number % _MOST_SPANS == 0
                file.write((_TAIL if number else b"") + _HEAD if is_first else b",")
                file.write(dumps(span))
            file.write(_TAIL)


@attrs.frozen(kw_only=True)
class _Message:
    """A message as the conventions have it, and what decides about its span."""

    shown: Mapping[str, Any]
    created_at: int
    is_answer: bool
    run_id: str | None
    assistant_id: str | None


class _Trace:
    def __init__(self, thread: Thread, conversion: Conversion) -> None:
        self._thread, self._conversion = thread, conversion
        self._runs = runs_by_id(thread)
        self._times = Times(thread, conversion)
        self._trace_id = _digest("trace", thread.thread_id)[:32]
        self._root_id = _digest("root", thread.thread_id)[:16]
        created = seconds((thread.thread or {}).get("created_at"))
        self._reached = [] if created is None else [created]

    def spans(self) -> Iterator[dict[str, Any]]:
        """Yield the spans of the answers, those of runs without messages, and the one around them all."""
        for number, messages in enumerate(_grouped(self._messages())):
            # The tokens of a run are counted once: a second span of it has none.
            run_id = messages[-1].run_id
            run = self._runs.pop(run_id, None) if run_id is not None and messages[-1].is_answer else None
            yield self._answer(f"answer {number}", messages, run)
        for run_id, run in self._runs.items():
            yield self._answer(f"run {run_id}", (), run)
        yield self._root()

    def _messages(self) -> Iterator[_Message]:
        for record in self._thread.records():
            metadata = plain_metadata(record.raw)
            carries = _CARRIES if metadata is None else _CARRIES_METADATA
            carried = carry(record, carries, self._conversion.options, self._thread.files)
            self._conversion.lose(carried.losses)
            attached = [{"type": "file", "modality": "document", "file_id": file_id} for file_id in carried.attachments]
            parts = [*map(_part, carried.parts), *attached]
            if not parts and not metadata:
                self._conversion.leave_out()
                continue
            created_at = self._times.of(record)
            shown = {"role": carried.role, "parts": parts, "id": record.message_id, "created_at": created_at}
            shown |= {"metadata": metadata} if metadata else {}
            is_answer = carried.role == "assistant"
            shown |= {"finish_reason": _finish_reason(record)} if is_answer else {}
            yield _Message(
                shown=shown,
                created_at=created_at,
                is_answer=is_answer,
                run_id=_string(record.raw.get("run_id")),
                assistant_id=_string(record.raw.get("assistant_id")),
            )

    def _answer(self, name: str, messages: Sequence[_Message], run: Mapping[str, Any] | None) -> dict[str, Any]:
        known: Mapping[str, Any] = run or {}
        shown = [message.created_at for message in messages] or [self._times.last]
        started = seconds(known.get("created_at"))
        ended = [found for key in _ENDS if (found := seconds(known.get(key))) is not None]
        start = min(shown) if started is None else started
        end = max(start, *(ended or shown))
        self._reached += [start, end]
        self._reached = [min(self._reached), max(self._reached)]
        answers = [message for message in messages if message.is_answer]
        authors = [
            _string(known.get("assistant_id")),
            *(one.assistant_id for one in answers),
            self._thread.assistant_id,
        ]
        attributes = {
            "gen_ai.operation.name": "invoke_agent",
            "gen_ai.provider.name": "openai",
            "gen_ai.agent.id": next(filter(None, authors), None),
            "gen_ai.request.model": _string(known.get("model")),
            "gen_ai.response.id": _string(known.get("id")),
            "gen_ai.response.finish_reasons": [one.shown["finish_reason"] for one in answers],
            "gen_ai.input.messages": _as_json([one.shown for one in messages if not one.is_answer]),
            "gen_ai.output.messages": _as_json([one.shown for one in answers]),
            **_usage(known),
            **_error(known),
        }
        ids = {"spanId": _digest("span", self._thread.thread_id, name)[:16], "parentSpanId": self._root_id}
        return self._span(ids, "invoke_agent", _CLIENT, (start, end), attributes) | _status(known)

    def _root(self) -> dict[str, Any]:
        metadata = plain_metadata(self._thread.thread)
        if metadata is None:
            self._conversion.lose(thread_losses(self._thread.thread_id, self._thread.thread))
        attributes = {
            "gen_ai.agent.id": self._thread.assistant_id,
            "threadkeep.metadata": dumps(metadata).decode() if metadata else None,
        }
        reached = self._reached or [0]
        return self._span({"spanId": self._root_id}, "thread", _INTERNAL, (min(reached), max(reached)), attributes)

    def _span(
        self, ids: Mapping[str, str], name: str, kind: int, times: tuple[int, int], attributes: Mapping[str, Any]
    ) -> dict[str, Any]:
        thread_id = self._thread.thread_id
        values = {"gen_ai.conversation.id": thread_id, "session.id": thread_id, **attributes}
        return {
            "traceId": self._trace_id,
            **ids,
            "name": name,
            "kind": kind,
            "startTimeUnixNano": f"{times[0] * 10**9}",
            "endTimeUnixNano": f"{times[1] * 10**9}",
            "attributes": [
                {"key": key, "value": _value(value)}
                for key, value in values.items()
                if value is not None and value != []
            ],
        }


def _grouped(messages: Iterable[_Message]) -> Iterator[Sequence[_Message]]:
    """Yield the messages that share a span: any that ask, then those of one run that answer."""
    group: list[_Message] = []
    for message in messages:
        last = group[-1] if group else message
        is_next = last.is_answer and (not message.is_answer or message.run_id != last.run_id)
        if is_next or len(group) == _MOST_MESSAGES:
            yield group
            group = []
        group.append(message)
    if group:
        yield group


def _part(part: Part) -> dict[str, Any]:
    if isinstance(part, TextPart):
        return {"type": "text", "content": part.value}
    if isinstance(part, RefusalPart):
        return {"type": "refusal", "content": part.refusal}
    assert isinstance(part, ImageUrlPart | ImageFilePart)  # no role carries anything else
    detail = {} if part.detail is None else {"detail": part.detail}
    if isinstance(part, ImageUrlPart):
        return {"type": "uri", "modality": "image", "uri": part.url, **detail}
    return {"type": "file", "modality": "image", "file_id": part.file_id, **detail}


def _finish_reason(record: MessageRecord) -> str:
    """Return why an answer ended. The conventions require a reason, and the API gives none for an ordinary end."""
    details = record.raw.get("incomplete_details")
    reason = _string(details.get("reason")) if isinstance(details, dict) else None
    return "stop" if reason is None else _FINISH_REASONS.get(reason, reason)


def _usage(run: Mapping[str, Any]) -> dict[str, int]:
    usage = run.get("usage")
    found = {key: usage.get(name) for key, name in _USAGE.items()} if isinstance(usage, dict) else {}
    return {key: value for key, value in found.items() if type(value) is int and 0 <= value < 2**63}


def _error(run: Mapping[str, Any]) -> dict[str, str]:
    status, error = _string(run.get("status")), run.get("last_error")
    if status is None or status not in _FAILED:
        return {}
    code = _string(error.get("code")) if isinstance(error, dict) else None
    return {"error.type": code or status}


def _status(run: Mapping[str, Any]) -> dict[str, Any]:
    status, error = _string(run.get("status")), run.get("last_error")
    if status == "completed":
        return {"status": {"code": _OK}}
    if status is None or status not in _FAILED:
        return {}
    message = _string(error.get("message")) if isinstance(error, dict) else None
    return {"status": {"code": _ERROR, "message": well_formed(message or status)}}


def _string(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _as_json(messages: Sequence[Any]) -> str | None:
    """Return messages as the JSON that the conventions want in a string. A lone surrogate is an escape in it."""
    return dumps(messages).decode() if messages else None


def _value(value: str | int | Sequence[str]) -> dict[str, Any]:
    """Return the value of an attribute. Strings have to be UTF-8, which a lone surrogate is not."""
    if isinstance(value, int):
        return {"intValue": f"{value}"}
    if isinstance(value, str):
        return {"stringValue": well_formed(value)}
    return {"arrayValue": {"values": [_value(one) for one in value]}}


def _digest(*words: str) -> str:
    return hashlib.sha256("\x00".join(words).encode("utf-8", "surrogatepass")).hexdigest()
