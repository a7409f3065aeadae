"""Rooms that are imported when a request first comes for them.

Most who import the fake never leave the Assistants API: what stands beside it, a multipart parser included, would be
a quarter of what the import costs.
"""

from collections.abc import Callable
from importlib import import_module
from typing import Any


class Later:
    """A room by the name of its module; its handlers are looked up when they are called."""

    def __init__(self, module: str) -> None:
        self._module = module

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def handler(*given: Any) -> Any:
            return getattr(import_module(self._module), name)(*given)

        return handler
