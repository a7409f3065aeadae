"""Azure OpenAI and Foundry: what the address decides, seen over real sockets, command by command.

A client that is told to use a server as its proxy asks it for ``http://res.openai.azure.com/...``, so that the address
decides as it would for the real one.
"""

import json
import os
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest

from command import Run
from exports import ASSISTANT, manifest, write_ids
from fake_assistants import FakeAssistants, Reply, Request, demo_world
from fake_assistants.adapters.asgi import app
from fake_assistants.adapters.server import serving

WORLD = demo_world(3, 130)
NAMES = [thread["id"] for thread in WORLD["threads"]]
AZURE_HOST = "res.openai.azure.com"
FOUNDRY_HOST = "res.services.ai.azure.com"
AT_AZURE = f"http://{AZURE_HOST}"
AT_FOUNDRY = f"http://{FOUNDRY_HOST}/api/projects/mine"


class Azure:
    """Both services, a fake behind each, with the keys and tokens that they take, and the versions that they know.

    Their words are quoted.
    """

    def __init__(self) -> None:
        self.openai, self.foundry = FakeAssistants(), FakeAssistants(profile="foundry")
        for fake in (self.openai, self.foundry):
            fake.load(WORLD)
        self.taken = {"azure-key", "entra-token"}
        self.asked: list[Request] = []
        self.led_to: str | None = None

    def handle(self, request: Request) -> Reply:
        """Answer one request."""
        self.asked.append(request)
        host, path, headers = request.headers["host"], request.path, request.headers
        if self.led_to is not None and host not in self.led_to:
            return Reply(307, {"location": self.led_to})
        sent = headers.get("api-key") or headers.get("authorization", "").removeprefix("Bearer ")
        if sent not in self.taken:
            return _error(401, f"Access denied due to invalid subscription key or wrong API endpoint. {sent}")
        if request.asked("api-version") not in ("2024-05-01-preview", "v1"):
            return _error(400, "API version not supported")
        request = attrs.evolve(request, headers={"authorization": "Bearer any", "openai-beta": "assistants=v2"})
        if host == FOUNDRY_HOST and path.startswith("/api/projects/"):
            return self.foundry.handle(request)
        if host == AZURE_HOST and path.startswith("/openai/"):
            below = path.removeprefix("/openai").removeprefix("/v1")
            return self.openai.handle(attrs.evolve(request, path=f"/v1{below}"))
        return _error(404, "Resource not found")


def _error(status: int, message: str) -> Reply:
    return Reply(status, body=json.dumps({"error": {"code": str(status), "message": message}}).encode())


@pytest.fixture
def azure(monkeypatch: pytest.MonkeyPatch) -> Iterator[Azure]:
    """Both services, and an environment that leads there and holds no key."""
    for name in os.environ:
        if name.upper().startswith(("NO_PROXY", "ALL_PROXY", "HTTP_PROXY", "OPENAI_", "AZURE_")):
            monkeypatch.delenv(name)
    azure = Azure()
    with serving(app(azure), host="127.0.0.1", port=0) as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        yield azure


@pytest.fixture
def ids(tmp_path: Path) -> Path:
    """The ids of the world's threads."""
    return write_ids(tmp_path, *NAMES)


def printing(*tokens: str, folder: Path) -> str:
    """A token command that prints these, one at a run, and then the last again."""
    code = (
        f"import pathlib; p = pathlib.Path({str(folder / 'runs')!r}); p.open('a').write('x');"
        f" print({list(tokens)!r}[:len(p.read_text())][-1])"
    )
    return shlex.join([sys.executable, "-c", code])


@pytest.mark.parametrize("base_url", [AT_AZURE, f"{AT_AZURE}/openai", f"{AT_AZURE}/openai/"])
def test_azure_openai_is_exported_by_its_key(
    base_url: str, azure: Azure, ids: Path, threadkeep: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the api-key header alone, the usual api-version and the usual path, in every request."""
    monkeypatch.setenv("AZURE_OPENAI_API_KEY", "azure-key")
    out = tmp_path / "out.ndjson"
    done = threadkeep("export", ids, ASSISTANT, out, "--base-url", base_url)
    assert done.code == 0
    assert "Azure OpenAI announced the end of its Assistants API for 2026-08-26" in done.err
    assert len(out.read_bytes().splitlines()) == 390
    assert {asked.headers["api-key"] for asked in azure.asked} == {"azure-key"}
    assert not [asked for asked in azure.asked if "authorization" in asked.headers]
    assert {asked.asked("api-version") for asked in azure.asked} == {"2024-05-01-preview"}
    assert all(asked.path.startswith("/openai/threads/") for asked in azure.asked)
    assert threadkeep("validate", out, "--ids", ids).code == 0


def test_azure_openai_by_an_entra_token(azure: Azure, threadkeep: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """The token goes as the bearer, and the key is not sent at all."""
    monkeypatch.setenv("AZURE_OPENAI_AD_TOKEN", "entra-token")
    monkeypatch.setenv("AZURE_OPENAI_API_KEY", "azure-key")
    assert threadkeep("assistants", "--base-url", f"{AT_AZURE}/openai/v1", "--api-version", "v1").code == 0
    (asked,) = azure.asked
    assert asked.path == "/openai/v1/assistants"
    assert asked.headers["authorization"] == "Bearer entra-token"
    assert "api-key" not in asked.headers


def test_foundry_lists_its_threads_for_the_export(
    azure: Azure, threadkeep: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One id a line, in the server's order, as export takes them."""
    monkeypatch.setenv("AZURE_AI_TOKEN", "entra-token")
    listed = threadkeep("threads", "--base-url", AT_FOUNDRY)
    assert (listed.code, listed.err) == (0, "")
    assert listed.out.splitlines() == NAMES
    (tmp_path / "ids.txt").write_text(listed.out)
    out = tmp_path / "out.ndjson"
    done = threadkeep("export", tmp_path / "ids.txt", ASSISTANT, out, "--base-url", AT_FOUNDRY)
    assert (done.code, done.err) == (0, "")
    assert len(out.read_bytes().splitlines()) == 390
    assert {asked.asked("api-version") for asked in azure.asked} == {"v1"}
    assert {asked.headers["authorization"] for asked in azure.asked} == {"Bearer entra-token"}
    assert manifest(out)["source"] == AT_FOUNDRY


def test_a_token_that_runs_out_is_fetched_again(
    azure: Azure, ids: Path, threadkeep: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once for all requests that were refused with it, and the export is complete."""
    azure.taken = {"second-token"}
    monkeypatch.setenv("OPENAI_BASE_URL", AT_FOUNDRY)
    command = printing("first-token", "second-token", folder=tmp_path)
    done = threadkeep("export", ids, ASSISTANT, tmp_path / "o", "--token-command", command)
    assert (done.code, done.err) == (0, "")
    assert (tmp_path / "runs").read_text() == "xx"
    assert "Bearer second-token" in {asked.headers["authorization"] for asked in azure.asked}


def test_tokens_that_are_refused_again_end_it(azure: Azure, ids: Path, threadkeep: Run, tmp_path: Path) -> None:
    """Exit 4, the command is not run for ever, and no token stands anywhere, though the server echoes them."""
    azure.taken = set()
    command = printing("first-token", "second-token", folder=tmp_path)
    out = tmp_path / "out"
    done = threadkeep("export", ids, ASSISTANT, out, "--token-command", command, "--base-url", AT_FOUNDRY)
    assert done.code == 4
    assert "401 from http://res.services.ai.azure.com/api/projects/mine: Access denied" in done.err
    assert "[key]" in done.err
    assert (tmp_path / "runs").read_text() == "xx"
    written = b"".join(path.read_bytes() for path in tmp_path.glob("out*"))
    assert "-token" not in (done.err + done.out + written.decode()).replace("--token-command", "")


def test_a_token_command_that_fails_is_named_before_anything_is_asked_or_written(
    azure: Azure, ids: Path, threadkeep: Run, tmp_path: Path
) -> None:
    """Exit 4 with the command's own words."""
    command = shlex.join([sys.executable, "-c", "raise SystemExit('No account.\\nRun \\x1baz login first.')"])
    done = threadkeep("export", ids, ASSISTANT, tmp_path / "o", "--token-command", command, "--base-url", AT_FOUNDRY)
    assert done.code == 4
    name = Path(sys.executable).name
    assert f"no token: the token command ({name}) ended with exit code 1: Run \\x1baz login first." in done.err
    assert azure.asked == []
    assert not (tmp_path / "o").exists()


def test_a_token_command_that_fails_later_ends_the_run(
    azure: Azure, ids: Path, threadkeep: Run, tmp_path: Path
) -> None:
    """Exit 4, with what it said then."""
    azure.taken = set()
    command = printing("first-token", "", folder=tmp_path)
    done = threadkeep("export", ids, ASSISTANT, tmp_path / "o", "--token-command", command, "--base-url", AT_FOUNDRY)
    assert done.code == 4
    assert f"no token: what the token command ({Path(sys.executable).name}) printed is empty" in done.err


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--base-url", f"{AT_AZURE}/openai/deployments/gpt"], 2, "does not serve the Assistants API"),
        (["--base-url", f"http://{FOUNDRY_HOST}/openai"], 2, f"http://{FOUNDRY_HOST}/openai: Resource not found"),
        (["--base-url", AT_AZURE, "--api-version", "2023-01-01"], 2, "does not take this api-version: API version not"),
        (["--base-url", AT_AZURE, "--auth", "bearer", "--keys-file", "{tmp}/wrong"], 4, "401 from http://res.openai"),
        (["--base-url", f"http://{FOUNDRY_HOST}"], 2, "its threads are in projects: /api/projects/NAME"),
    ],
)
@pytest.mark.usefixtures("azure")
def test_azures_answers_mean_what_they_mean_elsewhere(
    arguments: list[str],
    code: int,
    words: str,
    ids: Path,
    threadkeep: Run,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An unknown route is a wrong address, and so is an unknown version; a refused key is a refused key."""
    monkeypatch.setenv("AZURE_OPENAI_API_KEY", "azure-key")
    (tmp_path / "wrong").write_text("wrong-key-wrong-key")
    (tmp_path / "wrong").chmod(0o600)
    done = threadkeep("export", ids, ASSISTANT, tmp_path / "o", *(text.format(tmp=tmp_path) for text in arguments))
    assert done.code == code
    assert words in done.err
    assert "wrong-key" not in done.err
    assert "azure-key" not in done.err


@pytest.mark.parametrize("variable", ["AZURE_OPENAI_API_KEY", "AZURE_OPENAI_AD_TOKEN"])
def test_no_key_is_led_to_another_host(
    variable: str, azure: Azure, threadkeep: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever answers with a redirect does not get what was meant for Azure."""
    azure.led_to = "http://elsewhere.test/openai/assistants"
    monkeypatch.setenv(variable, "azure-key")
    done = threadkeep("assistants", "--base-url", AT_AZURE)
    assert done.code != 0
    assert [asked.headers["host"] for asked in azure.asked if "azure-key" in str(asked.headers)] == [AZURE_HOST]


def test_without_any_key_the_names_are_named(azure: Azure, threadkeep: Run) -> None:
    """Of the variables that are read for this address."""
    done = threadkeep("threads", "--base-url", AT_FOUNDRY)
    assert done.code == 4
    assert "no key: set AZURE_AI_TOKEN or OPENAI_API_KEY" in done.err
    assert azure.asked == []


@pytest.mark.parametrize(
    ("variable", "base_url", "options"),
    [
        ("OPENAI_API_KEY", AT_AZURE, []),
        ("AZURE_OPENAI_API_KEY", AT_AZURE, []),
        ("AZURE_OPENAI_API_KEY", AT_AZURE, ["--auth", "bearer"]),
        ("AZURE_OPENAI_AD_TOKEN", AT_AZURE, []),
        ("AZURE_AI_TOKEN", AT_FOUNDRY, []),
        ("OPENAI_API_KEY", AT_FOUNDRY, ["--auth", "api-key"]),
    ],
)
def test_a_refused_secret_of_the_environment_is_named_and_written_nowhere(
    variable: str,
    base_url: str,
    options: list[str],
    azure: Azure,
    ids: Path,
    threadkeep: Run,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Though it was sent, and the server echoes it completely."""
    monkeypatch.setenv(variable, "s3cr3t-of-mine")
    done = threadkeep("export", ids, ASSISTANT, tmp_path / "out", "--base-url", base_url, *options, "--json")
    assert done.code == 4
    assert "s3cr3t-of-mine" in str(azure.asked)
    printed = done.err + done.out + "".join(path.read_text() for path in tmp_path.glob("out*"))
    assert f"401 from {base_url}" in printed
    assert "[key]" in printed
    assert "s3cr3t" not in printed
