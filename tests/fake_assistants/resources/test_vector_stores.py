"""Vector stores and the files in them, as far as threads and assistants speak of them."""

from collections.abc import Callable
from typing import Any

import pytest

from fake_assistants import FakeAssistants, Reply
from fake_assistants.simulation.clock import EPOCH

Ask = Callable[..., Reply]

DAY = 24 * 60 * 60
STORES = "/v1/vector_stores"


def store(ask: Ask, **fields: Any) -> dict[str, Any]:
    made: dict[str, Any] = ask("POST", STORES, fields).json()
    return made


def counts(**given: int) -> dict[str, int]:
    return {**dict.fromkeys(("in_progress", "completed", "failed", "cancelled", "total"), 0), **given}


def test_a_store_in_full(ask: Ask) -> None:
    """Recorded key order, and what is there when nothing was asked for."""
    made = store(ask)
    assert list(made.items()) == [
        ("id", made["id"]),
        ("object", "vector_store"),
        ("created_at", EPOCH),
        ("name", None),
        ("description", None),
        ("usage_bytes", 0),
        ("file_counts", counts()),
        ("status", "completed"),
        ("expires_after", None),
        ("expires_at", None),
        ("last_active_at", EPOCH),
        ("metadata", {}),
    ]
    assert list(made["file_counts"]) == list(counts())
    assert ask("GET", f"{STORES}/{made['id']}").json() == made


def test_a_store_with_files_is_at_work_in_its_first_answer_only(fake: FakeAssistants, ask: Ask) -> None:
    """Recorded for the creation; afterwards everything is read."""
    fake.load({"files": [{"id": "file-1", "bytes": 21}, {"id": "file-2", "bytes": "many"}]})
    expiry = {"anchor": "last_active_at", "days": 3}
    made = store(ask, name="s", file_ids=["file-1", "file-2", "file-3"], expires_after=expiry, metadata={"a": "b"})
    assert (made["status"], made["file_counts"]) == ("in_progress", counts(in_progress=3, total=3))
    assert (made["usage_bytes"], made["expires_at"]) == (0, EPOCH + 3 * DAY)
    later = ask("GET", f"{STORES}/{made['id']}").json()
    assert later == made | {"status": "completed", "file_counts": counts(completed=3, total=3), "usage_bytes": 21}


def test_a_file_of_a_store_in_full(ask: Ask) -> None:
    """Recorded key order and chunking; the first answer says that it is being read."""
    made = store(ask)
    path = f"{STORES}/{made['id']}/files"
    first = ask("POST", path, {"file_id": "file-1", "attributes": {"a": "b", "n": 1.5, "is": True}}).json()
    assert list(first.items()) == [
        ("id", "file-1"),
        ("object", "vector_store.file"),
        ("usage_bytes", 0),
        ("created_at", EPOCH),
        ("vector_store_id", made["id"]),
        ("status", "in_progress"),
        ("last_error", None),
        (
            "chunking_strategy",
            {"type": "static", "static": {"max_chunk_size_tokens": 800, "chunk_overlap_tokens": 400}},
        ),
        ("attributes", {"a": "b", "n": 1.5, "is": True}),
    ]
    assert ask("GET", f"{path}/file-1").json() == first | {"status": "completed"}
    changed = ask("POST", f"{path}/file-1", {"attributes": None}).json()
    assert changed == first | {"status": "completed", "attributes": {}}


def test_files_come_and_go(ask: Ask) -> None:
    """The store counts them; a file that is taken out is still a file."""
    static = {"type": "static", "static": {"max_chunk_size_tokens": 100, "chunk_overlap_tokens": 0}}
    made = store(ask)
    path = f"{STORES}/{made['id']}/files"
    for name, chunking in (("file-1", {"type": "auto"}), ("file-2", static)):
        assert ask("POST", path, {"file_id": name, "chunking_strategy": chunking}).status == 200
    assert [row["id"] for row in ask("GET", path).json()["data"]] == ["file-2", "file-1"]
    assert [row["id"] for row in ask("GET", f"{path}?filter=completed&limit=1").json()["data"]] == ["file-2"]
    assert ask("GET", f"{path}?filter=failed").json()["data"] == []
    assert ask("GET", f"{path}?filter=lost").status == 400
    assert ask("GET", f"{path}/file-2").json()["chunking_strategy"] == static
    gone = ask("DELETE", f"{path}/file-1").json()
    assert list(gone.items()) == [("id", "file-1"), ("object", "vector_store.file.deleted"), ("deleted", True)]
    assert ask("GET", f"{STORES}/{made['id']}").json()["file_counts"] == counts(completed=1, total=1)
    refused = ask("DELETE", f"{path}/file-1")
    text = f"No file found with id 'file-1' in vector store '{made['id']}'."
    assert (refused.status, refused.json()["error"]["message"]) == (404, text)


def test_a_store_is_modified_field_by_field(ask: Ask) -> None:
    """Null unsets; an expiry counts from now."""
    made = store(ask, name="a", metadata={"a": "b"})
    path = f"{STORES}/{made['id']}"
    expiry = {"anchor": "last_active_at", "days": 1}
    changed = ask("POST", path, {"name": None, "expires_after": expiry}).json()
    assert changed == made | {"name": None, "expires_after": expiry, "expires_at": EPOCH + DAY}
    assert ask("POST", path, {"metadata": None, "expires_after": None}).json() == made | {"name": None, "metadata": {}}
    assert ask("POST", path, {"name": "a", "metadata": {"a": "b"}}).json() == made


def test_a_store_is_deleted_with_what_stands_in_it(fake: FakeAssistants, ask: Ask) -> None:
    """And is not found any more."""
    made = store(ask, file_ids=["file-1"])
    assert [row["id"] for row in ask("GET", STORES).json()["data"]] == [made["id"]]
    gone = ask("DELETE", f"{STORES}/{made['id']}").json()
    assert list(gone.items()) == [("id", made["id"]), ("object", "vector_store.deleted"), ("deleted", True)]
    assert not any(fake.state.values())
    refused = ask("GET", f"{STORES}/{made['id']}/files")
    assert refused.json()["error"]["message"] == f"No vector store found with id '{made['id']}'."


def test_a_store_made_on_the_way_is_one_of_them(ask: Ask) -> None:
    """With its files, and a week to live."""
    search = {"vector_stores": [{"file_ids": ["file-1"], "metadata": {"a": "b"}}]}
    thread = ask("POST", "/v1/threads", {"tool_resources": {"file_search": search}}).json()
    [made] = thread["tool_resources"]["file_search"]["vector_store_ids"]
    kept = ask("GET", f"{STORES}/{made}").json()
    assert (kept["expires_after"], kept["expires_at"]) == (
        {"anchor": "last_active_at", "days": 7},
        EPOCH + 7 * DAY,
    )
    assert [row["id"] for row in ask("GET", f"{STORES}/{made}/files").json()["data"]] == ["file-1"]


def test_odd_stores_are_served_like_any(fake: FakeAssistants, ask: Ask) -> None:
    """Whatever a state brought in is counted by what it says of itself."""
    odd: list[dict[str, Any]] = [
        {"id": "f1", "vector_store_id": "vs_1", "status": ["completed"], "usage_bytes": "x"},
        {"id": "f2", "vector_store_id": "vs_1", "status": "failed", "usage_bytes": 5},
    ]
    fake.load({"vector_stores": [{"id": "vs_1", "file_counts": 7}], "vector_store_files": odd})
    assert ask("GET", f"{STORES}/vs_1/files/f1").json() == odd[0]
    assert ask("DELETE", f"{STORES}/vs_1/files/f1").status == 200
    kept = ask("GET", f"{STORES}/vs_1").json()
    assert (kept["file_counts"], kept["usage_bytes"]) == (counts(failed=1, total=1), 5)


@pytest.mark.parametrize(
    ("path", "body", "param"),
    [
        (STORES, {"colour": "red"}, "colour"),
        (STORES, {"expires_after": {"anchor": "last_active_at", "days": 366}}, "expires_after.days"),
        (f"{STORES}/vs_1/files", {}, "file_id"),
        (f"{STORES}/vs_1/files", {"file_id": "f", "attributes": {"a": []}}, "attributes.a"),
        (f"{STORES}/vs_1/files", {"file_id": "f", "attributes": 5}, "attributes"),
        (f"{STORES}/vs_1/files", {"file_id": "f", "chunking_strategy": {"type": "x"}}, "chunking_strategy.type"),
    ],
)
def test_a_bad_body(fake: FakeAssistants, ask: Ask, path: str, body: Any, param: str) -> None:
    """Refused by the same validator as everywhere."""
    fake.load({"vector_stores": [{"id": "vs_1"}]})
    reply = ask("POST", path, body)
    assert (reply.status, reply.json()["error"]["param"]) == (400, param)
