"""The flat keys are what the commonly used sequential script writes, for the same world over the same HTTP."""

import json
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from openai import OpenAI

import strategies
from command import Run
from exports import ASSISTANT, write_ids
from fake_assistants import FakeAssistants, demo_world
from sequential import export


def load(fake: FakeAssistants, threads: dict[str, list[dict[str, Any]]]) -> None:
    """Put threads and their messages into the fake."""
    rows = [{"id": name, "object": "thread", "created_at": 1, "metadata": {}, "tool_resources": {}} for name in threads]
    fake.state = {"threads": rows, "messages": [message for messages in threads.values() for message in messages]}


def by_id(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Rows by message: threads may come in any order, a thread's messages may not."""
    threads: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        threads.setdefault(row["thread_id"], []).append(row)
    return threads


def script_rows(thread_ids: list[str], base_url: str) -> list[dict[str, Any]]:
    """What the sequential script writes."""
    with OpenAI(base_url=base_url) as client:
        return export(thread_ids, ASSISTANT, client)


@given(threads=strategies.threads().filter(bool), full=st.booleans())
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_the_flat_keys_are_what_the_sequential_script_writes(
    threads: dict[str, list[dict[str, Any]]],
    full: bool,
    fake: FakeAssistants,
    base_url: str,
    threadkeep: Run,
    tmp_path: Path,
) -> None:
    """The same rows in the same order within each thread, whether the export is flat or full."""
    load(fake, threads)
    ids = write_ids(tmp_path, *threads)
    out = tmp_path / "out.ndjson"
    assert threadkeep("export", ids, ASSISTANT, out, "--fresh", "--quiet", *([] if full else ["--flat"])).code == 0
    lines = [json.loads(line) for line in out.read_bytes().split(b"\n")[:-1]]
    flat = [{key: value for key, value in line.items() if key != "message"} for line in lines]
    assert by_id(flat) == by_id(script_rows(list(threads), base_url))
    assert all(("message" in line) == full for line in lines)


def test_the_script_and_the_export_agree_on_the_demo_world(
    fake: FakeAssistants, base_url: str, threadkeep: Run, tmp_path: Path
) -> None:
    """Several pages, and every kind of content part."""
    world = demo_world(3, 150)
    fake.load(world)
    names = [thread["id"] for thread in world["threads"]]
    ids = write_ids(tmp_path, *names)
    out = tmp_path / "out.ndjson"
    assert threadkeep("export", ids, ASSISTANT, out, "--flat").code == 0
    rows = [json.loads(line) for line in out.read_bytes().split(b"\n")[:-1]]
    assert len(rows) == 450
    assert by_id(rows) == by_id(script_rows(names, base_url))
