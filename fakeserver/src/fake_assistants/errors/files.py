"""Errors of files, which come from another validator, and of objects that refer to files."""

from collections.abc import Sequence

from fake_assistants.http.error_envelope import ApiProblem, ErrorBody


def not_one_of(param: str, value: str, supported: Sequence[str]) -> ApiProblem:
    """Report an unknown purpose. Recorded, in 2026 with its `detail`."""
    return ApiProblem(ErrorBody(400, f"'{value}' is not one of {list(supported)} - '{param}'", param, is_detailed=True))


def required_property(name: str) -> ApiProblem:
    """Report a missing part of the form. Quoted; the `detail` is inferred."""
    return ApiProblem(ErrorBody(400, f"'{name}' is a required property", is_detailed=True))


def malformed_form() -> ApiProblem:
    """Report a body that is not a multipart form. Inferred."""
    return ApiProblem(ErrorBody(400, "Could not parse multipart form.", is_detailed=True))


def not_downloadable(purpose: str) -> ApiProblem:
    """Refuse the content of an uploaded file. Quoted."""
    return ApiProblem(ErrorBody(400, f"Not allowed to download files of purpose: {purpose}"))


def unsupported_extensions(extensions: Sequence[str]) -> ApiProblem:
    """Report a file that a file search cannot read. Recorded for vector stores, quoted for messages."""
    text = (
        f"Files with extensions [{', '.join(extensions)}] are not supported for retrieval. "
        "See https://platform.openai.com/docs/assistants/tools/file-search/supported-files"
    )
    return ApiProblem(ErrorBody(400, text, "file_ids", "unsupported_file"))


def unsupported_image_file() -> ApiProblem:
    """Report an image file of another kind. The text is quoted in part; its param and code are inferred."""
    text = "Invalid message content: Expected file type to be a supported format."
    return ApiProblem(ErrorBody(400, text, "content", "invalid_value"))


def image_files_not_found(file_ids: Sequence[str]) -> ApiProblem:
    """Report image files that do not exist. The end of the text is quoted, its beginning inferred."""
    text = f"Invalid message content: Files {list(file_ids)} were not found."
    return ApiProblem(ErrorBody(400, text, "content", "invalid_value"))
