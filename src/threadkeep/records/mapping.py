"""From the API's message to a `MessageRecord`, and back.

The mapping branches on the JSON's own ``type``, never on the SDK's class: the SDK parses a part of an unknown
type as some other class. It is total. What is not known, or known but of another shape than the API gave, is
kept whole as `UnknownPart` or `UnknownAnnotation`; it is never dropped and never guessed at.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol, runtime_checkable

from threadkeep.errors import FlatRecord, MalformedMessage
from threadkeep.records.model import (
    Annotation,
    FileCitation,
    FilePath,
    ImageFilePart,
    ImageUrlPart,
    MessageRecord,
    Part,
    RefusalPart,
    TextPart,
    UnknownAnnotation,
    UnknownPart,
)
from threadkeep.serialization.lossless_json import text_or_none

__all__ = [
    "ANNOTATIONS",
    "PARTS",
    "SdkModel",
    "flat_values",
    "from_message",
    "from_message_json",
    "to_message_json",
]


@runtime_checkable
class SdkModel(Protocol):
    """What is asked of the SDK's models, ``openai.types.beta.threads.Message`` first, in every major version."""

    @property
    def model_fields_set(self) -> set[str]:
        """The fields that the API gave."""
        ...

    @property
    def model_extra(self) -> dict[str, Any] | None:
        """The fields that the SDK does not know."""
        ...


def from_message(message: SdkModel, *, assistant_id: str) -> MessageRecord:
    """Map an SDK ``Message``.

    Fields that the API left out stay out of ``raw``, and fields that the SDK does not know stay in. The order of
    keys is the SDK's. Where a field held another type than the API promises, the SDK may have converted it:
    take the raw response and `from_message_json` when every byte counts, as the exporter does.

    Args:
        message: as ``client.beta.threads.messages.list`` yields it, openai 1.x to 3.x.
        assistant_id: the assistant that the export is for.

    Raises:
        MalformedMessage: the message has no id or no thread_id.
    """
    return from_message_json(_plain(message), assistant_id=assistant_id)


def _plain(value: Any) -> Any:
    """Take the SDK's models off again. Its own dump fails on a key that UTF-8 cannot carry."""
    if isinstance(value, SdkModel):
        fields = type(value).model_fields  # type: ignore[attr-defined]  # a class attribute, beyond a protocol
        given = {name: field for name, field in fields.items() if name in value.model_fields_set}
        known = {field.alias or name: _plain(getattr(value, name)) for name, field in given.items()}
        return known | _plain(value.model_extra or {})
    if isinstance(value, Mapping):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return value


def from_message_json(raw: Mapping[str, Any], *, assistant_id: str) -> MessageRecord:
    """Map a message as the API's JSON gives it.

    Args:
        raw: the parsed JSON object. It is kept, not copied: do not change it afterwards.
        assistant_id: the assistant that the export is for.

    Raises:
        MalformedMessage: there is no id or no thread_id, so that the message has no place.
    """
    flat = flat_values(raw, assistant_id=assistant_id)
    return MessageRecord(**flat, parts=_parts(raw.get("content")), raw=raw)


def flat_values(raw: Mapping[str, Any], *, assistant_id: str) -> dict[str, Any]:
    """Give the six flat values of a message, by key and in the order of a line, without making its record.

    Raises:
        MalformedMessage: there is no id or no thread_id, so that the message has no place.
    """
    if not isinstance(raw, Mapping):
        raise MalformedMessage(f"a message must be an object, not {_kind(raw)}", "$")
    role = raw.get("role")
    return {
        "thread_id": _identity(raw, "thread_id"),
        "assistant_id": assistant_id,
        "message_id": _identity(raw, "id"),
        "role": role if isinstance(role, str) else None,
        "text": "\n".join(_text_values(raw.get("content"))),
        "created_at": _whole_number(raw.get("created_at")),
    }


def to_message_json(record: MessageRecord) -> dict[str, Any]:
    """Give back the message exactly as the API gave it.

    Raises:
        FlatRecord: the record was read from a flat line, which does not carry the message.
    """
    if not record.raw:
        raise FlatRecord(f"{record.message_id} was read from a flat line, which does not carry the message")
    return dict(record.raw)


def _identity(raw: Mapping[str, Any], key: str) -> str:
    value = raw.get(key)
    if not isinstance(value, str) or not value:
        found = "an empty string" if value == "" else _kind(value) if key in raw else "nothing"
        raise MalformedMessage(f"expected an id, got {found}", f"$.{key}")
    return value


def _kind(value: object) -> str:
    return "null" if value is None else type(value).__name__


def _whole_number(value: object) -> int | None:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _text_values(content: object) -> Iterator[str]:
    if isinstance(content, list):
        for part in content:
            if isinstance(part, dict) and part.get("type") == "text":
                body = part.get("text")
                if isinstance(body, dict) and isinstance(body.get("value"), str):
                    yield body["value"]


def _parts(content: object) -> tuple[Part, ...]:
    if content is None:
        return ()
    if isinstance(content, list):
        return tuple(_part(raw) for raw in content)
    return (UnknownPart(None, content),)


def _part(raw: object) -> Part:
    kind = _named_kind(raw)
    known = PARTS.get(kind) if kind is not None else None
    part = known(raw) if known is not None and isinstance(raw, dict) else None
    return part if part is not None else UnknownPart(kind, raw)


def _named_kind(raw: object) -> str | None:
    kind = raw.get("type") if isinstance(raw, dict) else None
    return kind if isinstance(kind, str) else None


def _text(raw: Mapping[str, Any]) -> TextPart | None:
    body = raw.get("text")
    if not isinstance(body, dict) or not isinstance(body.get("value"), str):
        return None
    return TextPart(body["value"], _annotations(body.get("annotations")))


def _image_file(raw: Mapping[str, Any]) -> ImageFilePart | None:
    body = raw.get("image_file")
    if not isinstance(body, dict) or not isinstance(body.get("file_id"), str):
        return None
    return ImageFilePart(body["file_id"], text_or_none(body.get("detail")))


def _image_url(raw: Mapping[str, Any]) -> ImageUrlPart | None:
    body = raw.get("image_url")
    if not isinstance(body, dict) or not isinstance(body.get("url"), str):
        return None
    return ImageUrlPart(body["url"], text_or_none(body.get("detail")))


def _refusal(raw: Mapping[str, Any]) -> RefusalPart | None:
    refusal = raw.get("refusal")
    return RefusalPart(refusal) if isinstance(refusal, str) else None


PARTS: dict[str, Callable[[Mapping[str, Any]], Part | None]] = {
    "text": _text,
    "image_file": _image_file,
    "image_url": _image_url,
    "refusal": _refusal,
}
"""The content parts that the API's page names. A reader gives None for a part of another shape than promised."""


def _annotations(annotations: object) -> tuple[Annotation, ...]:
    if annotations is None:
        return ()
    if isinstance(annotations, list):
        return tuple(_annotation(raw) for raw in annotations)
    return (UnknownAnnotation(None, annotations),)


def _annotation(raw: object) -> Annotation:
    kind = _named_kind(raw)
    known = ANNOTATIONS.get(kind) if kind is not None else None
    annotation = known(raw) if known is not None and isinstance(raw, dict) else None
    return annotation if annotation is not None else UnknownAnnotation(kind, raw)


def _file_citation(raw: Mapping[str, Any]) -> FileCitation | None:
    body = raw.get("file_citation")
    if not isinstance(body, dict) or not isinstance(body.get("file_id"), str):
        return None
    if not isinstance(raw.get("text"), str):
        return None
    return FileCitation(
        text=raw["text"],
        file_id=body["file_id"],
        start_index=_whole_number(raw.get("start_index")),
        end_index=_whole_number(raw.get("end_index")),
        quote=text_or_none(body.get("quote")),
    )


def _file_path(raw: Mapping[str, Any]) -> FilePath | None:
    body = raw.get("file_path")
    if not isinstance(body, dict) or not isinstance(body.get("file_id"), str):
        return None
    if not isinstance(raw.get("text"), str):
        return None
    return FilePath(
        text=raw["text"],
        file_id=body["file_id"],
        start_index=_whole_number(raw.get("start_index")),
        end_index=_whole_number(raw.get("end_index")),
    )


ANNOTATIONS: dict[str, Callable[[Mapping[str, Any]], Annotation | None]] = {
    "file_citation": _file_citation,
    "file_path": _file_path,
}
"""The annotations that the API's page names."""
