"""Lists of ids as databases, spreadsheets and programs write them, through the command and from Python."""

from pathlib import Path

import pytest

from command import Run
from exports import ASSISTANT, exported
from fake_assistants import FakeAssistants, demo_world
from threadkeep import UnreadableIds, export, read

pytestmark = pytest.mark.usefixtures("base_url")


@pytest.fixture
def names(fake: FakeAssistants) -> list[str]:
    """The ids of a loaded world of three threads."""
    world = demo_world(3, 5)
    fake.load(world)
    return [thread["id"] for thread in world["threads"]]


def assistants_of(out: Path) -> list[str | None]:
    """Return the assistants of the threads of an export, and see that the lines agree."""
    found = read(out)
    of_lines = {record.thread_id: record.assistant_id for record in found}
    threads = list(found.threads())
    assert all(of_lines.get(thread.thread_id, thread.assistant_id) == thread.assistant_id for thread in threads)
    return [thread.assistant_id for thread in threads]


def write(folder: Path, text: str) -> Path:
    """Write a list."""
    (folder / "list").write_text(text)
    return folder / "list"


def test_how_the_list_was_read_is_said_once(names: list[str], threadkeep: Run, tmp_path: Path, out: Path) -> None:
    """Before anything is asked; not for one id a line, where nothing was found out, and not with --quiet."""
    ids = write(tmp_path, "user,Thread ID\n" + "".join(f"u,{name}\n" for name in names))
    done = threadkeep("export", ids, ASSISTANT, out)
    assert (done.code, done.err) == (0, f"threadkeep: {ids}: CSV, column Thread ID, 3 ids\n")
    assert list(exported(out)) == names
    assert threadkeep("validate", out, "--ids", ids).code == 0
    assert threadkeep("export", ids, ASSISTANT, out, "--quiet").err == ""


def test_a_named_column_is_in_the_next_command_too(
    names: list[str], threadkeep: Run, tmp_path: Path, out: Path
) -> None:
    """It can be typed as it is printed."""
    ids = write(tmp_path, "old_thread_id,new_thread_id\n" + "".join(f"thread_x,{name}\n" for name in names))
    done = threadkeep("export", ids, ASSISTANT, out)
    assert (done.code, "'old_thread_id', 'new_thread_id'" in done.err, out.exists()) == (2, True, False)
    done = threadkeep("export", ids, ASSISTANT, out, "--column", "new thread id")
    assert done.code == 0
    assert f"threadkeep validate --ids={ids} '--column=new thread id' {out}" in done.out
    assert threadkeep("validate", f"--ids={ids}", "--column=new thread id", out).code == 0


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "# nothing yet\n\n",
            "thread_id\n",
            "thread_id,user\n",
            "thread_id\nNULL\n",
            "[]",
            "[null]",
            "asst_1\nasst_2\n",
        ),
        *(
            "alice\nbob\n",
            "1\n2\n",
            "# Readme\n\nIt has thread_pool and thread_locks.\n",
            '{"name": "x"}',
            '{"thread_a": 1}',
        ),
        *(
            "<html>\n<p>thread_a</p>\n</html>\n",
            '{"thread_id": "thread_a"}\n{"thread_id": "thr',
            "PK\x03\x04",
            '{"a":' * 99999,
        ),
    ],
    ids=range(17),
)
def test_nothing_is_begun_for_a_list_without_thread_ids(
    fake: FakeAssistants, text: str, threadkeep: Run, tmp_path: Path, out: Path
) -> None:
    """Exit code 2, no file, and no request."""
    done = threadkeep("export", write(tmp_path, text), ASSISTANT, out)
    assert (done.code, done.out, "thread id" in done.err) == (2, "", True)
    assert not fake.requests
    assert [path.name for path in tmp_path.iterdir()] == ["list"]


def test_nothing_is_left_of_a_list_that_breaks_off(
    names: list[str], threadkeep: Run, tmp_path: Path, out: Path
) -> None:
    """However far behind its beginning that is."""
    rows = "".join(f'{names[0]},"text"\n' for _ in range(1000))
    done = threadkeep("export", write(tmp_path, f'thread_id,text\n{rows}{names[1]},"cut'), ASSISTANT, out)
    assert (done.code, "line 1002 is no row of CSV" in done.err) == (2, True)
    assert [path.name for path in tmp_path.iterdir()] == ["list"]


def test_the_column_of_assistants_counts_with_auto(
    names: list[str], threadkeep: Run, tmp_path: Path, out: Path
) -> None:
    """Several assistants in one export; a thread without one in the column has that of its newest message."""
    rows = [f"{names[0]};asst_one", f"{names[1]};", f"{names[2]};asst_two"]
    ids = write(tmp_path, "\n".join(["thread_id;assistant_id", *rows]))
    assert threadkeep("export", ids, "auto", out).code == 0
    first, second, third = assistants_of(out)
    assert (first, third) == ("asst_one", "asst_two")
    assert second not in (None, "asst_one", "asst_two")
    assert threadkeep("validate", out, "--ids", ids).code == 0
    done = threadkeep("export", ids, ASSISTANT, tmp_path / "one.ndjson")
    assert (done.code, set(assistants_of(tmp_path / "one.ndjson"))) == (0, {ASSISTANT})


def test_a_complete_thread_keeps_its_assistant(names: list[str], threadkeep: Run, tmp_path: Path, out: Path) -> None:
    """Another list changes nothing; a thread that comes later has its own."""
    write(tmp_path, f"thread_id,assistant_id\n{names[0]},asst_one\n")
    assert threadkeep("export", tmp_path / "list", "auto", out).code == 0
    ids = write(tmp_path, f"thread_id,assistant_id\n{names[0]},asst_other\n{names[1]},asst_two\n")
    assert threadkeep("export", ids, "auto", out).code == 0
    assert assistants_of(out) == ["asst_one", "asst_two"]


@pytest.mark.usefixtures("base_url")
def test_python_takes_the_same_lists(names: list[str], tmp_path: Path, out: Path) -> None:
    """And the name of a column."""
    ids = write(tmp_path, "a;b\n" + "".join(f"1;{name}\n" for name in names))
    assert export(ids, ASSISTANT, out).is_complete
    (tmp_path / "empty").touch()
    with pytest.raises(UnreadableIds, match="no thread ids in"):
        export(tmp_path / "empty", ASSISTANT, tmp_path / "other.ndjson")
    with pytest.raises(UnreadableIds, match="no column c: there are"):
        export(ids, ASSISTANT, tmp_path / "other.ndjson", column="c")
    with pytest.raises(ValueError, match=r"'out\.ndjson', a file name; the arguments are"):
        export(names, "out.ndjson", "asst_1")
