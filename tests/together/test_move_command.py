"""``threadkeep move``: from Foundry Agents (classic) to the new Foundry, whatever happens on the way."""

import base64
import json
import shlex
import signal
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from command import Done, Run
from exporting import threads_of
from exports import beside, exported, write_ids
from fake_assistants import FakeAssistants, Request
from processes import run_alone, signalled
from threadkeep.api.endpoints import ApiSource, Auth
from threadkeep.api.keys import Key
from threadkeep.api.transport import Transport
from threadkeep.cli.source_options import OptionalSource
from watched import Watched

MOVE = import_module("threadkeep.cli.commands.move")
KEY = "sk-of-the-environment"


@pytest.fixture
def fake() -> Watched:
    """A fake of Foundry, classic and new."""
    return Watched(profile="foundry")


@pytest.fixture
def other() -> Watched:
    """Another one."""
    return Watched(profile="foundry")


def serve(fake: FakeAssistants, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of a project of a fake, and a key in the environment."""
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with fake.serve() as server:
        yield f"{server.url}/api/projects/fake"


@pytest.fixture
def project(fake: Watched, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of the project: threads are at it, and conversations below it."""
    yield from serve(fake, monkeypatch)


@pytest.fixture
def elsewhere(other: Watched, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of a project of another server."""
    yield from serve(other, monkeypatch)


def world(sizes: dict[str, int]) -> dict[str, Any]:
    """Threads of so many messages, with metadata."""
    messages = [row for rows in threads_of(**sizes).values() for row in rows]
    threads = [{"id": f"thread_{name}", "object": "thread", "metadata": {"of": name}} for name in sizes]
    return {"threads": threads, "messages": messages}


def load(fake: FakeAssistants, folder: Path, *more: str, **sizes: int) -> Path:
    """Load threads of these sizes, and write a list of them and of these other lines."""
    fake.load(world(sizes))
    return write_ids(folder, *(f"thread_{name}" for name in sizes), *more)


def command(ids: Path, out: Path, project: str, *more: object, to: str | None = None) -> list[object]:
    """The command, to the same project or another target."""
    target = to or f"{project}/openai/v1"
    options = ["--base-url", project, "--to-base-url", target, "--to-target", "foundry", *more]
    return ["move", ids, "auto", out, *options]


def moved(fake: FakeAssistants) -> dict[str, list[str]]:
    """The texts of each conversation, by the thread that it was. No thread has two, and none is without one."""
    state, texts = fake.snapshot(), dict[str, list[str]]()
    names = {one["id"]: one["metadata"]["thread_id"] for one in state["conversations"]}
    assert len({*names.values()}) == len(names)
    for item in state["conversation_items"]:
        texts.setdefault(names[item["conversation_id"]], []).append(item["content"][0]["text"])
    assert texts.keys() == {*names.values()}
    return texts


def texts_of(fake: FakeAssistants, *but: str) -> dict[str, list[str]]:
    """The texts of each thread that has messages, but for these."""
    texts = dict[str, list[str]]()
    for message in fake.snapshot()["messages"]:
        if message["thread_id"] not in but:
            texts.setdefault(message["thread_id"], []).append(message["content"][0]["text"]["value"])
    return texts


def contents(folder: Path) -> dict[str, bytes]:
    """Every file of a folder."""
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def is_page(request: Request) -> bool:
    """A request for messages."""
    return request.method == "GET" and request.path.endswith("/messages")


def is_of_target(request: Request) -> bool:
    """A request about conversations."""
    return "/openai/v1/" in request.path


def is_creation(request: Request) -> bool:
    """A request for a conversation."""
    return request.method == "POST" and request.path.endswith("/conversations")


def is_addition(request: Request) -> bool:
    """A request that adds items."""
    return request.method == "POST" and request.path.endswith("/items")


def is_proof(request: Request) -> bool:
    """A request that reads items back."""
    return request.method == "GET" and request.path.endswith("/items")


# --- it comes to its end


def test_a_move_that_is_killed_in_both_halves_ends_verified(
    fake: Watched, project: str, threadkeep: Run, tmp_path: Path
) -> None:
    """A thousand threads of 0 to 23 messages: every message is there once, and every conversation is verified."""
    ids = load(fake, tmp_path, **{f"{number:04}": number * 7 % 24 for number in range(1_000)})
    out = tmp_path / "out.ndjson"
    typed = command(ids, out, project)
    assert signalled(fake, signal.SIGKILL, *typed, nth=500, of=is_page).code == -signal.SIGKILL
    assert not out.exists()
    assert not any(map(is_of_target, fake.asked))
    assert signalled(fake, signal.SIGKILL, *typed, nth=300, of=is_addition).code == -signal.SIGKILL
    assert len(exported(out)) == 958
    before = fake.snapshot()["messages"]
    done = threadkeep(*typed)
    assert (done.code, done.err) == (0, "")
    assert fake.snapshot()["messages"] == before
    assert moved(fake) == texts_of(fake)
    rows = [json.loads(line) for line in beside(out, ".conversations.ndjson").read_bytes().splitlines()]
    assert {row["thread_id"]: row["items"] for row in rows} == {key: len(texts) for key, texts in moved(fake).items()}
    assert all(row["verified"] for row in rows)
    assert f"{out}: 958 threads pushed" in done.out
    assert "  empty         42 threads" in done.out


def test_a_move_that_is_complete_is_only_verified_again(
    fake: Watched, project: str, threadkeep: Run, tmp_path: Path
) -> None:
    """Three short summaries, in order; the metadata of the threads went along; nothing is fetched or sent twice."""
    ids, out = load(fake, tmp_path, a=3, b=45, c=0), tmp_path / "out.ndjson"
    done = threadkeep(*command(ids, out, project))
    assert (done.code, done.err) == (0, "")
    heads = [line for line in done.out.splitlines() if line.startswith(str(out))]
    assert heads == [str(out), f"{out}: complete", f"{out}: 2 threads pushed to {project}/openai/v1"]
    assert "Next:" not in done.out
    assert moved(fake) == texts_of(fake)
    assert [row["metadata"]["of"] for row in fake.snapshot()["conversations"]] == ["a", "b"]
    asked, before = len(fake.asked), contents(tmp_path)
    assert threadkeep(*command(ids, out, project)).code == 0
    assert {request.method for request in fake.asked[asked:]} == {"GET"}
    assert all(map(is_of_target, fake.asked[asked:]))
    assert {name: content for name, content in contents(tmp_path).items() if not name.endswith(".push")} == {
        name: content for name, content in before.items() if not name.endswith(".push")
    }


def test_new_messages_are_moved_to_the_conversation_that_is_there(
    fake: Watched, project: str, threadkeep: Run, tmp_path: Path
) -> None:
    """After an export with --refresh, as on the day of the switch."""
    ids, out = load(fake, tmp_path, a=3), tmp_path / "out.ndjson"
    assert threadkeep(*command(ids, out, project)).code == 0
    load(fake, tmp_path, a=5)
    export = ["export", ids, "auto", out, "--include", "threads", "--refresh", "--base-url", project]
    assert threadkeep(*export).code == 0
    assert threadkeep(*command(ids, out, project)).code == 0
    assert moved(fake) == texts_of(fake)
    assert len(moved(fake)["thread_a"]) == 5


def test_what_items_need_of_files_is_downloaded(fake: Watched, project: str, threadkeep: Run, tmp_path: Path) -> None:
    """Without --files too, where an option needs them."""
    image = {"type": "image_file", "image_file": {"file_id": "file-1", "detail": "auto"}}
    fake.load(world({"a": 1}))
    message = {**fake.snapshot()["messages"][0], "content": [image]}
    file = {"id": "file-1", "object": "file", "purpose": "vision", "filename": "a.png", "bytes": 2}
    content = {"id": "file-1", "content": base64.b64encode(b"hi").decode()}
    fake.load({"messages": [message], "files": [file], "file_contents": [content]})
    ids = write_ids(tmp_path, "thread_a")
    for number, option in enumerate(("--inline-images", "--upload-files", "--files")):
        out = tmp_path / str(number) / "out.ndjson"
        out.parent.mkdir()
        assert threadkeep(*command(ids, out, project, option)).code == 0
        assert [path.read_bytes() for path in (out.parent / "out.files").iterdir()] == [b"hi"]
    assert "base64,aGk=" in fake.snapshot()["conversation_items"][0]["content"][0]["image_url"]


# --- it ends before


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
@pytest.mark.parametrize("moment", [is_page, is_creation, is_addition, is_proof], ids=lambda moment: moment.__name__)
def test_an_interrupted_move_is_resumed_by_the_same_command(
    name: str, moment: Callable[[Request], bool], fake: Watched, project: str, tmp_path: Path
) -> None:
    """Exit 130, in the export, in the push, or while it is verified; in the end every message is there once."""
    ids, out = load(fake, tmp_path, **{f"n{number}": number for number in range(30)}), tmp_path / "out.ndjson"
    typed = command(ids, out, project, "--concurrency", 1)
    done = signalled(fake, getattr(signal, name), *typed, nth=5, of=moment)
    assert done.code == 130
    assert "interrupted" in done.err
    assert "The same command resumes" in done.err
    assert "Traceback" not in done.err
    assert any(map(is_of_target, fake.asked)) == (moment is not is_page)
    again = run_alone(*typed)
    assert (again.code, again.err) == (0, "")
    assert moved(fake) == texts_of(fake)


def test_an_interruption_behind_the_export_ends_the_move(
    fake: Watched, project: str, threadkeep: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The export is on the disk, and only its connections are still being closed: nothing is asked of the target."""
    close = Transport.__aexit__

    async def closing(transport: Transport, *error: object) -> None:
        signal.raise_signal(signal.SIGINT)
        await close(transport, *error)

    ids, out = load(fake, tmp_path, a=3), tmp_path / "out.ndjson"
    monkeypatch.setattr(Transport, "__aexit__", closing)
    done = threadkeep(*command(ids, out, project))
    assert (done.code, done.err.strip(), len(exported(out))) == (130, "threadkeep: interrupted", 1)
    assert not any(map(is_of_target, fake.asked))


def test_an_interruption_between_the_parts_ends_the_move(
    fake: Watched, project: str, threadkeep: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the export is validated; programs get the summary of what is through."""

    def interrupted(*_arguments: object) -> None:
        signal.raise_signal(signal.SIGINT)
        pytest.fail("a signal is taken at the next call at the latest")

    ids, out = load(fake, tmp_path, a=3), tmp_path / "out.ndjson"
    monkeypatch.setattr(MOVE, "validated", interrupted)
    done = threadkeep(*command(ids, out, project, "--json"))
    assert done.code == 130
    summary = json.loads(done.out)
    assert (summary["export"]["exit"], summary["validate"], summary["push"]) == (0, None, None)
    assert not any(map(is_of_target, fake.asked))


def test_threads_that_are_not_complete_are_left_out(
    fake: Watched, project: str, threadkeep: Run, tmp_path: Path
) -> None:
    """One that is missing, one that fails, and a line that is no id: exit 1, and all others are there."""
    ids = load(fake, tmp_path, "thread_none", "asst_abc", a=3, b=5, c=2)
    fake.faults = [{"match": {"path": "/thread_b/messages"}, "do": {"status": 500}}]
    out = tmp_path / "out.ndjson"
    done = threadkeep(*command(ids, out, project, "--max-retries", 0))
    assert done.code == 1
    assert "thread_none: missing" in done.err
    assert "not pushed, since not complete: 2 threads of the export" in done.err
    assert f"{out}: not complete" in done.out
    assert "  verified      2 of 2" in done.out
    assert moved(fake) == texts_of(fake, "thread_b")
    fake.faults = []
    write_ids(tmp_path, "thread_a", "thread_b", "thread_c")
    (tmp_path / "drop.txt").write_text("thread_none")
    assert threadkeep(*command(ids, out, project, "--drop", tmp_path / "drop.txt")).code == 0
    assert moved(fake) == texts_of(fake)


@pytest.mark.parametrize("begun", [False, True])
def test_a_wrong_address_of_the_target_changes_nothing(
    begun: bool, fake: Watched, project: str, threadkeep: Run, tmp_path: Path
) -> None:
    """Exit 2, OUT stays as it is, nothing is at the target, and the right address can be given then."""
    ids, out = load(fake, tmp_path, a=3), tmp_path / "out.ndjson"
    if begun:
        assert threadkeep("export", ids, "auto", out, "--include", "threads", "--base-url", project).code == 0
    before = contents(tmp_path)
    wrong = project.replace("/api/projects/fake", "/nothing/v1")
    done = threadkeep(*command(ids, out, project, to=wrong))
    assert done.code == 2
    assert wrong in done.err
    assert "Check the address" in done.err
    assert "--base-url" not in done.err
    state = fake.snapshot()
    assert (state.get("conversations", []), state.get("conversation_items", [])) == ([], [])
    assert not begun or contents(tmp_path) == before
    assert {path.name for path in tmp_path.glob("out.ndjson.*")} == {
        f"out.ndjson.{name}" for name in ("index", "manifest.json", "threads")
    }
    assert threadkeep(*command(ids, out, project)).code == 0
    assert moved(fake) == texts_of(fake)


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("ftp://host/v1", "--to-base-url: 'ftp://host/v1' is not an address"),
        ("https://sk-a@[", "--to-base-url: the base"),
    ],
)
def test_an_address_that_is_none_is_refused_before_anything_is_asked(
    address: str, words: str, fake: Watched, project: str, threadkeep: Run, tmp_path: Path
) -> None:
    """Exit 2, and no file."""
    ids = load(fake, tmp_path, a=3)
    done = threadkeep(*command(ids, tmp_path / "out.ndjson", project, to=address))
    assert (done.code, words in done.err, "sk-a" in done.err) == (2, True, False)
    assert (fake.asked, [*tmp_path.iterdir()]) == ([], [ids])


def test_a_target_without_a_key_is_named_before_anything_is_asked(
    fake: Watched, project: str, elsewhere: str, threadkeep: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit 4, by the names of its own options."""
    monkeypatch.delenv("OPENAI_API_KEY")
    ids = load(fake, tmp_path, a=3)
    source = ["--token-command", "echo of-the-source"]
    done = threadkeep(*command(ids, tmp_path / "out.ndjson", project, *source, to=elsewhere))
    assert done.code == 4
    assert f"the target, {elsewhere}/openai/v1: no key: set OPENAI_API_KEY, or give --to-token-command" in done.err
    assert (fake.asked, [*tmp_path.iterdir()]) == ([], [ids])


@pytest.mark.parametrize("complete", [0, 2])
def test_a_source_that_is_gone_ends_the_move(
    complete: int, fake: Watched, project: str, threadkeep: Run, tmp_path: Path
) -> None:
    """Exit 3, and no push. If anything is complete, the command is named that pushes it, and it does."""
    ids, out = load(fake, tmp_path, a=3, b=4, c=2), tmp_path / "out.ndjson"
    fake.sunset.after_requests(2 * complete)
    done = threadkeep(*command(ids, out, project, "--concurrency", 1))
    assert done.code == 3
    assert not any(map(is_of_target, fake.asked))
    assert not beside(out, ".push").exists()
    assert f"  unfinished    {3 - complete} thread" in done.out
    assert ("nothing was pushed" in done.err) == bool(complete)
    if complete:
        program, *typed = shlex.split(done.err.splitlines()[-1])
        assert program == "threadkeep"
        assert threadkeep(*typed).code == 1
        assert moved(fake) == texts_of(fake, "thread_c")


def test_a_key_that_the_target_refuses_ends_the_push(
    fake: Watched, project: str, threadkeep: Run, tmp_path: Path
) -> None:
    """Exit 4, whatever else is not complete, by the names of the target's options."""
    ids, out = load(fake, tmp_path, "thread_none", a=3), tmp_path / "out.ndjson"
    fake.faults = [{"match": {"path": "/conversations"}, "do": {"status": 401}}]
    done = threadkeep(*command(ids, out, project))
    assert done.code == 4
    assert "0 of 1 thread pushed" in done.err
    assert "--to-keys-file" in done.err.splitlines()[-1]
    assert len(exported(out)) == 1


def test_a_damaged_export_is_not_pushed(
    fake: Watched, project: str, threadkeep: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit 1, with what was found and what to do; the same command repairs it, and pushes it then."""
    run_job = MOVE.run_job

    def damaging(*arguments: Any, **options: Any) -> Any:
        result = run_job(*arguments, **options)
        out.write_bytes(out.read_bytes().replace(b'"role":"user"', b'"role":"uses"', 1))
        return result

    ids, out = load(fake, tmp_path, a=3, b=2), tmp_path / "out.ndjson"
    with monkeypatch.context() as patched:
        patched.setattr(MOVE, "run_job", damaging)
        done = threadkeep(*command(ids, out, project))
    assert done.code == 1
    assert "digest_mismatch" in done.out
    assert "Next: " in done.out
    assert done.err.splitlines() == [
        "threadkeep: the export is damaged: nothing was pushed",
        f"  threadkeep validate {out}",
    ]
    assert not any(map(is_of_target, fake.asked))
    assert threadkeep(*command(ids, out, project)).code == 0
    assert moved(fake) == texts_of(fake)


# --- OUT and the store of the push


def test_an_export_without_thread_objects_can_be_pushed(
    fake: Watched, project: str, threadkeep: Run, tmp_path: Path
) -> None:
    """Exit 5, as of an export with other options. The command that is named pushes it, without metadata of threads."""
    ids, out = load(fake, tmp_path, a=3), tmp_path / "out.ndjson"
    assert threadkeep("export", ids, "auto", out, "--base-url", project).code == 0
    before = contents(tmp_path)
    done = threadkeep(*command(ids, out, project))
    assert (done.code, done.out) == (5, "")
    words, typed = done.err.splitlines()
    assert words == (
        f"threadkeep: {out} was begun without --include, and not with --include threads. Use the same, or choose"
        " another OUT. This pushes OUT as it is:"
    )
    assert contents(tmp_path) == before
    assert threadkeep(*shlex.split(typed)[1:]).code == 0
    assert moved(fake) == texts_of(fake)


def test_another_target_than_before_is_refused_before_anything_is_asked(
    fake: Watched, project: str, elsewhere: str, threadkeep: Run, tmp_path: Path
) -> None:
    """Exit 5, and so is a map that would take the place of another file."""
    ids, out = load(fake, tmp_path, a=3), tmp_path / "out.ndjson"
    assert threadkeep(*command(ids, out, project)).code == 0
    asked, before = len(fake.asked), contents(tmp_path)
    done = threadkeep(*command(ids, out, project, to=elsewhere))
    assert (done.code, "out.ndjson.push says that OUT was pushed to conversations at" in done.err) == (5, True)
    done = threadkeep(*command(ids, out, project, "--map", ids))
    assert (done.code, "is no map of a push" in done.err) == (5, True)
    assert (len(fake.asked), contents(tmp_path)) == (asked, before)


# --- keys


def keys_of(fake: Watched) -> set[str]:
    """The keys that a server was sent."""
    return {request.headers["authorization"].removeprefix("Bearer ") for request in fake.asked}


def keys_file(folder: Path, key: str) -> Path:
    """A file of one key."""
    path = folder / f"{key}.txt"
    path.write_text(key)
    path.chmod(0o600)
    return path


@pytest.mark.parametrize(
    ("given", "of_source", "of_target"),
    [
        ([], KEY, KEY),
        (["--keys-file"], "sk-source", KEY),
        (["--token-command"], "sk-source", KEY),
        (["--to-keys-file"], KEY, "sk-target"),
        (["--to-token-command"], KEY, "sk-target"),
        (["--keys-file", "--to-token-command"], "sk-source", "sk-target"),
        (["--token-command", "--to-keys-file"], "sk-source", "sk-target"),
    ],
)
def test_no_credential_goes_to_another_server(
    given: list[str],
    of_source: str,
    of_target: str,
    fake: Watched,
    other: Watched,
    project: str,
    elsewhere: str,
    threadkeep: Run,
    tmp_path: Path,
) -> None:
    """Each has its own, or that of the environment."""
    ids = load(fake, tmp_path, a=3)
    done = threadkeep(*command(ids, tmp_path / "out.ndjson", project, *credentials(tmp_path, given), to=elsewhere))
    assert (done.code, done.err) == (0, "")
    assert (keys_of(fake), keys_of(other)) == ({of_source}, {of_target})
    assert moved(other) == texts_of(fake)


def credentials(folder: Path, given: list[str]) -> list[object]:
    """These options, with a key of the source or of the target."""
    values = list[object]()
    for option in given:
        key = "sk-target" if option.startswith("--to-") else "sk-source"
        values += [option, keys_file(folder, key) if option.endswith("keys-file") else f"echo {key}"]
    return values


@pytest.mark.parametrize(
    ("given", "of_source", "of_target"),
    [
        ([], KEY, KEY),
        (["--keys-file"], "sk-source", "sk-source"),
        (["--token-command"], "sk-source", "sk-source"),
        (["--to-keys-file"], KEY, "sk-target"),
        (["--token-command", "--to-token-command"], "sk-source", "sk-target"),
        (["--keys-file", "--to-keys-file"], "sk-source", "sk-target"),
    ],
)
def test_a_target_at_the_same_origin_is_asked_with_the_sources_credentials(
    given: list[str], of_source: str, of_target: str, fake: Watched, project: str, threadkeep: Run, tmp_path: Path
) -> None:
    """Unless it has its own."""
    ids = load(fake, tmp_path, a=3)
    assert threadkeep(*command(ids, tmp_path / "out.ndjson", project, *credentials(tmp_path, given))).code == 0
    asked = [*fake.asked]
    for is_target, key in ((True, of_target), (False, of_source)):
        fake.asked[:] = [request for request in asked if is_of_target(request) is is_target]
        assert keys_of(fake) == {key}


def test_another_name_of_the_host_is_another_origin(
    fake: Watched, project: str, threadkeep: Run, tmp_path: Path
) -> None:
    """Though it may lead to the same server."""
    ids = load(fake, tmp_path, a=3)
    local = project.replace("127.0.0.1", "localhost")
    given = credentials(tmp_path, ["--keys-file"])
    assert threadkeep(*command(ids, tmp_path / "out.ndjson", project, *given, to=local)).code == 0
    fake.asked[:] = filter(is_of_target, fake.asked)
    assert keys_of(fake) == {KEY}


@pytest.mark.parametrize(
    ("address", "auth", "expected"),
    [
        ("https://a.test/v1", None, (Auth.API_KEY, "sk-source")),
        ("https://A.test:443/other?x=1", None, (Auth.API_KEY, "sk-source")),
        ("https://a.test/v1", "bearer", (Auth.BEARER, "sk-source")),
        ("http://a.test/v1", None, (None, None)),
        ("https://a.test:8443/v1", "bearer", (Auth.BEARER, None)),
        ("https://a.test@b.test/v1", None, (None, None)),
        ("https://sub.a.test/v1", None, (None, None)),
    ],
)
def test_what_a_target_has_of_the_source(address: str, auth: str | None, expected: Any) -> None:
    """At the same scheme, host and port its keys and their header; elsewhere nothing."""
    source = ApiSource(base_url="https://a.test/v1", auth=Auth.API_KEY, keys=(Key("sk-source"),))
    found = OptionalSource({"base_url": address, "auth": auth}, "--to-").second_to(source)
    assert (found.auth, next((key.secret for key in found.keys), None)) == expected


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--to-keys-file", "-"], "--to-keys-file takes a file"),
        (["--to-keys-file", "{tmp}/none"], "none: No such file or directory"),
        (["--to-keys-file", "{tmp}/sk-a.txt", "--to-token-command", "x"], "Give --to-keys-file or --to-token-command"),
        (["--to-auth", "api-key", "--to-token-command", "x"], "What --to-token-command prints is sent as the bearer"),
        (
            ["--to-auth", "api-key", "--token-command", "x"],
            "What --token-command prints is sent as the bearer: --to-auth",
        ),
        (["--auth", "api-key", "--token-command", "x"], "as the bearer: --auth api-key contradicts it"),
        (["--to-keys-file", "{tmp}/ids.txt"], "The thread ids and --to-keys-file are the same file"),
        (["--to-auth", "basic"], "is not one of"),
        (["--to-rpm", "0"], "--to-rpm"),
        (["--map", "-"], "--map takes a file"),
        (["--done", "-", "--drop", "-"], "can be standard input"),
    ],
)
def test_bad_options_are_named_in_words(
    more: list[str], words: str, fake: Watched, project: str, threadkeep: Run, tmp_path: Path
) -> None:
    """Exit 2, by the names that were typed, and nothing is asked."""
    ids = load(fake, tmp_path, a=1)
    keys_file(tmp_path, "sk-a")
    done = threadkeep(*command(ids, tmp_path / "out.ndjson", project, *(one.format(tmp=tmp_path) for one in more)))
    assert (done.code, fake.asked) == (2, [])
    assert words in done.err
    assert "sk-a" not in done.err.replace("sk-a.txt", "")


# --- what is printed


def test_what_is_known_of_the_addresses_is_printed_once(
    threadkeep: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though both are at OpenAI's own, whose threads have ended, and whose conversations have not."""
    fake = FakeAssistants()
    ids = load(fake, tmp_path, a=3)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    with fake.mount():
        done = threadkeep("move", ids, "auto", tmp_path / "o", "--to-base-url", "https://api.openai.com/v1")
    assert done.code == 0
    assert done.err.count("OpenAI closed the Assistants API") == 1
    assert done.err.count("2027-03-31") == 1
    assert moved(fake) == texts_of(fake)


def printed(done: Done) -> Any:
    """What a command says to programs."""
    return json.loads(done.out)


def test_programs_get_one_object(fake: Watched, project: str, threadkeep: Run, tmp_path: Path) -> None:
    """Of the three in the shapes of their own commands."""
    ids, out = load(fake, tmp_path, "thread_none", a=3), tmp_path / "out.ndjson"
    done = threadkeep(*command(ids, out, project, "--json"))
    summary = printed(done)
    assert (done.code, [*summary]) == (1, ["export", "validate", "push"])
    assert (summary["export"]["exit"], summary["validate"]["complete"], summary["push"]["exit"]) == (1, False, 1)
    export = ("export", ids, "auto", out, "--include", "threads", "--base-url", project, "--json")
    push = ("push", out, "--to", "conversations", "--verify", "--base-url", f"{project}/openai/v1", "--json")
    for part, typed in {"export": export, "validate": ("validate", out, "--json"), "push": push}.items():
        alone = printed(threadkeep(*typed))
        assert summary[part].keys() == alone.keys()
        varying = (
            "seconds",
            "fetched",
            "messages",
            "already_complete",
            "written",
            "sent",
            "requests",
            "planned",
            "next",
        )
        assert {key: summary[part][key] for key in alone if key not in varying} == {
            key: alone[key] for key in alone if key not in varying
        }


def test_programs_get_what_is_through(fake: Watched, project: str, threadkeep: Run, tmp_path: Path) -> None:
    """The parts that were not begun are null."""
    ids = load(fake, tmp_path, a=3)
    fake.sunset.now()
    summary = printed(threadkeep(*command(ids, tmp_path / "out.ndjson", project, "--json")))
    assert (summary["export"]["exit"], summary["validate"], summary["push"]) == (3, None, None)


def test_a_quiet_move_prints_problems_only(fake: Watched, project: str, threadkeep: Run, tmp_path: Path) -> None:
    """On standard error."""
    ids, out = load(fake, tmp_path, "thread_none", a=3), tmp_path / "out.ndjson"
    done = threadkeep(*command(ids, out, project, "--quiet"))
    assert (done.code, done.out) == (1, "")
    assert "thread_none: missing" in done.err


def test_standard_input_can_be_the_list(fake: Watched, project: str, tmp_path: Path) -> None:
    """It is read once."""
    ids, out = load(fake, tmp_path, a=3), tmp_path / "out.ndjson"
    with ids.open("rb") as lines:
        done = run_alone(*command(Path("-"), out, project), stdin=lines)
    assert (done.code, done.err) == (0, "")
    assert moved(fake) == texts_of(fake)
