"""Handlers for /models: a fixed list, or the models that the fake is configured to accept.

Without that setting, other routes also accept models that are not in the list.
"""

from fake_assistants.engine.backend import Backend, Call
from fake_assistants.errors.models import no_such_model
from fake_assistants.http.lossless_json import Obj

# Models used with assistants, and models for embeddings: second of creation, owner (quoted).
_MODELS = {
    "gpt-4": (1687882411, "openai"),
    "gpt-3.5-turbo": (1677610602, "openai"),
    "text-embedding-ada-002": (1671217299, "openai-internal"),
    "text-embedding-3-small": (1705948997, "system"),
    "text-embedding-3-large": (1705953180, "system"),
    "gpt-4-turbo": (1712361441, "system"),
    "gpt-4o": (1715367049, "system"),
    "gpt-4o-mini": (1721172741, "system"),
    "o3-mini": (1737146383, "system"),
    "gpt-4.1": (1744316542, "system"),
    "gpt-4.1-mini": (1744318173, "system"),
    "gpt-4.1-nano": (1744321707, "system"),
}
_UNKNOWN = (1700000000, "system")  # of a model that only the user of the fake knows


def listing(backend: Backend, _call: Call) -> Obj:
    """GET /models. Documented: the list is not paginated."""
    return {"object": "list", "data": [_model(name) for name in _names(backend)]}


def retrieve(backend: Backend, call: Call) -> Obj:
    """GET /models/{model}."""
    name = call.ids["model"]
    if name not in _names(backend):
        raise no_such_model(name)
    return _model(name)


def _names(backend: Backend) -> list[str]:
    return sorted(backend.models) or list(_MODELS)


def _model(name: str) -> Obj:
    created, owner = _MODELS.get(name, _UNKNOWN)
    return {"id": name, "object": "model", "created": created, "owned_by": owner}
