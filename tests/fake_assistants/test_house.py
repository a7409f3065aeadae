"""The house: what may be imported, what is public, and a demo that shows everything."""

import csv
import re
import subprocess
import sys
import zlib
from collections import Counter
from importlib.metadata import version
from io import StringIO

from hypothesis import given
from hypothesis import strategies as st

import fake_assistants
from fake_assistants import Clock, FakeAssistants, Request, demo_world
from fake_assistants.cli import record, serve
from fake_assistants.conformance.command import conformance
from fake_assistants.dispatch.control import CONTROLS
from pages import OF_THE_FAKE

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
