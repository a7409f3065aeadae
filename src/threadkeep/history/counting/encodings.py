"""Count the tokens of a text as a model sees it: with bpe-openai if it is installed, else by an estimate."""

import functools
import re
import warnings
from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Protocol

from threadkeep.history.counting.estimate import estimate
from threadkeep.history.counting.pieces import split
from threadkeep.history.items import without_surrogates

__all__ = ["base_model", "encoding_of", "text_counter"]


class _Encoding(Protocol):
    name: str

    def encode_ordinary(self, text: str) -> list[int]: ...


_MODELS = {
    "o200k_base": re.compile(
        r"(gpt-5|gpt-4\.1|gpt-4\.5|(chat)?gpt-4o|gpt-oss|gpt-realtime|gpt-audio|o[134]|codex|computer-use)(?!\w)"
    ),
    "cl100k_base": re.compile(r"(gpt-4|gpt-3\.5|gpt-35)(?![\w.])"),
}
_PROVIDER = re.compile(r"^(.*/)?(openai\.)?(ft:)?")
# bpe-openai takes no text that gives more than 200,000 tokens. A token has at least a byte, a character at most four.
_LONGEST_TEXT = 50_000


def base_model(model: str) -> str:
    """Return the name of a model in lower case, without a provider before it, and without what a fine-tuning adds."""
    return _PROVIDER.sub("", model.strip().lower()).partition(":")[0]


def encoding_of(model: str | None) -> str | None:
    """Return the encoding of a model of OpenAI's; None if it is not known.

    Dated names, fine-tuned models (``ft:gpt-4o-...:org::id``) and names with a provider (``openai/gpt-4o``) are known.
    """
    name = base_model(model or "")
    return next((encoding for encoding, pattern in _MODELS.items() if pattern.match(name)), None)


def text_counter(model: str | None) -> Callable[[str], int]:
    """Return a function that counts the tokens of a text. For an unknown model, the encoding counts that needs more."""
    known = encoding_of(model)
    encodings = list(_MODELS) if known is None else [known]
    try:
        counters = [functools.partial(_count, _loaded(encoding)) for encoding in encodings]
    except ImportError:
        counters = [functools.partial(_estimate, encoding) for encoding in encodings]
    return counters[0] if len(counters) == 1 else lambda text: max(count(text) for count in counters)


@functools.cache
def _loaded(encoding: str) -> _Encoding:
    with warnings.catch_warnings():  # it reads its tables by a function that is deprecated
        warnings.filterwarnings("ignore", "open_binary is deprecated", DeprecationWarning)
        loaded: _Encoding = import_module("bpe_openai").get_encoding(encoding)
    return loaded


def _count(encoding: _Encoding, text: str) -> int:
    return sum(len(encoding.encode_ordinary(part)) for part in _parts(without_surrogates(text), encoding.name))


def _estimate(encoding: str, text: str) -> int:
    return estimate(without_surrogates(text), encoding)


def _parts(text: str, encoding: str) -> Iterator[str]:
    """Cut a long text between the pieces that are coded one by one, so that its tokens are those of the parts.

    A single piece of more than 50,000 characters is cut anywhere.
    """
    start = 0
    while len(text) - start > _LONGEST_TEXT:
        part = text[start : start + _LONGEST_TEXT]
        pieces = split(part, encoding)[:-3]  # at most the last two would end elsewhere if the text went on
        while pieces and pieces[-1][-1].isspace():
            pieces.pop()  # spaces are split by the character behind them
        part = part[: sum(map(len, pieces)) or _LONGEST_TEXT]
        yield part
        start += len(part)
    yield text[start:]
