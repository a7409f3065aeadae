"""The house: what may be imported, what is public, and a demo that shows everything."""

import csv
import json
import re
import subprocess
import sys
import zlib
from collections import Counter
from importlib.metadata import version
from io import StringIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

import fake_assistants
from fake_assistants import Clock, FakeAssistants, Request, demo_world
from fake_assistants.cli import record, serve
from fake_assistants.conformance.command import conformance
from fake_assistants.dispatch.control import CONTROLS
from pages import OF_THE_FAKE

HEADERS = {"Authorization": "Bearer sk-test", "OpenAI-Beta": "assistants=v2"}

# The fields of runs and steps that do not depend on when and about what.
SAME = {"object", "assistant_id", "thread_id", "status", "type", "model", "instructions", "tools", "expires_at"}

HEAVY = ["openai", "respx", "httpx", "httpx2", "starlette", "uvicorn", "threadkeep"]


def test_importing_the_package_loads_no_library() -> None:
    """Skins bring them in when they are used."""
    code = f"import sys, fake_assistants; print([name for name in {HEAVY!r} if name in sys.modules])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == "[]\n"


def test_all_is_what_the_package_shows() -> None:
    """Nothing public is missing from __all__, and nothing in it is missing."""
    public = {
        name
        for name, value in vars(fake_assistants).items()
        if not name.startswith("_") and getattr(value, "__module__", "").startswith("fake_assistants.")
    }
    assert sorted(public) == fake_assistants.__all__
    assert fake_assistants.__version__ == version("fake-assistants")


def test_the_demo_holds_every_kind_of_part_and_the_odd_things_too() -> None:
    """In its default size; and it is the same each time."""
    world = demo_world()
    messages = world["messages"]
    parts = [part for message in messages for part in message["content"]]
    notes = [note for part in parts if part["type"] == "text" for note in part["text"]["annotations"]]
    text = "".join(part["text"]["value"] for part in parts if part["type"] == "text")
    times = [message["created_at"] for message in messages]
    assert {part["type"] for part in parts} == {"text", "image_file", "image_url", "refusal", "input_audio"}
    assert {note["type"] for note in notes} == {"file_citation", "file_path"}
    assert any(message["attachments"] for message in messages)
    assert any(message["metadata"] for message in messages)
    assert any(not message["content"] for message in messages)
    assert any(message["role"] == "assistant" and not message["run_id"] for message in messages)
    assert "\u2028" in text
    assert re.search("[\U00010000-\U0010ffff]", text)
    assert len(set(times)) < len(times)
    assert demo_world() == world != demo_world(seed=1)


def test_annotations_of_the_demo_stand_where_they_say() -> None:
    """value[start:end] is the marker, in code points."""
    for message in demo_world()["messages"]:
        for part in message["content"]:
            for note in part.get("text", {}).get("annotations", ()):
                value = part["text"]["value"]
                assert value[note["start_index"] : note["end_index"]] == note["text"]


def test_the_demo_comes_in_every_size() -> None:
    """Also without messages, also without threads."""
    for threads, messages in ((0, 0), (3, 0), (2, 1), (1, 40)):
        fake = FakeAssistants()
        fake.load(demo_world(threads, messages))
        state = fake.state
        assert (len(state["threads"]), len(state["messages"])) == (threads, threads * messages)


def test_the_demos_threads_are_as_different_as_real_ones() -> None:
    """Without a number of messages: none, some, hundreds; created over a year; the same for the same seed."""
    world = demo_world(200, None)
    counts = Counter(message["thread_id"] for message in world["messages"])
    lengths = sorted(counts[thread["id"]] for thread in world["threads"])
    assert lengths[0] == 0
    assert 380 <= lengths[-1] <= 400
    assert 10 < lengths[100] < 100
    created = [thread["created_at"] for thread in world["threads"]]
    assert created == sorted(created)
    assert 360 < (created[-1] - created[0]) / 86_400 < 365
    assert len({message["assistant_id"] for message in world["messages"]}) == len(world["assistants"]) + 1
    assert demo_world(200, None) == world


@given(threads=st.integers(1, 5), messages=st.none() | st.integers(0, 300), seed=st.integers(0, 9))
def test_the_demos_messages_are_in_order_and_in_the_past(threads: int, messages: int | None, seed: int) -> None:
    """Of each thread, behind its creation; what they name is there."""
    world = demo_world(threads, messages, seed=seed)
    files = {file["id"] for file in world["files"]}
    when = {thread["id"]: thread["created_at"] for thread in world["threads"]}
    for message in world["messages"]:
        assert when[message["thread_id"]] <= message["created_at"] <= Clock().now()
        when[message["thread_id"]] = message["created_at"]
    named = re.findall(r"'file_id': '([^']+)'", str(world["messages"]))
    assert set(named) <= files
    assert {row["id"] for row in world["vector_store_files"]} <= files


@given(threads=st.integers(0, 9), messages=st.none() | st.integers(0, 60), seed=st.integers(0, 9))
def test_each_run_that_a_message_of_the_demo_names_is_there(threads: int, messages: int | None, seed: int) -> None:
    """With one step, which names the message; nothing in it is left open."""
    fake = FakeAssistants()
    fake.load(demo_world(threads, messages, seed=seed))
    written = [message for message in fake.state["messages"] if message["run_id"]]
    assert len(written) == len(fake.state["runs"]) == len(fake.state["run_steps"])
    for message in written:
        path = f"/v1/threads/{message['thread_id']}/runs/{message['run_id']}"
        run = fake.handle(Request.of("GET", path, HEADERS)).json()
        (step,) = fake.handle(Request.of("GET", f"{path}/steps", HEADERS)).json()["data"]
        assert step["step_details"] == {
            "type": "message_creation",
            "message_creation": {"message_id": message["id"]},
        }
        assert run["assistant_id"] == step["assistant_id"] == message["assistant_id"]
        assert run["created_at"] <= run["completed_at"] == step["completed_at"] == message["created_at"]
        assert run["status"] == step["status"] == "completed"
        assert run["usage"]["total_tokens"] == run["usage"]["prompt_tokens"] + run["usage"]["completion_tokens"] > 0


def test_runs_of_the_demo_have_the_shape_of_a_new_one() -> None:
    """The same keys in the same order, and so have their steps."""
    fake = FakeAssistants(runs="immediate")
    fake.load(demo_world(1, 2))
    of_demo = {kind: fake.state[kind][0] for kind in ("runs", "run_steps")}
    path = f"/v1/threads/{of_demo['runs']['thread_id']}/runs"
    body = json.dumps({"assistant_id": of_demo["runs"]["assistant_id"]}).encode()
    assert fake.handle(Request.of("POST", path, HEADERS, body)).status == 200
    for kind, value in of_demo.items():
        new = fake.state[kind][-1]
        assert new["id"] != value["id"]
        assert list(new) == list(value)
        assert {key: new[key] for key in new if key in SAME} == {key: value[key] for key in value if key in SAME}


def test_a_demo_that_is_too_large_for_runs_names_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """All else is as in one that has them."""
    small = demo_world(3, 20)
    monkeypatch.setattr("fake_assistants.demo._MOST_WITH_RUNS", 59)
    large = demo_world(3, 20)
    assert large["runs"] == large["run_steps"] == []
    assert large["messages"] == [{**message, "run_id": None} for message in small["messages"]]


def test_the_demos_files_open() -> None:
    """Its images are PNG files, and its tables CSV files, as the API hands them out."""
    fake = FakeAssistants()
    fake.load(demo_world())
    contents = {}
    for file in fake.state["files"]:
        reply = fake.handle(Request.of("GET", f"/v1/files/{file['id']}/content", {"Authorization": "Bearer sk-test"}))
        if file["purpose"] == "assistants":
            assert reply.status == 400
        else:
            assert (reply.status, len(reply.body)) == (200, file["bytes"])
            contents[file["filename"]] = reply.body
    assert list(csv.reader(StringIO(contents["equation.csv"].decode(), newline=""))) == [
        ["month", "value"],
        *([f"2024-0{month}", value] for month, value in enumerate(("1", "3", "11", "14"), 1)),
    ]
    for name in contents:
        if name.endswith(".png"):
            width, height, pixels = decoded_png(contents[name])
            assert (len(pixels), set(pixels)) == (height * (1 + width), {0x00, 0x50, 0xFF})


def decoded_png(content: bytes) -> tuple[int, int, bytes]:
    """Width, height and filtered rows of an image with 8 bits of grey; each chunk's checksum is right."""
    assert content[:8] == b"\x89PNG\r\n\x1a\n"
    chunks, rest = {}, content[8:]
    while rest:
        length = int.from_bytes(rest[:4], "big")
        kind, data = rest[4:8], rest[8 : 8 + length]
        assert zlib.crc32(kind + data) == int.from_bytes(rest[8 + length : 12 + length], "big")
        chunks[kind], rest = data, rest[12 + length :]
    assert list(chunks) == [b"IHDR", b"IDAT", b"IEND"]
    assert chunks[b"IHDR"][8:] == bytes([8, 0, 0, 0, 0])
    sizes = (int.from_bytes(chunks[b"IHDR"][at : at + 4], "big") for at in (0, 4))
    return *sizes, zlib.decompress(chunks[b"IDAT"])  # type: ignore[return-value]


PAGES = "".join(page.read_text(encoding="utf-8") for page in OF_THE_FAKE)


def test_the_pages_and_the_fake_name_the_same_things() -> None:
    """Every control call, every option of the commands and of the conformance suite, and none that does not exist."""
    assert set(re.findall(r"/_fake/\w+", PAGES)) == set(CONTROLS)
    options = {name for option in (*serve.params, *record.params, *conformance.params) for name in option.opts} - {
        "more"
    }
    assert set(re.findall(r"--[a-z][a-z-]*", PAGES)) == options
