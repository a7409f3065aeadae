"""Downloads over the real SDK and canned answers: what counts as the whole file, and what stays in the folder."""

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

from canned import HTTP
from canned_threads import message, page
from exporting import Export
from full_disk import full_disk
from threadkeep.errors import AccessRefused, OutputUnusable
from threadkeep.exporter.files import _names
from threadkeep.storage.index import DownloadOutcome, DownloadRow

pytestmark = pytest.mark.anyio
CONTENT = b"what it holds"
FILE = {"id": "file-1", "object": "file", "filename": "a.png"}


def serving(described: Any, *contents: Callable[[], Any], file_id: str = "file-1") -> Callable[[Any], Any]:
    """A server with one file; of what it answers for the content the last one stays."""
    waiting = list(contents)

    def answer(request: Any) -> Any:
        if "/threads/" in str(request.url.path):
            row = message("thread_1", 1, attachments=[{"file_id": file_id, "tools": []}])
            return HTTP.Response(200, content=page([row], has_more=False))
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


async def saved(folder: Path, *servers: Any) -> DownloadRow:
    """What became of the file, when the export that refers to it is made or resumed; each server is one key's."""
    export = await Export(folder).run(["thread_1"], *servers, files=True)
    assert export.ended_by is None
    (row,) = export.result.downloads()
    return row


def files_in(folder: Path) -> dict[str, bytes]:
    """What the folder of downloads holds, by name."""
    return {path.name: path.read_bytes() for path in (folder / "out.files").iterdir()}


@pytest.mark.parametrize("bad", [cut, glitch])
async def test_what_does_not_come_whole_is_begun_again(bad: Callable[[], Any], tmp_path: Path) -> None:
    """Nothing of the first try stays in the file."""
    entry = await saved(tmp_path, serving({**FILE, "bytes": len(CONTENT)}, bad, whole))
    assert (entry.outcome, entry.bytes, entry.name) == (DownloadOutcome.SAVED, len(CONTENT), "file-1.png")
    assert files_in(tmp_path) == {"file-1.png": CONTENT}


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (cut, f"4 bytes came, and the API says that the file has {len(CONTENT)}"),
        (glitch, "SSLError at https://api.test/v1"),
    ],
)
async def test_what_never_comes_whole_is_failed(bad: Callable[[], Any], words: str, tmp_path: Path) -> None:
    """In the words of the last try; nothing of it stays in the folder."""
    entry = await saved(tmp_path, serving({**FILE, "bytes": len(CONTENT)}, bad))
    assert (entry.outcome, entry.name) == (DownloadOutcome.FAILED, None)
    assert words in (entry.reason or "")
    assert files_in(tmp_path) == {}


@pytest.mark.parametrize(
    ("said", "content"),
    [
        *(({"bytes": odd}, CONTENT) for odd in (None, "13", 13.5, True, -1, [13])),  # no count says nothing
        *(({"bytes": few}, CONTENT) for few in (0, 1, len(CONTENT) - 1)),  # a server may say 0 of every file
        ({}, CONTENT),
        ({"bytes": 0}, b""),
    ],
)
async def test_no_fewer_bytes_than_were_said_are_the_file(said: dict[str, Any], content: bytes, tmp_path: Path) -> None:
    """More are no loss, and none may be all of it."""
    entry = await saved(tmp_path, serving({**FILE, **said}, lambda: HTTP.Response(200, content=content)))
    assert (entry.outcome, entry.bytes) == (DownloadOutcome.SAVED, len(content))
    assert files_in(tmp_path) == {"file-1.png": content}


async def test_the_bytes_are_wanted_as_they_are(tmp_path: Path) -> None:
    """A body that is packed for the journey all the same is not taken: its size says nothing of the file's."""

    def packed() -> Any:
        return HTTP.Response(200, content=gzip.compress(CONTENT), headers={"content-encoding": "gzip"})

    server: Any = serving({**FILE, "bytes": len(CONTENT)}, packed)
    entry = await saved(tmp_path, server)
    assert entry.outcome is DownloadOutcome.FAILED
    assert "content-encoding that was not asked for: gzip" in str(entry.reason)
    assert server.asked[-1].headers["accept-encoding"] == "identity"


async def test_another_files_object_is_not_believed(tmp_path: Path) -> None:
    """Its size and its name are not this one's."""
    entry = await saved(tmp_path, serving({**FILE, "id": "file-2"}, whole))
    assert (entry.outcome, entry.reason) == (DownloadOutcome.FAILED, "the answer is 'file-2', and not file-1")


@pytest.mark.parametrize("size", [1_000_001, 1_300_000, 3_000_000])
async def test_a_full_disk_leaves_no_half_of_a_file(size: int, tmp_path: Path) -> None:
    """It would take the room that everything else needs; the run ends, and resumes when there is room.

    After a failed write the rest may be in a buffer, which is written when the file is closed.
    """
    server: Any = serving(FILE, lambda: HTTP.Response(200, content=bytes(size)))
    with full_disk(1_000_000):
        export = await Export(tmp_path).run(["thread_1"], server, files=True)
    assert isinstance(export.ended_by, OutputUnusable)
    assert "out.files/file-1.new: File too large" in str(export.ended_by)
    assert files_in(tmp_path) == {}
    assert (await saved(tmp_path, server)).outcome is DownloadOutcome.SAVED


async def test_what_a_kill_left_gives_way(tmp_path: Path) -> None:
    """A file that nothing speaks of, and half of another."""
    (tmp_path / "out.files").mkdir()
    (tmp_path / "out.files" / "file-1.png").write_bytes(b"older")
    (tmp_path / "out.files" / "file-9.new").write_bytes(b"half")
    assert (await saved(tmp_path, serving(FILE, whole))).outcome is DownloadOutcome.SAVED
    assert files_in(tmp_path) == {"file-1.png": CONTENT}


async def test_a_link_at_the_name_of_a_download_is_not_followed(tmp_path: Path) -> None:
    """Neither to be written through, nor to be put in the place of."""
    (tmp_path / "out.files").mkdir()
    (tmp_path / "mine").write_bytes(b"mine")
    for name in ("file-1.new", "file-1.png"):
        (tmp_path / "out.files" / name).symlink_to(tmp_path / "mine")
    export = await Export(tmp_path).run(["thread_1"], serving(FILE, whole), files=True)
    assert "file-1.png is a symbolic link" in str(export.ended_by)
    assert (tmp_path / "mine").read_bytes() == b"mine"


@pytest.mark.parametrize(
    ("filename", "content", "name"),
    [
        ("a.PNG", b"", "file-1.png"),
        ("../../etc/passwd", b"", "file-1"),
        ("a.png/../../b", b"", "file-1"),
        ("../report.docx", b"", "file-1.docx"),
        ("a.strange", b"", "file-1"),
        ("a.strange", b"\x89PNG\r\n\x1a\n...", "file-1.png"),
        (None, b"", "file-1"),
        (7, b"\x89PNG\r\n\x1a\n...", "file-1.png"),
        ("image", b"GIF89a", "file-1.gif"),
        ("image", b"\xff\xd8\xff\xe0", "file-1.jpg"),
        ("doc", b"%PDF-1.7", "file-1.pdf"),
    ],
)
async def test_a_file_is_named_by_its_id_and_the_ending_of_its_type(
    filename: object, content: bytes, name: str, tmp_path: Path
) -> None:
    """Never by what the server calls it."""
    server = serving({**FILE, "filename": filename}, lambda: HTTP.Response(200, content=content))
    assert (await saved(tmp_path, server)).name == name
    assert files_in(tmp_path) == {name: content}


@pytest.mark.parametrize("file_id", ["../../etc/passwd", "/etc/passwd", "..", "a b", "a/content?x=", "file-1.x"])
async def test_what_is_no_file_id_is_neither_asked_for_nor_a_path(file_id: str, tmp_path: Path) -> None:
    """Such an id comes from the server, like everything in a message. The next run knows it."""
    server: Any = serving(FILE, whole, file_id=file_id)
    for _ in range(2):
        entry = await saved(tmp_path, server)
        assert (entry.file_id, entry.outcome, entry.name) == (file_id, DownloadOutcome.INVALID, None)
    assert server.asked == []
    assert not (tmp_path / "out.files").exists()


def refusal(status: int, words: str) -> Callable[[], Any]:
    """An answer in the API's envelope."""
    return lambda: HTTP.Response(status, json={"error": {"message": words, "type": "invalid_request_error"}})


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (refusal(400, "Not allowed to download files of purpose: assistants"), DownloadOutcome.NOT_ALLOWED),
        (refusal(403, "Missing scopes: api.files.read"), DownloadOutcome.NOT_ALLOWED),
        (refusal(400, "Not now."), DownloadOutcome.FAILED),
        (refusal(500, "Not allowed"), DownloadOutcome.FAILED),
        (refusal(404, "No thread or file found."), DownloadOutcome.MISSING),  # whatever its words, about the file
    ],
)
async def test_a_file_that_is_not_given_keeps_the_words_of_the_api(
    answer: Callable[[], Any], outcome: DownloadOutcome, tmp_path: Path
) -> None:
    """Neither ends the run: other files may come."""
    entry = await saved(tmp_path, serving(FILE, answer))
    assert (entry.outcome, entry.name) == (outcome, None)
    assert answer().json()["error"]["message"] in (entry.reason or "")


async def test_another_key_is_asked_for_what_one_may_not_have(tmp_path: Path) -> None:
    """Also when it is rejected, and that one alone may know the file: then it is not called missing."""
    rejected = refusal(401, "Incorrect API key provided")
    cases = {
        "not_allowed": (refusal(403, "Missing scopes"), whole, DownloadOutcome.SAVED),
        "rejected": (rejected, whole, DownloadOutcome.SAVED),
        "unknown": (rejected, gone, DownloadOutcome.FAILED),
        "both": (refusal(403, "Missing scopes"), gone, DownloadOutcome.NOT_ALLOWED),
    }
    for name, (first, second, outcome) in cases.items():
        (tmp_path / name).mkdir()
        entry = await saved(tmp_path / name, serving(FILE, first), serving(FILE, second))
        assert (name, entry.outcome) == (name, outcome)
        doubt = "no other key knows this, and key 1 was rejected: 404 from"
        assert (doubt in (entry.reason or "")) == (name == "unknown")


async def test_a_rejected_key_ends_the_run_and_leaves_the_file_for_the_next_one(tmp_path: Path) -> None:
    """The threads are complete; nothing is asked for them again."""
    server: Any = serving(FILE, refusal(401, "Incorrect API key provided"), whole)
    export = await Export(tmp_path).run(["thread_1"], server, files=True)
    assert isinstance(export.ended_by, AccessRefused)
    assert not export.result.is_complete
    assert [row.outcome for row in export.result.downloads()] == [DownloadOutcome.UNFINISHED]
    assert (await saved(tmp_path, server)).outcome is DownloadOutcome.SAVED


def gone() -> Any:
    """A file that the API knows no more."""
    return HTTP.Response(404, json={"error": {"message": "No such File object: file-1", "param": "id"}})


async def test_what_was_saved_once_is_never_called_missing(tmp_path: Path) -> None:
    """When it is lost here and does not come again, that is a failure, run after run, until it is put back."""
    path = tmp_path / "out.files" / "file-1.png"
    before = await saved(tmp_path, serving(FILE, whole))
    path.write_bytes(b"what it is now"[: len(CONTENT)])
    for _ in range(2):
        entry = await saved(tmp_path, serving(FILE, gone))
        assert (entry.outcome, entry.name, entry.sha256) == (DownloadOutcome.FAILED, before.name, before.sha256)
        assert "it was saved, is lost or changed since, and does not come again: 404 from" in (entry.reason or "")
    path.write_bytes(CONTENT)
    server: Any = serving(FILE, gone)
    assert await saved(tmp_path, server) == before
    assert server.asked == []


async def test_what_is_here_to_the_byte_is_not_asked_for_again(tmp_path: Path) -> None:
    """What is lost, is."""
    await saved(tmp_path, serving(FILE, whole))
    server: Any = serving(FILE, whole)
    await saved(tmp_path, server)
    assert server.asked == []
    (tmp_path / "out.files" / "file-1.png").unlink()
    await saved(tmp_path, server)
    assert (len(server.asked), files_in(tmp_path)) == (2, {"file-1.png": CONTENT})


@given(ids=st.lists(st.sampled_from(["file-a", "file-A", "FILE-a", "file-b"]), unique=True, min_size=2))
def test_names_do_not_depend_on_what_comes_first(ids: list[str]) -> None:
    """And no two are the same where capitals are not told apart; what has a name keeps it."""
    names = names_of(ids)
    assert names == names_of(sorted(ids))
    assert len({name.lower() for name in names.values()}) == len(ids)
    known = {
        file_id: DownloadRow(file_id=file_id, outcome=DownloadOutcome.SAVED, name=f"{name}.png")
        for file_id, name in names_of(ids[:1]).items()
    }
    later = names_of(ids, known)
    assert later[ids[0]] == f"{ids[0]}.png"
    later = {file_id: Path(name).stem for file_id, name in later.items()}
    assert len({name.lower() for name in later.values()}) == len(ids)


def names_of(ids: list[str], known: Mapping[str, DownloadRow] = MappingProxyType({})) -> dict[str, str]:
    """The names that files have in a folder."""
    return _names(ids, known)


async def test_the_key_does_not_travel_to_another_host(tmp_path: Path) -> None:
    """A server may lead a download elsewhere; there it is asked for without the key."""
    elsewhere = HTTP.Response(302, headers={"location": "https://elsewhere.test/file-1/content"})
    server: Any = serving(FILE, lambda: elsewhere, whole)

    def client(answers: Any) -> openai.AsyncOpenAI:
        http_client = openai.DefaultAsyncHttpxClient(transport=HTTP.MockTransport(answers))
        return openai.AsyncOpenAI(api_key="sk-test", base_url="https://api.test/v1", http_client=http_client)

    assert (await saved(tmp_path, client(server))).outcome is DownloadOutcome.SAVED
    assert [request.url.host for request in server.asked] == ["api.test", "api.test", "elsewhere.test"]
    assert [request.headers.get("authorization") for request in server.asked][1:] == ["Bearer sk-test", None]
