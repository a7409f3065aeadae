"""Runs and the threads that they lock."""

from collections.abc import Sequence

from fake_assistants.http.error_envelope import ApiProblem, ErrorBody


def thread_full(thread_id: str, limit: int) -> ApiProblem:
    """The documented limit of messages in a thread. The text is inferred."""
    text = f"Can't add messages to {thread_id}: a thread can hold at most {limit} messages."
    return ApiProblem(ErrorBody(400, text))


def thread_locked(thread_id: str, run_id: str) -> ApiProblem:
    """A message for a thread whose run is active. Recorded."""
    return ApiProblem(ErrorBody(400, f"Can't add messages to {thread_id} while a run {run_id} is active."))


def run_active(thread_id: str, run_id: str) -> ApiProblem:
    """A second run beside an active one. Recorded."""
    return ApiProblem(ErrorBody(400, f"Thread {thread_id} already has an active run {run_id}."))


def nothing_to_say() -> ApiProblem:
    """A run without instructions on a thread without a user's message. Recorded."""
    text = "Run creation requires a Thread with a user message or an assistant with instructions."
    return ApiProblem(ErrorBody(400, text, code="invalid_thread"))


def cannot_cancel(status: object) -> ApiProblem:
    """A run that has ended. Recorded for cancelled and completed ones, inferred for every other status."""
    return ApiProblem(ErrorBody(400, f"Cannot cancel run with status '{status}'."))


def cannot_update(status: object) -> ApiProblem:
    """An active run. Recorded in the first version of the API; that the second kept it is inferred."""
    return ApiProblem(ErrorBody(400, f"Cannot update run with status '{status}'."))


def no_outputs_wanted(status: object) -> ApiProblem:
    """A run that waits for no outputs. Recorded with double quotes for one at work, quoted for expired ones,
    inferred for others.
    """
    return ApiProblem(ErrorBody(400, f'Runs in status "{status}" do not accept tool outputs.'))


def wrong_outputs(wanted: Sequence[str], given: Sequence[str]) -> ApiProblem:
    """Outputs of other calls, or not of all. Recorded: lists as Python prints them, and no full stop."""
    return ApiProblem(ErrorBody(400, f"Expected tool outputs for call_ids {list(wanted)}, got {list(given)}"))
