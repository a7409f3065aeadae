"""Lists of thread ids, in every form that editors and shells write."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from threadkeep.errors import UnreadableIds
from threadkeep.serialization.id_lists import is_thread_id, iter_ids

ENTRIES = st.lists(st.text("abcXYZ019_-", min_size=1, max_size=12).map("thread_".__add__), max_size=12)
NOISE = st.sampled_from(["", "   ", "# a comment", "\t# thread_commented"])


def read_ids(content: bytes) -> list[tuple[int, str]]:
    """Return the entries of a list with their line numbers."""
    return list(iter_ids(io.BytesIO(content)))


@given(
    ENTRIES,
    st.lists(NOISE, max_size=5),
    st.sampled_from(["\n", "\r\n", "\r"]),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
)
def test_ids_survive_how_the_file_was_written(ids: list[str], noise: list[str], line_end: str, encoding: str) -> None:
    """Blank lines, comments, line ends and byte order marks change neither the ids nor their order nor their lines."""
    lines = [*noise, *(f" {entry}\t" for entry in ids)]
    assert read_ids(line_end.join(lines).encode(encoding)) == list(enumerate(ids, len(noise) + 1))


def test_what_is_not_text_is_refused_with_its_line() -> None:
    """A picture is not a list of ids."""
    with pytest.raises(UnreadableIds, match="not utf-8 text: invalid start byte in line 2"):
        read_ids(b"thread_a\n\x89PNG")


def test_a_list_may_be_large_and_have_old_line_ends() -> None:
    """CR alone, as old spreadsheets write it. A line that is longer than any id is no list."""
    ids = [f"thread_{number}" for number in range(300_000)]
    assert read_ids("\r".join(ids).encode()) == list(enumerate(ids, 1))
    with pytest.raises(UnreadableIds, match="line 2 is longer than any id"):
        read_ids(b"thread_1\n" + b"x" * 1_100_000)


def test_utf_16_without_a_byte_order_mark_is_refused() -> None:
    """The alternative is a list of ids that cannot be read."""
    with pytest.raises(UnreadableIds, match="UTF-16 needs a byte order mark"):
        read_ids("thread_a\n".encode("utf-16-le"))


def test_a_byte_order_mark_in_the_middle_is_not_part_of_an_id() -> None:
    """A file that was appended to another one brings its mark."""
    assert read_ids("thread_a\n\ufeffthread_b\n".encode()) == [(1, "thread_a"), (2, "thread_b")]


@pytest.mark.parametrize(
    "text",
    [
        "thread_abc123",
        "thread_a.b",
        "thread_é",
        "18f14d98-25c2-11ef-825c-0242ac110003",
        "jan_1729768043",
        "clp1v0q9z0000356x8y2n5w3k",
        "1234",
        "x" * 256,
    ],
)
def test_an_id_may_have_any_shape(text: str) -> None:
    """Servers like the API's have their own."""
    assert is_thread_id(text)


@pytest.mark.parametrize(
    "text",
    [
        *("asst_abc123", "msg_1", "run_1", "step_1", "file-1", "file_1", "vs_1", "conv_1", "sk-secret"),
        *(
            "thread_a/../b",
            "thread_a b",
            "thread_?x=1",
            '"thread_a"',
            "thread_a,",
            "thread_\x00",
            "",
            ".",
            "..",
            "x" * 257,
        ),
    ],
)
def test_what_is_plainly_none_is_malformed(text: str) -> None:
    """What cannot stand in a path never reaches a URL; nor does the id of another object."""
    assert not is_thread_id(text)
