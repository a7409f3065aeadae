"""The options of a source, on any server: its query, its keys, what it lists, and the warning about OpenAI's end."""

import base64
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from command import Run
from exports import ASSISTANT, write_ids
from fake_assistants import FakeAssistants, demo_world


def keys_file(folder: Path, *lines: str, mode: int = 0o600) -> Path:
    """A file of keys."""
    path = folder / "keys.txt"
    path.write_text("\n".join(lines))
    path.chmod(mode)
    return path


@pytest.fixture
def ids(tmp_path: Path) -> Path:
    """One thread's id."""
    return write_ids(tmp_path, "thread_a")


def queries(fake: FakeAssistants) -> list[dict[str, str]]:
    """The query of each request, as the request log has it."""
    return [dict(entry.query) for entry in fake.requests]


def test_the_query_of_the_address_goes_with_every_request(
    fake: FakeAssistants, base_url: str, threadkeep: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By option and by environment, next to the paging and the version."""
    monkeypatch.setenv("OPENAI_BASE_URL", f"{base_url}?api-version=v1&flavour=a%2Fb")
    assert threadkeep("assistants").code == 0
    assert threadkeep("assistants", "--api-version", "v2").code == 0
    assert threadkeep("assistants", "--base-url", f"{base_url}/?x=1").code == 0
    paging = {"limit": "100", "order": "asc"}
    assert queries(fake)[::2] == queries(fake)[1::2]  # the lists are empty, and so asked for twice
    assert queries(fake)[::2] == [
        {"api-version": "v1", "flavour": "a/b", **paging},
        {"api-version": "v2", "flavour": "a/b", **paging},
        {"x": "1", **paging},
    ]


@pytest.mark.parametrize("style", ["gone", "not-found"])
@pytest.mark.usefixtures("fake")
def test_no_secret_of_the_address_is_named_or_written(
    style: Any, fake: FakeAssistants, base_url: str, ids: Path, threadkeep: Run, tmp_path: Path
) -> None:
    """Neither user nor password nor query, whatever ends the run."""
    fake.sunset.now(style=style)
    secret = base_url.replace("http://", "http://someone:passw0rd@") + "?code=qu3ry"
    done = threadkeep("export", ids, ASSISTANT, tmp_path / "out", "--base-url", secret)
    assert done.code in (3, 4)
    assert base_url in done.err
    printed = done.err + done.out + "".join(path.read_text() for path in tmp_path.glob("out*"))
    assert not [word for word in ("someone", "passw0rd", "qu3ry") if word in printed]


def test_a_wrong_key_of_a_file_is_refused_and_not_named(ids: Path, threadkeep: Run, tmp_path: Path) -> None:
    """Though the API echoes a short key completely."""
    fake = FakeAssistants(api_keys=["sk-right"])
    keys = keys_file(tmp_path, "sk-wrong")
    with fake.serve() as server:
        done = threadkeep(
            "export", ids, ASSISTANT, tmp_path / "out", "--base-url", server.base_url, "--keys-file", keys
        )
    assert done.code == 4
    printed = done.err + done.out + "".join(path.read_text() for path in tmp_path.glob("out*"))
    assert "Incorrect API key provided: [key]." in printed
    assert "sk-wrong" not in printed


LISTS_NONE = "threadkeep: the server lists none: it has none, or none that this key may see\n"


def test_a_key_of_a_file_is_taken_in_place_of_the_environments(threadkeep: Run, tmp_path: Path) -> None:
    """And what it names goes with it."""
    fake = FakeAssistants(api_keys=["sk-right"])
    keys = keys_file(tmp_path, "# mine", "sk-right project=proj_a")
    with fake.serve() as server:
        done = threadkeep("assistants", "--base-url", server.base_url, "--keys-file", keys)
    assert (done.code, done.err) == (0, LISTS_NONE)


def test_a_file_of_keys_that_others_may_read_is_named(base_url: str, threadkeep: Run, tmp_path: Path) -> None:
    """It is used all the same. What is printed can be typed."""
    keys = keys_file(tmp_path, "sk-test", mode=0o644).rename(tmp_path / "my keys")
    done = threadkeep("assistants", "--base-url", base_url, "--keys-file", keys)
    assert done.code == 0
    assert done.err.splitlines() == [
        f"threadkeep: {keys} holds keys, and others than its owner may read it",
        f"  chmod 600 '{keys}'",
        LISTS_NONE.rstrip(),
    ]


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("ALL_PROXY", "socks5://us:s3cret@127.0.0.1:1", "ImportError: Using SOCKS proxy"),
        ("HTTP_PROXY", "nonsense://us:s3cret@127.0.0.1:1", "ValueError"),
        ("HTTP_PROXY", "http://us:s3cret@[::1", "InvalidURL"),
        ("SSL_CERT_FILE", "/nonexistent", "No such file or directory"),
    ],
)
@pytest.mark.parametrize("keys", [1, 2])
@pytest.mark.usefixtures("base_url")
def test_a_proxy_or_certificates_that_cannot_be_used_are_named(
    name: str, value: str, words: str, keys: int, threadkeep: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a traceback, as what they are, and without what may be a secret."""
    monkeypatch.setenv(name, value)
    several = keys_file(tmp_path, *(f"sk-{number}" for number in range(keys)))
    done = threadkeep("assistants", "--keys-file", several, "--auth", "api-key" if keys > 1 else "bearer")
    assert (done.code, words in done.err, "s3cret" in done.err) == (1, True, False)
    assert done.err.startswith("threadkeep: no connection can be made with the proxy or the certificates")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["assistants", "--keys-file", "-"], "--keys-file takes a file"),
        (["assistants", "--keys-file", "{tmp}/none"], "none: No such file or directory"),
        (["assistants", "--keys-file", "{tmp}"], "Is a directory"),
        (["assistants", "--keys-file", "{tmp}/bad"], "bad: line 1: the key must be without quotes; line 2: after"),
        (["assistants", "--keys-file", "{tmp}/keys.txt", "--token-command", "x"], "not both"),
        (["threads", "--auth", "api-key", "--token-command", "x"], "contradicts"),
        (["threads", "--auth", "basic"], "is not one of"),
        (["export", "{tmp}/keys.txt", ASSISTANT, "{tmp}/o", "--keys-file", "{tmp}/./keys.txt"], "are the same file"),
        (
            ["export", "-", ASSISTANT, "{tmp}/keys.txt", "--keys-file", "{tmp}/keys.txt"],
            "the place of the file of keys",
        ),
    ],
)
@pytest.mark.usefixtures("base_url")
def test_bad_options_are_named_in_words(arguments: list[str], words: str, threadkeep: Run, tmp_path: Path) -> None:
    """Exit 2, and no key in them."""
    keys_file(tmp_path, "sk-secret")
    (tmp_path / "bad").write_text("'sk-secret'\nsk-a sk-secret")
    done = threadkeep(*(argument.format(tmp=tmp_path) for argument in arguments))
    assert done.code == 2
    assert words in done.err
    assert "sk-secret" not in done.err


# --- threads


def test_a_server_that_lists_no_threads_is_named(base_url: str, threadkeep: Run) -> None:
    """Exit 4 and what to do: this key is not refused elsewhere, so it is the route."""
    done = threadkeep("threads")
    assert (done.code, done.out) == (4, "")
    assert f"this server does not list its threads: 403 from {base_url}" in done.err
    assert "must be made with a session key" in done.err
    assert "Take the ids from where your application keeps them" in done.err


@pytest.mark.parametrize("status", [401, 403, 404, 405])
def test_a_refusal_of_that_route_only(status: int, fake: FakeAssistants, base_url: str, threadkeep: Run) -> None:
    """Whichever way a server words it."""
    del base_url
    fake.faults = [{"match": {"path": "^/v1/threads$"}, "do": {"status": status, "body": {}}}]
    done = threadkeep("threads")
    assert done.code == 4
    assert "this server does not list its threads" in done.err


@pytest.mark.parametrize(
    ("status", "code", "words"), [(401, 4, "401 from"), (404, 2, "does not serve"), (410, 3, "gone")]
)
def test_a_refusal_of_everything_is_what_it_is(
    status: int, code: int, words: str, fake: FakeAssistants, base_url: str, threadkeep: Run
) -> None:
    """A refused key, a wrong address and the sunset are not taken for a server that lists no threads."""
    del base_url
    fake.faults = [{"match": {"path": "/"}, "do": {"status": status, "body": {}}}]
    done = threadkeep("threads")
    assert done.code == code
    assert words in done.err
    assert "does not list its threads" not in done.err


@pytest.mark.parametrize("profile", ["openai", "foundry"])
def test_a_server_that_lists_its_threads(threadkeep: Run, monkeypatch: pytest.MonkeyPatch, profile: str) -> None:
    """One id a line, in the order of the threads."""
    fake, world = FakeAssistants(profile=profile, list_threads=True), demo_world(130, 0)
    fake.load(world)
    monkeypatch.setenv("OPENAI_API_KEY", "token")
    with fake.serve() as server:
        done = threadkeep("threads", "--base-url", server.base_url)
    assert (done.code, done.out.splitlines()) == (0, [thread["id"] for thread in world["threads"]])


def test_a_list_that_breaks_off_is_named(threadkeep: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """What came is printed, and standard error says that it is not all."""
    fake = FakeAssistants(profile="foundry")
    fake.load({"threads": [{"id": f"thread_{number}"} for number in range(250)]})
    monkeypatch.setenv("OPENAI_API_KEY", "token")
    with fake.serve() as server:
        whole = threadkeep("threads", "--base-url", server.base_url)
        fake.faults = [{"match": {"path": "/threads$", "nth": 3}, "do": {"status": 410}}]
        cut = threadkeep("threads", "--base-url", server.base_url)
    assert (whole.code, whole.out.splitlines()) == (0, [f"thread_{number}" for number in range(250)])
    assert (cut.code, cut.out.splitlines()) == (3, [f"thread_{number}" for number in range(200)])
    assert "the list is not complete: it broke off after 200 ids" in cut.err


# --- the end of OpenAI's own


def test_openais_end_is_named_before_the_first_request(
    threadkeep: Run, ids: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With what can still be done; the address is then asked all the same, and what it says counts."""
    fake = FakeAssistants()
    fake.load(demo_world(1, 3))
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    with fake.mount():
        done = threadkeep("export", ids, ASSISTANT, tmp_path / "o")
    first, second, *rest = done.err.splitlines()
    assert first.startswith("threadkeep: OpenAI closed the Assistants API on 2026-08-26")
    assert "Microsoft Foundry Agents (classic) until 2027-03-31" in second
    assert "--base-url" in second
    assert rest[0] == "thread_a: missing: No thread found with id 'thread_a'."
    assert done.code == 1


def test_other_addresses_are_not_named_of_it(base_url: str, threadkeep: Run) -> None:
    """It is not their end."""
    assert threadkeep("assistants", "--base-url", base_url).err == LISTS_NONE


class EchoingProxy(BaseHTTPRequestHandler):
    """Refuses with what it was sent."""

    def log_message(self, *_arguments: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        body = f"you sent {self.headers['proxy-authorization']} and {self.headers['x-gateway-token']}".encode()
        self.send_response(407)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.mark.usefixtures("base_url")
def test_a_proxy_that_echoes_what_it_was_sent_makes_no_message_show_it(
    threadkeep: Run, tmp_path: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither its own password, nor a header of the environment. The proxy is named."""
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", "X-Gateway-Token: g4teway-t0ken")
    with ThreadingHTTPServer(("127.0.0.1", 0), EchoingProxy) as proxy:
        threading.Thread(target=proxy.serve_forever, daemon=True).start()
        monkeypatch.setenv("HTTP_PROXY", f"http://us:s3cret-word@127.0.0.1:{proxy.server_port}")
        ids = write_ids(tmp_path, "thread_a")
        done = threadkeep("export", ids, ASSISTANT, out, "--base-url", "http://elsewhere.test/v1")
        proxy.shutdown()
    assert done.code == 4
    assert "the proxy refuses the connection, see HTTP_PROXY, HTTPS_PROXY and NO_PROXY: 407" in done.err
    hidden = ("s3cret", base64.b64encode(b"us:s3cret-word").decode(), "g4teway")
    assert not [word for word in hidden if word in done.err + done.out + out.with_name(out.name + ".index").read_text()]


@pytest.mark.usefixtures("base_url")
def test_a_proxy_that_does_not_answer_is_named(
    threadkeep: Run, tmp_path: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As what is to be looked at: the address may be right."""
    monkeypatch.setenv("HTTP_PROXY", "http://us:s3cret@127.0.0.1:1")
    options = ("--base-url", "http://elsewhere.test/v1", "--max-retries", "0")
    done = threadkeep("export", write_ids(tmp_path, "thread_a"), ASSISTANT, out, *options)
    assert done.code == 1
    assert "through the proxy http://127.0.0.1:1, see HTTP_PROXY, HTTPS_PROXY and NO_PROXY" in done.err
    assert "s3cret" not in done.err
    monkeypatch.setenv("HTTP_PROXY", "http://nowhere.invalid:3128")
    done = threadkeep("export", write_ids(tmp_path, "thread_a"), ASSISTANT, out, *options)
    assert (done.code, "the host of the proxy http://nowhere.invalid:3128 is not known" in done.err) == (2, True)
    assert not out.exists()
