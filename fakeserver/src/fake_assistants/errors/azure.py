"""Errors of Microsoft's services. Their envelope has only a code and a message."""

from fake_assistants.http.error_envelope import ApiProblem, AzureErrorBody, ErrorBody, Unrouted

_PRINCIPAL = "00000000-0000-4000-8000-000000000000"


def resource_not_found() -> ApiProblem:
    """Report an unknown path, or no `api-version` where one is required. Quoted; for a wrong method it is inferred."""
    return Unrouted(AzureErrorBody(404, "Resource not found", code="404"))


def unsupported_version() -> ApiProblem:
    """Report an `api-version` that the service does not know. Quoted.

    Documented: the first one of the Assistants API. Which later ones it knew is inferred.
    """
    return ApiProblem(AzureErrorBody(400, "API version not supported", code="BadRequest"))


def version_not_allowed() -> ApiProblem:
    """Refuse a dated `api-version` below `/openai/v1`. Quoted, from the route of a model."""
    text = "api-version query parameter is not allowed when using /v1 path"
    return ApiProblem(AzureErrorBody(400, text, code="BadRequest"))


def access_denied() -> ApiProblem:
    """Report a missing or wrong key. Quoted."""
    text = (
        "Access denied due to invalid subscription key or wrong API endpoint. Make sure to provide a valid key for an "
        "active subscription and use a correct regional API endpoint for your resource."
    )
    return ApiProblem(AzureErrorBody(401, text, code="401"))


def permission_denied(action: str, operation: str) -> ErrorBody:
    """Report a token without the role that Foundry requires. Quoted for reading and writing, status included.

    `action` is read, write or delete, `operation` a method and a path with unfilled parameters. Inferred: deleting.
    """
    text = (
        f"The principal `{_PRINCIPAL}` lacks the required data action "
        f"`Microsoft.CognitiveServices/accounts/AIServices/agents/{action}` to perform `{operation}` operation. "
        "For instructions on granting the necessary permissions, see https://aka.ms/FoundryPermissions."
    )
    return AzureErrorBody(401, text, code="PermissionDenied")


def call_rate_exceeded(wait: int) -> ErrorBody:
    """Report too many requests; `wait` is in seconds. Quoted for routes of models, inferred for all others."""
    text = f"You have exceeded the call rate limit of your pricing tier. Please retry after {wait} seconds."
    return AzureErrorBody(429, text, code="429")
