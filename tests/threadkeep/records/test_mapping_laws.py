"""The laws of records, mapping and codec: what goes in comes out."""

import json
from collections import UserDict
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

import strategies
from threadkeep.errors import FlatRecord, MalformedLine, MalformedMessage
from threadkeep.records.content import files_of_line
from threadkeep.records.mapping import from_message_json, to_message_json
from threadkeep.records.model import ImageFilePart, ImageUrlPart, TextPart, UnknownAnnotation, UnknownPart
from threadkeep.records.ndjson import FLAT_KEYS, decode, encode, encode_message, flat_lines, to_flat, with_assistant
from threadkeep.serialization import lossless_json

ANY_MESSAGE = st.one_of(strategies.messages(), strategies.odd_messages())
ASSISTANT = "asst_abc123"


@given(ANY_MESSAGE)
def test_a_message_survives_the_record_and_the_line(message: dict[str, Any]) -> None:
    """Decoding a line gives the record that was written, and that its message: number types and key order included."""
    before = json.dumps(message)
    record = from_message_json(message, assistant_id=ASSISTANT)
    again = decode(encode(record))
    assert again == record
    assert json.dumps(to_message_json(again)) == json.dumps(to_message_json(record)) == before


@given(ANY_MESSAGE, st.booleans())
def test_a_line_is_one_line(message: dict[str, Any], flat: bool) -> None:
    """A line holds no raw newline and is valid UTF-8."""
    line = encode(from_message_json(message, assistant_id=ASSISTANT), flat=flat)
    assert b"\n" not in line
    assert b"\r" not in line
    line.decode("utf-8")


@given(ANY_MESSAGE)
def test_readers_agree_on_every_line_that_both_can_carry(message: dict[str, Any]) -> None:
    """json and orjson read the same from a line. Lone surrogates and wide integers are beyond orjson."""
    line = encode(from_message_json(message, assistant_id=ASSISTANT))
    value = json.loads(line)
    try:
        carried = orjson.dumps(value)
    except TypeError:
        assert lossless_json.loads(line) == value
    else:
        assert orjson.loads(line) == value == orjson.loads(carried)


@given(ANY_MESSAGE)
def test_text_is_the_join_of_the_text_parts_and_nothing_else(message: dict[str, Any]) -> None:
    """The text is found again by walking the JSON, without the mapping."""
    content, kinds = message.get("content"), list[tuple[object, str]]()
    parts = content if isinstance(content, list) else []
    for part in [{"type": "text", "text": content}] if isinstance(content, str) else parts:
        text = part.get("text") if isinstance(part, dict) else None
        if isinstance(text, dict) and part["type"] == "text":
            text = text.get("value")
        if isinstance(text, str):
            kinds.append((part.get("type"), text))
    values = [value for _, value in kinds]
    record = from_message_json(message, assistant_id=ASSISTANT)
    assert record.text == "\n".join(values)
    assert [part.value for part in record.parts if isinstance(part, TextPart)] == [
        value for kind, value in kinds if kind == "text"
    ]


@pytest.mark.parametrize(
    ("content", "text", "kinds"),
    [
        ("plain words", "plain words", [TextPart]),
        ([{"type": "text", "text": "words of a part"}], "words of a part", [TextPart]),
        ([{"type": "output_text", "text": "words", "annotations": []}], "words", [UnknownPart]),
        ([{"type": "text", "text": "a"}, {"type": "text", "text": {"value": "b"}}], "a\nb", [TextPart, TextPart]),
    ],
)
def test_a_text_of_another_shape_is_text(content: Any, text: str, kinds: list[type]) -> None:
    """Of servers like the API's; the message itself stays as it is."""
    message = {"id": "msg_1", "thread_id": "thread_1", "content": content}
    record = from_message_json(message, assistant_id=ASSISTANT)
    assert (record.text, [type(part) for part in record.parts]) == (text, kinds)
    assert (to_message_json(record), to_flat(record)["text"]) == (message, text)


def test_a_message_may_be_any_mapping() -> None:
    """Such as a model of another SDK, whose parts are mappings too."""
    plain = {"id": "msg_1", "thread_id": "thread_1", "content": [{"type": "text", "text": {"value": "words"}}]}

    def wrapped(value: Any) -> Any:
        if isinstance(value, dict):
            return UserDict({key: wrapped(inner) for key, inner in value.items()})
        return [wrapped(inner) for inner in value] if isinstance(value, list) else value

    record = from_message_json(wrapped(plain), assistant_id=ASSISTANT)
    assert record == from_message_json(plain, assistant_id=ASSISTANT)
    assert decode(encode(record)) == record


@given(strategies.messages())
def test_images_come_in_order(message: dict[str, Any]) -> None:
    """The images are the image parts of the JSON, in its order."""
    expected = [
        ImageFilePart(part["image_file"]["file_id"], part["image_file"].get("detail"))
        if part["type"] == "image_file"
        else ImageUrlPart(part["image_url"]["url"], part["image_url"].get("detail"))
        for part in message["content"]
        if part["type"] in ("image_file", "image_url")
    ]
    assert list(from_message_json(message, assistant_id=ASSISTANT).images) == expected


@given(strategies.messages())
def test_annotations_and_files_come_in_order(message: dict[str, Any]) -> None:
    """The annotations of the JSON, and each id once: of images and annotations by their parts, then of attachments."""
    record = from_message_json(message, assistant_id=ASSISTANT)
    annotations, files = list[Any](), list[str]()
    for part in message["content"]:
        if part["type"] == "image_file":
            files.append(part["image_file"]["file_id"])
        elif part["type"] == "text":
            annotations += part["text"]["annotations"]
            kinds = [(one, one.get(one["type"])) for one in part["text"]["annotations"]]
            files += [body["file_id"] for one, body in kinds if one["type"] in ("file_citation", "file_path")]
    files += [attachment["file_id"] for attachment in message.get("attachments") or ()]
    assert record.file_ids == tuple(dict.fromkeys(files))
    assert [one.raw.get("text") if isinstance(one, UnknownAnnotation) else one.text for one in record.annotations] == [
        one.get("text") for one in annotations
    ]


@given(ANY_MESSAGE)
def test_the_files_of_a_record_are_those_that_an_export_downloads(message: dict[str, Any]) -> None:
    """Also of parts that nobody knows; a record that was written and read has the same, one of a flat line has none."""
    record = from_message_json(message, assistant_id=ASSISTANT)
    line = encode(record)
    assert record.file_ids == decode(line).file_ids == files_of_line(line, message)
    assert decode(encode(record, flat=True)).file_ids == ()


def test_a_part_of_an_unknown_type_may_name_a_file() -> None:
    """And metadata may not: what is there are words."""
    message = {
        "id": "msg_1",
        "thread_id": "thread_1",
        "content": [{"type": "hologram", "hologram": {"file_id": "file-3"}}],
        "attachments": [{"file_id": "file-2"}, {"file_id": "file-3"}],
        "metadata": {"file_id": "file-1"},
    }
    assert from_message_json(message, assistant_id=None).file_ids == ("file-3", "file-2")


@given(ANY_MESSAGE)
def test_no_part_is_lost(message: dict[str, Any]) -> None:
    """There is one part for each element of the content; an unknown part holds the element itself."""
    content = message.get("content")
    elements = content if isinstance(content, list) else [] if content is None else [content]
    record = from_message_json(message, assistant_id=ASSISTANT)
    assert len(record.parts) == len(elements)
    for part, element in zip(record.parts, elements, strict=True):
        if isinstance(part, UnknownPart):
            assert part.raw == element


@given(ANY_MESSAGE)
def test_a_flat_line_holds_the_six_keys_and_reads_back(message: dict[str, Any]) -> None:
    """A flat line is the six keys in order, and decodes to a record with the same six values."""
    record = from_message_json(message, assistant_id=ASSISTANT)
    line = encode(record, flat=True)
    assert list(json.loads(line)) == list(FLAT_KEYS)
    assert to_flat(decode(line)) == to_flat(record)


@given(ANY_MESSAGE, st.booleans())
def test_a_message_is_written_as_its_record_would_be(message: dict[str, Any], flat: bool) -> None:
    """The exporter's short way gives the same bytes as the way through the record."""
    through_the_record = encode(from_message_json(message, assistant_id=ASSISTANT), flat=flat)
    assert encode_message(message, assistant_id=ASSISTANT, flat=flat) == through_the_record


@given(st.lists(ANY_MESSAGE, max_size=4), strategies.raw_text.filter(bool), st.none() | strategies.raw_text)
def test_a_stored_line_becomes_the_line_of_the_export(
    rows: list[dict[str, Any]], thread_id: str, assistant_id: str | None
) -> None:
    """Stored before it is known whose it is, then full or cut to a flat one: to the byte as if written at once."""

    def lines(of: str | None, *, flat: bool = False) -> bytes:
        written = (encode_message({**row, "thread_id": thread_id}, assistant_id=of, flat=flat) for row in rows)
        return b"".join(line + b"\n" for line in written)

    full = with_assistant(lines(None), thread_id, assistant_id)
    assert full == lines(assistant_id)
    assert flat_lines(full) == lines(assistant_id, flat=True)


@given(strategies.json_values)
def test_anything_that_is_no_message_is_refused_with_its_path(value: object) -> None:
    """JSON without both ids never becomes a record and never raises anything but MalformedMessage."""
    with pytest.raises(MalformedMessage, match=r"@ \$"):
        from_message_json(value, assistant_id=ASSISTANT)  # type: ignore[arg-type]  # bad input is the subject


MISSHAPEN_ANNOTATIONS: list[Any] = [
    "odd",
    {"type": "file_citation", "text": "x", "file_citation": {}},
    {"type": "file_citation", "text": 1, "file_citation": {"file_id": "file-1"}},
    {"type": "file_path", "text": "x", "file_path": None},
    {"type": "file_path", "file_path": {"file_id": "file-1"}},
    {"type": "url_citation", "url": "http://x"},
    {"no": "type"},
]


@pytest.mark.parametrize("annotations", [MISSHAPEN_ANNOTATIONS, "no list", {"a": 1}])
def test_an_annotation_of_another_shape_is_unknown(annotations: Any) -> None:
    """Neither a missing key nor a wrong type loses an annotation, or the text that it belongs to."""
    content = [{"type": "text", "text": {"value": "hello", "annotations": annotations}}]
    record = from_message_json({"id": "m", "thread_id": "t", "content": content}, assistant_id=ASSISTANT)
    (part,) = record.parts
    assert isinstance(part, TextPart)
    expected = annotations if isinstance(annotations, list) else [annotations]
    assert [getattr(annotation, "raw", None) for annotation in part.annotations] == expected


@pytest.mark.parametrize(
    "part",
    [
        {"type": "text"},
        {"type": "text", "text": {"value": None}},
        {"type": "image_file", "image_file": {}},
        {"type": "image_url", "image_url": "http://x"},
        {"type": "refusal"},
        {"type": ["text"]},
        "plain",
        None,
    ],
)
def test_a_part_of_another_shape_is_unknown(part: Any) -> None:
    """It is no text, no image and no refusal, and it is not lost."""
    record = from_message_json({"id": "m", "thread_id": "t", "content": [part]}, assistant_id=ASSISTANT)
    (found,) = record.parts
    assert isinstance(found, UnknownPart)
    assert found.raw == part
    assert record.text == ""


@pytest.mark.parametrize(
    ("given_time", "expected"),
    [
        (1774963800, 1774963800),
        (1774963800.0, 1774963800),
        (1.5, None),
        (True, None),
        ("1774963800", None),
        (None, None),
    ],
)
def test_only_a_whole_number_is_a_time(given_time: object, expected: int | None) -> None:
    """The message has the original value, of whatever type."""
    record = from_message_json({"id": "m", "thread_id": "t", "created_at": given_time}, assistant_id=ASSISTANT)
    assert record.created_at == expected
    assert json.dumps(to_message_json(record)["created_at"]) == json.dumps(given_time)


def test_a_text_without_annotations_is_a_text() -> None:
    """Absent and null mean none."""
    content = [{"type": "text", "text": {"value": "a"}}, {"type": "text", "text": {"value": "b", "annotations": None}}]
    record = from_message_json({"id": "m", "thread_id": "t", "content": content}, assistant_id=ASSISTANT)
    assert record.parts == (TextPart("a"), TextPart("b"))


def test_a_nesting_too_deep_to_look_through_is_refused() -> None:
    """In words, not as a RecursionError."""
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(ValueError, match="nested too deeply"):
        lossless_json.refuse_nan(deep)


def test_a_record_of_a_flat_line_has_no_message() -> None:
    """To ask for the message is an error with a class of its own."""
    flat = encode(from_message_json({"id": "m", "thread_id": "t"}, assistant_id=ASSISTANT), flat=True)
    with pytest.raises(FlatRecord, match="m was read from a flat line"):
        to_message_json(decode(flat))


@pytest.mark.parametrize(
    ("line", "code", "path"),
    [
        (b"\xff", "not_utf8", "$"),
        (b"{", "malformed_line", "$"),
        ('{"text": "\ud800"}', "not_utf8", "$"),
        (b"[]", "not_an_object", "$"),
        (b'{"thread_id": 1}', "wrong_type", "$.thread_id"),
        (b"{}", "missing_key", "$.thread_id"),
    ],
)
def test_a_line_that_is_no_record_is_refused_with_code_and_path(line: bytes | str, code: str, path: str) -> None:
    """The same codes that validate uses."""
    with pytest.raises(MalformedLine) as caught:
        decode(line)
    assert (caught.value.code, caught.value.path) == (code, path)


@pytest.mark.parametrize("value", [float("nan"), [{"deep": -float("inf")}], {1, 2}, {"a": object()}])
@pytest.mark.parametrize("other", [None, 2**70])
def test_what_is_not_json_is_refused_and_not_written_as_something_else(value: object, other: object) -> None:
    """NaN is not null, on the fast path and on the slow one."""
    message = {"id": "m", "thread_id": "t", "other": other, "value": value}
    with pytest.raises(ValueError, match="JSON"):
        encode(from_message_json(message, assistant_id=ASSISTANT))


@given(strategies.json_values)
def test_json_text_is_preserved_without_loss(value: object) -> None:
    """Any JSON value is written and read back the same, to the type of each number and the order of keys."""
    again = lossless_json.loads(lossless_json.dumps(value))
    assert json.dumps(again) == json.dumps(value)
