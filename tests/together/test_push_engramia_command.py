"""``threadkeep push --to engramia``, over HTTP: killed, with what it prints, and where it asks."""

import json
import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from command import Run
from converting import lines
from engramia_pushes import put_pairs, server
from engramia_server import KEY, Engramia, Fault, by_chance
from push_kills import Death, push_processes
from threadkeep import convert, push
from threadkeep.api.endpoints import ApiSource
from threadkeep.api.keys import Key

LEARN, EXPORT = "/v1/learn", "/v1/governance/export"
PAIRS = [("hello", "hi"), ("why?", "mail a@b.cz"), ("hello", "hi")]


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """An export of two threads, of which one has no pair."""
    return put_pairs(tmp_path / "out.ndjson", {"thread_a": PAIRS, "thread_b": [("hello", " ")]})


@pytest.fixture
def engramia() -> Engramia:
    """A server of this version."""
    return server()


@pytest.fixture
def url(engramia: Engramia, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Its address. The environment has that and its key, and what is OpenAI's leads nowhere."""
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-other")
    with engramia.serving() as url:
        monkeypatch.setenv("ENGRAMIA_API_URL", url)
        monkeypatch.setenv("ENGRAMIA_API_KEY", KEY)
        yield url


def test_kills_leave_each_pattern_once(tmp_path: Path, url: str, engramia: Engramia, threadkeep: Run) -> None:
    """At each moment that matters, while answers are lost and fail: before and after each record in the store."""
    draw = random.Random(1)
    threads = {
        f"thread_{number}": [(f"question {place % 7}", f"answer {draw.randrange(3)}") for place in range(8)]
        for number in range(25)
    }
    out = put_pairs(tmp_path / "out.ndjson", threads)
    losing = (Fault.DROP_BEFORE, Fault.DROP_AFTER, Fault.FAIL_BEFORE, Fault.FAIL_AFTER, Fault.CUT)
    engramia.faults = by_chance(0.05, among=losing)
    arguments = ("push", out, "--to", "engramia", "--rpm", 1_000_000, "--base-url", url)
    with push_processes() as processes:
        for _ in range(12):
            nth = draw.randrange(2, 40)
            death: Death = ("before record", nth) if draw.random() < 0.5 else ("after record", nth)
            assert processes.run(*arguments, "--quiet", death=death) == -9
    done = threadkeep(*arguments, "--json")
    assert (done.code, done.err) == (0, "")
    pairs = [pair for row in threads.values() for pair in row]
    assert json.loads(done.out)["items"] == len(pairs) > json.loads(done.out)["sent"]
    assert Counter(engramia.stored()) == Counter(pairs)
    engramia.faults = by_chance(0)
    engramia.requests.clear()
    assert json.loads(threadkeep(*arguments, "--verify", "--json").out)["verified"] == 25
    assert engramia.requests == {EXPORT: 1}


def test_what_is_printed(out: Path, url: str, engramia: Engramia, threadkeep: Run) -> None:
    """Its own variables say where to ask. Patterns have no map."""
    planned = threadkeep("push", out, "--to", "engramia", "--dry-run")
    assert (planned.code, planned.err, engramia.requests) == (0, "", {})
    assert planned.out.splitlines() == [
        f"{out}: dry run of a push to {url}/v1; nothing was sent",
        "  patterns      3 to send",
        "  requests      3 that write, if each is answered",
        "  time          about 0:00:03 at 60 requests a minute",
        "  lost          2 message",
        "  empty         1 thread with nothing to send",
    ]
    arguments = ("push", out, "--to", "engramia", "--rpm", 6000, "--verify")
    done = threadkeep(*arguments)
    losses = out.with_name("out.ndjson.engramia.losses.ndjson")
    assert (done.code, done.out.splitlines()) == (
        0,
        [
            f"{out}: 1 thread pushed to {url}/v1",
            "  patterns      3 in these threads",
            "  this run      3 patterns sent, 5 requests",
            "  verified      1 of 1",
            "  lost          2 message, 1 redacted, 1 run_id",
            f"  losses in     {losses}",
            "  empty         1 thread with nothing to send",
        ],
    )
    assert sorted(path.name for path in out.parent.iterdir()) == [out.name, losses.name, f"{out.name}.push"]
    engramia.patterns.clear()
    done = threadkeep(*arguments)
    assert (done.code, done.err.splitlines()[-2:]) == (
        1,
        [
            "threadkeep: 1 thread not verified (1 of 1 thread pushed)",
            "  A push changes and deletes nothing that is there. The same command with --anew sends the patterns again"
            " that are gone, and those of which the export has other texts now.",
        ],
    )


def test_what_is_sent_is_what_a_conversion_writes(out: Path, url: str, engramia: Engramia) -> None:
    """From Python as from the command line, for the threads that were chosen and with the options for texts."""
    pairs = [("hello", "half \ud800 of a pair"), ("hello", "\U0001f32e")]
    put_pairs(out, {"thread_a": PAIRS, "thread_b": pairs})
    result = push(out, to="engramia", only=["thread_b"], base_url=f"{url}/v1", api_key=KEY, rpm=6000)
    assert (result.is_complete, result.pushed, result.map_path, result.losses) == (True, 1, None, {"text": 1})
    convert(out, to="engramia", target=out.with_name("lines"))
    sent = [line for line in lines(out.with_name("lines")) if line["run_id"].endswith("thread_b")]
    assert engramia.stored() == [(line["task"], line["code"].replace("\ud800", "\ufffd")) for line in sent]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (("--map", "map.ndjson"), "--map is of no use with --to engramia."),
        (("--target", "openai"), "--target is of no use with --to engramia."),
        (("--user-identity", "me"), "--user-identity is of no use with --to engramia."),
        (("--upload-files",), "--upload-files is of no use with --to engramia."),
        (("--inline-images",), "--inline-images is of no use with --to engramia."),
        (("--keys-file", "keys.txt"), "More than one key is of no use with --to engramia."),
    ],
)
def test_what_only_conversations_have_a_use_for(
    out: Path, url: str, given: tuple[str, ...], words: str, threadkeep: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Is refused, before anything is asked. Several keys are no faster, and might be of several projects."""
    monkeypatch.chdir(out.parent)
    Path("keys.txt").write_text("key-one\nkey-two\n")
    done = threadkeep("push", out, "--to", "engramia", "--base-url", url, *given)
    assert done.code == 2
    assert f"threadkeep: {words}" in done.err.splitlines()


def test_from_python_the_same_is_refused(out: Path) -> None:
    """By the names of the arguments."""
    for name, value in {"map": "m", "target": "openai", "user_identity": "me", "upload_files": True}.items():
        with pytest.raises(ValueError, match=f"{name} is of no use with to='engramia'"):
            push(out, to="engramia", **{name: value})  # type: ignore[arg-type]
    keys = ApiSource(base_url="https://api.test", keys=(Key("key-one"), Key("key-two")))
    with pytest.raises(ValueError, match="more than one key is of no use with to='engramia'"):
        push(out, to="engramia", source=keys)


@pytest.mark.usefixtures("url")
@pytest.mark.parametrize(
    ("variables", "code", "words"),
    [
        ({"ENGRAMIA_API_URL": ""}, 2, "no address: ENGRAMIA_API_URL is not set"),
        ({"ENGRAMIA_API_KEY": ""}, 4, "no key: set ENGRAMIA_API_KEY, or give --token-command or --keys-file"),
        ({"ENGRAMIA_API_KEY": "key-two"}, 4, "401 from "),
    ],
)
def test_without_its_own_variables_nothing_is_sent(
    out: Path,
    variables: dict[str, str],
    code: int,
    words: str,
    threadkeep: Run,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Neither an address nor a key of OpenAI is taken."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    done = threadkeep("push", out, "--to", "engramia")
    assert done.code == code
    assert words in done.err
    assert "ENGRAMIA_API" in done.err
    assert not out.with_name("out.ndjson.push").exists()


def test_an_address_that_is_no_engramia_is_named(out: Path, url: str, threadkeep: Run) -> None:
    """With what it should be."""
    done = threadkeep("push", out, "--to", "engramia", "--base-url", f"{url}/api")
    assert done.code == 2
    assert f"this address does not serve the Engramia API: {url}/api/v1" in done.err
    assert "Of Engramia it is that of the server, with or without /v1." in done.err
    assert not out.with_name("out.ndjson.push").exists()
