"""Ids of threads: which texts may be one, and what the others are."""

import re
from typing import NamedTuple

__all__ = ["INVISIBLE", "NO_VALUES", "ListedId", "is_thread_id", "kind_of_id", "unlike_assistant_id"]

INVISIBLE = "\ufeff\xad\u200b\u200c\u200d\u200e\u200f\u2060\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
"""Characters that nobody sees, and that come with a text that was copied."""

NO_VALUES = frozenset({"", "null", "nil", "none", "\\n", "undefined", "nan"})
"""What databases and programs write where there is no value, in small letters."""

_KINDS = {
    "asst_": "an assistant's id",
    "msg_": "a message's id",
    "run_": "a run's id",
    "step_": "a run step's id",
    "vs_": "a vector store's id",
    "file-": "a file's id",
    "file_": "a file's id",
    "conv_": "a conversation's id",
    "resp_": "a response's id",
    "sk-": "a key",
    "http:": "an address",
    "https:": "an address",
}

# Servers like the API's have ids of other shapes: UUIDs, `jan_...` (quoted). What has the prefix of another object is
# none.
_THREAD_ID = re.compile(rf"(?!{'|'.join(map(re.escape, _KINDS))}|\.\.?$)[^\s/\\?#%\"',;<>]{{1,256}}")

_UNSEEN = re.compile(rf"[\x00-\x1f\x7f-\x9f{INVISIBLE}]")
_FILE_ENDINGS = (".ndjson", ".jsonl", ".json", ".txt", ".csv", ".tsv")


class ListedId(NamedTuple):
    """An entry of a list: the number of its line, from 1, the id, and that of its assistant if the list has one."""

    place: int
    thread_id: str
    assistant_id: str | None = None


def is_thread_id(text: str) -> bool:
    """Return whether an id can be sent to the API: it can stand in a path, and is not plainly one of another object.

    It holds no blank, quote or separator, and nothing that has a meaning in a URL.
    """
    return _THREAD_ID.fullmatch(text) is not None and text.isprintable()


def kind_of_id(text: str) -> str | None:
    """Return what an entry is that is no thread id, such as "an assistant's id"; None if that is not known."""
    return next((kind for prefix, kind in _KINDS.items() if text.startswith(prefix)), None)


def unlike_assistant_id(text: str) -> str | None:
    """Return what a text is that was given as an assistant's id by mistake; None if it may be one, or "auto"."""
    if text.casefold() == "auto" != text:
        return 'no id: write "auto"'
    if not text.strip():
        return "empty"
    if _UNSEEN.search(text) or text.casefold() in NO_VALUES:
        return "no id"
    kind = "a thread's id" if text.startswith("thread_") else None if text.startswith("asst_") else kind_of_id(text)
    if re.search(r"[,;\s]", text.strip()):
        return 'a list: an export is for one assistant, or for "auto"'
    return kind or ("a file name" if re.search(r"[/\\]", text) or text.endswith(_FILE_ENDINGS) else None)
