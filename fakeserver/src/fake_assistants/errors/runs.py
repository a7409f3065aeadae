"""Errors of runs, and of the threads that they lock."""

from collections.abc import Sequence

from fake_assistants.http.error_envelope import ApiProblem, ErrorBody


def thread_full(thread_id: str, limit: int) -> ApiProblem:
    """Report a thread beyond its documented limit of messages. The text is inferred."""
    text = f"Can't add messages to {thread_id}: a thread can hold at most {limit} messages."
    return ApiProblem(ErrorBody(400, text))


def thread_locked(thread_id: str, run_id: str) -> ApiProblem:
    """Refuse a message for a thread with an active run. Recorded."""
    return ApiProblem(ErrorBody(400, f"Can't add messages to {thread_id} while a run {run_id} is active."))


def run_active(thread_id: str, run_id: str) -> ApiProblem:
    """Refuse a second run while one is active. Recorded."""
    return ApiProblem(ErrorBody(400, f"Thread {thread_id} already has an active run {run_id}."))


def nothing_to_say() -> ApiProblem:
    """Refuse a run without instructions on a thread without a user's message. Recorded."""
    text = "Run creation requires a Thread with a user message or an assistant with instructions."
    return ApiProblem(ErrorBody(400, text, code="invalid_thread"))


def cannot_cancel(status: object) -> ApiProblem:
    """Refuse to cancel a run that has ended. Recorded for cancelled and completed ones, inferred for others."""
    return ApiProblem(ErrorBody(400, f"Cannot cancel run with status '{status}'."))


def cannot_update(status: object) -> ApiProblem:
    """Refuse to modify an active run. Recorded in the first version of the API; that the second kept it is inferred."""
    return ApiProblem(ErrorBody(400, f"Cannot update run with status '{status}'."))


def no_outputs_wanted(status: object) -> ApiProblem:
    """Refuse outputs for a run that waits for none.

    Recorded with double quotes for runs in progress, quoted for expired ones, inferred for others.
    """
    return ApiProblem(ErrorBody(400, f'Runs in status "{status}" do not accept tool outputs.'))


def wrong_outputs(wanted: Sequence[str], given: Sequence[str]) -> ApiProblem:
    """Report outputs for other calls, or not for all. Recorded: lists as Python prints them, no full stop."""
    return ApiProblem(ErrorBody(400, f"Expected tool outputs for call_ids {list(wanted)}, got {list(given)}"))
