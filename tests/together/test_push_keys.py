"""A push with several keys: one that is refused leaves its threads to the others, and nothing is sent twice."""

import re
from pathlib import Path
from typing import Any

import pytest

from command import Run
from exporting import threads_of
from fake_assistants import FakeAssistants, Reply, Request
from pushes import Target, export_of, rows_of_map
from threadkeep.errors import AccessRefused
from threadkeep.exporter.events import Notice

THREADS = threads_of(a=45, b=3, c=1, d=21, e=40)
KEYS = ("sk-one", "sk-two", "sk-three")


class Refusing(FakeAssistants):
    """Refuses keys from a number of requests on."""

    def __init__(self, after: dict[str, int], **options: Any) -> None:
        super().__init__(**options)
        self.left = after

    def handle(self, request: Request) -> Reply:
        """Count, and refuse or answer."""
        key = key_of(request)
        if key in self.left:
            self.left[key] -= 1
            if self.left[key] < 0:
                return Reply(401, body=b'{"error": {"message": "No."}}')
        return super().handle(request)


class Projects(FakeAssistants):
    """Each key is of a project of its own: a conversation is known to the key that has created it."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.owners: dict[str, str] = {}

    def handle(self, request: Request) -> Reply:
        """Answer about the key's own."""
        named = re.search(r"/conversations/([^/?]+)", request.path)
        if named is not None and self.owners[named[1]] != key_of(request):
            return Reply(404, body=b'{"error": {"message": "Conversation not found, it is of nobody here."}}')
        reply = super().handle(request)
        if request.method == "POST" and request.path.endswith("/conversations"):
            self.owners[reply.json()["id"]] = key_of(request)
        return reply


def key_of(request: Request) -> str:
    """The key of a request."""
    return request.headers["authorization"].removeprefix("Bearer ")


@pytest.mark.parametrize("kind", ["openai", "foundry"])
@pytest.mark.parametrize("after", range(0, 9, 2))
def test_the_others_finish_what_a_refused_key_has_begun(after: int, kind: str, tmp_path: Path) -> None:
    """Wherever it was: at a creation or at items."""
    target = Target(kind, Refusing({"sk-two": after}, profile=kind))
    out = export_of(tmp_path, THREADS)
    result = target.push(out, keys=KEYS, concurrency=3, verify=True)
    assert (result.is_complete, result.ended_by, result.leftovers) == (True, None, ())
    assert result.pushed == result.verified == len(THREADS)
    assert {name: len(items) for name, items in target.items.items()} == {
        name: len(rows) for name, rows in THREADS.items()
    }
    (notice,) = [event.text for event in target.events if isinstance(event, Notice)]
    assert notice.startswith("key 2 was rejected, the run continues with the other keys: 401")


def test_when_all_keys_are_refused_the_run_ends_and_is_resumed(tmp_path: Path) -> None:
    """What was sent is recorded."""
    fake = Refusing({"sk-one": 2, "sk-two": 4})
    target = Target("openai", fake)
    out = export_of(tmp_path, THREADS)
    result = target.push(out, keys=KEYS[:2], concurrency=2)
    assert (result.is_complete, type(result.ended_by)) == (False, AccessRefused)
    sent = {name: len(items) for name, items in target.items.items()}
    assert 0 < sum(sent.values()) < 110
    fake.left.clear()
    result = target.push(out, keys=KEYS[2:], verify=True)
    assert (result.is_complete, result.sent) == (True, 110 - sum(sent.values()))
    assert len(target.conversations) == len(THREADS)


def test_conversations_of_other_projects_are_read_back_with_their_keys(tmp_path: Path) -> None:
    """Whichever key a later run asks first."""
    target = Target("openai", Projects())
    out = export_of(tmp_path, THREADS)
    assert target.push(out, keys=KEYS, concurrency=3).is_complete
    assert len({*target.fake.owners.values()}) == 3  # type: ignore[attr-defined]
    result = target.push(out, keys=KEYS[::-1], concurrency=1, verify=True)
    assert (result.is_complete, result.verified) == (True, len(THREADS))
    result = target.push(out, keys=("sk-of-nobody",), verify=True)
    assert (result.is_complete, result.verified, result.problem_count) == (False, 0, len(THREADS))
    assert all("it is of nobody here" in reason for _, reason in result.problems)


def test_growth_goes_to_the_key_that_has_the_conversation(tmp_path: Path) -> None:
    """It is not created again under another one."""
    target = Target("openai", Projects())
    out = export_of(tmp_path, THREADS)
    target.push(out, keys=KEYS, concurrency=3)
    grown = threads_of(a=50, b=30, c=2, d=22, e=60)
    export_of(tmp_path, grown, refresh=True)
    result = target.push(out, keys=KEYS[::-1], concurrency=1, verify=True)
    assert (result.is_complete, result.verified) == (True, len(THREADS))
    assert {name: len(items) for name, items in target.items.items()} == {
        name: len(rows) for name, rows in grown.items()
    }


def test_keys_come_from_a_file(tmp_path: Path, threadkeep: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """One a line; the environment's is not used."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-the-environment")
    target = Target("openai", Refusing({"sk-two": 3}))
    out = export_of(tmp_path, THREADS)
    keys = tmp_path / "keys.txt"
    keys.write_text("\n".join(KEYS))
    keys.chmod(0o600)
    with target.fake.serve() as server:
        options = ("--to", "conversations", "--base-url", server.base_url, "--concurrency", "3", "--verify")
        done = threadkeep("push", out, *options, "--keys-file", keys)
    assert done.code == 0
    assert "key 2 (line 2 of the file of keys) was rejected, the run continues with the other keys" in done.err
    assert f"verified      {len(THREADS)} of {len(THREADS)}" in done.out
    assert [row["items"] for row in rows_of_map(out).values()] == [len(rows) for rows in THREADS.values()]
    printed = done.out + done.err + "".join(path.read_text() for path in tmp_path.glob("out*ndjson"))
    assert "sk-" not in printed
