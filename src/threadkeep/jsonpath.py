"""Places in a JSON value, as people write them: ``$.message.content[0]``."""

import json

__all__ = ["below"]


def below(path: str, key: str) -> str:
    """The path of a key of the object that is at a path."""
    return f"{path}.{key}" if key.isidentifier() else f"{path}[{json.dumps(key)}]"
