"""What a recording keeps of a server's answers."""

import json
from collections import Counter
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fake_assistants import FakeAssistants, Reply, Request, demo_world
from fake_assistants.store.recording import Recording

HEADERS = {"Authorization": "Bearer sk-secret-of-a-test", "OpenAI-Beta": "assistants=v2"}


def _request(method: str, target: str, body: Any, **more: str) -> Request:
    return Request.of(method, target, HEADERS | more, b"" if body is None else json.dumps(body).encode())


class Recorded:
    """A fake, and a recording of what it answers."""

    def __init__(self, **options: Any) -> None:
        self.fake = FakeAssistants(**options)
        self.recording = Recording()

    def ask(self, method: str, target: str, body: Any = None, **more: str) -> Reply:
        """Ask, with more headers, and record the answer."""
        request = _request(method, target, body, **more)
        reply = self.fake.handle(request)
        content = (
            reply.body if reply.chunks is None else b"".join(one for one in reply.chunks if isinstance(one, bytes))
        )
        self.recording.see(request, reply.status, reply.header("content-type") or "", content)
        return reply

    def walk(self, path: str, *, order: str = "desc", limit: int = 100) -> list[Any]:
        """Follow the cursors of a list to its end."""
        rows: list[Any] = []
        has_more = True
        while has_more:
            after = f"&after={rows[-1]['id']}" if rows else ""
            page = self.ask("GET", f"{path}?limit={limit}&order={order}{after}").json()
            rows += page["data"]
            has_more = page["has_more"]
        return rows

    def state(self) -> dict[str, Any]:
        """What was recorded, without the kinds that are empty; any fake can load it."""
        loaded = FakeAssistants()
        loaded.load(self.recording.state())
        return {kind: rows for kind, rows in loaded.state.items() if rows}


walks = st.tuples(st.sampled_from(["asc", "desc"]), st.integers(1, 7))


@given(
    seconds=st.lists(st.integers(0, 2), min_size=1, max_size=12),
    first=st.lists(st.integers(0, 11), max_size=4),
    walked=st.lists(walks, min_size=1, max_size=3),
    later=st.integers(0, 3),
)
def test_a_recorded_walk_is_walked_again(
    seconds: list[int], first: list[int], walked: list[tuple[str, int]], later: int
) -> None:
    """In the server's order, whatever was asked before, in any order and page size, and whichever seconds are equal."""
    recorded = Recorded(list_threads=True)
    rows = [{"id": f"msg_{at}", "thread_id": "thread_a", "created_at": second} for at, second in enumerate(seconds)]
    recorded.fake.load({"threads": [{"id": "thread_a", "object": "thread"}], "messages": rows})
    for row in recorded.fake.state["messages"]:
        row["object"] = "thread.message"
        recorded.fake.load({"messages": [row]})
    for at in first:
        recorded.ask("GET", f"/v1/threads/thread_a/messages/msg_{at}")
    for order, limit in walked:
        recorded.walk("/v1/threads/thread_a/messages", order=order, limit=limit)
        for _ in range(later):
            recorded.ask("POST", "/v1/threads/thread_a/messages", {"role": "user", "content": "Later"})
    recorded.walk("/v1/threads/thread_a/messages", order=walked[0][0], limit=walked[0][1])
    assert recorded.state()["messages"] == recorded.fake.state["messages"]


def test_everything_that_was_walked_is_there() -> None:
    """Objects and file contents, as the server has them."""
    world = demo_world(5, 30)
    recorded = Recorded(list_threads=True)
    recorded.fake.load(world)
    recorded.walk("/v1/assistants")
    recorded.walk("/v1/files", limit=10_000)
    for store in recorded.walk("/v1/vector_stores"):
        recorded.walk(f"/v1/vector_stores/{store['id']}/files")
    for thread in recorded.walk("/v1/threads", order="asc"):
        recorded.walk(f"/v1/threads/{thread['id']}/messages", limit=7)
        for run in recorded.walk(f"/v1/threads/{thread['id']}/runs", order="asc", limit=7):
            recorded.walk(f"/v1/threads/{thread['id']}/runs/{run['id']}/steps")
    for file in world["files"]:
        recorded.ask("GET", f"/v1/files/{file['id']}/content")
    closed = {file["id"] for file in world["files"] if file["purpose"] == "assistants"}
    expected = {kind: rows for kind, rows in world.items() if rows}
    expected["file_contents"] = [row for row in world["file_contents"] if row["id"] not in closed]
    assert recorded.state() == expected
    assert recorded.recording.unused == Counter({"status 400": len(closed)})


def test_runs_their_steps_and_streams() -> None:
    """A stream leaves the run, its step and its message as they are at its end; a new version replaces the old one."""
    recorded = Recorded()
    assistant = recorded.ask("POST", "/v1/assistants", {"model": "gpt-4o-mini"}).json()["id"]
    thread = recorded.ask("POST", "/v1/threads", {"messages": [{"role": "user", "content": "Hello"}]}).json()["id"]
    recorded.ask("POST", f"/v1/threads/{thread}/runs", {"assistant_id": assistant, "stream": True})
    run = recorded.ask("POST", f"/v1/threads/{thread}/runs", {"assistant_id": assistant}).json()["id"]
    while recorded.ask("GET", f"/v1/threads/{thread}/runs/{run}").json()["status"] != "completed":
        pass
    recorded.walk(f"/v1/threads/{thread}/runs/{run}/steps")
    recorded.walk(f"/v1/threads/{thread}/messages", limit=2)
    state, real = recorded.state(), recorded.fake.state
    assert [row["status"] for row in state["runs"]] == ["completed", "completed"]
    assert {kind: [row["id"] for row in rows] for kind, rows in state.items()} == {
        kind: [row["id"] for row in rows] for kind, rows in real.items() if rows
    }
    assert not recorded.recording.unused


def test_what_was_deleted_is_gone_with_all_that_it_contained() -> None:
    """Thread, message, file, item."""
    recorded = Recorded()
    thread = recorded.ask("POST", "/v1/threads", {}).json()["id"]
    other = recorded.ask("POST", "/v1/threads", {}).json()["id"]
    messages = [
        recorded.ask("POST", f"/v1/threads/{one}/messages", {"role": "user", "content": "x"}).json()["id"]
        for one in (thread, other, other)
    ]
    recorded.fake.load({"files": [{"id": "file-a", "object": "file", "purpose": "vision"}]})
    recorded.fake.load({"file_contents": [{"id": "file-a", "content": "eHl6"}]})
    recorded.walk("/v1/files")
    recorded.ask("GET", "/v1/files/file-a/content")
    assert recorded.state()["file_contents"]
    recorded.ask("DELETE", "/v1/files/file-a")
    recorded.ask("DELETE", f"/v1/threads/{thread}")
    recorded.ask("DELETE", f"/v1/threads/{other}/messages/{messages[1]}")
    conversation = recorded.ask("POST", "/v1/conversations", {}).json()["id"]
    items = [{"type": "message", "role": "user", "content": text} for text in "ab"]
    made = recorded.ask("POST", f"/v1/conversations/{conversation}/items", {"items": items}).json()["data"]
    recorded.ask("DELETE", f"/v1/conversations/{conversation}/items/{made[0]['id']}")
    state = recorded.state()
    assert [row["id"] for row in state["threads"]] == [other]
    assert [row["id"] for row in state["messages"]] == [messages[2]]
    assert [row["id"] for row in state["conversation_items"]] == [made[1]["id"]]
    assert state == {kind: rows for kind, rows in recorded.fake.state.items() if rows}


def test_conversations_are_recorded_with_their_users() -> None:
    """A user's own ones, those of nobody, and one of which only the items were seen."""
    recorded = Recorded(profile="foundry")
    path = "/api/projects/fake/openai/v1/conversations"
    ada = {"x-ms-user-identity": "ada"}
    items = [{"type": "message", "role": "user", "content": "x"}]
    names = [recorded.ask("POST", path, {"items": items}, **user).json()["id"] for user in (ada, {}, ada)]
    recorded.ask("DELETE", f"{path}/{names[2]}", **ada)
    for name, user in ((names[0], ada), (names[1], {})):
        recorded.ask("GET", f"{path}/{name}/items", **user)
    state = recorded.state()
    assert [row.get("user_identity") for row in state["conversations"]] == ["ada", None]
    assert state == {kind: rows for kind, rows in recorded.fake.state.items() if rows}


def test_responses_are_recorded_with_their_items() -> None:
    """Streamed or not; the items of a list get the name of their parent."""
    recorded = Recorded()
    for is_stream in (False, True):
        body = {"model": "gpt-4o-mini", "input": "Hello", "stream": is_stream}
        recorded.ask("POST", "/v1/responses", body)
    assert [row["id"] for row in recorded.state()["responses"]] == [
        row["id"] for row in recorded.fake.state["responses"]
    ]
    for response in recorded.fake.state["responses"]:
        recorded.ask("GET", f"/v1/responses/{response['id']}")
        recorded.walk(f"/v1/responses/{response['id']}/input_items")
    assert recorded.state() == {kind: rows for kind, rows in recorded.fake.state.items() if rows}


BATCH_BODIES = [
    {"file_ids": ["file-b", "file-a"]},
    {"files": [{"file_id": "file-b"}, {"file_id": "file-a", "attributes": {"n": 1}}]},
]


@pytest.mark.parametrize("body", BATCH_BODIES, ids=["file_ids", "files"])
@pytest.mark.parametrize("is_walked", [False, True])
def test_a_batch_is_recorded_with_its_files(body: dict[str, Any], is_walked: bool) -> None:
    """It does not name them: the request that made it does. Its list does not change the order of the store's."""
    recorded = Recorded()
    store = recorded.ask("POST", "/v1/vector_stores", {"file_ids": ["file-b", "file-c", "file-a"]}).json()["id"]
    batch = recorded.ask("POST", f"/v1/vector_stores/{store}/file_batches", body).json()["id"]
    recorded.walk(f"/v1/vector_stores/{store}/files")
    if is_walked:
        recorded.walk(f"/v1/vector_stores/{store}/file_batches/{batch}/files")
        recorded.ask("GET", f"/v1/vector_stores/{store}/file_batches/{batch}")
    recorded.ask("GET", f"/v1/vector_stores/{store}")
    assert recorded.state() == {kind: rows for kind, rows in recorded.fake.state.items() if rows}
    assert not recorded.recording.unused


def test_the_list_of_a_batch_names_its_files() -> None:
    """Where nobody saw how it was made."""
    recorded = Recorded()
    store = recorded.fake.handle(Request.of("POST", "/v1/vector_stores", HEADERS, b"{}")).json()["id"]
    path = f"/v1/vector_stores/{store}/file_batches"
    made = recorded.fake.handle(Request.of("POST", path, HEADERS, b'{"file_ids": ["file-a", "file-b"]}')).json()
    assert recorded.ask("GET", f"{path}/{made['id']}").status == 200
    recorded.walk(f"{path}/{made['id']}/files", order="asc")
    assert recorded.state()["vector_store_file_batches"] == recorded.fake.state["vector_store_file_batches"]


@pytest.mark.parametrize("body", [b"", b"[", b"[1]", b'{"file_ids": 1, "files": [1, {}, {"file_id": null}]}'])
def test_an_odd_request_for_a_batch_names_no_files(body: bytes) -> None:
    """Whatever made the server accept it."""
    recording = Recording()
    path = "/v1/vector_stores/vs_a/file_batches"
    batch = b'{"object": "vector_store.files_batch", "id": "vsfb_a", "vector_store_id": "vs_a"}'
    recording.see(Request.of("POST", path, HEADERS, body), 200, "application/json", batch)
    assert json.loads(recording.state())["vector_store_file_batches"][0]["file_ids"] == []


def test_a_parent_that_was_not_seen_is_made_up() -> None:
    """As old as its oldest message: a message without a thread could not be loaded. It counts as an object."""
    recorded = Recorded()
    recorded.fake.load(demo_world(1, 3))
    thread, rows = recorded.fake.state["threads"][0]["id"], recorded.fake.state["messages"]
    recorded.walk(f"/v1/threads/{thread}/messages")
    assert recorded.recording.counts() == {"threads": 1, "messages": 3}
    assert [(one["id"], one["created_at"]) for one in recorded.state()["threads"]] == [(thread, rows[0]["created_at"])]


def test_the_key_of_a_request_is_never_written() -> None:
    """Also where a message quotes it; any other text stays."""
    recorded = Recorded()
    thread = recorded.ask("POST", "/v1/threads", {}).json()["id"]
    text = "my key is sk-secret-of-a-test, yours is sk-other"
    recorded.ask("POST", f"/v1/threads/{thread}/messages", {"role": "user", "content": text})
    assert b"secret-of-a-test" not in recorded.recording.state()
    assert b"my key is ***, yours is sk-other" in recorded.recording.state()


@pytest.mark.parametrize(
    ("status", "path", "contents"),
    [
        (200, "/v1/files/file-a/content", [{"id": "file-a", "content": "eHl6"}]),
        (200, "/openai/files/file%2Fa/content?api-version=v1", [{"id": "file/a", "content": "eHl6"}]),
        (206, "/v1/files/file-a/content", None),
        (200, "/v1/vector_stores/vs_a/files/file-a/content", None),
        (200, "/v1/threads/files/content", None),
    ],
)
def test_only_complete_contents_of_files_are_kept(status: int, path: str, contents: Any) -> None:
    """Not a part of one, and not the text that a vector store has of it."""
    recording = Recording()
    recording.see(Request.of("GET", path), status, "application/octet-stream", b"xyz")
    assert json.loads(recording.state()).get("file_contents") == (contents or [])


@pytest.mark.parametrize(
    "headers",
    [{"Authorization": "Bearer a-long-token"}, {"api-key": "a-long-token"}, {"Authorization": "a-long-token"}],
)
def test_keys_are_masked_in_whichever_header_they_come(headers: dict[str, str]) -> None:
    """Every scheme, and without one."""
    recording = Recording()
    body = b'{"object": "thread", "id": "thread_a", "metadata": {"note": "a-long-token"}}'
    recording.see(Request.of("GET", "/v1/threads/thread_a", headers), 200, "application/json", body)
    assert json.loads(recording.state())["threads"][0]["metadata"] == {"note": "***"}


@pytest.mark.parametrize(
    ("content_type", "body", "reason"),
    [
        ("application/json", b"<html>", "not JSON"),
        ("application/json", b'{"object": "chat.completion", "id": "chatcmpl-1"}', "chat.completion"),
        ("application/json", b'{"object": "list", "data": [{"object": "model", "id": "gpt-4o"}]}', "list of model"),
        ("application/json", b"[]", "unknown JSON"),
        ("application/json", b'{"object": "thread.message", "id": "msg_1"}', "thread.message"),
        ("text/event-stream; charset=utf-8", b"data: [DONE]\n\n", "event stream"),
    ],
)
def test_what_cannot_be_used_is_counted(content_type: str, body: bytes, reason: str) -> None:
    """By reason, and nothing is kept of it."""
    recording = Recording()
    recording.see(Request.of("GET", "/v1/something"), 200, content_type, body)
    assert (recording.unused, recording.counts()) == (Counter([reason]), {})


def test_two_lists_with_one_end_are_put_together() -> None:
    """What comes before the same object in two lists comes before it."""
    recording = Recording()
    rows = [{"object": "assistant", "id": f"asst_{name}", "created_at": 1} for name in "abc"]
    for order in ([2], [1, 2], [0, 2]):
        body = json.dumps({"object": "list", "data": [rows[at] for at in order]}).encode()
        recording.see(Request.of("GET", "/v1/assistants?order=asc"), 200, "application/json", body)
    assert [row["id"] for row in json.loads(recording.state())["assistants"]][-1] == "asst_c"


def test_a_deletion_of_what_is_not_kept_is_counted() -> None:
    """By its name."""
    recording = Recording()
    body = b'{"id": "ft:gpt", "object": "model", "deleted": true}'
    recording.see(Request.of("DELETE", "/v1/models/ft:gpt"), 200, "application/json", body)
    assert recording.unused == Counter({"model": 1})


def test_lists_that_disagree_lose_nothing() -> None:
    """A server that changes its order is recorded by its newest word, as far as that goes."""
    recording = Recording()
    rows = [{"object": "assistant", "id": f"asst_{name}", "created_at": 1} for name in "abc"]
    for order in ([0, 1], [1, 2], [2, 0]):
        body = json.dumps({"object": "list", "data": [rows[at] for at in order]}).encode()
        recording.see(Request.of("GET", "/v1/assistants?order=asc"), 200, "application/json", body)
    loaded = FakeAssistants()
    loaded.load(recording.state())
    assert sorted(row["id"] for row in loaded.state["assistants"]) == ["asst_a", "asst_b", "asst_c"]
    assert not any(one == other for one, other in pairwise(loaded.state["assistants"]))
