"""The mapping and the installed SDK: its models, and every member of its unions."""

import json
import typing
import warnings
from typing import Any

import openai
import openai.types.beta.threads as sdk_types
import pytest
from hypothesis import given
from openai.types.beta.threads.annotation import Annotation
from openai.types.beta.threads.message_content import MessageContent

import strategies
from canned import HTTP
from threadkeep.records.mapping import from_message, from_message_json
from threadkeep.records.model import Part, TextPart, UnknownAnnotation, UnknownPart

ASSISTANT = "asst_abc123"


def parsed_by_sdk(message: dict[str, Any]) -> sdk_types.Message:
    """Let the SDK parse a message out of a real answer."""
    answer = HTTP.Response(200, content=json.dumps(message), headers={"content-type": "application/json"})
    http_client = HTTP.Client(transport=HTTP.MockTransport(lambda _request: answer))
    with openai.OpenAI(api_key="sk-test", http_client=http_client) as client, warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return client.beta.threads.messages.retrieve("msg_abc123", thread_id="thread_abc123")


@given(strategies.messages(long_texts=False))
def test_the_sdks_model_maps_to_the_same_record_as_its_json(message: dict[str, Any]) -> None:
    """Whether a message comes as the SDK's model or as JSON, the record is the same, unknown fields included.

    The SDK parses a part of an unknown type as some other class; the record follows the JSON.
    """
    from_model = from_message(parsed_by_sdk(message), assistant_id=ASSISTANT)
    assert from_model == from_message_json(message, assistant_id=ASSISTANT)


def union_kinds(union: object) -> set[str]:
    """The values of ``type`` over the members of one of the SDK's unions."""
    members = typing.get_args(typing.get_args(union)[0])
    return {kind for member in members for kind in typing.get_args(member.model_fields["type"].annotation)}


ANNOTATIONS: list[dict[str, Any]] = [
    {"type": "file_citation", "text": "x", "file_citation": {"file_id": "file-1"}},
    {"type": "file_path", "text": "x", "file_path": {"file_id": "file-1"}},
]
PARTS: list[dict[str, Any]] = [
    {"type": "text", "text": {"value": "x", "annotations": ANNOTATIONS}},
    {"type": "image_file", "image_file": {"file_id": "file-1"}},
    {"type": "image_url", "image_url": {"url": "http://x"}},
    {"type": "refusal", "refusal": "No."},
]


@pytest.mark.parametrize(("union", "samples"), [(MessageContent, PARTS), (Annotation, ANNOTATIONS)])
def test_the_samples_are_total_over_the_sdks_union(union: object, samples: list[dict[str, Any]]) -> None:
    """A member that the SDK gains fails here, until there is a sample of it, and the mapping knows it."""
    assert union_kinds(union) == {sample["type"] for sample in samples}


def test_the_mapping_knows_every_part_and_annotation_of_the_sdk() -> None:
    """Each sample becomes a part or annotation of a class of its own."""
    message = {"id": "msg_1", "thread_id": "thread_1", "content": PARTS}
    parts: tuple[Part, ...] = from_message_json(message, assistant_id=ASSISTANT).parts
    text = parts[0]
    assert isinstance(text, TextPart)
    known = {type(one) for one in (*parts, *text.annotations)} - {UnknownPart, UnknownAnnotation}
    assert len(known) == len(PARTS) + len(ANNOTATIONS)
