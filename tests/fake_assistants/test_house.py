"""The house: what may be imported, what is public, and a demo that shows everything."""

import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

import fake_assistants
from fake_assistants import FakeAssistants, demo_world
from fake_assistants.cli import serve
from fake_assistants.conformance.command import conformance
from fake_assistants.dispatch.control import CONTROLS

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


README = (Path(__file__).parents[2] / "fakeserver" / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("block", re.findall(r"```python\n(.*?)```", README, re.DOTALL))
def test_the_readmes_code_runs(block: str) -> None:
    """As it stands there."""
    exec(compile(block, "README.md", "exec"), {})


def test_the_readme_and_the_fake_name_the_same_things() -> None:
    """Every control call, every option of `serve` and of the conformance suite, and none that does not exist."""
    assert set(re.findall(r"/_fake/\w+", README)) == set(CONTROLS)
    options = {name for option in (*serve.params, *conformance.params) for name in option.opts} - {"more"}
    assert set(re.findall(r"--[a-z][a-z-]*", README)) - {"--help"} == options
