"""Files, in the words of another validator."""

from collections.abc import Sequence

from fake_assistants.envelope import Problem, Refused


def not_one_of(param: str, value: str, supported: Sequence[str]) -> Refused:
    """A purpose that nobody knows. Recorded, in 2026 with its `detail`."""
    return Refused(Problem(400, f"'{value}' is not one of {list(supported)} - '{param}'", param, is_detailed=True))


def required_property(name: str) -> Refused:
    """A part of the form is missing. Quoted; the `detail` is inferred."""
    return Refused(Problem(400, f"'{name}' is a required property", is_detailed=True))


def malformed_form() -> Refused:
    """The body is no multipart form. Inferred."""
    return Refused(Problem(400, "Could not parse multipart form.", is_detailed=True))


def not_downloadable(purpose: str) -> Refused:
    """What users uploaded cannot be had back. Quoted."""
    return Refused(Problem(400, f"Not allowed to download files of purpose: {purpose}"))
