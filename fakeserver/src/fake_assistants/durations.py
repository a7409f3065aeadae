"""Durations in words, as the real service told them."""

import math


def go_duration(seconds: float) -> str:
    """As Go prints it, recorded of waits: `120ms`, `6s`, `1.182s`, `20m52.666s`. Milliseconds are rounded up."""
    milliseconds = math.ceil(round(seconds * 1000, 3))
    if milliseconds < 1000:
        return f"{milliseconds}ms" if milliseconds else "0s"
    minutes, rest = divmod(milliseconds, 60_000)
    hours, minutes = divmod(minutes, 60)
    whole, thousandths = divmod(rest, 1000)
    fraction = f".{thousandths:03}".rstrip("0") if thousandths else ""
    return f"{f'{hours}h' if hours else ''}{f'{minutes}m' if hours or minutes else ''}{whole}{fraction}s"
