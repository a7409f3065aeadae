"""Handlers for /threads/{thread_id}/runs/{run_id}/steps."""

import fake_assistants.engine.pagination as paging
from fake_assistants.engine.backend import Backend, Call, found
from fake_assistants.engine.run_shapes import without_contents
from fake_assistants.errors.values import invalid_value
from fake_assistants.http.lossless_json import Obj, loads
from fake_assistants.http.message import Request
from fake_assistants.store.kinds import RUN_STEPS, RUNS, THREADS

_CONTENTS = "step_details.tool_calls[*].file_search.results[*].content"


def includes_contents(request: Request) -> bool:
    """Return whether `include` names the contents of file searches. Raises ApiProblem for any other value."""
    asked = (*request.asked_all("include[]"), *request.asked_all("include"))
    for index, value in enumerate(asked):
        if value != _CONTENTS:
            raise invalid_value(f"include[{index}]", value, (_CONTENTS,))
    return bool(asked)


def listing(backend: Backend, call: Call) -> Obj | bytes:
    """GET /threads/{thread_id}/runs/{run_id}/steps."""
    run = _run(backend, call)
    collection = backend.database.collection(RUN_STEPS, run["id"])
    page = paging.page(collection, paging.asked(call.request, collection, RUN_STEPS))
    if includes_contents(call.request):
        return page
    plain: Obj = loads(page)
    return {**plain, "data": [without_contents(step) for step in plain["data"]]}


def retrieve(backend: Backend, call: Call) -> Obj:
    """GET /threads/{thread_id}/runs/{run_id}/steps/{step_id}."""
    run = _run(backend, call)
    step = found(backend, RUN_STEPS, call.ids["step_id"], run["id"])
    return step if includes_contents(call.request) else without_contents(step)


def _run(backend: Backend, call: Call) -> Obj:
    thread = found(backend, THREADS, call.ids["thread_id"])
    return found(backend, RUNS, call.ids["run_id"], thread["id"])
