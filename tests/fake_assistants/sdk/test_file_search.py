"""The usual set-up of an assistant that searches files, as its builders write it with the official SDK."""

import io
from typing import Any

import pytest

from fake_assistants import FakeAssistants
from sdkways import DEPRECATIONS, HAS_RESPONSES, NAMES, WAYS, Seat, at, each, got, seated

pytestmark = [pytest.mark.filterwarnings(said) for said in DEPRECATIONS]

STORES = "vector_stores" if HAS_RESPONSES else "beta.vector_stores"

HANDBOOK = b"Employees have 30 days of vacation a year. Unused days expire in March."
MENU = b"On Fridays there is fish."

CITED = {"file_id": "file-handbook"}
ANSWER = {
    "type": "text",
    "text": {
        "value": "30 days a year【4:0†handbook.txt】.",
        "annotations": [
            {
                "type": "file_citation",
                "text": "【4:0†handbook.txt】",
                "start_index": 14,
                "end_index": 32,
                "file_citation": CITED,
            }
        ],
    },
}
FOUND = {"file_id": "file-handbook", "file_name": "handbook.txt", "score": 0.9, "content": []}


async def store_of(seat: Seat) -> Any:
    """A store with both files, uploaded in a batch and waited for."""
    stores = at(seat.client, STORES)
    store = await got(stores.create(name="Handbooks"))
    files = [("handbook.txt", io.BytesIO(HANDBOOK)), ("menu.txt", io.BytesIO(MENU))]
    batch = await got(stores.file_batches.upload_and_poll(vector_store_id=store.id, files=files, poll_interval_ms=1))
    assert (batch.status, batch.file_counts.completed, batch.file_counts.total) == ("completed", 2, 2)
    listed = await each(stores.file_batches.list_files(batch.id, vector_store_id=store.id, order="asc"))
    assert [file.status for file in listed] == ["completed", "completed"]
    return await got(stores.retrieve(store.id))


@pytest.mark.anyio
@pytest.mark.parametrize(("way", "is_async"), WAYS, ids=NAMES)
async def test_an_assistant_that_searches_files(fake: FakeAssistants, way: str, is_async: bool) -> None:
    """Model, store, batch, assistant, thread, run, steps and citation, one after the other, on every way in."""
    fake.script = {"default": [{"search": {"results": [FOUND]}}, {"reply": [ANSWER]}]}
    async with seated(fake, way, is_async=is_async) as seat:
        assert "gpt-4o" in [model.id for model in await each(seat.client.models.list())]
        store = await store_of(seat)
        assert store.usage_bytes == len(HANDBOOK) + len(MENU)
        resources: Any = {"file_search": {"vector_store_ids": [store.id]}}
        made = await got(
            seat.client.beta.assistants.create(
                model="gpt-4o", tools=[{"type": "file_search"}], tool_resources=resources
            )
        )
        seat.assistant = made.id
        seat.thread = (await got(seat.threads.create(messages=[{"role": "user", "content": "How long?"}]))).id
        run = await seat.run()
        assert run.status == "completed"
        newest = (await seat.messages())[-1].content[0].text
        assert newest.annotations[0].file_citation.file_id == CITED["file_id"]
        steps = await seat.steps(run)
        assert steps[0].step_details.tool_calls[0].type == "file_search"
    batched = fake.requests.to("POST", "/vector_stores/*/file_batches").only().body
    assert sorted(batched["file_ids"]) == sorted(file["id"] for file in fake.state["files"])


async def searched(seat: Seat, store: str, **asked: Any) -> list[Any]:
    """What a search finds; by a plain request where the SDK is older than the route."""
    if HAS_RESPONSES:
        return [one.to_dict() for one in await each(seat.client.vector_stores.search(store, **asked))]
    answer: Any = await got(seat.client.post(f"/vector_stores/{store}/search", cast_to=object, body=asked))
    return list(answer["data"])


@pytest.mark.anyio
@pytest.mark.parametrize("is_async", [False, True])
async def test_a_store_is_searched(fake: FakeAssistants, is_async: bool) -> None:
    """By words where nothing is scripted, and else with what is scripted."""
    async with seated(fake, "transport", is_async=is_async) as seat:
        store = await store_of(seat)
        found = await searched(seat, store.id, query="vacation days", max_num_results=1)
        assert [(one["filename"], one["content"][0]["text"]) for one in found] == [("handbook.txt", HANDBOOK.decode())]
        fake.script = {"searches": [[{"content": "x", "score": 0.5}]]}
        scripted = await searched(seat, store.id, query="anything")
        assert [(one["score"], one["content"][0]["text"]) for one in scripted] == [(0.5, "x")]


def product(one: list[float], other: list[float]) -> float:
    """How near two vectors of length 1 are."""
    return sum(first * second for first, second in zip(one, other, strict=True))


@pytest.mark.anyio
@pytest.mark.parametrize("is_async", [False, True])
async def test_a_store_of_ones_own_from_embeddings(fake: FakeAssistants, is_async: bool) -> None:
    """The nearest text is the one with the same words."""
    async with seated(fake, "transport", is_async=is_async) as seat:
        texts = [HANDBOOK.decode(), MENU.decode(), "days of vacation"]
        answer = await got(seat.client.embeddings.create(model="text-embedding-3-large", input=texts, dimensions=256))
        handbook, menu, asked = [one.embedding for one in answer.data]
        assert product(asked, handbook) > product(asked, menu)
        assert [len(one) for one in (handbook, menu, asked)] == [256] * 3
