"""``threadkeep push`` from the command line: the dry run, the summary, and how it ends."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from command import Done, Run
from converting import put_bare, text_message
from exporting import threads_of
from exports import beside
from fake_assistants import demo_world
from ports import kept_port
from pushes import Target, export_of, rows_of_map
from threadkeep.storage.lock import locked
from watched import Watched

Push = Callable[..., Done]


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """An export of threads of all sizes, one that is empty, and one that the source does not have."""
    threads = threads_of(a=45, b=3, c=20, d=21, none=0)
    threads["thread_b"][0]["attachments"] = [{"file_id": "file-1", "tools": []}]
    threads["thread_b"][1]["metadata"] = {"topic": "a"}
    return export_of(tmp_path, threads, metadata={"thread_a": {"user": "u-1"}}, more=["thread_gone"])


@pytest.fixture
def push(base_url: str, out: Path, threadkeep: Run) -> Push:
    """Push it."""
    assert base_url
    return lambda *options: threadkeep("push", out, "--to", "conversations", *options)


def contents(folder: Path) -> Mapping[Path, bytes]:
    """The files in a folder."""
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# --- the dry run


def test_a_dry_run_asks_nobody_needs_no_key_and_writes_nothing(
    out: Path, threadkeep: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its numbers are for people."""
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    before = contents(out.parent)
    with kept_port() as port:
        address = f"http://127.0.0.1:{port}/v1"
        options = ("--to", "conversations", "--base-url", address, "--dry-run", "--rpm", "6")
        done = threadkeep("push", out, *options)
        assert (done.code, done.err) == (0, "")
        assert done.out.splitlines() == [
            f"{out}: dry run of a push to {address}; nothing was sent",
            "  conversations 4 to create",
            "  items         89 to send",
            "  requests      11 that write, if each is answered",
            "  time          about 0:01:50 at 6 requests a minute",
            "  lost          1 metadata",
            "  files         1 file of messages, 0 downloaded; what the target does not have",
            "                and is not sent is lost",
            "  empty         1 thread with nothing to send",
            "  not complete  1 thread of the export: not pushed",
        ]
        assert threadkeep("push", out, *options, "--quiet").code == 0
    assert contents(out.parent) == before


def test_the_numbers_of_a_dry_run_are_those_of_the_push(fake: Watched, out: Path, push: Push) -> None:
    """Of the first one, of one that was interrupted, and of one after the end."""
    fake.load({"files": [{"id": "file-1", "object": "file"}]})
    target = Target("openai", fake)
    assert_as_planned(push, target, "--only", "thread_c")
    export_of(out.parent, threads_of(c=45), refresh=True)
    assert_as_planned(push, target, "--only", "thread_c")
    assert_as_planned(push, target)
    assert_as_planned(push, target)


def assert_as_planned(push: Push, target: Target, *options: str) -> None:
    """The dry run says what the push then does."""
    before, asked = len(target.conversations), len(target.written)
    dry = json.loads(push("--dry-run", "--json", *options).out)
    assert (dry["exit"], dry["dry_run"], dry["pushed"], dry["map"]) == (0, True, 0, None)
    real = json.loads(push("--json", *options).out)
    for key in ("planned", "losses", "threads", "empty", "not_complete", "changed", "flat"):
        assert dry[key] == real[key]
    planned = dry["planned"]
    assert planned["conversations"] == len(target.conversations) - before
    assert planned["items"] == real["sent"]
    assert planned["requests"] == len(target.written) - asked


def test_a_dry_run_after_a_push_of_some_says_what_is_left(out: Path, push: Push) -> None:
    """And changes nothing."""
    assert push("--only", "thread_a").code == 0
    done = push("--dry-run")
    assert "  conversations 3 to create" in done.out
    assert "  pushed before 1 thread" in done.out
    assert push("--dry-run").out == done.out
    assert [*rows_of_map(out)] == ["thread_a"]


# --- the summary


def test_the_summary_says_what_is_there(fake: Watched, base_url: str, out: Path, push: Push) -> None:
    """Conversations, items, requests, what was verified, what was lost, and where it is said."""
    done = push("--verify")
    assert done.code == 1  # one thread is not complete
    map_name = f"{out}.conversations.ndjson"
    assert done.out.splitlines() == [
        f"{out}: 4 threads pushed to {base_url}",
        "  items         89 in these conversations",
        f"  this run      89 items sent, {len(fake.requests)} requests",
        "  verified      4 of 4",
        f"  map           {map_name}",
        "  lost          1 attachments, 1 metadata",
        f"  losses in     {map_name}.losses.ndjson",
        "  empty         1 thread with nothing to send",
        "  not complete  1 thread of the export: not pushed",
    ]
    assert "not pushed, since not complete: 1 thread of the export" in done.err
    assert f"threadkeep status {out}" in done.err


def test_messages_that_become_no_item_are_counted(tmp_path: Path, base_url: str, threadkeep: Run) -> None:
    """As a conversion counts them: those without content, and those of which a loss leaves nothing."""
    assert base_url
    image = {"type": "image_file", "image_file": {"file_id": "file-1"}}
    rows = [text_message(1), text_message(2, content=[]), text_message(3, content=[image])]
    out = put_bare(tmp_path / "out.ndjson", rows)
    push = ("push", out, "--to", "conversations")
    assert "  left out      1 message without content for an item\n" in threadkeep(*push, "--dry-run").out
    done = threadkeep(*push, "--verify")
    assert (done.code, done.err) == (0, "")
    assert "  items         1 in these conversations\n  left out      2 messages without content" in done.out
    assert json.loads(threadkeep(*push, "--json").out)["left_out"] == 2


def test_items_of_threads_that_are_not_complete_are_told_apart(fake: Watched, push: Push) -> None:
    """This run may have sent more items than the complete conversations have."""
    fake.faults = [{"match": {"method": "POST", "path": "/items$", "nth": 2, "times": 99}, "do": {"status": 500}}]
    done = push("--only", "thread_a", "--max-retries", "0")
    assert done.code == 1
    assert "  items         0 in these conversations; others have some of theirs\n" in done.out
    assert "1 thread not pushed (0 of 1 thread pushed)" in done.err
    assert "The same command resumes the push" in done.err.splitlines()[-1]


def test_a_flat_export_and_one_without_thread_objects_are_named(tmp_path: Path, base_url: str, threadkeep: Run) -> None:
    """What they do not have cannot be carried."""
    assert base_url
    plain = put_bare(tmp_path / "plain.ndjson", [text_message(1)])
    flat = put_bare(tmp_path / "flat.ndjson", [text_message(1)], flat=True)
    done = threadkeep("push", plain, "--to", "conversations")
    words = " metadata not exported: export with --include threads to carry that of the threads"
    assert (done.code, " ".join(done.out.split()).endswith(words)) == (0, True)
    done = threadkeep("push", flat, "--to", "conversations")
    assert (done.code, done.out.splitlines()[-1]) == (
        0,
        "  flat          OUT has texts only: what else the messages had is not known",
    )


def test_times_that_are_in_the_map_only_are_named(tmp_path: Path, base_url: str, threadkeep: Run) -> None:
    """As is said."""
    assert base_url
    rows = [text_message(number, created_at=(number % 2) * 2**50) for number in range(1000)]
    out = put_bare(tmp_path / "out.ndjson", rows)
    done = threadkeep("push", out, "--to", "conversations")
    assert done.code == 0
    assert "  times         of 1 conversation in the map only: metadata has no room" in done.out
    assert json.loads(threadkeep("push", out, "--to", "conversations", "--json").out)["times_in_map_only"] == 1


def test_quiet_prints_problems_only(fake: Watched, push: Push) -> None:
    """With the reason, once."""
    fake.faults = [
        {
            "match": {"method": "POST", "path": "/items$"},
            "do": {"status": 400, "body": {"error": {"message": "No such words."}}},
        }
    ]
    done = push("--quiet")
    assert (done.code, done.out) == (1, "")
    assert done.err.count("No such words.") == 4
    assert "thread_a: failed: 400 from " in done.err
    assert "0 of 4 threads pushed" in done.err
    assert "The same command resumes the push" in done.err
    fake.faults = []
    assert push("--quiet", "--verify").code == 1
    assert len(Target("openai", fake).items) == 4


# --- options


def test_an_unknown_thread_is_a_mistake_of_usage(fake: Watched, out: Path, push: Push) -> None:
    """As is one that is not complete. Nothing is sent, and no file is left."""
    before = contents(out.parent)
    for name in ("thread_nobody", "thread_gone"):
        done = push("--only", "thread_a", "--only", name)
        assert done.code == 2
        assert f"{name} is not a complete thread of {out}" in done.err
    assert contents(out.parent) == before
    assert len(fake.requests) == 0


def test_the_end_user_is_named_in_every_request(fake: Watched, push: Push) -> None:
    """By either name of the option."""
    push("--user-identity", "user-7", "--only", "thread_b")
    push("--user-isolation-key", "user-7", "--only", "thread_d", "--verify")
    names = ("x-ms-user-identity", "x-ms-user-isolation-key")
    assert {tuple(entry.headers[name] for name in names) for entry in fake.asked} == {("user-7", "user-7")}
    done = push("--user-identity", "two words")
    assert done.code == 2
    assert "the identity of the end user holds a blank" in done.err


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--map", "-"), "--map takes a file"),
        (("--rpm", "0"), "0"),
        (("--to", "threads"), "threads"),
        (("--target", "azure"), "azure"),
        (("--citations", "drop"), "drop"),
        (("--base-url", "ftp://x"), "not an address"),
    ],
)
def test_what_cannot_be_meant_is_a_mistake_of_usage(
    options: tuple[str, ...], words: str, fake: Watched, out: Path, push: Push
) -> None:
    """Nothing is sent, and no file is left."""
    before = contents(out.parent)
    done = push(*options)
    assert (done.code, words in done.err) == (2, True)
    assert contents(out.parent) == before
    assert len(fake.requests) == 0


def test_the_map_takes_the_place_of_no_other_file(fake: Watched, out: Path, push: Push, tmp_path: Path) -> None:
    """Of the export, of the push, or of somebody; a map of an earlier push is replaced."""
    theirs = tmp_path / "theirs.ndjson"
    theirs.write_text('{"name": "mine"}\n')
    before = contents(out.parent)
    places = [
        out,
        *(beside(out, suffix) for suffix in (".index", ".threads", ".store", ".push", ".push.lock", ".lock")),
    ]
    for path in (*places, beside(out, ".push-journal"), theirs, tmp_path, tmp_path / "none" / "map"):
        done = push("--map", path)
        assert (done.code, str(path) in done.err) == (5, True)
    assert contents(out.parent) == before
    assert len(fake.requests) == 0
    for _ in range(2):
        push("--map", tmp_path / "map")
    assert (tmp_path / "map").read_bytes().count(b"\n") == 4


# --- the ends


@pytest.mark.parametrize("status", [405, 501])
def test_a_web_server_that_takes_no_requests_is_a_wrong_address(
    status: int, fake: Watched, base_url: str, out: Path, push: Push
) -> None:
    """The push ends at once, and leaves no file."""
    page = "<!DOCTYPE html><html><head><title>Not here</title></head></html>"
    fake.faults = [{"match": {}, "do": {"status": status, "body": page}}]
    before = contents(out.parent)
    done = push()
    assert done.code == 2
    words = f'this address does not serve the Conversations API: {base_url}: {status}: a web page, "Not here"'
    assert words in done.err
    assert contents(out.parent) == before


def test_every_thread_that_was_not_pushed_is_in_a_line_or_a_number(
    tmp_path: Path, base_url: str, fake: Watched, threadkeep: Run
) -> None:
    """Also where there are more than a result lists."""
    assert base_url
    many = export_of(tmp_path, threads_of(**{f"t{number}": 1 for number in range(30)}))
    fake.faults = [{"match": {"method": "POST"}, "do": {"status": 400, "body": {"error": {"message": "no"}}}}]
    done = threadkeep("push", many, "--to", "conversations", "--quiet")
    lines = [line.strip() for line in done.err.splitlines()]
    named = [line for line in lines if line.startswith("thread_t")]
    more = [int(line.split()[2]) for line in lines if line.startswith("… and ")]
    assert (done.code, len(named) + sum(more)) == (1, 30)
    assert "30 threads not pushed (0 of 30 threads pushed)" in done.err


def test_a_store_belongs_to_one_target(fake: Watched, base_url: str, out: Path, push: Push) -> None:
    """Another address would have all threads anew, and the map would lead to two servers."""
    push("--only", "thread_a")
    asked = len(fake.asked)
    done = push("--base-url", base_url.replace("127.0.0.1", "localhost"))
    assert done.code == 5
    assert f"{out.name}.push says that OUT was pushed to conversations at {base_url}, and not to" in done.err
    assert len(fake.asked) == asked


def test_a_store_belongs_to_one_end_user(fake: Watched, out: Path, push: Push) -> None:
    """The conversations of the others would be seen by the wrong one. The identity itself is written nowhere."""
    assert push("--only", "thread_a", "--user-identity", "alice@example.com").code == 0
    asked = len(fake.asked)
    for options in ((), ("--user-identity", "bob")):
        done = push(*options)
        assert (done.code, "for one end user (--user-identity)" in done.err) == (5, True)
    assert len(fake.asked) == asked
    assert b"alice" not in beside(out, ".push").read_bytes()


def test_a_second_push_is_refused_while_the_first_is_at_work(fake: Watched, out: Path, push: Push) -> None:
    """As of an export."""
    with locked(beside(out, ".push.lock")):
        done = push()
    assert done.code == 5
    assert "out.ndjson.push is being written by another threadkeep" in done.err
    assert fake.asked == []
    assert push("--only", "thread_a").code == 0


@pytest.mark.parametrize(
    ("status", "code", "words"),
    [(401, 4, "Check the key"), (403, 4, "Check the key"), (410, 3, "The same command resumes the push")],
)
def test_what_ends_it_has_a_code_and_is_resumed(
    status: int, code: int, words: str, fake: Watched, out: Path, push: Push
) -> None:
    """In the middle; what was sent is in the map."""
    fake.faults = [{"match": {"method": "POST", "path": "/items$", "nth": 4, "times": 999}, "do": {"status": status}}]
    done = push("--concurrency", "1")
    assert (done.code, words in done.err) == (code, True)
    assert "1 of 4 threads pushed" in done.err
    assert [*rows_of_map(out)] == ["thread_a"]
    fake.faults = []
    assert push("--verify", "--quiet").code == 1  # one thread is not complete
    target = Target("openai", fake)
    assert {name: len(items) for name, items in target.items.items()} == {
        "thread_a": 45,
        "thread_b": 3,
        "thread_c": 20,
        "thread_d": 21,
    }


def test_an_address_that_serves_no_conversations_is_a_mistake_of_usage(base_url: str, out: Path, push: Push) -> None:
    """It is named with what it should be, and no store is left."""
    done = push("--base-url", base_url.replace("/v1", "/v2"))
    assert done.code == 2
    assert "it ends where /conversations begins" in done.err
    assert not beside(out, ".push").exists()


def test_without_a_key_nothing_is_asked(fake: Watched, out: Path, push: Push, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is the key that is missing."""
    monkeypatch.delenv("OPENAI_API_KEY")
    done = push()
    assert done.code == 4
    assert fake.asked == []
    assert not beside(out, ".push").exists()


def test_the_demo_is_pushed_and_verified(base_url: str, fake: Watched, tmp_path: Path, threadkeep: Run) -> None:
    """Every kind of part, with files, to a target that has none of them."""
    assert base_url
    world: Any = demo_world(12, None, seed=5)
    source = Watched.holding(world)
    ids = tmp_path / "ids.txt"
    ids.write_text("\n".join(thread["id"] for thread in world["threads"]))
    out = tmp_path / "out.ndjson"
    with source.serve() as server:
        options = ("--include", "threads", "--files", "--base-url", server.base_url)
        assert threadkeep("export", ids, "auto", out, *options).code == 0
    for _ in range(2):
        done = threadkeep("push", out, "--to", "conversations", "--upload-files", "--verify", "--json")
        said = json.loads(done.out)
        assert (done.code, said["problems"], said["verified"]) == (0, [], said["pushed"])
    assert said["sent"] == 0
    items = {name: len(found) for name, found in Target("openai", fake).items.items()}
    assert {name: row["items"] for name, row in rows_of_map(out).items()} == items
    assert sum(items.values()) == said["items"] > 100
