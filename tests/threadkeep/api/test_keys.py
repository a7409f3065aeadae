"""The file of keys: every line is a key or is named by its number, and no message shows any of it."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from threadkeep.api.keys import Key, read_keys
from threadkeep.errors import UnreadableKeys

LETTERS = st.sampled_from("abcXYZ0189-_.+/~:")
words = st.text(LETTERS, min_size=1, max_size=20)
keys = st.builds(Key, words.map(lambda word: f"sk-{word}"), st.none() | words, st.none() | words)
blanks = st.text(" \t", min_size=1, max_size=3)
fillings = st.lists(st.sampled_from(["", "   ", "# a comment", "\t# sk-old", "#"]), max_size=3)


@st.composite
def files(draw: st.DrawFn) -> tuple[list[Key], bytes]:
    """Draw distinct keys, and a file of them as people write such files."""
    listed = draw(st.lists(keys, min_size=1, max_size=5, unique=True))
    lines = draw(fillings)
    for key in listed:
        fields = [("project", key.project), ("organization", key.organization)]
        named = draw(st.permutations([f"{name}={value}" for name, value in fields if value is not None]))
        comment = draw(st.sampled_from(["", "  # mine", " #"]))
        lines += [draw(st.sampled_from(["", "  "])) + draw(blanks).join([key.secret, *named]) + comment]
        lines += draw(fillings)
    encoding = draw(st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]))
    return listed, draw(st.sampled_from(["\n", "\r\n", "\r"])).join(lines).encode(encoding)


@given(files())
def test_what_is_written_is_read(file: tuple[list[Key], bytes]) -> None:
    """Every key with what it names, in the file's order, whatever is between and after them."""
    listed, content = file
    assert read_keys(content) == tuple(listed)


tokens = st.text("QWZK", min_size=4, max_size=9)
pieces = st.one_of(
    tokens, tokens.map("project={}".format), tokens.map("{}=".format), st.sampled_from([" ", "\n", "'", '"', "é", "="])
)


def outcome(content: bytes) -> tuple[tuple[Key, ...], str]:
    """Return the keys of a file, or the error message."""
    try:
        return read_keys(content), ""
    except UnreadableKeys as error:
        return (), str(error)


@given(st.lists(pieces, max_size=12).map("".join))
def test_no_message_shows_what_a_line_holds(text: str) -> None:
    """A key may be anywhere in a malformed file, so the message shows nothing but the numbers of its lines."""
    read, error = outcome(text.encode())
    assert [letters for letters in re.findall("[QWZK]+", text) if letters in error and len(letters) > 1] == []
    assert [key.secret for key in read] == (
        [] if error else [line.split()[0] for line in text.split("\n") if line.strip()]
    )


@given(st.binary(max_size=60))
def test_any_bytes_are_keys_or_an_error(content: bytes) -> None:
    """Never another exception, and never neither."""
    read, error = outcome(content)
    assert bool(read) != bool(error)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "it holds no key"),
        ("# only words\n\n", "it holds no key"),
        ("OPENAI_API_KEY=sk-a", "line 1: it must begin with the key itself, without a name before it"),
        ("\nproject=proj_x sk-a", "line 2: it must begin with the key itself, without a name before it"),
        ('"sk-a"', "line 1: the key must be without quotes"),
        ("sk-é", "line 1: the key holds a blank, a line end or another character that an HTTP header cannot carry"),
        ("sk-a sk-b", "line 1: after the key only project=... and organization=... are allowed"),
        ("sk-a org=o", "line 1: after the key only project=... and organization=... are allowed"),
        ("sk-a project", "line 1: after the key only project=... and organization=... are allowed"),
        (
            "sk-a project=",
            "line 1: the value of project= or organization= is empty, or an HTTP header cannot carry it",
        ),
        ("sk-a project=x project=y", "line 1: it names the project or the organization twice"),
        ("sk-a\n\nsk-a # again", "line 3: it repeats the key of line 1"),
        ("sk-a project=x organization=y\nsk-a organization=y project=x", "line 2: it repeats the key of line 1"),
        ("sk-a\nsk-b b\nsk-a\n'c", "line 2: .*; line 3: it repeats the key of line 1; line 4: the key must be without"),
    ],
)
def test_all_bad_lines_are_named_at_once(text: str, message: str) -> None:
    """Each by its number."""
    with pytest.raises(UnreadableKeys, match=f"^{message.replace('...', '[.]{3}')}"):
        read_keys(text.encode())


def test_one_key_may_ask_for_several_projects() -> None:
    """It is the same line only when it asks for the same."""
    assert len(read_keys(b"sk-a\nsk-a project=x\nsk-a project=y\nsk-a project=y organization=o")) == 4


def test_a_file_that_is_not_text_is_an_error() -> None:
    """The message names the line, and does not show it."""
    with pytest.raises(UnreadableKeys, match=r"^not utf-8 text: invalid start byte in line 2$"):
        read_keys(b"sk-a\n\xff")
    with pytest.raises(UnreadableKeys, match="NUL"):
        read_keys(b"s\x00k\x00")


def test_a_key_that_ends_in_an_equals_sign_is_a_key() -> None:
    """As base64 does."""
    assert read_keys(b"QUJD=") == (Key("QUJD="),)


def test_a_key_is_not_shown_by_its_row() -> None:
    """Not even by accident, in a traceback or a log."""
    assert "sk-a" not in repr(Key("sk-a", project="p"))
