"""Count as if bpe-openai was not installed."""

import sys

import pytest

from threadkeep.history.counting import encodings

__all__ = ["remove_tokenizer"]


def remove_tokenizer(patch: pytest.MonkeyPatch) -> None:
    """Make the import of bpe-openai fail, until the patch is undone."""
    patch.setitem(sys.modules, "bpe_openai", None)
    encodings._loaded.cache_clear()
