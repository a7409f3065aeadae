"""Refusals of Microsoft's services, in an envelope of their own: code and message, and nothing else."""

from fake_assistants.http.error_envelope import ApiProblem, AzureErrorBody, ErrorBody, Unrouted

_PRINCIPAL = "00000000-0000-4000-8000-000000000000"


def resource_not_found() -> ApiProblem:
    """An unknown path, or no `api-version` where one is required. Quoted; for a wrong method it is inferred."""
    return Unrouted(AzureErrorBody(404, "Resource not found", code="404"))


def unsupported_version() -> ApiProblem:
    """An `api-version` that the service does not know. Quoted.

    Documented: the first one of the Assistants API. Which later ones it knew is inferred.
    """
    return ApiProblem(AzureErrorBody(400, "API version not supported", code="BadRequest"))


def version_not_allowed() -> ApiProblem:
    """A dated `api-version` below `/openai/v1`. Quoted, of the route of a model."""
    text = "api-version query parameter is not allowed when using /v1 path"
    return ApiProblem(AzureErrorBody(400, text, code="BadRequest"))


def access_denied() -> ApiProblem:
    """No key, or a wrong one. Quoted."""
    text = (
        "Access denied due to invalid subscription key or wrong API endpoint. Make sure to provide a valid key for an "
        "active subscription and use a correct regional API endpoint for your resource."
    )
    return ApiProblem(AzureErrorBody(401, text, code="401"))


def permission_denied(action: str, operation: str) -> ErrorBody:
    """A token without the role that Foundry requires. Quoted for reading and writing, status included.

    `action` is read, write or delete, `operation` a method and a path whose names are left open. Inferred: deleting.
    """
    text = (
        f"The principal `{_PRINCIPAL}` lacks the required data action "
        f"`Microsoft.CognitiveServices/accounts/AIServices/agents/{action}` to perform `{operation}` operation. "
        "For instructions on granting the necessary permissions, see https://aka.ms/FoundryPermissions."
    )
    return AzureErrorBody(401, text, code="PermissionDenied")


def call_rate_exceeded(wait: int) -> ErrorBody:
    """Too many requests; `wait` is in seconds. Quoted of routes of models; inferred: of all others."""
    text = f"You have exceeded the call rate limit of your pricing tier. Please retry after {wait} seconds."
    return AzureErrorBody(429, text, code="429")
