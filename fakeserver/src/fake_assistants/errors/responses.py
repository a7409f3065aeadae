"""Errors of responses and chats: contradicting parameters, and items that do not fit together."""

from collections.abc import Sequence

from fake_assistants.errors.values import mutually_exclusive
from fake_assistants.http.error_envelope import ApiProblem, ErrorBody


def two_pasts() -> ApiProblem:
    """Report a conversation given with a previous response.

    That they exclude each other is documented, the text is inferred.
    """
    return mutually_exclusive("previous_response_id", "conversation")


def nothing_to_answer() -> ApiProblem:
    """Report a request without input, prompt, conversation or previous response.

    The text and its code are quoted, the param inferred.
    """
    text = "One of \"input\" or \"previous_response_id\" or 'prompt' or 'conversation_id' must be provided."
    return ApiProblem(ErrorBody(400, text, "input", "missing_required_parameter"))


def duplicate_item(item_id: str) -> ApiProblem:
    """Report an id that exists already. Quoted for the input of responses, inferred for the items of conversations."""
    text = f"Duplicate item found with id {item_id}. Remove duplicate items from your input and try again."
    return ApiProblem(ErrorBody(400, text, "input"))


def output_without_call(kind: str, call_id: str) -> ApiProblem:
    """Report an output without its call. Quoted for functions, inferred for other tools."""
    text = f"No tool call found for {kind.replace('_', ' ')} with call_id {call_id}."
    return ApiProblem(ErrorBody(400, text, "input"))


def call_without_output(kind: str, call_id: str) -> ApiProblem:
    """Report a call without its output. Quoted for functions, inferred for other tools."""
    return ApiProblem(ErrorBody(400, f"No tool output found for {kind.replace('_', ' ')} {call_id}.", "input"))


def reasoning_without_follower(item_id: str) -> ApiProblem:
    """Report a reasoning item without the item of the model that followed it. Quoted."""
    text = f"Item '{item_id}' of type 'reasoning' was provided without its required following item."
    return ApiProblem(ErrorBody(400, text, "input"))


def tool_message_without_call(index: int) -> ApiProblem:
    """Report a tool message of a chat that answers no call of the message before it. Quoted."""
    text = "Invalid parameter: messages with role 'tool' must be a response to a preceeding message with 'tool_calls'."
    return ApiProblem(ErrorBody(400, text, f"messages.[{index}].role"))


def calls_without_tool_messages(index: int, call_ids: Sequence[str]) -> ApiProblem:
    """Report calls of a chat that no tool message answers. The text is quoted, the param inferred."""
    text = (
        "An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id'. "
        f"The following tool_call_ids did not have response messages: {', '.join(call_ids)}"
    )
    return ApiProblem(ErrorBody(400, text, f"messages.[{index}].role"))
