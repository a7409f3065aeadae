"""Map the API's messages to `MessageRecord` and back.

The mapping depends on the JSON's own ``type``, never on the SDK's class: the SDK parses a part of an unknown type as
some other class. Anything of an unknown type, or of another shape than the API gave, is preserved as `UnknownPart` or
`UnknownAnnotation`. Nothing is dropped or guessed.
"""

from collections.abc import Callable, Mapping
from typing import Any, Protocol, TypeVar, runtime_checkable

from threadkeep.arguments import wrong_type
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

__all__ = ["SdkModel", "flat_values", "from_message", "from_message_json", "from_plain_json", "to_message_json"]

_T = TypeVar("_T")


@runtime_checkable
class SdkModel(Protocol):
    """A model of the SDK, such as ``openai.types.beta.threads.Message``, in any major version."""

    @property
    def model_fields_set(self) -> set[str]:
        """The fields that the API gave."""

    @property
    def model_extra(self) -> dict[str, Any] | None:
        """The fields that the SDK does not know."""


def from_message(message: SdkModel, *, assistant_id: str | None) -> MessageRecord:
    """Map an SDK ``Message``.

    Fields that the API left out stay out of ``raw``, and fields that the SDK does not know stay in. The order of keys
    is the SDK's. If a field has another type than the API promises, the SDK may have converted it. For an exact copy
    take the raw response and `from_message_json`, as the exporter does.

    Args:
        message: as ``client.beta.threads.messages.list`` yields it, openai 1.x to 3.x.
        assistant_id: the assistant that the export is for; None where that is not known.

    Returns:
        The record.

    Raises:
        MalformedMessage: the message has no id or no thread_id.
    """
    return from_message_json(_as_json(message), assistant_id=assistant_id)


def _as_json(value: Any) -> Any:
    """Convert the SDK's models to plain JSON. Their own dump fails on a key that UTF-8 cannot encode."""
    if isinstance(value, SdkModel):
        fields = type(value).model_fields  # type: ignore[attr-defined]  # a class attribute, beyond a protocol
        given = {name: field for name, field in fields.items() if name in value.model_fields_set}
        known = {field.alias or name: _as_json(getattr(value, name)) for name, field in given.items()}
        return known | _as_json(value.model_extra or {})
    if isinstance(value, Mapping):
        return {key: _as_json(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_as_json(inner) for inner in value]
    return value


def from_message_json(raw: Mapping[str, Any], *, assistant_id: str | None) -> MessageRecord:
    """Map a message in the API's JSON. It may be any Mapping, such as a model of another SDK.

    Args:
        raw: the message, as the API gave it.
        assistant_id: the assistant that the export is for; None where that is not known.

    Returns:
        The record.

    Raises:
        MalformedMessage: the message has no id or no thread_id.
    """
    return from_plain_json(_as_json(raw), assistant_id=assistant_id)


def from_plain_json(raw: Mapping[str, Any], *, assistant_id: str | None) -> MessageRecord:
    """Map a message that was parsed from JSON. The record refers to it and does not copy it.

    Raises:
        MalformedMessage: the message has no id or no thread_id.
    """
    flat = flat_values(raw, assistant_id=assistant_id)
    content = raw.get("content")
    parts = (TextPart(content),) if isinstance(content, str) else _map_all(content, _part)
    return MessageRecord(**flat, parts=parts, raw=raw)


def flat_values(raw: Mapping[str, Any], *, assistant_id: str | None) -> dict[str, Any]:
    """Return the six flat values of a message, in the order of the keys of a line, without making a record.

    Raises:
        MalformedMessage: the message has no id or no thread_id.
    """
    if not isinstance(raw, (dict, Mapping)):  # a dict first, and no union made each time: both are slow
        raise MalformedMessage(f"a message must be an object, not {_type_name(raw)}", "$")
    role, content = raw.get("role"), raw.get("content")
    created_at = raw.get("created_at")
    return {
        "thread_id": _id(raw, "thread_id"),
        "assistant_id": assistant_id,
        "message_id": _id(raw, "id"),
        "role": role if isinstance(role, str) else None,
        "text": content if isinstance(content, str) else _text(content) if isinstance(content, list) else "",
        "created_at": created_at if type(created_at) is int else _integer(created_at),
    }


def _text(parts: list[Any]) -> str:
    """Return the texts of a content. Servers like the API's have a string where it has an object with a value."""
    texts = []
    for part in parts:
        if not isinstance(part, dict):
            continue
        text = part.get("text")
        if isinstance(text, str):
            texts.append(text)
        elif part.get("type") == "text" and isinstance(text, dict) and isinstance(text.get("value"), str):
            texts.append(text["value"])
    return texts[0] if len(texts) == 1 else "\n".join(texts)


def to_message_json(record: MessageRecord) -> dict[str, Any]:
    """Return the message exactly as the API gave it.

    Args:
        record: of a message or a full line.

    Raises:
        FlatRecord: the record was read from a flat line, which does not carry the message.
        TypeError: it is no record.
    """
    if not isinstance(record, MessageRecord):
        raise wrong_type("record", "a MessageRecord", record)
    if not record.raw:
        raise FlatRecord(f"{record.message_id} was read from a flat line, which does not carry the message")
    return dict(record.raw)


def _id(raw: Mapping[str, Any], key: str) -> str:
    value = raw.get(key)
    if not isinstance(value, str) or not value:
        found = "an empty string" if value == "" else _type_name(value) if key in raw else "nothing"
        raise MalformedMessage(f"expected an id, got {found}", f"$.{key}")
    return value


def _type_name(value: object) -> str:
    return "null" if value is None else type(value).__name__


def _integer(value: object) -> int | None:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    return int(value) if isinstance(value, float) and value.is_integer() else None


def _map_all(values: object, map_one: Callable[[str | None, Any, Any], _T]) -> tuple[_T, ...]:
    """Map each part of a content, or each annotation of a text, by its type, the value under that key, and itself."""
    if values is None:
        return ()
    if not isinstance(values, list):
        return (map_one(None, None, values),)
    kinds = [text_or_none(raw.get("type")) if isinstance(raw, dict) else None for raw in values]
    return tuple(map_one(kind, kind and raw.get(kind), raw) for kind, raw in zip(kinds, values, strict=True))


def _part(kind: str | None, body: Any, raw: Any) -> Part:
    """Map a content part. The types are those of the API's page."""
    match kind, body:
        case "text", str(value):  # of a server like the API's
            return TextPart(value)
        case "text", dict({"value": str(value)}):
            return TextPart(value, _map_all(body.get("annotations"), _annotation))
        case "image_file", dict({"file_id": str(file_id)}):
            return ImageFilePart(file_id, text_or_none(body.get("detail")))
        case "image_url", dict({"url": str(url)}):
            return ImageUrlPart(url, text_or_none(body.get("detail")))
        case "refusal", str(refusal):
            return RefusalPart(refusal)
    return UnknownPart(kind, raw)


def _annotation(kind: str | None, body: Any, raw: Any) -> Annotation:
    """Map an annotation. The types are those of the API's page."""
    match kind, body, raw:
        case "file_citation" | "file_path", dict({"file_id": str(file_id)}), {"text": str(text)}:
            start, end = _integer(raw.get("start_index")), _integer(raw.get("end_index"))
            if kind == "file_path":
                return FilePath(text=text, file_id=file_id, start_index=start, end_index=end)
            quote = text_or_none(body.get("quote"))
            return FileCitation(text=text, file_id=file_id, start_index=start, end_index=end, quote=quote)
    return UnknownAnnotation(kind, raw)
