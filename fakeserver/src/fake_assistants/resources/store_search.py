"""Handler for /vector_stores/{vector_store_id}/search.

The results come from the script. Without a script the files of the store are searched for the words of the query: the
score of a file is the share of these words that it contains. A file whose content is unknown or not text has score 0.
"""

import base64
import binascii
import operator
import re
from collections.abc import Callable, Mapping
from typing import Any

import fake_assistants.schemas.vector_stores as bodies
from fake_assistants.engine.backend import Backend, Call, found
from fake_assistants.http.lossless_json import Obj
from fake_assistants.store.kinds import FILE_CONTENTS, FILES, VECTOR_STORE_FILES, VECTOR_STORES

_DEFAULT_RESULTS = 10  # documented default
_PASSAGE = 3_200  # characters: about the 800 tokens of a chunk
_WORD = re.compile(r"\w+")


def search(backend: Backend, call: Call) -> Obj:
    """POST /vector_stores/{vector_store_id}/search. Key order as documented; there is never a second page."""
    store = found(backend, VECTOR_STORES, call.ids["vector_store_id"])
    body = call.body(bodies.SEARCH)
    queries = [body["query"]] if isinstance(body["query"], str) else body["query"]
    scripted = backend.script.search()
    results = _searched(backend, store["id"], queries) if scripted is None else list(scripted)
    least = (body.get("ranking_options") or {}).get("score_threshold", 0)
    passing = [one for one in results if one["score"] >= least and _passes(one["attributes"], body.get("filters"))]
    return {
        "object": "vector_store.search_results.page",
        "search_query": queries,
        "data": passing[: body.get("max_num_results", _DEFAULT_RESULTS)],
        "has_more": False,
        "next_page": None,
    }


def _searched(backend: Backend, store_id: str, queries: list[str]) -> list[Obj]:
    """Return every file of the store as a result, best first."""
    words = _words(" ".join(queries))
    files = [file for _, file in backend.database.collection(VECTOR_STORE_FILES, store_id).rows()]
    results = [_result(backend, file, words) for file in files if file.get("status") == "completed"]
    return sorted(results, key=lambda result: -result["score"])


def _result(backend: Backend, file: Obj, words: set[str]) -> Obj:
    text = _text(backend.database.find(FILE_CONTENTS, file["id"]))
    filename = (backend.database.find(FILES, file["id"]) or {}).get("filename")
    attributes = file.get("attributes")
    return {
        "file_id": file["id"],
        "filename": filename if isinstance(filename, str) else "",
        "score": round(len(words & _words(text)) / max(1, len(words)), 4),
        "attributes": attributes if isinstance(attributes, dict) else {},
        "content": [{"type": "text", "text": text[:_PASSAGE]}],
    }


def _words(text: str) -> set[str]:
    return set(_WORD.findall(text.casefold()))


def _text(row: Obj | None) -> str:
    content = (row or {}).get("content")
    try:
        return base64.b64decode(content, validate=True).decode() if isinstance(content, str) else ""
    except (binascii.Error, ValueError):
        return ""


# --- filters --------------------------------------------------------------------------------------------


def _passes(attributes: Obj, condition: Obj | None) -> bool:
    if condition is None:
        return True
    if "filters" in condition:
        return (all if condition["type"] == "and" else any)(_passes(attributes, one) for one in condition["filters"])
    key, value = condition["key"], condition["value"]
    return key in attributes and _COMPARISONS[condition["type"]](attributes[key], value)


def _ordered(compare: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    """Return a comparison of numbers with numbers and of strings with strings; it is false for all other types."""
    return lambda one, other: _json_type(one) == _json_type(other) in ("number", "string") and compare(one, other)


def _json_type(value: object) -> str:
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "number"
    return "string" if isinstance(value, str) else "other"


def _is_same(one: Any, other: Any) -> bool:
    """Compare as JSON does: true is not 1."""
    return bool(_json_type(one) == _json_type(other) and one == other)


def _is_in(one: Any, others: Any) -> bool:
    return isinstance(others, list) and any(_is_same(one, other) for other in others)


_COMPARISONS: Mapping[str, Callable[[Any, Any], bool]] = {
    "eq": _is_same,
    "ne": lambda one, other: not _is_same(one, other),
    "gt": _ordered(operator.gt),
    "gte": _ordered(operator.ge),
    "lt": _ordered(operator.lt),
    "lte": _ordered(operator.le),
    "in": _is_in,
    "nin": lambda one, others: not _is_in(one, others),
}
