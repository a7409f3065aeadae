"""Tool resources and tools: what threads and assistants keep and echo of them."""

import fake_assistants.vector_stores as vector_stores
from fake_assistants.core import Core
from fake_assistants.shelf import Obj

_WEEK: Obj = {"anchor": "last_active_at", "days": 7}

# Recorded defaults in the echo of a file_search tool.
_RANKING = {"ranker": "default_2024_08_21", "score_threshold": 0.0, "hybrid_search": None}

# Recorded order of keys in the echo of a function tool.
_FUNCTION_KEYS = ("name", "description", "parameters", "strict")


def kept(core: Core, given: Obj | None) -> Obj:
    """The tool resources that an object keeps. Vector stores asked for on the way are created."""
    resources: Obj = {}
    for name, wanted in (given or {}).items():
        resources[name] = _search(core, wanted) if name == "file_search" else wanted
    return resources


def _search(core: Core, wanted: Obj) -> Obj:
    made = [_vector_store(core, store) for store in wanted.get("vector_stores", [])]
    return {"vector_store_ids": [*wanted.get("vector_store_ids", []), *made]}


def _vector_store(core: Core, wanted: Obj) -> str:
    """Create a store as the thread and assistant routes do: it expires 7 days after its last use."""
    return str(vector_stores.make(core, {**wanted, "expires_after": _WEEK})["id"])


def tool(given: Obj) -> Obj:
    """A tool as it is echoed (recorded: functions get `strict`, searches get ranking options)."""
    if given["type"] == "function":
        return {"type": "function", "function": _function(given["function"])}
    if given["type"] == "file_search":
        search = given.get("file_search", {})
        ranking = _RANKING | search.get("ranking_options", {})
        return {"type": "file_search", "file_search": search | {"ranking_options": ranking}}
    return given


def _function(given: Obj) -> Obj:
    full = {**given, "strict": bool(given.get("strict"))}
    return {key: full[key] for key in _FUNCTION_KEYS if key in full}
