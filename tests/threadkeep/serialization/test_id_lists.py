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


def test_utf_16_without_a_byte_order_mark_is_refused() -> None:
    """The alternative is a list of ids that cannot be read."""
    with pytest.raises(UnreadableIds, match="UTF-16 needs a byte order mark"):
        read_ids("thread_a\n".encode("utf-16-le"))


def test_a_byte_order_mark_in_the_middle_is_not_part_of_an_id() -> None:
    """A file that was appended to another one brings its mark."""
    assert read_ids("thread_a\n\ufeffthread_b\n".encode()) == [(1, "thread_a"), (2, "thread_b")]


@pytest.mark.parametrize(
    "text", ["thread_abc123", "thread_" + "A" * 24, "thread_a-b", "thread_a.b", "thread_é", "threadless", "thread"]
)
def test_the_prefix_makes_a_thread_id(text: str) -> None:
    """Only the beginning is checked, never the length."""
    assert is_thread_id(text)


@pytest.mark.parametrize(
    "text",
    [
        "undefined",
        "asst_abc123",
        "1234",
        "thread_a/../b",
        "thread_a b",
        "thread_?x=1",
        '"thread_a"',
        "thread_a,",
        "thread_\x00",
        "",
    ],
)
def test_anything_else_is_malformed(text: str) -> None:
    """What cannot be an id never reaches a URL."""
    assert not is_thread_id(text)
