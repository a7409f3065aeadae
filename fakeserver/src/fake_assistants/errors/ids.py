"""Errors of unknown and malformed ids."""

from collections.abc import Callable, Mapping

from fake_assistants.http.error_envelope import ApiProblem, ErrorBody
from fake_assistants.store.kinds import Kind


def not_found(kind: Kind, object_id: str) -> ApiProblem:
    """Report an unknown id. Recorded for assistants and steps, quoted for threads, inferred for most others."""
    own = _NOT_FOUND.get(kind.name)
    return own(object_id) if own else ApiProblem(ErrorBody(404, f"No {kind.noun} found with id '{object_id}'."))


def no_such_file(file_id: str) -> ApiProblem:
    """Report an unknown file. Recorded; with `detail` in 2026, without it in 2025."""
    return ApiProblem(ErrorBody(404, f"No such File object: {file_id}", "id", is_detailed=True))


def no_such_file_in_store(file_id: str, store_id: str) -> ApiProblem:
    """Report a file that the vector store does not have. Quoted, from a case where it was deleted."""
    return ApiProblem(ErrorBody(404, f"No file found with id '{file_id}' in vector store '{store_id}'."))


def no_such_conversation(conversation_id: str) -> ApiProblem:
    """Report an unknown conversation. Recorded in September 2026."""
    return ApiProblem(ErrorBody(404, f"Conversation with id '{conversation_id}' not found."))


def no_such_item(item_id: str) -> ApiProblem:
    """Report an item that a conversation or an earlier output does not have. Inferred."""
    return ApiProblem(ErrorBody(404, f"Item with id '{item_id}' not found."))


def no_such_response(response_id: str) -> ApiProblem:
    """Report an unknown response. Recorded for one that was not stored."""
    return ApiProblem(ErrorBody(404, f"Response with id '{response_id}' not found."))


def no_such_previous_response(response_id: str) -> ApiProblem:
    """Report an unknown previous response. Text and code are quoted; status 400 is inferred, since 404 was seen too."""
    text = f"Previous response with id '{response_id}' not found."
    return ApiProblem(ErrorBody(400, text, "previous_response_id", "previous_response_not_found"))


_NOT_FOUND: Mapping[str, Callable[[str], ApiProblem]] = {
    "files": no_such_file,
    "file_contents": no_such_file,
    "conversations": no_such_conversation,
    "conversation_items": no_such_item,
    "responses": no_such_response,
    "response_input_items": no_such_item,
}


def id_characters(param: str, value: str) -> ApiProblem:
    """Report a file id with other characters. Quoted for the inputs of responses, inferred for items."""
    text = (
        f"Invalid '{param}': '{value}'. Expected an ID that contains letters, numbers, underscores, or dashes, "
        "but this value contained additional characters."
    )
    return ApiProblem(ErrorBody(400, text, param, "invalid_value"))


def foreign_file_id(param: str, value: str, prefix: str) -> ApiProblem:
    """Report a file id without the prefix of the service. Quoted for the inputs of responses, inferred for items."""
    text = f"Invalid '{param}': '{value}'. Expected an ID that begins with '{prefix}'."
    return ApiProblem(ErrorBody(400, text, param, "invalid_value"))


def no_such_input_file(param: str, file_id: str) -> ApiProblem:
    """Report an unknown file in an item. Quoted for the inputs of responses, from a test; inferred for items."""
    return ApiProblem(ErrorBody(404, f"File with id '{file_id}' not found.", param))


def malformed_id(param: str, value: str, kind: Kind) -> ApiProblem:
    """Report an id without its prefix. Recorded for assistants, quoted for threads, inferred for others and cursors."""
    text = f"Invalid '{param}': '{value}'. Expected an ID that begins with '{kind.prefix}'."
    return ApiProblem(ErrorBody(400, text, param, "invalid_value"))
