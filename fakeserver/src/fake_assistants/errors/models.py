"""Errors of models and embeddings."""

from fake_assistants.http.error_envelope import ApiProblem, ErrorBody


def no_such_model(name: str) -> ApiProblem:
    """Report a model that is not listed. Quoted."""
    return ApiProblem(ErrorBody(404, f"The model '{name}' does not exist", "model", "model_not_found"))


def invalid_embedding_input() -> ApiProblem:
    """Report an input that is empty, of another type, or too long. Quoted."""
    text = "'$.input' is invalid. Please check the API reference: https://platform.openai.com/docs/api-reference."
    return ApiProblem(ErrorBody(400, text))


def no_dimensions() -> ApiProblem:
    """Refuse `dimensions` for a model with a fixed size. Quoted."""
    return ApiProblem(ErrorBody(400, "This model does not support specifying dimensions."))
