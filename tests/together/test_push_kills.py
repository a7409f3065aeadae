"""A push that is killed at any moment, while answers are lost, refused and failed: each thread is pushed once."""

import json
import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
import pytest

from command import Run
from exports import ASSISTANT
from fake_assistants import FakeAssistants, demo_world
from push_kills import Death, PushProcesses, push_processes
from threadkeep import decode, export, read, to_response_items
from watched import Watched

KILLS = 50

SIZES = {2000: 1, 300: 2, 100: 5, 40: 12, 21: 20, 10: 40, 4: 70, 2: 70, 1: 80}
"""How many threads have so many messages: 300, of which most are short."""

TARGETS = {"openai": "", "foundry": "/openai/v1"}
"""The profiles, and what is behind the fake's base path."""


def faults() -> Iterator[Mapping[str, Any]]:
    """Of each kind of request 5 % get no answer: half of these are carried out. Others are refused, or fail."""
    effects: Sequence[tuple[float, Mapping[str, Any]]] = (
        (0.025, {"drop": "before"}),
        (0.025, {"drop": "mid-body"}),
        (0.005, {"status": 429, "headers": {"retry-after-ms": "10"}}),
        (0.02, {"status": 500}),
    )
    for method, path in (("POST", "/conversations$"), ("POST", "/items$"), ("GET", "")):
        for probability, effect in effects:
            yield {"match": {"method": method, "path": path, "probability": probability}, "do": effect}


@attrs.frozen
class Exported:
    """An export of 300 threads, with the files that their messages refer to.

    Attributes:
        items: of each thread, as they are to be sent.
    """

    out: Path
    files: Mapping[str, list[dict[str, Any]]]
    items: Mapping[str, list[dict[str, Any]]]


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    """One for all tests here, none of which changes it."""
    out = tmp_path_factory.mktemp("export") / "out.ndjson"
    source = Watched.holding(*(demo_world(count, size, seed=size) for size, count in SIZES.items()))
    world = source.snapshot()
    ids = [thread["id"] for thread in world["threads"]]
    with source.serve() as server:
        export(ids, ASSISTANT, out, base_url=server.base_url, api_key="sk-test", include=("threads",))
    with read(out) as written:
        items = {
            thread.thread_id: to_response_items(map(decode, thread.messages.lines()))[0] for thread in written.threads()
        }
    assert len(items) == 300
    return Exported(out, {name: world[name] for name in ("files", "file_contents")}, items)


@pytest.fixture(scope="module")
def processes() -> Iterator[PushProcesses]:
    """The program that forks them."""
    with push_processes() as program:
        yield program


@pytest.mark.parametrize("profile", TARGETS)
def test_50_kills_leave_each_thread_in_one_conversation(
    profile: str,
    exported: Exported,
    processes: PushProcesses,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    threadkeep: Run,
) -> None:
    """With all its items, once and in order; what else is left over is empty and named, and on Foundry nothing is."""
    draw = random.Random(profile)
    fake = Watched(profile=profile, faults=faults(), seed=7)
    fake.load(exported.files)
    out = tmp_path / "out.ndjson"
    for path in exported.out.parent.glob("out.*"):
        (tmp_path / path.name).hardlink_to(path)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
    with fake.serve() as server:
        address = ("--base-url", server.base_url + TARGETS[profile], "--target", profile)
        arguments = ("push", out, "--to", "conversations", *address, "--quiet")
        codes = Counter(killed(fake, processes, draw, *arguments) for _ in range(KILLS))
        assert set(codes) == {-9}, codes
        done = threadkeep(*arguments, "--json", "--verify")
        assert (done.code, done.err) == (0, "")
        summary = json.loads(done.out)
        assert (summary["pushed"], summary["verified"]) == (len(exported.items), len(exported.items))
        before = len(fake.requests)
        assert threadkeep(*arguments).code == 0
        assert not fake.requests[before:]
    others = check_conversations(fake, exported, mapped(out))
    named = Counter(summary["leftovers"])
    assert others <= named
    assert named.total() == 0 if profile == "foundry" else others.total() > 0


def killed(fake: Watched, processes: PushProcesses, draw: random.Random, *arguments: object) -> int:
    """Push until a moment that is drawn: of the requests, of the records in the store, or of the other files."""
    kind, arguments = draw.random(), (*arguments, "--concurrency", draw.choice((4, 16, 64)))
    if kind < 0.5:
        return processes.killed_by(fake, draw.randrange(1, 60), *arguments)
    death: Death = ("before change", 1)  # when it locks
    if kind < 0.95:
        death = ("after record" if draw.random() < 0.5 else "before record", draw.randrange(1, 30))
    return processes.run(*arguments, death=death)


def mapped(out: Path) -> dict[str, str]:
    """The conversation of each thread, as the map has it."""
    lines = out.with_name(f"{out.name}.conversations.ndjson").read_bytes().splitlines()
    rows = [json.loads(line) for line in lines]
    assert all(row["verified"] for row in rows)
    return {row["thread_id"]: row["conversation_id"] for row in rows}


def check_conversations(fake: FakeAssistants, exported: Exported, found: Mapping[str, str]) -> Counter[str]:
    """Compare what the fake has with what was exported; return of which threads there are other conversations.

    These are empty.
    """
    world = fake.snapshot()
    items: dict[str, list[Any]] = {conversation["id"]: [] for conversation in world["conversations"]}
    for item in world["conversation_items"]:
        items[item["conversation_id"]].append(item)
    assert {name for name, sent in exported.items.items() if sent} == {*found}
    for thread_id, conversation_id in found.items():
        there, sent = items.pop(conversation_id), exported.items[thread_id]
        assert len(there) == len(sent), thread_id
        assert all(map(holds, there, sent)), thread_id
    assert not any(items.values())
    return Counter(row["metadata"]["thread_id"] for row in world["conversations"] if row["id"] in items)


def holds(there: Any, sent: Any) -> bool:
    """Whether something has all that was sent; the server adds some."""
    if isinstance(sent, dict):
        return isinstance(there, dict) and all(name in there and holds(there[name], sent[name]) for name in sent)
    if isinstance(sent, list):
        return isinstance(there, list) and len(there) == len(sent) and all(map(holds, there, sent))
    return bool(there == sent)
