"""Batches of files in vector stores."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fake_assistants import FakeAssistants, Reply, Request
from fake_assistants.simulation.clock import EPOCH

Ask = Callable[..., Reply]

STORES = "/v1/vector_stores"
HEADERS = {"Authorization": "Bearer k"}


@pytest.fixture
def batches(ask: Ask) -> str:
    """The path of the batches of a new store."""
    return f"{STORES}/{ask('POST', STORES, {}).json()['id']}/file_batches"


def counts(**given: int) -> dict[str, int]:
    return {**dict.fromkeys(("in_progress", "completed", "failed", "cancelled", "total"), 0), **given}


def listed(ask: Ask, path: str) -> list[str]:
    return [row["id"] for row in ask("GET", path).json()["data"]]


def test_a_batch_in_full(ask: Ask, batches: str) -> None:
    """Documented key order; in progress in its first answer, completed once somebody looks."""
    made = ask("POST", batches, {"file_ids": ["file-1", "file-2"], "attributes": {"a": 1}}).json()
    assert list(made.items()) == [
        ("id", made["id"]),
        ("object", "vector_store.files_batch"),
        ("created_at", EPOCH),
        ("vector_store_id", batches.split("/")[3]),
        ("status", "in_progress"),
        ("file_counts", counts(in_progress=2, total=2)),
    ]
    assert len(made["id"]) == len("vsfb_") + 32
    later = ask("GET", f"{batches}/{made['id']}").json()
    assert later == made | {"status": "completed", "file_counts": counts(completed=2, total=2)}
    store = batches.removesuffix("/file_batches")
    assert ask("GET", store).json()["file_counts"] == counts(completed=2, total=2)
    assert ask("GET", f"{store}/files/file-2").json()["attributes"] == {"a": 1}


def test_each_file_has_its_own_settings(ask: Ask, batches: str) -> None:
    """With `files`, what is said for all does not count (documented)."""
    files = [{"file_id": "file-1", "attributes": {"own": True}}, {"file_id": "file-2"}]
    ask("POST", batches, {"files": files, "attributes": {"a": 1}})
    store = batches.removesuffix("/file_batches")
    attributes = [ask("GET", f"{store}/files/file-{one}").json()["attributes"] for one in (1, 2)]
    assert attributes == [{"own": True}, {}]


@given(st.lists(st.lists(st.sampled_from("abcd"), min_size=1, max_size=5), max_size=4))
def test_a_batch_lists_its_own_files(batches: list[list[str]]) -> None:
    """Each of them once, whatever other batches hold; the store has the files of all, and so has a restored state."""
    fake = FakeAssistants()

    def ask(method: str, target: str, body: Any = b"") -> Reply:
        return ask_of(fake, method, target, body)

    store = f"{STORES}/{ask('POST', STORES, {}).json()['id']}"
    made = [ask("POST", f"{store}/file_batches", {"file_ids": ids}).json()["id"] for ids in batches]
    for restored in (False, True):
        if restored:
            fake.state = fake.snapshot()
        for batch, ids in zip(made, batches, strict=True):
            assert sorted(listed(ask, f"{store}/file_batches/{batch}/files")) == sorted(set(ids))
            assert ask("GET", f"{store}/file_batches/{batch}").json()["file_counts"]["total"] == len(set(ids))
        assert set(listed(ask, f"{store}/files")) == {one for ids in batches for one in ids}


def ask_of(fake: FakeAssistants, method: str, target: str, body: Any) -> Reply:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return fake.handle(Request.of(method, target, HEADERS, content))


def test_a_batch_is_cancelled_until_somebody_has_looked(ask: Ask, batches: str) -> None:
    """With its files; afterwards it has ended and stays as it is."""
    first, second = (ask("POST", batches, {"file_ids": [one]}).json()["id"] for one in ("file-1", "file-2"))
    ask("DELETE", f"{batches.removesuffix('/file_batches')}/files/file-3")
    cancelled = ask("POST", f"{batches}/{first}/cancel").json()
    assert (cancelled["status"], cancelled["file_counts"]) == ("cancelled", counts(cancelled=1, total=1))
    assert ask("GET", f"{batches}/{first}").json() == cancelled == ask("POST", f"{batches}/{first}/cancel").json()
    assert listed(ask, f"{batches}/{first}/files?filter=cancelled") == ["file-1"]
    assert listed(ask, f"{batches}/{first}/files?filter=completed") == []
    assert ask("GET", f"{batches}/{second}").json()["status"] == "completed"
    assert ask("POST", f"{batches}/{second}/cancel").json()["status"] == "completed"
    store = ask("GET", batches.removesuffix("/file_batches")).json()
    assert store["file_counts"] == counts(completed=1, cancelled=1, total=2)


def test_a_file_that_left_the_store_is_not_cancelled(ask: Ask, batches: str) -> None:
    """Nor listed."""
    made = ask("POST", batches, {"file_ids": ["file-1", "file-2"]}).json()["id"]
    ask("DELETE", f"{batches.removesuffix('/file_batches')}/files/file-1")
    ask("POST", f"{batches}/{made}/cancel")
    assert listed(ask, f"{batches}/{made}/files") == ["file-2"]


@pytest.mark.parametrize(
    ("body", "code", "param"),
    [
        ({}, "missing_required_parameter", "file_ids"),
        ({"file_ids": []}, "empty_array", "file_ids"),
        ({"files": []}, "empty_array", "files"),
        ({"file_ids": ["a"], "files": [{"file_id": "a"}]}, "mutually_exclusive_parameters", "file_ids"),
        ({"file_ids": ["a"] * 2_001}, "array_above_max_length", "file_ids"),
        ({"files": [{}]}, "missing_required_parameter", "files[0].file_id"),
    ],
)
def test_a_batch_that_is_none_is_refused(ask: Ask, batches: str, body: Any, code: str, param: str) -> None:
    """And no file is attached."""
    reply = ask("POST", batches, body)
    assert (reply.status, reply.json()["error"]["code"], reply.json()["error"]["param"]) == (400, code, param)
    assert listed(ask, f"{batches.removesuffix('/file_batches')}/files") == []


def test_what_is_not_there_is_not_found(ask: Ask, batches: str) -> None:
    """A batch, its store, and a batch of another store; an id of another shape is malformed."""
    other = f"{STORES}/{ask('POST', STORES, {}).json()['id']}/file_batches"
    made = ask("POST", batches, {"file_ids": ["file-1"]}).json()["id"]
    for path, status in ((f"{other}/{made}", 404), (f"{batches}/vsfb_x", 404), (f"{batches}/x", 400)):
        assert [ask(*one).status for one in (("GET", path), ("POST", f"{path}/cancel"), ("GET", f"{path}/files"))] == [
            status
        ] * 3
    assert ask("GET", f"{STORES}/vs_x/file_batches/{made}").status == 404
    assert ask("DELETE", batches.removesuffix("/file_batches")).status == 200
    assert ask("GET", f"{batches}/{made}").status == 404
