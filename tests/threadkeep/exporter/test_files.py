"""Downloads over the real SDK and canned answers: what counts as the whole file, and what stays in the folder."""

import asyncio
import gzip
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st

from canned import HTTP, async_client
from threadkeep.api.client import ApiClient, PacingOptions
from threadkeep.api.transport import Transport
from threadkeep.disk import OsDisk, OsGrowing
from threadkeep.errors import ApiError, OutputUnusable
from threadkeep.exporter.files import Downloads
from threadkeep.journal import FileEntry, FileOutcome

pytestmark = pytest.mark.anyio
CONTENT = b"what it holds"
FILE = {"id": "file-1", "object": "file", "filename": "a.png"}


async def no_wait(_seconds: float) -> None:
    """Waits not at all, but lets the others go on."""
    await asyncio.sleep(0)


def serving(described: Any, *contents: Callable[[], Any]) -> Callable[[Any], Any]:
    """A server with one file; of what it answers for the content the last one stays."""
    waiting = list(contents)

    def answer(request: Any) -> Any:
        asked.append(request)
        if not str(request.url.path).endswith("/content"):
            return HTTP.Response(200, json=described)
        return waiting.pop(0)() if len(waiting) > 1 else waiting[0]()

    asked: list[Any] = []
    answer.asked = asked  # type: ignore[attr-defined]
    return answer


def whole() -> Any:
    """The whole content."""
    return HTTP.Response(200, content=CONTENT)


async def until_closed(*pieces: bytes | Exception) -> AsyncIterator[bytes]:
    """A body of which nothing says how long it is, and in which something may happen."""
    for piece in pieces:
        if isinstance(piece, Exception):
            raise piece
        yield piece


def cut() -> Any:
    """The connection is closed too early, and nothing tells it from the end of the body."""
    return HTTP.Response(200, content=until_closed(CONTENT[:4]))


def glitch() -> Any:
    """A record of TLS that nobody can read."""
    return HTTP.Response(200, content=until_closed(CONTENT[:4], ssl.SSLError("bad record")))


async def saved(
    folder: Path,
    server: Any,
    *,
    known: Mapping[str, FileEntry] = MappingProxyType({}),
    client: Callable[[Any], openai.AsyncOpenAI] = async_client,
) -> FileEntry:
    """What became of the file."""
    async with Transport(client(server)) as api:
        api_client = ApiClient(api, PacingOptions(max_retries=2, sleep=no_wait))
        downloads = Downloads(folder, OsDisk(), known, ["file-1"])
        try:
            return await downloads.save("file-1", api_client)
        except ApiError as problem:
            return downloads.not_saved("file-1", problem)


def files_in(folder: Path) -> dict[str, bytes]:
    """What a folder holds, by name."""
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("bad", [cut, glitch])
async def test_what_does_not_come_whole_is_begun_again(bad: Callable[[], Any], tmp_path: Path) -> None:
    """Nothing of the first try stays in the file."""
    entry = await saved(tmp_path / "out.files", serving({**FILE, "bytes": len(CONTENT)}, bad, whole))
    assert (entry.outcome, entry.bytes, entry.filename) == (FileOutcome.SAVED, len(CONTENT), "a.png")
    assert files_in(tmp_path / "out.files") == {"file-1": CONTENT}


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (cut, f"4 bytes came, and the API says that the file has {len(CONTENT)}"),
        (glitch, "SSLError at https://api.test/v1"),
    ],
)
async def test_what_never_comes_whole_is_failed(bad: Callable[[], Any], words: str, tmp_path: Path) -> None:
    """In the words of the last try; nothing of it stays in the folder."""
    entry = await saved(tmp_path / "out.files", serving({**FILE, "bytes": len(CONTENT)}, bad))
    assert (entry.outcome, entry.name) == (FileOutcome.FAILED, None)
    assert words in (entry.reason or "")
    assert files_in(tmp_path / "out.files") == {}


@pytest.mark.parametrize("size", [{}, *({"bytes": odd} for odd in (None, "13", 13.5, True, -1, [13]))])
async def test_a_server_that_does_not_say_a_size_is_believed(size: dict[str, Any], tmp_path: Path) -> None:
    """What is no count says nothing."""
    entry = await saved(tmp_path / "out.files", serving({**FILE, **size}, whole))
    assert (entry.outcome, entry.bytes) == (FileOutcome.SAVED, len(CONTENT))


@pytest.mark.parametrize("said", [0, 1, len(CONTENT) - 1])
async def test_more_bytes_than_were_said_are_no_loss(said: int, tmp_path: Path) -> None:
    """A server may say 0 of every file."""
    entry = await saved(tmp_path / "out.files", serving({**FILE, "bytes": said}, whole))
    assert (entry.outcome, entry.bytes) == (FileOutcome.SAVED, len(CONTENT))


async def test_an_empty_file_is_a_file(tmp_path: Path) -> None:
    """Of no bytes, as it was said."""
    entry = await saved(tmp_path / "out.files", serving({**FILE, "bytes": 0}, lambda: HTTP.Response(200)))
    assert (entry.outcome, entry.bytes) == (FileOutcome.SAVED, 0)
    assert files_in(tmp_path / "out.files") == {"file-1": b""}


async def test_the_bytes_are_wanted_as_they_are(tmp_path: Path) -> None:
    """A body that is packed for the journey all the same is unpacked, and counted then."""

    def packed() -> Any:
        return HTTP.Response(200, content=gzip.compress(CONTENT), headers={"content-encoding": "gzip"})

    server: Any = serving({**FILE, "bytes": len(CONTENT)}, packed)
    assert (await saved(tmp_path / "out.files", server)).outcome is FileOutcome.SAVED
    assert files_in(tmp_path / "out.files") == {"file-1": CONTENT}
    assert server.asked[-1].headers["accept-encoding"] == "identity"


async def test_another_files_object_is_not_believed(tmp_path: Path) -> None:
    """Its size and its name are not this one's."""
    entry = await saved(tmp_path / "out.files", serving({**FILE, "id": "file-2"}, whole))
    assert (entry.outcome, entry.reason) == (FileOutcome.FAILED, "the answer is 'file-2', and not file-1")


async def test_a_full_disk_keeps_no_half_of_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would take the room that everything else needs; what was left of an earlier run goes too."""

    def refuse(_file: OsGrowing, _content: bytes) -> None:
        raise OSError(28, "No space left on device")

    (tmp_path / "file-1.draft").write_bytes(b"half")
    monkeypatch.setattr(OsGrowing, "write", refuse)
    with pytest.raises(OutputUnusable, match="No space left on device"):
        await saved(tmp_path, serving(FILE, whole))
    assert files_in(tmp_path) == {}


async def test_what_a_kill_left_unjournalled_gives_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where renaming does not put one file in the place of another, as on Windows."""

    def refuse_the_taken(path: Path, new: Path) -> Path:
        if new.exists():
            raise FileExistsError(17, "File exists", str(new))
        return path.replace(new)

    monkeypatch.setattr(Path, "rename", refuse_the_taken)
    (tmp_path / "file-1").write_bytes(b"older")
    assert (await saved(tmp_path, serving(FILE, whole))).outcome is FileOutcome.SAVED
    assert files_in(tmp_path) == {"file-1": CONTENT}


async def test_a_404_in_odd_words_is_a_missing_file(tmp_path: Path) -> None:
    """Whatever a server words its 404 like, it is about the file."""
    body = {"error": {"message": "No thread or file found.", "type": "invalid_request_error"}}
    entry = await saved(tmp_path, lambda _request: HTTP.Response(404, json=body))
    assert entry.outcome is FileOutcome.MISSING


def gone() -> Any:
    """A file that the API knows no more."""
    return HTTP.Response(404, json={"error": {"message": "No such File object: file-1", "param": "id"}})


async def test_what_was_saved_once_is_never_called_missing(tmp_path: Path) -> None:
    """When it is lost here and does not come again, that is a failure, run after run, until it is put back."""
    folder = tmp_path / "out.files"
    before = await saved(folder, serving(FILE, whole))
    (folder / "file-1").write_bytes(b"what it is now"[: len(CONTENT)])
    entry = before
    for _ in range(2):
        entry = await saved(folder, serving(FILE, gone), known={"file-1": entry})
        assert (entry.outcome, entry.name, entry.sha256) == (FileOutcome.FAILED, before.name, before.sha256)
        assert "it was saved, is lost or changed since, and does not come again: 404 from" in (entry.reason or "")
    (folder / "file-1").write_bytes(CONTENT)
    server: Any = serving(FILE, gone)
    assert await saved(folder, server, known={"file-1": entry}) == before
    assert server.asked == []


@given(ids=st.lists(st.sampled_from(["file-a", "file-A", "FILE-a", "file-b"]), unique=True, min_size=2))
def test_names_do_not_depend_on_what_comes_first(ids: list[str]) -> None:
    """And no two are the same where capitals are not told apart; what has a name keeps it."""
    names = names_of(ids)
    assert names == names_of(sorted(ids))
    assert len({name.lower() for name in names.values()}) == len(ids)
    known = {
        file_id: FileEntry(file_id=file_id, outcome=FileOutcome.SAVED, name=name)
        for file_id, name in names_of(ids[:1]).items()
    }
    later = names_of(ids, known)
    assert later[ids[0]] == ids[0]
    assert len({name.lower() for name in later.values()}) == len(ids)


def names_of(ids: list[str], known: Mapping[str, FileEntry] = MappingProxyType({})) -> dict[str, str]:
    """The names that files have in a folder."""
    return Downloads(Path("nowhere"), OsDisk(), known, ids).names


async def test_the_key_does_not_travel_to_another_host(tmp_path: Path) -> None:
    """A server may lead a download elsewhere; there it is asked for without the key."""
    elsewhere = HTTP.Response(302, headers={"location": "https://elsewhere.test/file-1/content"})
    server: Any = serving(FILE, lambda: elsewhere, whole)

    def client(answers: Any) -> openai.AsyncOpenAI:
        http_client = openai.DefaultAsyncHttpxClient(transport=HTTP.MockTransport(answers))
        return openai.AsyncOpenAI(api_key="sk-test", base_url="https://api.test/v1", http_client=http_client)

    assert (await saved(tmp_path / "out.files", server, client=client)).outcome is FileOutcome.SAVED
    assert [request.url.host for request in server.asked] == ["api.test", "api.test", "elsewhere.test"]
    assert [request.headers.get("authorization") for request in server.asked][1:] == ["Bearer sk-test", None]
