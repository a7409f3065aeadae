"""How far the official SDK is known here.

Tables that name all that the SDK has are held against its types. What a younger SDK has gained since is told by raising
`SEEN`, not by a failure on somebody's machine on the day of its release.
"""

from collections.abc import Set
from importlib.util import find_spec
from typing import Any

import openai

__all__ = ["HAS_AIOHTTP", "HAS_RESPONSES", "MODEL_APIS", "SEEN", "gained"]

SEEN = (3, 54)
"""The newest release, its major and minor number, that the tables were held against; CI installs none beyond it."""


def gained(listed: Set[str], known: Set[str]) -> Set[str]:
    """What the SDK lists and a table does not have. Nothing is missed of an SDK that is younger than the table."""
    installed = tuple(int(part) for part in openai.__version__.split(".")[:2])
    return listed - known if installed <= SEEN else frozenset()


HAS_AIOHTTP = tuple(int(part) for part in openai.__version__.split(".")[:2]) >= (1, 90)
"""Whether the installed SDK has an extra for aiohttp. Where it does, the tests need it."""

HAS_RESPONSES = find_spec("openai.resources.responses") is not None
"""Whether the installed SDK has the Responses API."""

MODEL_APIS: list[Any] = ["chat", "responses"] if HAS_RESPONSES else ["chat"]
"""The APIs that a conversation can be held over with it."""
