"""Requests for a response that contradict themselves, and items that do not fit together."""

from fake_assistants.errors.values import mutually_exclusive
from fake_assistants.http.error_envelope import ApiProblem, ErrorBody


def two_pasts() -> ApiProblem:
    """Both a conversation and a previous response. That they exclude each other is documented, the text is inferred."""
    return mutually_exclusive("previous_response_id", "conversation")


def nothing_to_answer() -> ApiProblem:
    """No input, nor anything that could stand for it. The text and its code are quoted, the param inferred."""
    text = "One of \"input\" or \"previous_response_id\" or 'prompt' or 'conversation_id' must be provided."
    return ApiProblem(ErrorBody(400, text, "input", "missing_required_parameter"))


def duplicate_item(item_id: str) -> ApiProblem:
    """An id that is there already. Quoted for the input of responses, inferred for the items of conversations."""
    text = f"Duplicate item found with id {item_id}. Remove duplicate items from your input and try again."
    return ApiProblem(ErrorBody(400, text, "input"))


def output_without_call(call_id: str) -> ApiProblem:
    """The output of a function that nobody called. Quoted."""
    text = f"No tool call found for function call output with call_id {call_id}."
    return ApiProblem(ErrorBody(400, text, "input"))


def call_without_output(call_id: str) -> ApiProblem:
    """A call whose output is still missing. Quoted."""
    return ApiProblem(ErrorBody(400, f"No tool output found for function call {call_id}.", "input"))
