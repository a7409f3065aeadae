"""``threadkeep push --verify``: whatever is damaged at the target is found, with its kind and its place."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from command import Done, Run
from exporting import threads_of
from fake_assistants import Request
from pushes import Target, export_of, rows_of_map

Damage = Callable[[Any], object]

PROJECT = "/api/projects/fake/openai/v1"


@pytest.fixture(params=["openai", "foundry"])
def target(request: pytest.FixtureRequest) -> Target:
    """A server of each kind."""
    return Target(request.param)


@pytest.fixture
def fake(target: Target) -> Any:
    """The one that is served."""
    return target.fake


@pytest.fixture
def push(base_url: str, target: Target, tmp_path: Path, threadkeep: Run) -> Callable[..., Done]:
    """Push an export of three threads to it."""
    out = export_of(tmp_path, threads_of(a=45, b=3, c=1), metadata={"thread_a": {"user": "u-1", "plan": "pro"}})
    address = base_url if target.kind == "openai" else base_url.replace("/api/projects/fake", PROJECT)
    given = ("--to", "conversations", "--base-url", address, "--target", target.kind)
    return lambda *options: threadkeep("push", out, *given, *options)


@pytest.fixture
def pushed(push: Callable[..., Done]) -> Callable[..., Done]:
    """The same, when all is there."""
    done = push("--verify")
    assert (done.code, done.err) == (0, "")
    assert "verified      3 of 3" in done.out
    return push


def assert_found(push: Callable[..., Done], out: Path, target: Target, words: str, thread_id: str = "thread_a") -> None:
    """A verification ends with 1 and names the place on standard error and as JSON, the map has it; nothing is sent."""
    before, rows = target.written, rows_of_map(out)
    place = f"{rows[thread_id]['conversation_id']}: {words}"
    done = push("--verify", "--json")
    assert done.code == 1
    assert f"{thread_id}: failed: {place}\n" in done.err
    assert "threadkeep: 1 conversation not verified (3 of 3 threads pushed)\n" in done.err
    assert "--anew" in done.err
    said = json.loads(done.out)
    assert (said["exit"], said["pushed"], said["verified"], said["problem_count"]) == (1, 3, 2, 1)
    assert said["problems"] == [{"thread_id": thread_id, "reason": place}]
    assert {name: row["verified"] for name, row in rows_of_map(out).items()} == {
        name: name != thread_id for name in rows
    }
    assert target.written == before


def doubled(place: int) -> Damage:
    """An item comes twice."""
    return lambda rows: rows.insert(place, {**rows[place], "id": "msg_double"})


def swapped(place: int) -> Damage:
    """Two neighbours change places."""
    return lambda rows: rows.__setitem__(slice(place, place + 2), rows[place : place + 2][::-1])


def other(row: dict[str, Any]) -> dict[str, Any]:
    """An item of others in the conversation of this one."""
    content = [{"type": "input_text", "text": "Hello again"}]
    item = {"id": "msg_other", "type": "message", "status": "completed", "role": "user", "content": content}
    return {**item, "conversation_id": row["conversation_id"]}


ITEMS: dict[str, tuple[Damage, str]] = {
    "first removed": (lambda rows: rows.pop(0), "item 1 is gone"),
    "one removed": (lambda rows: rows.pop(20), "item 21 is gone"),
    "last removed": (lambda rows: rows.pop(), "item 45 is gone"),
    "text changed": (lambda rows: rows[21]["content"][0].update(text="number 21!"), "item 22 is changed"),
    "role changed": (lambda rows: rows[0].update(role="assistant"), "item 1 is changed"),
    "part added": (lambda rows: rows[44]["content"].append({"type": "input_text", "text": ""}), "item 45 is changed"),
    "first doubled": (doubled(0), "item 2 is there twice"),
    "one doubled": (doubled(30), "item 32 is there twice"),
    "last doubled": (doubled(44), "item 46 is there twice"),
    "first swapped": (swapped(0), "item 1 is in another place"),
    "two swapped": (swapped(19), "item 20 is in another place"),
    "last swapped": (swapped(43), "item 44 is in another place"),
    "one added": (lambda rows: rows.insert(44, other(rows[0])), "item 45 was not sent by this push"),
}


@pytest.mark.parametrize(("damage", "words"), ITEMS.values(), ids=ITEMS)
def test_each_single_damage_of_items_is_found(
    damage: Damage, words: str, pushed: Callable[..., Done], target: Target, out: Path
) -> None:
    """Whatever it is, and wherever."""
    target.change_items(damage, of="thread_a")
    assert_found(pushed, out, target, words)


def test_what_is_as_it_was_again_is_verified_again(pushed: Callable[..., Done], target: Target, out: Path) -> None:
    """The next run looks at everything anew."""
    state = target.fake.state
    target.change_items(lambda rows: rows.pop(), of="thread_a")
    done = pushed("--verify")
    assert (done.code, done.out.splitlines()[3]) == (1, "  verified      2 of 3")
    done = pushed("--verify", "--quiet")
    assert (done.code, done.out) == (1, "")
    assert "item 45 is gone" in done.err
    target.fake.state = state
    assert pushed("--verify").code == 0
    assert all(row["verified"] for row in rows_of_map(out).values())


def test_no_more_than_five_places_are_named(pushed: Callable[..., Done], target: Target, out: Path) -> None:
    """Where all items are gone."""
    target.change_items(lambda rows: rows.clear(), of="thread_a")
    five = ", ".join(f"item {number} is gone" for number in range(1, 6))
    assert_found(pushed, out, target, f"{five}, and 40 more")


def test_items_of_another_conversation_are_found(pushed: Callable[..., Done], target: Target) -> None:
    """In both."""
    state = target.fake.state
    one, other = (target.conversations[name]["id"] for name in ("thread_b", "thread_c"))
    ids = {one: other, other: one}
    for row in state["conversation_items"]:
        row["conversation_id"] = ids.get(row["conversation_id"], row["conversation_id"])
    target.fake.state = state
    done = pushed("--verify", "--json")
    assert done.code == 1
    found = json.loads(done.out)
    # The longer one begins as the shorter one does, which may have been continued.
    assert [row["thread_id"] for row in found["problems"]] == ["thread_b"]
    assert found["continued"] == 1


def test_a_conversation_may_be_continued(pushed: Callable[..., Done], target: Target, out: Path) -> None:
    """What the application has added behind the items is counted, and is no difference, unless an item comes twice."""
    target.change_items(lambda rows: rows.append(other(rows[0])), of="thread_a")
    done = pushed("--verify")
    assert (done.code, done.err) == (0, "")
    assert "  continued     1 conversation since" in done.out
    assert all(row["verified"] for row in rows_of_map(out).values())


@pytest.mark.parametrize("damage", [lambda rows: rows.pop(20), lambda rows: rows.clear()])
def test_threads_are_pushed_anew_whose_conversation_is_not_as_it_was_sent(
    damage: Damage, pushed: Callable[..., Done], target: Target, out: Path
) -> None:
    """Once: into a new conversation, which the map has from then on. The old one stays, and is named."""
    old = rows_of_map(out)
    target.change_items(damage, of="thread_a")
    assert pushed("--anew").code == 0  # nothing was found yet
    assert pushed("--verify").code == 1
    assert pushed().code == 1  # what was found stays true
    done = pushed("--anew", "--verify")
    assert (done.code, done.err) == (0, "")
    replaced = f"replaced 1 conversation of threads that were pushed anew: {old['thread_a']['conversation_id']}"
    assert replaced in " ".join(done.out.split())
    new = rows_of_map(out)
    assert {name for name in new if new[name]["conversation_id"] != old[name]["conversation_id"]} == {"thread_a"}
    written = len(target.written)
    done = pushed("--anew", "--verify")
    assert (done.code, "replaced" in done.out) == (0, False)
    assert len(target.written) == written


METADATA: dict[str, tuple[Damage, str]] = {
    "removed": (lambda pairs: pairs.pop("user"), "user"),
    "changed": (lambda pairs: pairs.update(plan="free"), "plan"),
    "times changed": (lambda pairs: pairs.update(times="1,2"), "times"),
    "all removed but one": (lambda pairs: [pairs.pop(key) for key in ("user", "times")], "user, times"),
}


@pytest.mark.parametrize(("damage", "words"), METADATA.values(), ids=METADATA)
def test_each_damage_of_metadata_is_found(
    damage: Damage, words: str, pushed: Callable[..., Done], target: Target, out: Path
) -> None:
    """And the key is named."""
    state, conversation_id = target.fake.state, target.conversations["thread_a"]["id"]
    damage(next(row["metadata"] for row in state["conversations"] if row["id"] == conversation_id))
    target.fake.state = state
    assert_found(pushed, out, target, f"metadata is gone or changed: {words}")


def test_pairs_that_others_have_added_are_no_damage(pushed: Callable[..., Done], target: Target) -> None:
    """An application may write its own there."""
    state = target.fake.state
    state["conversations"][0]["metadata"]["topic"] = "invoices"
    target.fake.state = state
    assert pushed("--verify").code == 0


def test_a_deleted_conversation_is_found(pushed: Callable[..., Done], target: Target, out: Path) -> None:
    """It is named with what the server says, and not created anew."""
    conversation_id, before = target.conversations["thread_b"]["id"], target.written
    prefix = "/v1" if target.kind == "openai" else PROJECT
    request = Request.of("DELETE", f"{prefix}/conversations/{conversation_id}", {"Authorization": "Bearer sk-test"})
    assert target.fake.handle(request).status == 200
    done = pushed("--verify")
    assert done.code == 1
    assert "thread_b: failed: it cannot be read back: 404" in done.err
    assert conversation_id in done.err
    assert rows_of_map(out)["thread_b"]["verified"] is False
    assert len(target.written) == len(before) + 1  # the deletion


def test_without_verify_nothing_is_read_back(pushed: Callable[..., Done], target: Target) -> None:
    """A push of what was pushed asks for nothing."""
    target.change_items(lambda rows: rows.pop(), of="thread_a")
    asked = len(target.fake.requests)
    done = pushed()
    assert (done.code, done.err) == (0, "")
    assert len(target.fake.requests) == asked


def test_an_outage_proves_nothing(pushed: Callable[..., Done], target: Target, out: Path) -> None:
    """What could not be read back is not pushed anew, and is verified again."""
    old = rows_of_map(out)
    target.fake.faults = [{"match": {"method": "GET"}, "do": {"status": 400}}]
    assert pushed("--verify").code == 1
    target.fake.faults = []
    done = pushed("--anew", "--verify")
    assert (done.code, done.err) == (0, "")
    assert {name: row["conversation_id"] for name, row in rows_of_map(out).items()} == {
        name: row["conversation_id"] for name, row in old.items()
    }


def test_last_items_that_are_there_twice_are_no_continuation(pushed: Callable[..., Done], target: Target) -> None:
    """Whatever somebody has added behind them."""

    def damage(rows: list[dict[str, Any]]) -> None:
        rows.extend([{**row, "id": f"msg_again_{number}"} for number, row in enumerate(rows[-5:])])
        rows.append(other(rows[0]))

    target.change_items(damage, of="thread_a")
    done = pushed("--verify", "--json")
    assert (done.code, json.loads(done.out)["continued"]) == (1, 0)
    assert "item 46 is there twice" in done.err
