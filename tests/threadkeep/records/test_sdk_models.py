"""The mapping against the installed SDK: its models, and everything that its unions name."""

import json
import typing
import warnings
from typing import Any

import openai.types.beta.threads as sdk_types
import pytest
from hypothesis import given
from openai.types.beta.threads.annotation import Annotation
from openai.types.beta.threads.message_content import MessageContent

import strategies
from canned import HTTP, sync_client
from threadkeep.records.mapping import ANNOTATIONS, PARTS, from_message, from_message_json
from threadkeep.records.model import UnknownPart

ASSISTANT = "asst_abc123"


def parsed_by_sdk(message: dict[str, Any]) -> sdk_types.Message:
    """Let the SDK parse a message out of a real answer."""
    body = json.dumps(message).encode()
    client = sync_client(
        lambda _request: HTTP.Response(200, content=body, headers={"content-type": "application/json"})
    )
    with client, warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return client.beta.threads.messages.retrieve("msg_abc123", thread_id="thread_abc123")


@given(strategies.messages(long_texts=False))
def test_the_sdks_model_maps_to_the_same_record_as_its_json(message: dict[str, Any]) -> None:
    """Whether a message comes as the SDK's model or as JSON, the record is the same, unknown fields included."""
    from_model = from_message(parsed_by_sdk(message), assistant_id=ASSISTANT)
    assert from_model == from_message_json(message, assistant_id=ASSISTANT)


def union_kinds(union: object) -> set[str]:
    """The values of ``type`` over the members of one of the SDK's unions."""
    members = typing.get_args(typing.get_args(union)[0])
    return {kind for member in members for kind in typing.get_args(member.model_fields["type"].annotation)}


@pytest.mark.parametrize(("union", "table"), [(MessageContent, PARTS), (Annotation, ANNOTATIONS)])
def test_the_mapping_is_total_over_the_sdks_union(union: object, table: dict[str, object]) -> None:
    """A member that the SDK gains fails here, until the mapping has a row for it."""
    assert union_kinds(union) == set(table)


def test_a_part_of_an_unknown_type_is_not_what_the_sdk_takes_it_for() -> None:
    """The SDK parses an unknown type as some other class; the record says what the JSON says."""
    part = {"type": "hologram", "hologram": {"depth": 3}}
    message = {
        "id": "msg_1",
        "object": "thread.message",
        "created_at": 1,
        "thread_id": "thread_1",
        "role": "user",
        "content": [part],
    }
    record = from_message(parsed_by_sdk(message), assistant_id=ASSISTANT)
    assert record.parts == (UnknownPart("hologram", part),)
