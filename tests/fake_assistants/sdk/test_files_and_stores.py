"""What outlives the Assistants API, asked by the official SDK: files, vector stores, embeddings, responses and more."""

import io
from collections.abc import Callable
from typing import Any

import openai
import pytest

from fake_assistants import FakeAssistants
from sdkways import DEPRECATIONS, HAS_RESPONSES, NAMES, WAYS, Seat, at, each, got, methods, opened, seated

pytestmark = [pytest.mark.filterwarnings(said) for said in DEPRECATIONS]

# Vector stores were in beta before.
STORES = "vector_stores" if HAS_RESPONSES else "beta.vector_stores"
ROOTS = ("files", STORES, "embeddings", "models", "responses", "conversations", "chat.completions")


class Scene:
    """A file, a store with it, a conversation with an item and a response, as far as the SDK knows them."""

    def __init__(self, seat: Seat) -> None:
        self.seat, self.client = seat, seat.client
        self.files, self.stores = seat.client.files, at(seat.client, STORES)
        self.responses, self.conversations = at(seat.client, "responses"), at(seat.client, "conversations")
        self.chat = seat.client.chat.completions

    async def set(self) -> "Scene":
        """Let it all be there."""
        self.file = (await got(self.files.create(file=self.upload, purpose="vision"))).id
        self.other = (await got(self.files.create(file=self.upload, purpose="assistants"))).id
        self.store = (await got(self.stores.create(name="S", file_ids=[self.file]))).id
        self.batch = (await got(self.batches.create(self.store, file_ids=[self.other]))).id
        if HAS_RESPONSES:
            item: Any = {"role": "user", "content": "Hi"}
            self.conversation = (await got(self.conversations.create(items=[item]))).id
            self.item = (await each(self.conversations.items.list(self.conversation)))[0].id
            self.response = (await got(self.responses.create(model="gpt-4o", input="Well?"))).id
        return self

    @property
    def batches(self) -> Any:
        return self.stores.file_batches

    @property
    def in_batch(self) -> dict[str, str]:
        return {"vector_store_id": self.store, "batch_id": self.batch}

    @property
    def upload(self) -> Any:
        return ("a.txt", io.BytesIO(b"abc"))

    @property
    def asking(self) -> dict[str, Any]:
        return {"model": "gpt-4o", "messages": [{"role": "user", "content": "Well?"}]}


Call = Callable[[Scene], Any]

# What exercises each method, and what its answer has to show.
CALLS: dict[str, tuple[Call, Callable[[Any], bool]]] = {
    "files.create": (lambda at: at.files.create(file=at.upload, purpose="assistants"), lambda file: file.bytes == 3),
    "files.retrieve": (lambda at: at.files.retrieve(at.file), lambda file: file.filename == "a.txt"),
    "files.list": (lambda at: at.files.list(purpose="vision"), lambda files: len(files) == 1),
    "files.content": (lambda at: at.files.content(at.file), lambda answer: answer.content == b"abc"),
    "files.retrieve_content": (lambda at: at.files.retrieve_content(at.file), lambda answer: answer == "abc"),
    "files.wait_for_processing": (
        lambda at: at.files.wait_for_processing(at.file, poll_interval=0.001),
        lambda file: file.status == "processed",
    ),
    "files.delete": (lambda at: at.files.delete(at.file), lambda answer: answer.deleted),
    f"{STORES}.create": (lambda at: at.stores.create(name="A"), lambda store: store.status == "completed"),
    f"{STORES}.retrieve": (lambda at: at.stores.retrieve(at.store), lambda store: store.file_counts.completed == 2),
    f"{STORES}.update": (lambda at: at.stores.update(at.store, name="B"), lambda store: store.name == "B"),
    f"{STORES}.list": (lambda at: at.stores.list(limit=1), lambda stores: len(stores) == 1),
    f"{STORES}.delete": (lambda at: at.stores.delete(at.store), lambda answer: answer.deleted),
    f"{STORES}.files.create": (
        lambda at: at.stores.files.create(at.store, file_id=at.other),
        lambda file: file.status == "in_progress",
    ),
    f"{STORES}.files.create_and_poll": (
        lambda at: at.stores.files.create_and_poll(at.other, vector_store_id=at.store, poll_interval_ms=1),
        lambda file: file.status == "completed",
    ),
    f"{STORES}.files.poll": (
        lambda at: at.stores.files.poll(at.file, vector_store_id=at.store, poll_interval_ms=1),
        lambda file: file.status == "completed",
    ),
    f"{STORES}.files.upload": (
        lambda at: at.stores.files.upload(vector_store_id=at.store, file=at.upload),
        lambda file: file.status == "in_progress",
    ),
    f"{STORES}.files.upload_and_poll": (
        lambda at: at.stores.files.upload_and_poll(vector_store_id=at.store, file=at.upload, poll_interval_ms=1),
        lambda file: file.status == "completed",
    ),
    f"{STORES}.files.retrieve": (
        lambda at: at.stores.files.retrieve(at.file, vector_store_id=at.store),
        lambda file: file.usage_bytes == 3,
    ),
    f"{STORES}.files.list": (lambda at: at.stores.files.list(at.store), lambda files: len(files) == 2),
    f"{STORES}.files.delete": (
        lambda at: at.stores.files.delete(at.file, vector_store_id=at.store),
        lambda answer: answer.deleted,
    ),
    f"{STORES}.file_batches.create": (
        lambda at: at.batches.create(at.store, file_ids=[at.file, at.other]),
        lambda batch: (batch.status, batch.file_counts.in_progress) == ("in_progress", 2),
    ),
    f"{STORES}.file_batches.create_and_poll": (
        lambda at: at.batches.create_and_poll(at.store, file_ids=[at.file], poll_interval_ms=1),
        lambda batch: (batch.status, batch.file_counts.completed) == ("completed", 1),
    ),
    f"{STORES}.file_batches.upload_and_poll": (
        lambda at: at.batches.upload_and_poll(at.store, files=[at.upload, at.upload], poll_interval_ms=1),
        lambda batch: (batch.status, batch.file_counts.completed) == ("completed", 2),
    ),
    f"{STORES}.file_batches.retrieve": (
        lambda at: at.batches.retrieve(**at.in_batch),
        lambda batch: batch.status == "completed",
    ),
    f"{STORES}.file_batches.poll": (
        lambda at: at.batches.poll(**at.in_batch, poll_interval_ms=1),
        lambda batch: batch.status == "completed",
    ),
    f"{STORES}.file_batches.cancel": (
        lambda at: at.batches.cancel(**at.in_batch),
        lambda batch: (batch.status, batch.file_counts.cancelled) == ("cancelled", 1),
    ),
    f"{STORES}.file_batches.list_files": (
        lambda at: at.batches.list_files(**at.in_batch),
        lambda files: [file.status for file in files] == ["completed"],
    ),
    "embeddings.create": (
        lambda at: at.client.embeddings.create(model="text-embedding-3-small", input=["a", "b"]),
        lambda answer: [len(one.embedding) for one in answer.data] == [1536, 1536],
    ),
    "models.list": (lambda at: at.client.models.list(), lambda models: "gpt-4o" in [model.id for model in models]),
    "models.retrieve": (lambda at: at.client.models.retrieve("gpt-4o"), lambda model: model.owned_by == "system"),
    "chat.completions.create": (
        lambda at: at.chat.create(**at.asking),
        lambda answer: answer.choices[0].message.content == "Well?",
    ),
}

SINCE_RESPONSES: dict[str, tuple[Call, Callable[[Any], bool]]] = {
    "vector_stores.files.update": (
        lambda at: at.stores.files.update(at.file, vector_store_id=at.store, attributes={"a": "1"}),
        lambda file: file.attributes == {"a": "1"},
    ),
    "vector_stores.search": (
        lambda at: at.stores.search(at.store, query="abc"),
        lambda found: [one.score for one in found] == [1.0, 1.0],
    ),
    "chat.completions.parse": (
        lambda at: at.chat.parse(**at.asking),
        lambda answer: answer.choices[0].message.content == "Well?",
    ),
    "chat.completions.stream": (
        lambda at: at.chat.stream(**at.asking),
        lambda answer: answer.choices[0].message.content == "Well?",
    ),
    "responses.create": (
        lambda at: at.responses.create(model="gpt-4o", input="So?", conversation=at.conversation),
        lambda answer: answer.output_text == "So?",
    ),
    "responses.parse": (
        lambda at: at.responses.parse(model="gpt-4o", input="So?"),
        lambda answer: answer.output_text == "So?",
    ),
    "responses.stream": (
        lambda at: at.responses.stream(model="gpt-4o", input="So?", previous_response_id=at.response),
        lambda answer: answer.output_text == "So?",
    ),
    "responses.retrieve": (
        lambda at: at.responses.retrieve(at.response),
        lambda answer: answer.output_text == "Well?",
    ),
    "responses.delete": (lambda at: at.responses.delete(at.response), lambda answer: answer is None),
    "responses.input_items.list": (
        lambda at: at.responses.input_items.list(at.response),
        lambda items: [item.content[0].text for item in items] == ["Well?"],
    ),
    "conversations.create": (
        lambda at: at.conversations.create(metadata={"a": "1"}),
        lambda conversation: conversation.metadata == {"a": "1"},
    ),
    "conversations.retrieve": (
        lambda at: at.conversations.retrieve(at.conversation),
        lambda conversation: conversation.metadata == {},
    ),
    "conversations.update": (
        lambda at: at.conversations.update(at.conversation, metadata={"a": "2"}),
        lambda conversation: conversation.metadata == {"a": "2"},
    ),
    "conversations.delete": (lambda at: at.conversations.delete(at.conversation), lambda answer: answer.deleted),
    "conversations.items.create": (
        lambda at: at.conversations.items.create(at.conversation, items=[{"role": "assistant", "content": "Yes"}]),
        lambda made: [item.role for item in made.data] == ["assistant"],
    ),
    "conversations.items.list": (
        lambda at: at.conversations.items.list(at.conversation, order="asc"),
        lambda items: [item.content[0].text for item in items] == ["Hi"],
    ),
    "conversations.items.retrieve": (
        lambda at: at.conversations.items.retrieve(at.item, conversation_id=at.conversation),
        lambda item: item.role == "user",
    ),
    "conversations.items.delete": (
        lambda at: at.conversations.items.delete(at.item, conversation_id=at.conversation),
        lambda conversation: conversation.object == "conversation",
    ),
}

# What the fake does not serve, and refuses as an unknown address or method.
UNSERVED: dict[str, Call] = {
    "models.delete": lambda at: at.client.models.delete("ft:gpt-4o:mine"),
}
UNSERVED_SINCE_RESPONSES: dict[str, Call] = {
    "vector_stores.files.content": lambda at: at.stores.files.content(at.file, vector_store_id=at.store),
    "responses.cancel": lambda at: at.responses.cancel(at.response),
    "responses.compact": lambda at: at.responses.compact(model="gpt-4o", input="x"),
    "responses.input_tokens.count": lambda at: at.responses.input_tokens.count(model="gpt-4o", input="x"),
    "chat.completions.list": lambda at: at.chat.list(),
    "chat.completions.retrieve": lambda at: at.chat.retrieve("chatcmpl-1"),
    "chat.completions.update": lambda at: at.chat.update("chatcmpl-1", metadata={}),
    "chat.completions.delete": lambda at: at.chat.delete("chatcmpl-1"),
    "chat.completions.messages.list": lambda at: at.chat.messages.list("chatcmpl-1"),
}

# A web socket, which is no request that the fake could answer.
NO_REQUESTS = {"responses.connect"} if HAS_RESPONSES else set()

SERVED = {**CALLS, **(SINCE_RESPONSES if HAS_RESPONSES else {})}
REFUSED = {**UNSERVED, **(UNSERVED_SINCE_RESPONSES if HAS_RESPONSES else {})}


async def taken(result: Any) -> Any:
    """An object, all objects of a pager, or what a stream ends with."""
    if hasattr(result, "__enter__") or hasattr(result, "__aenter__"):
        async with opened(result) as stream:
            last = getattr(stream, "get_final_response", None) or stream.get_final_completion
            return await got(last())
    is_list = hasattr(result, "has_next_page") or hasattr(result, "__aiter__")
    return await (each if is_list else got)(result)


@pytest.mark.anyio
@pytest.mark.parametrize(("way", "is_async"), WAYS, ids=NAMES)
async def test_every_method_is_served_or_refused(fake: FakeAssistants, way: str, is_async: bool) -> None:
    """A method of the installed SDK that is in no table fails, and so does an entry that is no method."""
    async with seated(fake, way, is_async=is_async) as seat:
        assert methods(seat.client, *ROOTS) == {*SERVED, *REFUSED, *NO_REQUESTS}
        scene = await Scene(seat).set()
        fake.load(fake.snapshot())
        for call, shows in SERVED.values():
            fake.reset()
            assert shows(await taken(call(scene)))
        for call in REFUSED.values():
            await _refused(call, scene)


async def _refused(call: Call, scene: Scene) -> None:
    with pytest.raises(openai.APIStatusError, match=r"Invalid URL|Not allowed to") as refused:
        await taken(call(scene))
    assert refused.value.status_code in (404, 405)
