"""Ids of threads: which texts may be one, and what the others are."""

import re
from typing import NamedTuple

__all__ = [
    "INVISIBLE",
    "NO_VALUES",
    "ListedId",
    "has_id",
    "ids_in",
    "is_likely_id",
    "is_thread_id",
    "is_usual_id",
    "kind_of_id",
    "unlike_assistant_id",
    "usual_ids_in",
]

INVISIBLE = "\ufeff\xad\u200b\u200c\u200d\u200e\u200f\u2060\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
"""Characters that nobody sees, and that come with a text that was copied."""

NO_VALUES = frozenset({"", "null", "<null>", "nil", "<nil>", "none", "\\n", "undefined", "nan", "<na>", "n/a", "#n/a"})
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

# What is not given for an assistant's id either, and what is given for "auto".
_NO_ASSISTANTS = {
    "thread_": "a thread's id",
    "proj_": "a project's id",
    "org-": "an organization's id",
    "gpt-": "the name of a model",
}
_EVERY_ASSISTANT = frozenset({"auto", "all", "any", "*"})
_QUOTES = " \t\"'`<>()[]{}\u2018\u2019\u201c\u201d"

# Servers like the API's have ids of other shapes: UUIDs, `jan_...` (quoted). What has the prefix of another object is
# none.
_THREAD_ID = re.compile(rf"(?!{'|'.join(map(re.escape, _KINDS))}|\.\.?$)[^\s/\\?#%\"',;<>\u2026]{{1,256}}(?<!\.\.)")

# An id of the API, wherever it is in a text. It may be in a name of a column or key, but is none.
_USUAL = r"thread_(?!ids?\b)\w+(?:-+\w+)*+"
_USUAL_ID = re.compile(r"thread_(?!ids?$)[\w-]+")
_TOKEN = re.compile(_USUAL)
_CUT_OFF = re.compile(rf"{_USUAL}(?:\u2026|\.\.)")
_NEXT_TO_EACH_OTHER = re.compile(rf"[^,;|\t]*?{_USUAL}(?:\W+{_USUAL})+\W*")

_MIXED = re.compile(r"(?=.*\d)(?=.*[^\W\d_])(?!.*[@:=])(?!(?i:thread)_)")

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


def is_usual_id(text: str) -> bool:
    """Return whether a text is an id as the API makes them."""
    return _USUAL_ID.fullmatch(text) is not None


def has_id(text: str) -> bool:
    """Return whether an id of the API is anywhere in a text."""
    return _TOKEN.search(text) is not None


def usual_ids_in(text: str) -> set[str]:
    """Return the ids of the API that are anywhere in a text."""
    return set(_TOKEN.findall(text))


def is_likely_id(text: str) -> bool:
    """Return whether a text is a thread id by its look alone: an id of the API, or one with letters and digits."""
    return is_usual_id(text) or (_MIXED.match(text) is not None and is_thread_id(text))


def ids_in(text: str, *, is_annotated: bool = False) -> list[str]:
    """Return the ids in a line, a cell or a value: the only id of the API in it, or several next to each other.

    Any other text is returned as it is. So no id is lost: one that is not taken out is in a text that is no id. A text
    that begins with its only id is a malformed id, such as ``thread_a/b``: a part of it may be another thread's.

    Args:
        text: without quotes and blanks around it.
        is_annotated: notes may follow an id, after a blank.
    """
    if is_usual_id(text):
        return [text]
    found = list(dict.fromkeys(_TOKEN.findall(text)))
    if len(found) == 1 and text.startswith(found[0]):
        return found if is_annotated and text[len(found[0])].isspace() else [text]
    if _CUT_OFF.search(text):
        return [text]
    return found if len(found) == 1 or (found and _NEXT_TO_EACH_OTHER.fullmatch(text)) else [text]


def kind_of_id(text: str) -> str | None:
    """Return what an entry is that is no thread id, such as "an assistant's id"; None if that is not known."""
    if _CUT_OFF.search(text):
        return "an id that is cut off"
    return next((kind for prefix, kind in _KINDS.items() if text.startswith(prefix)), None)


def unlike_assistant_id(text: str) -> str | None:
    """Return what a text is that was given as an assistant's id by mistake; None if it may be one, or "auto"."""
    plain = text.strip(_QUOTES)
    if not text.strip():
        return "empty"
    if plain.casefold() in _EVERY_ASSISTANT and text != "auto":
        return 'no id: write "auto"'
    if _UNSEEN.search(text) or plain.casefold() in {*NO_VALUES, "-", "asst_"}:
        return "no id"
    if re.search(r"[,;\s]", text.strip()):
        return 'a list: an export is for one assistant, or for "auto"'
    return _unlike_in_form(text, plain)


def _unlike_in_form(text: str, plain: str) -> str | None:
    kind = next((kind for prefix, kind in (_KINDS | _NO_ASSISTANTS).items() if plain.startswith(prefix)), None)
    if not plain.startswith("asst_") and kind is not None:
        return kind
    if re.search(r"[/\\]", text) or text.endswith(_FILE_ENDINGS):
        return "a file name"
    if re.search(r"\u2026|\.\.$", plain):
        return "an id that is cut off"
    if re.match("(?i:asst)_", plain) and not plain.startswith("asst_"):
        return "no id: one begins with asst_, in small letters"
    return None if plain == text else f"in quotes or blanks: write {plain}"
