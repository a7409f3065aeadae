"""Cases: runs, from creation to a final status."""

from itertools import pairwise

import fake_assistants.conformance.fixtures as staging
from fake_assistants.conformance.api import Api
from fake_assistants.conformance.case import Case
from fake_assistants.conformance.expectations import Found

KEYS = (
    *("id", "object", "created_at", "assistant_id", "thread_id", "status", "started_at", "expires_at"),
    *("cancelled_at", "failed_at", "completed_at", "required_action", "last_error", "model", "instructions", "tools"),
    *("tool_resources", "metadata", "temperature", "top_p", "reasoning_effort?", "max_completion_tokens"),
    *("max_prompt_tokens", "truncation_strategy", "incomplete_details", "usage", "response_format", "tool_choice"),
    "parallel_tool_calls",
)
_UNSET = ("required_action", "last_error", "incomplete_details", "cancelled_at", "failed_at")
_USAGE = ("prompt_tokens", "completion_tokens", "total_tokens", "prompt_token_details", "completion_tokens_details")


def create(api: Api) -> None:
    """A new run is queued, and has the recorded keys in the recorded order."""
    path = staging.thread(api, "Hello")
    chosen = staging.assistant(api)
    made = staging.run(api, path, assistant_id=chosen)
    made.keys(KEYS)
    made.has(object="thread.run", status="queued", thread_id=path.rpartition("/")[2], assistant_id=chosen)
    made["id"].like("run_[A-Za-z0-9]{24}", "run_ and 24 letters and digits")
    made.has(**dict.fromkeys(_UNSET), started_at=None, completed_at=None, usage=None)


def defaults(api: Api) -> None:
    """Fields that neither run nor assistant sets are null, "auto" or 1.0; tool resources are `{}`."""
    made = staging.run(api, staging.thread(api, "Hello"), assistant_id=staging.assistant(api))
    made.has(model=api.model, instructions=None, tools=[], tool_resources={}, metadata={})
    made.has(temperature=1.0, top_p=1.0, max_completion_tokens=None, max_prompt_tokens=None)
    made.has(truncation_strategy={"type": "auto", "last_messages": None}, response_format="auto", tool_choice="auto")
    made["parallel_tool_calls"].same(True)


def expires(api: Api) -> None:
    """A run expires 600 seconds after its creation."""
    made = staging.run(api, staging.thread(api, "Hello"))
    made["expires_at"].same(made["created_at"].number() + 600)


def inherits(api: Api) -> None:
    """Instructions and tools are the assistant's, unless the run sets them."""
    chosen = staging.assistant(api, instructions="Be kind.", tools=[{"type": "code_interpreter"}], temperature=0.5)
    made = staging.run(api, staging.thread(api, "Hello"), assistant_id=chosen)
    made.has(instructions="Be kind.", tools=[{"type": "code_interpreter"}], temperature=0.5)


def overrides(api: Api) -> None:
    """Settings of the run override those of the assistant, including a token limit of 16."""
    chosen = staging.assistant(api, instructions="Be kind.", temperature=0.5)
    own = {"instructions": "Be short.", "temperature": 0.25, "max_completion_tokens": 16, "metadata": {"a": "1"}}
    made = staging.run(api, staging.thread(api, "Hello"), assistant_id=chosen, **own)
    made.has(**own)


def completes(api: Api) -> None:
    """A run ends as completed, with times and usage, and without expires_at."""
    made = staging.finished(api, staging.thread(api, "Say hello."))
    made.keys(KEYS)
    made.has(status="completed", expires_at=None, **dict.fromkeys(_UNSET))
    _ascending(made, "created_at", "started_at", "completed_at")


def _ascending(made: Found, *names: str) -> None:
    for first, second in pairwise(names):
        if made[first].number() > made[second].number():
            raise made[second].deviates(f"a time not before {first}, {made[first].value},")


def usage(api: Api) -> None:
    """Usage adds up, and keeps the recorded misspelling `prompt_token_details`."""
    found = staging.finished(api, staging.thread(api, "Say hello."))["usage"]
    found.keys(_USAGE)
    found["total_tokens"].same(found["prompt_tokens"].number() + found["completion_tokens"].number())
    found["prompt_token_details"]["cached_tokens"].number()
    found["completion_tokens_details"]["reasoning_tokens"].number()


def answers(api: Api) -> None:
    """The answer is in the thread, with the ids of the run and the assistant."""
    path = staging.thread(api, "Say hello.")
    made = staging.finished(api, path)
    rows = api.get(f"{path}/messages").ok()["data"].rows(2)
    rows[0].has(role="assistant", run_id=made["id"].value, assistant_id=made["assistant_id"].value)
    rows[0]["content"].rows(1)[0]["text"]["value"].text()
    rows[1].has(role="user", run_id=None)
    api.get(f"{path}/messages?run_id={made['id'].text()}").ok().ids([rows[0]["id"].text()])


def retrieve(api: Api) -> None:
    """A run that has ended is the same in every answer, retrieved or listed."""
    path = staging.thread(api, "Hello")
    made = staging.finished(api, path)
    api.get(staging.run_path(made)).ok().same(made.value)
    row = api.get(f"{path}/runs").ok()["data"].only()
    row.same(made.value)
    row.keys(KEYS)


def listing(api: Api) -> None:
    """Runs are listed newest first, with cursors."""
    path = staging.thread(api, "Hello")
    chosen = staging.assistant(api)
    made = [staging.finished(api, path, assistant_id=chosen)["id"].text() for _ in range(3)]
    api.get(f"{path}/runs").ok().ids(made[::-1])
    page = api.get(f"{path}/runs?order=asc&limit=1&after={made[0]}").ok()
    page.ids([made[1]])
    page.has(has_more=True, first_id=made[1], last_id=made[1])


def modify(api: Api) -> None:
    """The metadata of a run that has ended can be changed."""
    made = staging.finished(api, staging.thread(api, "Hello"))
    changed = api.post(staging.run_path(made), {"metadata": {"a": "1"}}).ok()
    changed.same(made.value | {"metadata": {"a": "1"}})


def additional_messages(api: Api) -> None:
    """Messages given with a run are in the thread, before its answer."""
    path = staging.thread(api)
    more = [{"role": "user", "content": "one"}, {"role": "user", "content": "two"}]
    made = staging.finished(api, path, additional_messages=more)
    rows = api.get(f"{path}/messages?order=asc").ok()["data"].rows(3)
    for row, given in zip(rows, more, strict=False):
        row["content"].only()["text"]["value"].same(given["content"])
    rows[2]["run_id"].same(made["id"].value)


def create_and_run(api: Api) -> None:
    """A thread and its run are created in one call."""
    chosen = staging.assistant(api)
    thread = {"messages": [{"role": "user", "content": "Hello"}]}
    made = api.post("/threads/runs", {"assistant_id": chosen, "thread": thread}).ok()
    made.keys(KEYS)
    made.has(status="queued", assistant_id=chosen)
    api.until(staging.run_path(made), staging.TERMINAL)["status"].same("completed")
    api.get(f"/threads/{made['thread_id'].text()}/messages").ok()["data"].rows(2)


# --- what is refused -------------------------------------------------------------------------------------


def nothing_to_say(api: Api) -> None:
    """400, invalid_thread: no user's message in the thread, and an assistant without instructions."""
    text = "Run creation requires a Thread with a user message or an assistant with instructions."
    chosen = staging.assistant(api)
    answer = api.post(f"{staging.thread(api)}/runs", {"assistant_id": chosen})
    answer.refused(400, text, code="invalid_thread")


def unknown_assistant(api: Api) -> None:
    """404, No assistant found with id '...'."""
    unknown = f"asst_{'0' * 24}"
    answer = api.post(f"{staging.thread(api, 'Hello')}/runs", {"assistant_id": unknown})
    answer.refused(404, f"No assistant found with id '{unknown}'.")


def malformed_assistant(api: Api) -> None:
    """400, Invalid 'assistant_id': an id that does not begin with asst."""
    answer = api.post(f"{staging.thread(api, 'Hello')}/runs", {"assistant_id": "wf_1"})
    text = "Invalid 'assistant_id': 'wf_1'. Expected an ID that begins with 'asst'."
    answer.refused(400, text, param="assistant_id", code="invalid_value")


def unknown_run(api: Api) -> None:
    """404, No run found with id '...'."""
    unknown = f"run_{'0' * 24}"
    answer = api.get(f"{staging.thread(api)}/runs/{unknown}")
    answer.refused(404, f"No run found with id '{unknown}'.")


def locked_for_messages(api: Api) -> None:
    """400 for a message while a run is active."""
    with staging.calling(api) as made:
        thread_id, run_id = made["thread_id"].text(), made["id"].text()
        staging.calls_of(made)
        answer = api.post(f"/threads/{thread_id}/messages", {"role": "user", "content": "x"})
        answer.refused(400, f"Can't add messages to {thread_id} while a run {run_id} is active.")


def locked_for_runs(api: Api) -> None:
    """400 for a second run while one is active."""
    with staging.calling(api) as made:
        thread_id, run_id = made["thread_id"].text(), made["id"].text()
        staging.calls_of(made)
        answer = api.post(f"/threads/{thread_id}/runs", {"assistant_id": made["assistant_id"].text()})
        answer.refused(400, f"Thread {thread_id} already has an active run {run_id}.")


def unlocked(api: Api) -> None:
    """After a run has ended, messages and runs are accepted again."""
    path = staging.thread(api, "Hello")
    chosen = staging.assistant(api)
    staging.finished(api, path, assistant_id=chosen)
    staging.message(api, path, content="And again.")["object"].same("thread.message")
    staging.finished(api, path, assistant_id=chosen)["status"].same("completed")


def cancel(api: Api) -> None:
    """Cancelling an active run returns `cancelling`, with expires_at; it ends as cancelled, without expires_at."""
    with staging.calling(api) as made:
        staging.calls_of(made)
        path = staging.run_path(made)
        cancelling = api.post(f"{path}/cancel").ok()
        cancelling.keys(KEYS)
        cancelling.has(status="cancelling", cancelled_at=None, expires_at=made["expires_at"].value)
        ended = api.until(path, staging.TERMINAL)
        ended.has(status="cancelled", completed_at=None, expires_at=None)
        ended["cancelled_at"].number()
        ended["started_at"].number()
        ended["usage"].has(prompt_tokens=0, completion_tokens=0, total_tokens=0)


def cancel_queued(api: Api) -> None:
    """A run that is cancelled while queued has started_at equal to created_at."""
    made = staging.run(api, staging.thread(api, "Hello"))
    made["status"].same("queued")
    path = staging.run_path(made)
    api.post(f"{path}/cancel").ok()["status"].same("cancelling")
    api.until(path, staging.TERMINAL).has(status="cancelled", started_at=made["created_at"].value)


def open_output(api: Api) -> None:
    """An output without a call id is accepted for the only call."""
    with staging.calling(api) as made:
        path = staging.run_path(made)
        api.post(f"{path}/submit_tool_outputs", {"tool_outputs": [{"output": "sunny"}]}).ok()["status"].same("queued")
        api.until(path, staging.TERMINAL)["status"].same("completed")


def cancel_ended(api: Api) -> None:
    """400 for cancelling a run that has ended."""
    made = staging.finished(api, staging.thread(api, "Hello"))
    answer = api.post(f"{staging.run_path(made)}/cancel")
    answer.refused(400, f"Cannot cancel run with status '{made['status'].text()}'.")


def submit_ended(api: Api) -> None:
    """400 for tool outputs that the run does not wait for, with the status in double quotes."""
    made = staging.finished(api, staging.thread(api, "Hello"))
    outputs = {"tool_outputs": [{"tool_call_id": "call_x", "output": "x"}]}
    answer = api.post(f"{staging.run_path(made)}/submit_tool_outputs", outputs)
    answer.refused(400, f'Runs in status "{made["status"].text()}" do not accept tool outputs.')


# --- how a run can end, staged on a fake -----------------------------------------------------------------


def fails(api: Api) -> None:
    """A failed run has a last_error, failed_at and no completed_at."""
    with staging.scripted(api, {"fail": {"code": "rate_limit_exceeded", "message": "Too much."}}):
        made = staging.finished(api, staging.thread(api, "Hello"))
    made.has(status="failed", last_error={"code": "rate_limit_exceeded", "message": "Too much."}, completed_at=None)
    made["failed_at"].number()


def incomplete(api: Api) -> None:
    """A run that is cut off is incomplete, with the reason and without expires_at."""
    with staging.scripted(api, {"reply": "Hello there"}, {"incomplete": "max_completion_tokens"}):
        made = staging.finished(api, staging.thread(api, "Hello"))
    made.has(status="incomplete", incomplete_details={"reason": "max_completion_tokens"}, expires_at=None)


def expired(api: Api) -> None:
    """A run whose outputs are not submitted within 600 seconds expires."""
    with staging.calling(api) as made:
        staging.calls_of(made)
        with api.staged("clock", {"advance": 601}):
            api.until(staging.run_path(made), staging.TERMINAL)["status"].same("expired")


_BY_READS = {"progress": "read", "reads": 1}


def by_reads(api: Api) -> None:
    """Each read advances a run by one status."""
    with api.staged("script", {}), api.staged("runs", _BY_READS):
        path = staging.run_path(staging.run(api, staging.thread(api, "Hello")))
        found = [api.get(path).ok()["status"] for _ in range(3)]
    for status, expected in zip(found, ("in_progress", "completed", "completed"), strict=True):
        status.same(expected)


def unseen_while_queued(api: Api) -> None:
    """While a run is queued only the earlier messages are listed."""
    path = staging.thread(api, "Hello")
    with api.staged("runs", _BY_READS):
        staging.run(api, path)
        api.get(f"{path}/messages").ok()["data"].only()["role"].same("user")


CASES = (
    Case("runs", "create", "recorded", create),
    Case("runs", "defaults", "recorded", defaults),
    Case("runs", "expires", "recorded", expires),
    Case("runs", "inherits", "recorded", inherits),
    Case("runs", "overrides", "recorded", overrides),
    Case("runs", "completes", "recorded", completes),
    Case("runs", "usage", "recorded", usage),
    Case("runs", "answers", "recorded", answers),
    Case("runs", "retrieve", "recorded", retrieve),
    Case("runs", "listing", "recorded", listing),
    Case("runs", "modify", "spec", modify),
    Case("runs", "additional-messages", "spec", additional_messages),
    Case("runs", "create-and-run", "spec", create_and_run),
    Case("runs", "nothing-to-say", "recorded", nothing_to_say),
    Case("runs", "unknown-assistant", "recorded", unknown_assistant),
    Case("runs", "malformed-assistant", "recorded", malformed_assistant),
    Case("runs", "unknown-run", "inferred", unknown_run),
    Case("runs", "locked-for-messages", "recorded", locked_for_messages),
    Case("runs", "locked-for-runs", "recorded", locked_for_runs),
    Case("runs", "unlocked", "spec", unlocked),
    Case("runs", "cancel", "recorded", cancel),
    Case("runs", "cancel-queued", "recorded", cancel_queued, needs=("control",)),
    Case("runs", "open-output", "SDK", open_output),
    Case("runs", "cancel-ended", "recorded", cancel_ended),
    Case("runs", "submit-ended", "recorded", submit_ended),
    Case("runs", "fails", "spec", fails, needs=("control",)),
    Case("runs", "incomplete", "recorded", incomplete, needs=("control",)),
    Case("runs", "expired", "spec", expired, needs=("control",)),
    Case("runs", "by-reads", "own", by_reads, needs=("control",)),
    Case("runs", "unseen-while-queued", "recorded", unseen_while_queued, needs=("control",)),
)
