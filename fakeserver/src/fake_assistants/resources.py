"""Tool resources and tools: what threads and assistants keep and echo of them."""

from fake_assistants.core import Core
from fake_assistants.kinds import VECTOR_STORES
from fake_assistants.shelf import Obj

_WEEK = 7 * 24 * 60 * 60

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
    now, files = core.clock.now(), len(wanted.get("file_ids", []))
    store: Obj = {
        "id": core.mint("vs_"),
        "object": "vector_store",
        "name": None,
        "status": "completed",
        "usage_bytes": 0,
        "created_at": now,
        "file_counts": {"in_progress": 0, "completed": files, "failed": 0, "cancelled": 0, "total": files},
        "metadata": wanted.get("metadata") or {},
        "expires_after": {"anchor": "last_active_at", "days": 7},
        "expires_at": now + _WEEK,
        "last_active_at": now,
    }
    core.world.put(VECTOR_STORES, store)
    return str(store["id"])


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
