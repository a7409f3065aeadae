"""Errors of values in bodies and queries: the texts of one validator, known from these and from related routes."""

from collections.abc import Sequence

from fake_assistants.http.error_envelope import ApiProblem, ErrorBody

_NAMES: tuple[tuple[type, str], ...] = (
    (bool, "a boolean"),
    (int, "an integer"),
    (float, "a decimal"),
    (str, "a string"),
    (list, "an array"),
    (dict, "an object"),
)


def _named(value: object) -> str:
    return next((name for kind, name in _NAMES if isinstance(value, kind)), "null")


def _bad(param: str, text: str, code: str) -> ApiProblem:
    return ApiProblem(ErrorBody(400, text, param, code))


def unknown_parameter(param: str) -> ApiProblem:
    """Report a key that the route does not know. Recorded, on another route."""
    return _bad(param, f"Unknown parameter: '{param}'.", "unknown_parameter")


def missing_parameter(param: str) -> ApiProblem:
    """Report a missing key that the route needs. Inferred from other implementations of another route."""
    return _bad(param, f"Missing required parameter: '{param}'.", "missing_required_parameter")


def mutually_exclusive(param: str, other: str) -> ApiProblem:
    """Report two keys of which only one may be given. The rule is documented, the text is inferred."""
    text = (
        f"Mutually exclusive parameters: '{param}' and '{other}'. "
        "Ensure you are only providing one of these parameters."
    )
    return _bad(param, text, "mutually_exclusive_parameters")


def invalid_type(param: str, expected: str, value: object) -> ApiProblem:
    """Report a wrong type. `expected` has its article: "a string". Recorded for metadata, inferred elsewhere."""
    where = f" for '{param}'" if param else ""
    text = f"Invalid type{where}: expected {expected}, but got {_named(value)} instead."
    return ApiProblem(ErrorBody(400, text, param or None, "invalid_type"))


def invalid_value(param: str, value: str, supported: Sequence[str]) -> ApiProblem:
    """Report a value that is not supported. Recorded for roles, quoted for the parts of items, inferred elsewhere."""
    text = f"Invalid value: '{value}'. Supported values are: {_listed(supported)}."
    return _bad(param, text, "invalid_value")


def _listed(values: Sequence[str]) -> str:
    *first, last = [f"'{value}'" for value in values]
    if not first:
        return last
    return f"{', '.join(first)}{',' if len(first) > 1 else ''} and {last}"


def too_long(param: str, limit: int, length: int) -> ApiProblem:
    """Report a text beyond a documented limit. Quoted for the content of messages, inferred elsewhere."""
    text = (
        f"Invalid '{param}': string too long. Expected a string with maximum length {limit}, "
        f"but got a string with length {length} instead."
    )
    return _bad(param, text, "string_above_max_length")


def pattern_mismatch(param: str, pattern: str) -> ApiProblem:
    """Report a name with other characters. Quoted for functions, inferred for JSON schemas and for calls."""
    text = f"Invalid '{param}': string does not match pattern. Expected a string that matches the pattern '{pattern}'."
    return _bad(param, text, "invalid_value")


def unsupported_image_url(param: str) -> ApiProblem:
    """Report an image address with another ending. The end of the text is quoted, its beginning inferred."""
    return _bad(param, f"Invalid '{param}'. Expected url to end in a supported format.", "invalid_value")


def unsupported_model(model: str) -> ApiProblem:
    """Report a model that is not allowed. Recorded in the first version of the API, quoted in the second."""
    text = f"The requested model '{model}' cannot be used with the Assistants API."
    return _bad("model", text, "unsupported_model")


def empty_string(param: str) -> ApiProblem:
    """Report an empty string. Inferred."""
    text = f"Invalid '{param}': empty string. Expected a string with minimum length 1, but got an empty string instead."
    return _bad(param, text, "empty_string")


def empty_array(param: str) -> ApiProblem:
    """Report an empty array. Inferred."""
    text = f"Invalid '{param}': empty array. Expected an array with minimum length 1, but got an empty array instead."
    return _bad(param, text, "empty_array")


def too_many_items(param: str, limit: int, length: int) -> ApiProblem:
    """Report too many items. The limit of first messages is quoted, others are documented; the text is inferred."""
    text = (
        f"Invalid '{param}': array too long. Expected an array with maximum length {limit}, "
        f"but got an array with length {length} instead."
    )
    return _bad(param, text, "array_above_max_length")


def too_many_properties(param: str, limit: int, length: int) -> ApiProblem:
    """Report metadata pairs beyond the limit. Quoted."""
    text = (
        f"Invalid '{param}': too many properties. Expected an object with at most {limit} properties, "
        f"but got an object with {length} properties instead."
    )
    return _bad(param, text, "object_above_max_properties")


def long_property_name(param: str, limit: int, length: int) -> ApiProblem:
    """Report a metadata key beyond the limit. The code is quoted, the text inferred."""
    text = (
        f"Invalid '{param}': property name too long. Expected a property name with maximum length {limit}, "
        f"but got a property name with length {length} instead."
    )
    return _bad(param, text, "property_name_above_max_length")


# The validator calls whole numbers integers and others decimals, in its texts and in its codes.
_BOUNDS = {
    "below": ("below minimum value", ">=", "below_min_value"),
    "above": ("above maximum value", "<=", "above_max_value"),
}


def out_of_bounds(param: str, side: str, number: str, limit: int, got: object) -> ApiProblem:
    """Report a number out of bounds. Recorded for another list, inferred here.

    `side` is "below" or "above", `number` is "integer" or "decimal".
    """
    words, sign, code = _BOUNDS[side]
    text = f"Invalid '{param}': {number} {words}. Expected a value {sign} {limit}, but got {got} instead."
    return _bad(param, text, f"{number}_{code}")
