"""The run steps' room."""

import fake_assistants.paging as paging
from fake_assistants.core import Call, Core
from fake_assistants.exchange import Request
from fake_assistants.jsontext import loads
from fake_assistants.kinds import RUN_STEPS, RUNS, THREADS
from fake_assistants.lookup import found
from fake_assistants.refusals.values import invalid_value
from fake_assistants.runshapes import without_contents
from fake_assistants.shelf import Obj

_CONTENTS = "step_details.tool_calls[*].file_search.results[*].content"


def includes_contents(request: Request) -> bool:
    """Whether what a file search found is asked for. Raises Refused for anything else that is to be included."""
    asked = (*request.asked_all("include[]"), *request.asked_all("include"))
    for index, value in enumerate(asked):
        if value != _CONTENTS:
            raise invalid_value(f"include[{index}]", value, (_CONTENTS,))
    return bool(asked)


def listing(core: Core, call: Call) -> Obj | bytes:
    """GET /threads/{thread_id}/runs/{run_id}/steps."""
    run = _run(core, call)
    shelf = core.world.shelf(RUN_STEPS, run["id"])
    page = paging.page(shelf, paging.asked(call.request, shelf, RUN_STEPS))
    if includes_contents(call.request):
        return page
    plain: Obj = loads(page)
    return {**plain, "data": [without_contents(step) for step in plain["data"]]}


def retrieve(core: Core, call: Call) -> Obj:
    """GET /threads/{thread_id}/runs/{run_id}/steps/{step_id}."""
    run = _run(core, call)
    step = found(core, RUN_STEPS, call.ids["step_id"], run["id"])
    return step if includes_contents(call.request) else without_contents(step)


def _run(core: Core, call: Call) -> Obj:
    thread = found(core, THREADS, call.ids["thread_id"])
    return found(core, RUNS, call.ids["run_id"], thread["id"])
