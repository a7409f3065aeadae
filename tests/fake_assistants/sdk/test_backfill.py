"""The migration guide's back-fill: a thread is read by the SDK and carried into a conversation, 20 items at a time."""

from typing import Any

import openai
import pytest

from fake_assistants import FakeAssistants
from sdkways import DEPRECATIONS, HAS_RESPONSES, NAMES, WAYS, Seat, each, got, seated

pytestmark = [pytest.mark.filterwarnings(said) for said in DEPRECATIONS]

PORTION = 20


class ByMethods:
    """Conversations as the SDK has them, since its second major."""

    def __init__(self, client: Any) -> None:
        self.client = client

    async def begin(self, items: list[Any]) -> str:
        return str((await got(self.client.conversations.create(items=items))).id)

    async def extend(self, conversation: str, items: list[Any]) -> None:
        await got(self.client.conversations.items.create(conversation, items=items))

    async def read(self, conversation: str) -> list[Any]:
        items = await each(self.client.conversations.items.list(conversation, order="asc", limit=7))
        return [item.to_dict() for item in items]


class ByPost:
    """The same with any SDK, by its plain requests."""

    def __init__(self, client: Any) -> None:
        self.client = client

    async def begin(self, items: list[Any]) -> str:
        made = await got(self.client.post("/conversations", body={"items": items}, cast_to=object))
        return str(made["id"])

    async def extend(self, conversation: str, items: list[Any]) -> None:
        await got(self.client.post(f"/conversations/{conversation}/items", body={"items": items}, cast_to=object))

    async def read(self, conversation: str) -> list[Any]:
        path, rows, after = f"/conversations/{conversation}/items?order=asc&limit=7", [], ""
        while True:
            page = await got(self.client.get(path + after, cast_to=object))
            rows += page["data"]
            after = f"&after={page['last_id']}"
            if not page["has_more"]:
                return rows


HOWS = [ByPost, *([ByMethods] if HAS_RESPONSES else [])]


def item(message: Any) -> dict[str, Any]:
    """A message as an item, as the guide has it."""
    kind = "input_text" if message.role == "user" else "output_text"
    content: list[dict[str, Any]] = []
    for part in message.content:
        if part.type == "text":
            content.append({"type": kind, "text": part.text.value})
        elif part.type == "image_url":
            image = {"type": "input_image", "image_url": part.image_url.url, "detail": part.image_url.detail}
            content.append(image)
    return {"role": message.role, "content": content}


async def talk(seat: Seat, turns: int) -> None:
    """Turns of a user, the last with an image, and of the model."""
    seat.fake.script.set({"default": [{"reply": "Sí 🌮"}]})
    image = {"type": "image_url", "image_url": {"url": "https://example.com/a.png", "detail": "low"}}
    for turn in range(turns):
        parts = [{"type": "text", "text": f"Turn {turn}"}, *([image] if turn == turns - 1 else [])]
        await got(seat.threads.messages.create(thread_id=seat.thread, role="user", content=parts))
        await seat.run()


@pytest.mark.anyio
@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize(("way", "is_async"), WAYS, ids=NAMES)
async def test_a_thread_becomes_a_conversation(fake: FakeAssistants, way: str, is_async: bool, how: Any) -> None:
    """Every message once, in order; what is said after it stands behind."""
    async with seated(fake, way, is_async=is_async) as seat:
        await talk(await seat.furnish(), 22)
        items = [item(message) for message in await seat.messages()]
        conversations = how(seat.client)
        conversation = await conversations.begin(items[:PORTION])
        for start in range(PORTION, len(items), PORTION):
            await conversations.extend(conversation, items[start : start + PORTION])
        read = await conversations.read(conversation)
        assert len(items) == 45
        assert [_said(one) for one in read] == [_said(one) for one in items]
        body = {"model": "gpt-4o", "conversation": conversation, "input": "And now?"}
        await got(seat.client.post("/responses", body=body, cast_to=object))
        assert [one["role"] for one in (await conversations.read(conversation))[45:]] == ["user", "assistant"]


def _said(item: dict[str, Any]) -> Any:
    """The role, and what each part has to say."""
    return item["role"], [(part["type"], part.get("text") or part.get("image_url")) for part in item["content"]]


@pytest.mark.anyio
async def test_all_items_at_once_are_too_many(fake: FakeAssistants) -> None:
    """As the guide's own code does it."""
    async with seated(fake, "transport", is_async=False) as seat:
        with pytest.raises(openai.BadRequestError, match="maximum length 20, but got"):
            await ByPost(seat.client).begin([{"role": "user", "content": "Hi"}] * 21)
