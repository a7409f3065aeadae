"""The files that messages refer to, in a push: known at the target, uploaded once, sent inline, or lost by name."""

import base64
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from converting import put_bare, text_message
from pushes import Target, export_of, rows_of_losses

PNG = b"\x89PNG\r\n\x1a\nnot much of a picture"
FILES = {"file-image": PNG, "file-text": b"some text", "file-both": PNG * 2}
PURPOSES = {
    "openai": {"file-image": "vision", "file-text": "user_data", "file-both": "vision"},
    "foundry": dict.fromkeys(FILES, "assistants"),
}


@pytest.fixture(params=["openai", "foundry"])
def target(request: pytest.FixtureRequest) -> Target:
    """A server of each kind."""
    return Target(request.param)


def image(file_id: str) -> dict[str, Any]:
    """A part of a message."""
    return {"type": "image_file", "image_file": {"file_id": file_id, "detail": "high"}}


def message(number: int, thread_id: str, *images: str, attached: Sequence[str] = ()) -> dict[str, Any]:
    """A message of a text, with images and attached files."""
    text = {"type": "text", "text": {"value": f"text {number}", "annotations": []}}
    attachments = [{"file_id": file_id, "tools": []} for file_id in attached]
    return text_message(number, thread_id=thread_id, content=[text, *map(image, images)], attachments=attachments)


THREADS = {
    "thread_a": [message(1, "thread_a", "file-image"), message(2, "thread_a", attached=["file-text", "file-both"])],
    "thread_b": [message(3, "thread_b", "file-image", "file-both", attached=["file-text"])],
}


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """An export of two threads that share files, all of them downloaded."""
    return export_of(tmp_path, THREADS, files=FILES)


def uploads(target: Target) -> list[str]:
    """The uploads that were tried."""
    return [path for path in target.written if path == "POST /files"]


def at_target(target: Target) -> dict[str, dict[str, Any]]:
    """The files there, by the id that their name begins with."""
    rows = {row["filename"].partition(".")[0]: row for row in target.fake.state["files"]}
    assert len(rows) == len(target.fake.state["files"])
    return rows


def named(target: Target, thread_id: str) -> list[str]:
    """The files that the items of a conversation name, in order."""
    parts = (part for item in target.items[thread_id] for part in item["content"])
    return [part["file_id"] for part in parts if "file_id" in part]


# --- uploads


def test_files_are_uploaded_once_each_and_items_have_their_new_ids(target: Target, out: Path) -> None:
    """Whichever threads need them, with their bytes, for the purpose that items need."""
    result = target.push(out, upload_files=True, verify=True)
    assert (result.is_complete, result.losses, result.verified) == (True, {}, 2)
    rows = at_target(target)
    assert {name: row["purpose"] for name, row in rows.items()} == PURPOSES[target.kind]
    contents = {row["id"]: base64.b64decode(row["content"]) for row in target.fake.state["file_contents"]}
    assert {name: contents[row["id"]] for name, row in rows.items()} == FILES
    ids = {name: row["id"] for name, row in rows.items()}
    assert named(target, "thread_a") == [ids["file-image"], ids["file-text"], ids["file-both"]]
    assert named(target, "thread_b") == [ids["file-image"], ids["file-both"], ids["file-text"]]
    assert len(uploads(target)) == 3
    assert target.push(out, upload_files=True, verify=True).is_complete
    assert len(uploads(target)) == 3


def test_a_later_push_uses_the_files_of_an_earlier_one(target: Target, out: Path) -> None:
    """The store has their ids."""
    target.push(out, upload_files=True, only=frozenset({"thread_a"}))
    asked = len(target.fake.requests)
    assert target.push(out, upload_files=True, verify=True).is_complete
    assert len(uploads(target)) == 3
    assert not [entry for entry in target.fake.requests[asked:] if "/files" in entry.path]
    assert {*named(target, "thread_b")} == {row["id"] for row in at_target(target).values()}


def test_a_thread_that_has_grown_may_need_another_file(target: Target, tmp_path: Path) -> None:
    """That one is uploaded, and the others are not."""
    out = export_of(tmp_path, {"thread_a": [message(1, "thread_a", "file-image")]}, files=FILES)
    target.push(out, upload_files=True)
    rows = [message(1, "thread_a", "file-image"), message(2, "thread_a", attached=["file-text"])]
    export_of(tmp_path, {"thread_a": rows}, files=FILES, refresh=True)
    result = target.push(out, upload_files=True, verify=True)
    assert (result.is_complete, result.sent, len(uploads(target))) == (True, 1, 2)
    ids = at_target(target)
    assert named(target, "thread_a") == [ids["file-image"]["id"], ids["file-text"]["id"]]


@pytest.mark.parametrize("do", [{"drop": "mid-body"}, {"truncate": 20}], ids=str)
def test_an_upload_whose_answer_is_lost_is_found_among_the_files(do: dict[str, Any], target: Target, out: Path) -> None:
    """And not made again."""
    target.fake.faults = [{"match": {"method": "POST", "path": "/files$", "nth": 1, "times": 3}, "do": do}]
    result = target.push(out, upload_files=True, verify=True)
    assert result.is_complete
    assert len(uploads(target)) == 3
    assert {*at_target(target)} == {*FILES}


def test_an_upload_that_was_not_carried_out_is_made_again(target: Target, out: Path) -> None:
    """It is not among the files."""
    target.fake.faults = [
        {"match": {"method": "POST", "path": "/files$", "nth": [1, 2]}, "do": {"status": 500}},
        {"match": {"method": "POST", "path": "/files$", "nth": 4}, "do": {"drop": "before"}},
    ]
    assert target.push(out, upload_files=True, verify=True).is_complete
    assert len(uploads(target)) == 6
    assert {*at_target(target)} == {*FILES}


def test_an_upload_of_an_earlier_run_whose_answer_was_lost_is_found(target: Target, out: Path) -> None:
    """Where that run could not even list the files."""
    target.fake.faults = [
        {"match": {"method": "POST", "path": "/files$"}, "do": {"drop": "mid-body"}},
        {"match": {"method": "GET", "path": r"/files(\?|$)"}, "do": {"status": 500}},
    ]
    result = target.push(out, upload_files=True)
    assert (result.is_complete, result.problem_count) == (False, 2)
    tried = len(uploads(target))
    assert 0 < tried == len(at_target(target))
    target.fake.faults = []
    assert target.push(out, upload_files=True, verify=True).is_complete
    assert {*at_target(target)} == {*FILES}
    assert len(uploads(target)) == 3


def test_a_file_of_another_size_under_the_same_name_is_not_taken_for_the_upload(target: Target, out: Path) -> None:
    """Such as one whose upload broke off."""
    name = next(out.with_suffix(".files").glob("file-image*")).name
    torn = {"id": "file-torn", "object": "file", "bytes": 1, "filename": name}
    target.fake.load({"files": [{**torn, "purpose": PURPOSES[target.kind]["file-image"]}]})
    target.fake.faults = [{"match": {"method": "POST", "path": "/files$", "nth": 1}, "do": {"drop": "before"}}]
    assert target.push(out, upload_files=True, only=frozenset({"thread_a"})).is_complete
    assert "file-torn" not in named(target, "thread_a")


# --- files that the target knows


@pytest.mark.parametrize("upload_files", [False, True])
def test_files_that_the_target_knows_keep_their_ids(upload_files: bool, target: Target, out: Path) -> None:
    """They are not uploaded: the project is the same one."""
    target.fake.load({"files": [{"id": name, "object": "file"} for name in FILES]})
    result = target.push(out, upload_files=upload_files, verify=True)
    assert (result.is_complete, result.losses) == (True, {})
    assert named(target, "thread_a") == ["file-image", "file-text", "file-both"]
    assert uploads(target) == []
    asked = [
        entry.path.rpartition("/")[2] for entry in target.fake.requests.to("GET", "/**") if "/files/" in entry.path
    ]
    assert sorted(asked) == sorted(FILES)


def test_that_a_file_cannot_be_looked_for_is_no_loss(target: Target, out: Path) -> None:
    """The thread fails, and is sent by the next run."""
    target.fake.load({"files": [{"id": name, "object": "file"} for name in FILES]})
    target.fake.faults = [{"match": {"method": "GET", "path": "/files/file-text$"}, "do": {"status": 500}}]
    result = target.push(out)
    assert (result.is_complete, result.problem_count, target.items) == (False, 2, {})
    target.fake.faults = []
    assert target.push(out, verify=True).losses == {}
    assert named(target, "thread_a") == ["file-image", "file-text", "file-both"]


# --- losses


def losses(out: Path) -> list[tuple[str | None, str, str]]:
    """The rows of the report, without the thread."""
    return [row[1:] for row in rows_of_losses(out)]


def test_files_that_are_not_to_be_uploaded_are_lost(target: Target, out: Path) -> None:
    """By name, with what helps; the texts are sent."""
    result = target.push(out, verify=True)
    assert (result.is_complete, result.losses) == (True, {"image_file": 3, "attachments": 3})
    no_file = "the target does not have the file {}, and "
    why = f"{no_file}neither --upload-files nor --inline-images was given"
    assert losses(out) == [
        ("msg_1", "image_file", why.format("file-image")),
        ("msg_2", "attachments", f"{no_file}--upload-files was not given".format("file-text")),
        ("msg_2", "attachments", f"{no_file}--upload-files was not given".format("file-both")),
        ("msg_3", "image_file", why.format("file-image")),
        ("msg_3", "image_file", why.format("file-both")),
        ("msg_3", "attachments", f"{no_file}--upload-files was not given".format("file-text")),
    ]
    assert named(target, "thread_a") == []
    assert {name: len(items) for name, items in target.items.items()} == {"thread_a": 2, "thread_b": 1}
    assert uploads(target) == []


def test_files_of_a_file_without_an_index_are_lost(target: Target, tmp_path: Path) -> None:
    """No export command downloads them."""
    out = put_bare(tmp_path / "out.ndjson", THREADS["thread_a"])
    assert target.push(out, upload_files=True).is_complete
    why = "the target does not have the file file-image, and it is not among the files that were downloaded"
    assert losses(out)[0] == ("msg_1", "image_file", why)


@pytest.mark.parametrize("choices", [{"upload_files": True}, {"inline_images": True}], ids=str)
def test_threads_wait_for_files_that_were_not_downloaded(
    choices: dict[str, Any], target: Target, tmp_path: Path
) -> None:
    """They are sent when the files are there. Threads that need none do not wait."""
    threads = {**THREADS, "thread_c": [message(4, "thread_c")]}
    out = export_of(tmp_path, threads)
    result = target.push(out, **choices)
    assert (result.is_complete, result.awaiting, result.pushed, [*target.items]) == (False, 2, 1, ["thread_c"])
    assert result.problems[0] == ("thread_a", "the file file-image is not downloaded yet")
    assert losses(out) == []
    export_of(tmp_path, threads, files=FILES)
    result = target.push(out, **choices, verify=True)
    assert (result.is_complete, result.awaiting, result.pushed) == (True, 0, 3)
    assert not [row for row in losses(out) if row[1] == "image_file"]


def test_no_thread_waits_where_files_are_to_be_left_out(target: Target, tmp_path: Path) -> None:
    """When the API is gone nobody can download them: the rest is pushed, and each file is a loss with its reason."""
    out = export_of(tmp_path, THREADS)
    assert target.push(out, upload_files=True).awaiting == 2
    result = target.push(out, upload_files=True, without_files=True, verify=True)
    assert (result.is_complete, result.awaiting, result.pushed) == (True, 0, 2)
    why = "the target does not have the file file-image, and it is not downloaded yet"
    assert ("msg_1", "image_file", why) in losses(out)
    assert target.push(out, verify=True).is_complete


def test_a_thread_that_waits_has_the_losses_of_what_was_sent_of_it(target: Target, tmp_path: Path) -> None:
    """The report is complete before the rest is sent, and after."""
    rows = [message(1, "thread_a", attached=["file-text"]), message(2, "thread_a", "file-image")]
    out = export_of(tmp_path, {"thread_a": rows[:1]}, files=FILES)
    assert target.push(out, inline_images=True).losses == {"attachments": 1}
    before = losses(out)
    export_of(tmp_path, {"thread_a": rows}, files=None, refresh=True)
    assert target.plan(out).losses == {"attachments": 1}
    assert (target.push(out).awaiting, losses(out)) == (1, before)
    export_of(tmp_path, {"thread_a": rows}, files=FILES)
    assert (target.push(out, verify=True).is_complete, losses(out)) == (True, before)


def test_no_thread_waits_for_a_file_that_the_target_has(target: Target, tmp_path: Path) -> None:
    """Nothing is to be uploaded then."""
    out = export_of(tmp_path, THREADS)
    target.fake.load({"files": [{"id": name, "object": "file"} for name in FILES]})
    result = target.push(out, upload_files=True, verify=True)
    assert (result.is_complete, result.losses, result.awaiting) == (True, {}, 0)


def test_a_file_that_the_target_refuses_is_lost_with_its_words(target: Target, out: Path) -> None:
    """The others are uploaded, and the threads are pushed."""
    body = {"error": {"message": "This kind of file is not supported."}}
    target.fake.faults = [
        {"match": {"method": "POST", "path": "/files$", "nth": 1}, "do": {"status": 400, "body": body}}
    ]
    result = target.push(out, upload_files=True, only=frozenset({"thread_a"}), verify=True)
    assert (result.is_complete, result.losses) == (True, {"image_file": 1})
    ((message_id, _, why),) = losses(out)
    assert message_id == "msg_1"
    assert why.startswith("the target refuses the file file-image: 400 from ")
    assert why.endswith("This kind of file is not supported.")
    assert len(named(target, "thread_a")) == 2


@pytest.mark.parametrize("choices", [{"upload_files": True}, {"inline_images": True}], ids=str)
def test_a_thread_waits_for_a_file_that_is_not_there_any_more(
    choices: dict[str, Any], target: Target, out: Path
) -> None:
    """It was downloaded, and somebody has removed it: the export command downloads it again."""
    path = next(out.with_suffix(".files").glob("file-image*"))
    path.unlink()
    result = target.push(out, **choices, only=frozenset({"thread_a"}))
    assert (result.is_complete, result.awaiting, target.items, losses(out)) == (False, 1, {}, [])
    assert result.problems == (("thread_a", f"the file file-image was downloaded, and {path.name} cannot be read"),)


def test_a_message_of_a_lost_file_has_no_item(target: Target, tmp_path: Path) -> None:
    """Nor a time; those around it do."""
    rows = [text_message(1), text_message(2, content=[image("file-image")], created_at=9), text_message(3)]
    out = put_bare(tmp_path / "out.ndjson", rows)
    result = target.push(out, verify=True)
    assert (result.is_complete, result.items, result.losses) == (True, 2, {"image_file": 1})
    assert len(target.items["thread_a"]) == 2


# --- what was lost, and is there later


def test_what_was_lost_of_a_conversation_stays_lost(target: Target, out: Path) -> None:
    """A later upload, which another thread needed, changes nothing of what was sent."""
    target.push(out, only=frozenset({"thread_a"}))
    result = target.push(out, upload_files=True, verify=True)
    assert (result.is_complete, result.verified) == (True, 2)
    assert named(target, "thread_a") == []
    assert len(named(target, "thread_b")) == 3
    assert {row[0] for row in rows_of_losses(out)} == {"thread_a"}


def test_a_thread_that_lost_files_may_grow(target: Target, tmp_path: Path) -> None:
    """Behind what was sent of it, and with files that were not lost."""
    threads = {"thread_a": [message(1, "thread_a", "file-image")]}
    out = export_of(tmp_path, threads, files=FILES)
    target.push(out)
    more = [*threads["thread_a"], message(2, "thread_a", "file-image", attached=["file-text"])]
    export_of(tmp_path, {"thread_a": more}, files=FILES, refresh=True)
    result = target.push(out, upload_files=True, verify=True)
    assert (result.is_complete, result.sent, result.losses) == (True, 1, {"image_file": 2})
    assert named(target, "thread_a") == [at_target(target)["file-text"]["id"]]


def test_a_conversation_that_was_begun_without_files_is_completed_without_them(target: Target, tmp_path: Path) -> None:
    """Its first items are there: later ones do not change them."""
    rows = [message(number, "thread_a", "file-image") for number in range(45)]
    out = export_of(tmp_path, {"thread_a": rows}, files=FILES)
    target.fake.faults = [
        {"match": {"method": "POST", "path": "/items$", "nth": 2, "times": 99}, "do": {"status": 500}}
    ]
    assert not target.push(out).is_complete
    assert len(target.items["thread_a"]) == 20
    target.fake.faults = []
    result = target.push(out, upload_files=True, verify=True)
    assert (result.is_complete, result.verified, result.losses) == (True, 1, {"image_file": 45})
    assert len(target.items["thread_a"]) == 45


def test_a_thread_of_which_nothing_was_sent_is_sent_with_the_files_that_are_there_now(
    target: Target, tmp_path: Path
) -> None:
    """Also one of which nothing was left without them."""
    out = export_of(tmp_path, {"thread_a": [text_message(1, content=[image("file-image")])]}, files=FILES)
    result = target.push(out)
    assert (result.is_complete, result.pushed, target.items) == (True, 0, {})
    result = target.push(out, upload_files=True, verify=True)
    assert (result.is_complete, result.pushed, result.losses) == (True, 1, {})
    assert named(target, "thread_a") == [at_target(target)["file-image"]["id"]]
    assert rows_of_losses(out) == []


# --- images inline, and citations


def test_images_are_sent_inline(target: Target, out: Path) -> None:
    """As data URLs; attached files are not images, and are uploaded."""
    result = target.push(out, inline_images=True, upload_files=True, verify=True)
    assert (result.is_complete, result.losses) == (True, {})
    url = f"data:image/png;base64,{base64.b64encode(PNG).decode()}"
    assert target.items["thread_a"][0]["content"][1] == {"type": "input_image", "image_url": url, "detail": "high"}
    assert {*at_target(target)} == {"file-text", "file-both"}
    assert target.push(out, inline_images=True, upload_files=True, verify=True).sent == 0


def test_an_image_that_was_not_downloaded_is_carried_by_its_id_or_lost(target: Target, tmp_path: Path) -> None:
    """As every other file."""
    out = put_bare(tmp_path / "out.ndjson", [message(1, "thread_a", "file-here", "file-gone")])
    target.fake.load({"files": [{"id": "file-here", "object": "file"}]})
    assert target.push(out, inline_images=True, verify=True).losses == {"image_file": 1}
    assert named(target, "thread_a") == ["file-here"]


def test_citations_keep_the_ids_of_the_source(target: Target, tmp_path: Path) -> None:
    """They name what was read then. Nobody looks for these files, and none is uploaded."""
    cited = [
        {
            "type": "file_citation",
            "text": "【1†a】",
            "start_index": 0,
            "end_index": 5,
            "file_citation": {"file_id": "file-a"},
        },
        {
            "type": "file_path",
            "text": "sandbox:/b",
            "start_index": 6,
            "end_index": 16,
            "file_path": {"file_id": "file-b"},
        },
    ]
    text = {"type": "text", "text": {"value": "【1†a】 sandbox:/b", "annotations": cited}}
    out = export_of(tmp_path, {"thread_a": [text_message(1, "assistant", content=[text])]}, files=FILES)
    result = target.push(out, upload_files=True, verify=True)
    assert (result.is_complete, result.losses) == (True, {})
    (part,) = target.items["thread_a"][0]["content"]
    assert [(one["type"], one["file_id"]) for one in part["annotations"]] == [
        ("file_citation", "file-a"),
        ("file_path", "file-b"),
    ]
    assert not [entry for entry in target.fake.requests if "/files" in entry.path]


# --- the plan


def test_a_plan_counts_the_files(target: Target, tmp_path: Path) -> None:
    """That messages refer to, and that were downloaded."""
    out = export_of(tmp_path, THREADS, files={name: FILES[name] for name in ("file-image", "file-text")})
    plan = target.plan(out, upload_files=True).plan
    assert (plan.files, plan.files_here) == (3, 2)
    assert len(target.fake.requests) == 0
