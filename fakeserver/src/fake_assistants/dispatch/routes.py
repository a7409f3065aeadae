"""The table of the API's routes, and matching requests against it."""

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any
from urllib.parse import unquote

import attrs

import fake_assistants.resources.assistants as assistants
import fake_assistants.resources.messages as messages
import fake_assistants.resources.run_steps as run_steps
import fake_assistants.resources.runs as runs
import fake_assistants.resources.threads as threads
from fake_assistants.engine.backend import Backend, Call
from fake_assistants.errors.requests import invalid_url, wrong_method
from fake_assistants.http.lossless_json import Obj
from fake_assistants.http.message import Reply
from fake_assistants.store.kinds import (
    ASSISTANTS,
    CONVERSATION_ITEMS,
    CONVERSATIONS,
    FILES,
    MESSAGES,
    RESPONSES,
    RUN_STEPS,
    RUNS,
    THREADS,
    VECTOR_STORE_FILE_BATCHES,
    VECTOR_STORES,
)


class LazyModule:
    """The handlers of a module that is imported when one of them is first called."""

    def __init__(self, module: str) -> None:
        self._module = module

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def handler(*given: Any) -> Any:
            return getattr(import_module(self._module), name)(*given)

        return handler


# An object is encoded as JSON, bytes are JSON already, and a reply is sent unchanged.
Answer = Obj | bytes | Reply
Handler = Callable[[Backend, Call], Answer]

# The ids in paths, each with its resource type. Models have none.
PATH_IDS = {
    "assistant_id": ASSISTANTS,
    "thread_id": THREADS,
    "message_id": MESSAGES,
    "run_id": RUNS,
    "step_id": RUN_STEPS,
    "file_id": FILES,
    "vector_store_id": VECTOR_STORES,
    "batch_id": VECTOR_STORE_FILE_BATCHES,
    "conversation_id": CONVERSATIONS,
    "item_id": CONVERSATION_ITEMS,
    "response_id": RESPONSES,
}

Table = Mapping[str, Mapping[str, Handler]]

# The Assistants API: these routes need the beta header and end with the sunset. The first match answers.
ASSISTANTS_ROUTES: Table = {
    "/v1/assistants": {"GET": assistants.listing, "POST": assistants.create},
    "/v1/assistants/{assistant_id}": {
        "GET": assistants.retrieve,
        "POST": assistants.modify,
        "DELETE": assistants.delete,
    },
    "/v1/threads": {"GET": threads.listing, "POST": threads.create},
    "/v1/threads/runs": {"POST": runs.create_with_thread},
    "/v1/threads/{thread_id}": {"GET": threads.retrieve, "POST": threads.modify, "DELETE": threads.delete},
    "/v1/threads/{thread_id}/messages": {"GET": messages.listing, "POST": messages.create},
    "/v1/threads/{thread_id}/messages/{message_id}": {
        "GET": messages.retrieve,
        "POST": messages.modify,
        "DELETE": messages.delete,
    },
    "/v1/threads/{thread_id}/runs": {"GET": runs.listing, "POST": runs.create},
    "/v1/threads/{thread_id}/runs/{run_id}": {"GET": runs.retrieve, "POST": runs.modify},
    "/v1/threads/{thread_id}/runs/{run_id}/cancel": {"POST": runs.cancel},
    "/v1/threads/{thread_id}/runs/{run_id}/submit_tool_outputs": {"POST": runs.submit},
    "/v1/threads/{thread_id}/runs/{run_id}/steps": {"GET": run_steps.listing},
    "/v1/threads/{thread_id}/runs/{run_id}/steps/{step_id}": {"GET": run_steps.retrieve},
}

files = LazyModule("fake_assistants.resources.files")
vector_stores = LazyModule("fake_assistants.resources.vector_stores")
file_batches = LazyModule("fake_assistants.resources.file_batches")
store_search = LazyModule("fake_assistants.resources.store_search")
conversations = LazyModule("fake_assistants.resources.conversations")
responses = LazyModule("fake_assistants.resources.responses")
chat = LazyModule("fake_assistants.resources.chat_completions")
embeddings = LazyModule("fake_assistants.resources.embeddings")
models = LazyModule("fake_assistants.resources.models")

# Routes that are also served after the sunset.
OTHER_ROUTES: Table = {
    "/v1/files": {"GET": files.listing, "POST": files.upload},
    "/v1/files/{file_id}": {"GET": files.retrieve, "DELETE": files.delete},
    "/v1/files/{file_id}/content": {"GET": files.content},
    "/v1/vector_stores": {"GET": vector_stores.listing, "POST": vector_stores.create},
    "/v1/vector_stores/{vector_store_id}": {
        "GET": vector_stores.retrieve,
        "POST": vector_stores.modify,
        "DELETE": vector_stores.delete,
    },
    "/v1/vector_stores/{vector_store_id}/files": {
        "GET": vector_stores.file_listing,
        "POST": vector_stores.attach_file,
    },
    "/v1/vector_stores/{vector_store_id}/files/{file_id}": {
        "GET": vector_stores.retrieve_file,
        "POST": vector_stores.modify_file,
        "DELETE": vector_stores.detach_file,
    },
    "/v1/vector_stores/{vector_store_id}/file_batches": {"POST": file_batches.create},
    "/v1/vector_stores/{vector_store_id}/file_batches/{batch_id}": {"GET": file_batches.retrieve},
    "/v1/vector_stores/{vector_store_id}/file_batches/{batch_id}/cancel": {"POST": file_batches.cancel},
    "/v1/vector_stores/{vector_store_id}/file_batches/{batch_id}/files": {"GET": file_batches.file_listing},
    "/v1/vector_stores/{vector_store_id}/search": {"POST": store_search.search},
    "/v1/conversations": {"POST": conversations.create},
    "/v1/conversations/{conversation_id}": {
        "GET": conversations.retrieve,
        "POST": conversations.modify,
        "DELETE": conversations.delete,
    },
    "/v1/conversations/{conversation_id}/items": {
        "GET": conversations.list_items,
        "POST": conversations.create_items,
    },
    "/v1/conversations/{conversation_id}/items/{item_id}": {
        "GET": conversations.retrieve_item,
        "DELETE": conversations.delete_item,
    },
    "/v1/responses": {"POST": responses.create},
    "/v1/responses/{response_id}": {"GET": responses.retrieve, "DELETE": responses.delete},
    "/v1/responses/{response_id}/input_items": {"GET": responses.input_items},
    "/v1/chat/completions": {"POST": chat.create},
    "/v1/embeddings": {"POST": embeddings.create},
    "/v1/models": {"GET": models.listing},
    "/v1/models/{model}": {"GET": models.retrieve},
}

ROUTES: Table = {**ASSISTANTS_ROUTES, **OTHER_ROUTES}

# Routes of the new Foundry that OpenAI does not have.
FOUNDRY_ROUTES: Table = {"/v1/conversations": {"GET": conversations.listing, **OTHER_ROUTES["/v1/conversations"]}}

_ROOTS = frozenset(pattern for pattern in ASSISTANTS_ROUTES if pattern.count("/") == 2)


def is_assistants(path: str) -> bool:
    """Return whether the path is at or below a root of the Assistants API, even if it has no route."""
    return "/".join(path.split("/")[:3]) in _ROOTS


@attrs.frozen
class Match:
    """The handler of a request and the ids in its path, percent-decoded."""

    handler: Handler
    ids: Mapping[str, str]
    is_assistants: bool


def match(method: str, path: str, *, asked: str | None = None, is_new_foundry: bool = False) -> Match:
    """Find the route of a method and a path.

    Raises ApiProblem: 404 for an unknown path, 405 for a wrong method. Its text names `asked`, the path of the request.
    """
    parts = path.split("/")
    known = False
    for pattern, methods in (_FOUNDRY_BY_LENGTH if is_new_foundry else _BY_LENGTH).get(len(parts), ()):
        ids = _ids(pattern, parts)
        known = known or ids is not None
        if ids is not None and method in methods:
            return Match(methods[method], ids, is_assistants(path))
    raise (wrong_method if known else invalid_url)(method, path if asked is None else asked)


def pattern_of(path: str) -> str:
    """Return the pattern that a path matches, or the path itself if it matches none."""
    parts = path.split("/")
    fitting = (pattern for pattern, _ in _FOUNDRY_BY_LENGTH.get(len(parts), ()) if _ids(pattern, parts) is not None)
    return "/".join(next(fitting, parts))


def _ids(pattern: list[str], parts: list[str]) -> dict[str, str] | None:
    """Return the ids in the parts of a path, or None if they do not match the pattern."""
    ids: dict[str, str] = {}
    for expected, part in zip(pattern, parts, strict=True):
        if expected.startswith("{") and part:
            ids[expected.strip("{}")] = unquote(part)
        elif expected != part:
            return None
    return ids


def _parameters(route: tuple[str, object]) -> int:
    """Count the ids in a route's pattern, so that literal paths are tried first."""
    return route[0].count("{")


_ByLength = Mapping[int, list[tuple[list[str], Mapping[str, Handler]]]]


def _by_length(routes: Table) -> _ByLength:
    table: dict[int, list[tuple[list[str], Mapping[str, Handler]]]] = {}
    for pattern, methods in sorted(routes.items(), key=_parameters):
        parts = pattern.split("/")
        table.setdefault(len(parts), []).append((parts, methods))
    return table


_BY_LENGTH = _by_length(ROUTES)
_FOUNDRY_BY_LENGTH = _by_length({**ROUTES, **FOUNDRY_ROUTES})
