"""The estimate without a tokenizer is never below the truth, and close to it for prose."""

import base64
import inspect
import json
import random
import uuid
from importlib import import_module
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prose import PROSE
from threadkeep.history.counting.encodings import text_counter
from threadkeep.history.counting.estimate import estimate, read_table

ENCODINGS = {"o200k_base": "gpt-4o", "cl100k_base": "gpt-4"}
EXACT = {encoding: text_counter(model) for encoding, model in ENCODINGS.items()}
BOUNDS = {"o200k_base": 1.6, "cl100k_base": 2}

plain = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
prose = st.lists(st.one_of(st.sampled_from(sorted(PROSE.values())), plain), max_size=3).map("".join)
parts = [
    "'s",
    "'LL",
    " ",
    "  ",
    "\n",
    "\r\n",
    "\t",
    "\u200d",
    "\ufe0f",
    "\u0301",
    "\x1b[0m",
    "👩",
    "/",
    "--",
    "7",
    "the",
    "où",
    "и",
]
mixed = st.lists(st.one_of(st.sampled_from(parts), st.characters(exclude_categories=["Cs"])))


def never_below(text: str) -> None:
    """Hold the estimate of both encodings against what bpe-openai counts."""
    for encoding, exact in EXACT.items():
        assert estimate(text, encoding) >= exact(text), (encoding, text)


@given(st.one_of(plain, prose, mixed.map("".join)))
def test_no_text_has_more_tokens(text: str) -> None:
    """Of any characters, in any order."""
    never_below(text)


@given(st.sampled_from(sorted(PROSE.values())), st.integers(0, 100), st.integers(1, 100))
def test_no_part_of_a_sentence_has_more_tokens(sentence: str, start: int, length: int) -> None:
    """Wherever it is cut, and in capitals."""
    never_below(sentence[start : start + length])
    never_below(sentence[start : start + length].upper())


@given(st.characters(exclude_categories=["Cs"]), st.characters(exclude_categories=["Cs"]), st.integers(1, 2_500))
def test_no_row_of_a_character_has_more_tokens(one: str, other: str, length: int) -> None:
    """Also where it is so long that it is counted in parts."""
    never_below(one * length)
    never_below((one + other) * length)


@given(st.binary(min_size=1, max_size=400))
def test_no_binary_text_has_more_tokens(content: bytes) -> None:
    """As base64, hexadecimal digits, numbers, and what a wrong encoding makes of bytes."""
    never_below(base64.b64encode(content).decode())
    never_below(content.hex())
    never_below(str(list(content)))
    never_below(content.decode("latin-1"))
    never_below(str(uuid.UUID(bytes=content[:16].ljust(16))))


@pytest.mark.parametrize("module", [inspect, json.decoder, random])
def test_no_code_has_more_tokens(module: ModuleType) -> None:
    """Nor its JSON, nor the same without line ends, nor its lines alone."""
    source = inspect.getsource(module)
    never_below(source)
    never_below(json.dumps(source))
    never_below(" ".join(source.split()))
    for line in source.split("\n"):
        never_below(line)


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("language", PROSE)
def test_prose_is_estimated_closely(language: str, encoding: str) -> None:
    """At most 1.6 times with o200k, twice with cl100k, in every language."""
    never_below(PROSE[language])
    assert estimate(PROSE[language], encoding) <= BOUNDS[encoding] * EXACT[encoding](PROSE[language])


@pytest.mark.parametrize(("encoding", "size"), [("o200k_base", 65_536), ("cl100k_base", 32_768)])
def test_the_table_is_the_beginning_of_the_encoding(encoding: str, size: int) -> None:
    """Every token with its rank, none left out: that is why the estimate cannot be too low."""
    known = read_table(encoding)
    source = import_module("bpe_openai").get_encoding(encoding)
    assert len(known) == size
    assert [source.decode_single_token_bytes(rank) for rank in range(256, size)] == list(known)[256:]


@pytest.mark.parametrize("text", ["118\U000116d2546880", "the \U0002f392's", "a\u0378b", "\U000b6967's", ""])
def test_a_character_that_python_does_not_know(text: str) -> None:
    """A newer Unicode may call it a letter or a number, and then the text is split at other places."""
    never_below(text)
