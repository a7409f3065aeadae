"""Files, in the words of another validator."""

from collections.abc import Sequence

from fake_assistants.http.error_envelope import ApiProblem, ErrorBody


def not_one_of(param: str, value: str, supported: Sequence[str]) -> ApiProblem:
    """A purpose that nobody knows. Recorded, in 2026 with its `detail`."""
    return ApiProblem(ErrorBody(400, f"'{value}' is not one of {list(supported)} - '{param}'", param, is_detailed=True))


def required_property(name: str) -> ApiProblem:
    """A part of the form is missing. Quoted; the `detail` is inferred."""
    return ApiProblem(ErrorBody(400, f"'{name}' is a required property", is_detailed=True))


def malformed_form() -> ApiProblem:
    """The body is no multipart form. Inferred."""
    return ApiProblem(ErrorBody(400, "Could not parse multipart form.", is_detailed=True))


def not_downloadable(purpose: str) -> ApiProblem:
    """What users uploaded cannot be had back. Quoted."""
    return ApiProblem(ErrorBody(400, f"Not allowed to download files of purpose: {purpose}"))
