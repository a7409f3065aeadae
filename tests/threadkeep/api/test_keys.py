"""The file of keys: every line is a key or is told by number, and nothing of it stands in a message."""

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
    """Distinct keys, and a file of them as people keep such files."""
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
    """Every key with what it names, in the file's order, whatever stands between and behind."""
    listed, content = file
    assert read_keys(content) == tuple(listed)


tokens = st.text("QWZK", min_size=4, max_size=9)
pieces = st.one_of(
    tokens, tokens.map("project={}".format), tokens.map("{}=".format), st.sampled_from([" ", "\n", "'", '"', "é", "="])
)


def outcome(content: bytes) -> tuple[tuple[Key, ...], str]:
    """The keys of a file, or what is told about it."""
    try:
        return read_keys(content), ""
    except UnreadableKeys as error:
        return (), str(error)


@given(st.lists(pieces, max_size=12).map("".join))
def test_no_message_shows_what_a_line_holds(text: str) -> None:
    """A key may stand anywhere in a file that is wrong, so nothing of it is told but the numbers of its lines."""
    read, told = outcome(text.encode())
    assert [letters for letters in re.findall("[QWZK]+", text) if letters in told and len(letters) > 1] == []
    assert [key.secret for key in read] == (
        [] if told else [line.split()[0] for line in text.split("\n") if line.strip()]
    )


@given(st.binary(max_size=60))
def test_any_bytes_are_keys_or_are_told(content: bytes) -> None:
    """Never another exception, and never neither."""
    read, told = outcome(content)
    assert bool(read) != bool(told)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "there is no key in it"),
        ("# only words\n\n", "there is no key in it"),
        ("OPENAI_API_KEY=sk-a", "line 1: it must begin with a key that stands alone, without a name before it"),
        ("\nproject=proj_x sk-a", "line 2: it must begin with a key that stands alone, without a name before it"),
        ('"sk-a"', "line 1: the key must stand without quotes"),
        ("sk-é", "line 1: the key holds a blank, a line end or another character that no HTTP header can carry"),
        ("sk-a sk-b", "line 1: behind the key only project=... and organization=... may stand"),
        ("sk-a org=o", "line 1: behind the key only project=... and organization=... may stand"),
        ("sk-a project", "line 1: behind the key only project=... and organization=... may stand"),
        (
            "sk-a project=",
            "line 1: what stands behind project= or organization= is empty, or no HTTP header can carry it",
        ),
        ("sk-a project=x project=y", "line 1: it names the project or the organization twice"),
        ("sk-a\n\nsk-a # again", "line 3: the key of line 1 again"),
        ("sk-a project=x organization=y\nsk-a organization=y project=x", "line 2: the key of line 1 again"),
        ("sk-a\nsk-b b\nsk-a\n'c", "line 2: .*; line 3: the key of line 1 again; line 4: the key must stand without"),
    ],
)
def test_bad_lines_are_told_all_at_once(text: str, message: str) -> None:
    """Each by its number."""
    with pytest.raises(UnreadableKeys, match=f"^{message.replace('...', '[.]{3}')}"):
        read_keys(text.encode())


def test_one_key_may_ask_for_several_projects() -> None:
    """It is the same line only when it asks for the same."""
    assert len(read_keys(b"sk-a\nsk-a project=x\nsk-a project=y\nsk-a project=y organization=o")) == 4


def test_a_file_that_is_no_text_is_told() -> None:
    """With the line, and not what stands in it."""
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
