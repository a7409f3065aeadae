"""Downloads that are disturbed: a real process, a real server, and what the next run makes of it."""

import base64
import shlex
import signal
from pathlib import Path

import pytest

from command import Run
from exports import ASSISTANT
from fake_assistants import Request
from processes import run_alone, signalled
from watched import Watched

CONTENTS = {f"file-{name}": name.encode() * 1_100_000 for name in "abc"}


@pytest.fixture
def fake() -> Watched:
    """A thread that refers to three files."""
    fake = Watched()
    images = [{"type": "image_file", "image_file": {"file_id": name}} for name in CONTENTS]
    encoded = {name: base64.b64encode(content).decode() for name, content in CONTENTS.items()}
    fake.load(
        {
            "threads": [{"id": "thread_1"}],
            "messages": [{"id": "msg_1", "thread_id": "thread_1", "role": "user", "content": images}],
            "files": [
                {"id": name, "object": "file", "purpose": "vision", "filename": name, "bytes": len(content)}
                for name, content in CONTENTS.items()
            ],
            "file_contents": [{"id": name, "content": content} for name, content in encoded.items()],
        }
    )
    return fake


@pytest.fixture
def arguments(ids: Path, out: Path) -> list[object]:
    """The export with its files, one after the other."""
    return ["export", ids, ASSISTANT, out, "--files", "--concurrency", 1]


def files_in(folder: Path) -> dict[str, bytes]:
    """What a folder holds, by name."""
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def for_the_second_file(request: Request) -> bool:
    """For what it holds."""
    return request.path.endswith("/file-b/content")


@pytest.mark.usefixtures("base_url")
def test_a_killed_download_is_begun_again(fake: Watched, out: Path, arguments: list[object], threadkeep: Run) -> None:
    """Nothing of what was on its way stays; what was complete is not asked for again."""
    signalled(fake, signal.SIGKILL, *arguments, of=for_the_second_file)
    folder = out.with_name("out.files")
    assert {"file-a", "file-b"} & {*files_in(folder)} == {"file-a"}
    (folder / "file-b.new").write_bytes(b"half of it")
    (folder / "file-c.new").write_bytes(b"half of it")
    fake.faults = [{"match": {"path": "/files/file-c$"}, "do": {"status": 404, "body": {"error": {"message": "No."}}}}]
    assert threadkeep(*arguments).code == 0
    assert files_in(folder) == {name: CONTENTS[name] for name in ("file-a", "file-b")}
    asked = [entry.path.split("/")[3] for entry in fake.requests if entry.path.endswith("/content")]
    assert asked == ["file-a", "file-b", "file-b"]
    assert threadkeep("validate", out).code == 0


@pytest.mark.usefixtures("base_url")
def test_a_download_that_the_disk_has_no_room_for_ends_the_run(
    out: Path, arguments: list[object], threadkeep: Run
) -> None:
    """Exit 5, no half of a file, nothing is written; with room, the same command resumes."""
    little_room = ["sh", "-c", 'ulimit -f 1000; exec "$@"', "sh"]  # blocks of 512 or 1024 bytes, as the shell has it
    done = run_alone(*arguments, by=little_room)
    assert (done.code, "Traceback" in done.err) == (5, False)
    assert "file-a.new: File too large" in done.err
    folder = out.with_name("out.files")
    assert files_in(folder) == {}
    assert threadkeep(*arguments).code == 0
    assert files_in(folder) == CONTENTS
    assert threadkeep("validate", out).code == 0


@pytest.mark.usefixtures("base_url")
@pytest.mark.parametrize("is_there", [True, False])
def test_a_damaged_download_is_repaired_by_the_command_that_is_printed(
    is_there: bool, fake: Watched, out: Path, arguments: list[object], threadkeep: Run, tmp_path: Path
) -> None:
    """Its thread is in the list, and the last line is what to type. Only this file is asked for."""
    assert threadkeep(*arguments).code == 0
    path, listed = out.with_name("out.files") / "file-b", tmp_path / "refetch.txt"
    path.unlink()
    if is_there:
        path.write_bytes(b"something else")
    done = threadkeep("validate", out, "--ids-to-refetch", listed)
    assert (done.code, listed.read_text()) == (1, "thread_1\n")
    typed = shlex.split(done.out.splitlines()[-1])
    asked = len(fake.requests)
    assert threadkeep(*typed[1:]).code == 0
    assert [entry.path for entry in fake.requests[asked:]] == ["/v1/files/file-b", "/v1/files/file-b/content"]
    assert threadkeep("validate", out).code == 0
    assert path.read_bytes() == CONTENTS["file-b"]
