"""The wall clock."""

import time


def now() -> float:
    """Epoch seconds."""
    return time.time()
