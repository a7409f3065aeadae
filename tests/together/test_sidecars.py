"""What is saved next to the messages: thread objects, runs with their steps, and files."""

import base64
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from command import Run
from exports import ASSISTANT, beside, downloads, faults, manifest
from fake_assistants import FakeAssistants, Request

TEXT = {"type": "text", "text": {"value": "What is it?", "annotations": []}}


def content_of(file_id: str) -> bytes:
    """What a file of this world holds."""
    return f"the bytes of {file_id} ".encode() * 40_000


def size_of(file_id: str) -> dict[str, Any]:
    """What its object says of that, but for one that leaves it out."""
    return {} if file_id == "file-IMG1" else {"bytes": len(content_of(file_id))}


@pytest.fixture
def fake() -> FakeAssistants:
    """A thread with images, attachments and a run that used its tools, one without anything, and files."""
    fake = FakeAssistants(runs="immediate")
    purposes = {
        "file-img1": "vision",
        "file-img2": "assistants_output",
        "file-doc1": "assistants",
        "file-IMG1": "vision",
    }
    fake.load(
        {
            "assistants": [{"id": ASSISTANT, "object": "assistant", "model": "gpt-4o"}],
            "threads": [
                {"id": "thread_1", "object": "thread", "metadata": {"who": "me", "file_id": "file-no"}},
                {"id": "thread_2", "object": "thread", "metadata": {}},
            ],
            "messages": [
                {
                    "id": f"msg_{number}",
                    "thread_id": "thread_1",
                    "role": "user",
                    "content": [TEXT, {"type": "image_file", "image_file": {"file_id": image}}],
                    "attachments": [{"file_id": "file-doc1", "tools": []}, {"file_id": "../../etc/passwd"}],
                }
                for number, image in enumerate(["file-img1", "file-IMG1", "file-gone", "file-img1"])
            ],
            "files": [
                {"id": name, "object": "file", "purpose": purpose, "filename": f"../{name}.png", **size_of(name)}
                for name, purpose in purposes.items()
            ],
            "file_contents": [
                {"id": name, "content": base64.b64encode(content_of(name)).decode()} for name in purposes
            ],
        }
    )
    plot = {"input": "plot()", "outputs": [{"type": "image", "image": {"file_id": "file-img2"}}]}
    fake.script = {"default": [{"code": plot}, {"reply": "Done."}]}
    body = json.dumps({"assistant_id": ASSISTANT}).encode()
    headers = {"authorization": "Bearer sk-test", "openai-beta": "assistants=v2"}
    assert fake.handle(Request.of("POST", "/v1/threads/thread_1/runs", headers, body)).status == 200
    return fake


def rows(path: Path) -> list[Any]:
    """The lines of a file."""
    return [json.loads(line) for line in path.read_bytes().split(b"\n")[:-1]]


@pytest.mark.usefixtures("base_url")
def test_threads_and_runs_are_saved_as_they_are(fake: FakeAssistants, ids: Path, out: Path, threadkeep: Run) -> None:
    """The objects of the API, whole: metadata, steps, tool calls, usage."""
    done = threadkeep("export", ids, ASSISTANT, out, "--include", "runs", "--include", "threads,runs")
    assert (done.code, done.err) == (0, "")
    world = fake.snapshot()
    threads = {row["thread_id"]: row["thread"] for row in rows(beside(out, ".threads"))}
    assert threads == {thread["id"]: thread for thread in world["threads"]}
    (row,) = rows(beside(out, ".runs"))
    assert (row["thread_id"], row["run_id"]) == ("thread_1", row["run"]["id"])
    assert row["run"] == {**world["runs"][0], **{key: row["run"][key] for key in ("expires_at",)}}
    assert [step["type"] for step in row["steps"]] == ["tool_calls", "message_creation"]
    assert row["steps"][0]["step_details"]["tool_calls"][0]["code_interpreter"]["input"] == "plot()"
    assert row["steps"][0]["usage"]
    assert {*manifest(out)["files"]} == {"out", "index", "threads", "runs"}
    assert threadkeep("validate", out, "--ids", ids).code == 0


@pytest.mark.usefixtures("base_url")
def test_files_are_downloaded_once_each(fake: FakeAssistants, ids: Path, out: Path, threadkeep: Run) -> None:
    """To the byte, under their ids, with what became of each; files that nobody gives are no failure of the export."""
    done = threadkeep("export", ids, ASSISTANT, out, "--include", "runs", "--files")
    assert (done.code, done.err) == (0, "")
    files = downloads(out)
    saved = {file_id: row for file_id, row in files.items() if row["outcome"] == "saved"}
    assert set(saved) == {"file-img1", "file-IMG1", "file-img2"}
    folder = out.with_name("out.files")
    for file_id, row in saved.items():
        content = (folder / row["name"]).read_bytes()
        assert content == content_of(file_id)
        assert (row["bytes"], row["sha256"]) == (len(content), hashlib.sha256(content).hexdigest())
        assert row["name"].startswith(file_id)
        assert row["name"].endswith(".png")
    assert len({row["name"].lower() for row in saved.values()}) == 3
    assert sorted(path.name for path in folder.iterdir()) == sorted(row["name"] for row in saved.values())
    others = {file_id: row["outcome"] for file_id, row in files.items() if file_id not in saved}
    assert others == {"file-gone": "missing", "file-doc1": "not_allowed", "../../etc/passwd": "invalid"}
    asked = [entry.path for entry in fake.requests if entry.path.endswith("/content")]
    assert sorted(asked) == sorted({f"/v1/files/{file_id}/content" for file_id in [*saved, "file-doc1"]})
    assert threadkeep("validate", out, "--ids", ids).code == 0


DAMAGED = {"cut short": b"cut", "changed": content_of("file-img1")[:-1] + b"?", "lost": None}


@pytest.mark.usefixtures("base_url")
@pytest.mark.parametrize("damaged", DAMAGED.values(), ids=DAMAGED.keys())
def test_a_second_run_downloads_what_is_not_there(
    damaged: bytes | None, fake: FakeAssistants, ids: Path, out: Path, threadkeep: Run
) -> None:
    """A file that is here to the byte is not asked for again; one that is lost, cut short or changed is."""
    arguments = ("export", ids, ASSISTANT, out, "--files")
    fake.faults = [{"match": {"path": "file-img1/content", "times": 20}, "do": {"status": 500}}]
    done = threadkeep(*arguments, "--max-retries", 0)
    assert done.code == 1
    assert "file-img1: failed: 500" in done.err
    fake.faults = []
    assert threadkeep(*arguments).code == 0
    (out.with_name("out.files") / "file-img1.png").unlink()
    if damaged is not None:
        (out.with_name("out.files") / "file-img1.png").write_bytes(damaged)
    asked = len(list(fake.requests))
    assert threadkeep(*arguments).code == 0
    again = [entry.path for entry in list(fake.requests)[asked:] if entry.path.endswith("/content")]
    assert sorted(again) == ["/v1/files/file-doc1/content", "/v1/files/file-img1/content"]
    assert (out.with_name("out.files") / "file-img1.png").read_bytes() == content_of("file-img1")


@pytest.mark.usefixtures("base_url")
def test_a_download_that_breaks_is_begun_again(fake: FakeAssistants, ids: Path, out: Path, threadkeep: Run) -> None:
    """Nothing of the first try stays in the file."""
    fake.faults = [{"match": {"path": "file-img1/content", "nth": 1, "times": 2}, "do": {"drop": "mid-body"}}]
    assert threadkeep("export", ids, ASSISTANT, out, "--files").code == 0
    assert (out.with_name("out.files") / "file-img1.png").read_bytes() == content_of("file-img1")


@pytest.mark.usefixtures("base_url")
def test_a_download_that_is_cut_short_is_never_taken_for_whole(
    fake: FakeAssistants, ids: Path, out: Path, threadkeep: Run
) -> None:
    """However honest the answer looks: the file object says how much there is. Nothing of it stays."""
    arguments = ("export", ids, ASSISTANT, out, "--files", "--max-retries", 1)
    match: dict[str, Any] = {"path": "file-img1/content", "nth": 1}
    fake.faults = [{"match": {**match, "times": 2}, "do": {"truncate": 1000}}]
    done = threadkeep(*arguments)
    assert done.code == 1
    said = len(content_of("file-img1"))
    assert f"file-img1: failed: 1000 bytes came, and the API says that the file has {said}" in done.err
    assert len(list(out.with_name("out.files").iterdir())) == 1
    fake.faults = [{"match": match, "do": {"truncate": 1000}}]
    assert threadkeep(*arguments).code == 0
    assert (out.with_name("out.files") / "file-img1.png").read_bytes() == content_of("file-img1")


@pytest.mark.usefixtures("base_url")
def test_files_are_still_fetched_after_the_sunset(fake: FakeAssistants, ids: Path, out: Path, threadkeep: Run) -> None:
    """The threads that are whole have files, and those outlived the API; the run still ends with 3."""
    fake.sunset.after_requests(1)
    done = threadkeep("export", ids, ASSISTANT, out, "--files", "--concurrency", 1)
    assert done.code == 3
    assert {name for name, row in downloads(out).items() if row["outcome"] == "saved"} == {"file-img1", "file-IMG1"}


@pytest.mark.usefixtures("base_url")
def test_a_server_without_files_ends_the_downloads(fake: FakeAssistants, ids: Path, out: Path, threadkeep: Run) -> None:
    """What was not asked for is named; the threads are whole all the same."""
    fake.faults = [{"match": {"path": "/files"}, "do": {"status": 404, "body": "<html>"}}]
    done = threadkeep("export", ids, ASSISTANT, out, "--files")
    assert done.code == 3
    assert manifest(out)["outcomes"]["complete"] == 2
    assert downloads(out)["file-img1"]["outcome"] == "unfinished"


DAMAGES = {
    "out.ndjson.runs": {"digest_mismatch", "lost_file"},
    "out.files/file-img1.png": {"file_mismatch", "lost_file"},
}


@pytest.mark.usefixtures("base_url")
@pytest.mark.parametrize("name", DAMAGES)
@pytest.mark.parametrize("is_lost", [True, False])
def test_damage_beside_the_export_is_found(name: str, is_lost: bool, ids: Path, out: Path, threadkeep: Run) -> None:
    """A lost or changed file is a finding, as in the export itself."""
    assert threadkeep("export", ids, ASSISTANT, out, "--files", "--include", "runs").code == 0
    damaged = out.parent / name
    if is_lost:
        damaged.unlink()
    else:
        damaged.write_bytes(damaged.read_bytes()[:-5] + b"?????")
    found = faults(threadkeep("validate", out, "--json").out)
    assert DAMAGES[name] & {row["code"] for row in found}


@pytest.mark.usefixtures("base_url")
def test_what_is_included_must_stay_the_same(ids: Path, out: Path, threadkeep: Run) -> None:
    """Threads that are complete have no runs saved, so a later wish cannot be met by going on; files can be added."""
    assert threadkeep("export", ids, ASSISTANT, out).code == 0
    done = threadkeep("export", ids, ASSISTANT, out, "--include", "runs")
    assert done.code == 5
    assert "--fresh" in done.err
    assert threadkeep("export", ids, ASSISTANT, out, "--include", "dreams").code == 2
    assert threadkeep("export", ids, ASSISTANT, out, "--files").code == 0
    assert downloads(out)["file-img1"]["outcome"] == "saved"
    before = beside(out, ".downloads").read_bytes()
    assert threadkeep("export", ids, ASSISTANT, out).code == 0
    assert beside(out, ".downloads").read_bytes() == before


@pytest.mark.usefixtures("base_url")
def test_every_damage_to_what_is_next_to_an_export_is_found(
    fake: FakeAssistants, ids: Path, out: Path, threadkeep: Run
) -> None:
    """A file of runs that is gone or goes on, and a download that failed."""
    fake.faults = [{"match": {"path": "file-img1/content"}, "do": {"status": 500}}]
    assert threadkeep("export", ids, ASSISTANT, out, "--files", "--include", "runs", "--max-retries", 0).code == 1
    runs = beside(out, ".runs")
    content = runs.read_bytes()

    def findings() -> set[str]:
        return {row["code"] for row in faults(threadkeep("validate", out, "--json").out)}

    failed = findings()
    assert failed
    runs.write_bytes(content + b'{"thread_id":"thread_more"}\n')
    assert findings() > failed
    runs.unlink()
    assert findings() > failed
    runs.write_bytes(content)
    assert findings() == failed


@pytest.mark.usefixtures("base_url")
@pytest.mark.parametrize("fresh", [[], ["--fresh"]])
def test_a_file_in_the_way_of_the_folder_of_files_is_refused(
    fresh: list[str], ids: Path, out: Path, threadkeep: Run
) -> None:
    """Exit 5, with its name, before anything is asked; it stays as it is."""
    out.with_name("out.files").write_text("in the way")
    done = threadkeep("export", ids, ASSISTANT, out, "--files", *fresh)
    assert done.code == 5
    assert "out.files" in done.err
    assert [path.name for path in out.parent.glob("out*")] == ["out.files"]


@pytest.mark.usefixtures("base_url")
def test_a_folder_of_files_that_cannot_be_made_ends_the_run(
    ids: Path, out: Path, threadkeep: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit 5, with its name; the threads are in the working store, and the next run needs no request for them."""

    def refuse(_path: Path, **_options: object) -> None:
        raise OSError(30, "Read-only file system")

    with monkeypatch.context() as patched:
        patched.setattr(Path, "mkdir", refuse)
        done = threadkeep("export", ids, ASSISTANT, out, "--files")
    assert (done.code, "out.files: Read-only file system" in done.err) == (5, True)
    assert threadkeep("export", ids, ASSISTANT, out, "--files").code == 0


@pytest.mark.usefixtures("base_url")
@pytest.mark.parametrize(("status", "code", "outcome"), [(401, 4, "unfinished"), (403, 1, "not_allowed")])
def test_a_refusal_of_a_file_is_told_from_a_refused_key(
    status: int, code: int, outcome: str, fake: FakeAssistants, ids: Path, out: Path, threadkeep: Run
) -> None:
    """A key may be allowed threads and no files; one that is refused for all ends the run. Another file is missing."""
    fake.faults = [{"match": {"path": "/content$"}, "do": {"status": status, "body": {"error": {"message": "No."}}}}]
    done = threadkeep("export", ids, ASSISTANT, out, "--files", "--concurrency", 1)
    assert done.code == code
    assert downloads(out)["file-img1"]["outcome"] == outcome


@pytest.mark.usefixtures("base_url")
def test_a_key_that_is_refused_among_the_threads(fake: FakeAssistants, ids: Path, out: Path, threadkeep: Run) -> None:
    """Leaves threads and the files of those that are whole."""
    fake.faults = [{"match": {"path": "thread_2/messages"}, "do": {"status": 401}}]
    done = threadkeep("export", ids, ASSISTANT, out, "--files", "--concurrency", 1)
    assert (done.code, "(1 of 2 threads complete)" in done.err) == (4, True)
    assert {row["outcome"] for row in downloads(out).values()} == {"unfinished"}


@pytest.mark.usefixtures("base_url")
def test_a_run_that_nothing_can_write_fails_its_thread(
    ids: Path, out: Path, threadkeep: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the reason; the others are whole."""

    def refuse(_row: object) -> bytes:
        raise ValueError("nested too deeply")

    monkeypatch.setattr("threadkeep.exporter.threads.dumps", refuse)
    done = threadkeep("export", ids, ASSISTANT, out, "--include", "runs")
    assert done.code == 1
    assert "thread_1: partial: it could not be fetched to its end: run_" in done.err
    assert manifest(out)["totals"]["partial_messages"] == 5
    assert manifest(out)["outcomes"]["complete"] == 1
