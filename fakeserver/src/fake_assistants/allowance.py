"""What a run may still say: its limit of completion tokens, laid on the parts of a message."""

from collections.abc import Iterable

import fake_assistants.deltas as deltas
import fake_assistants.tokens as tokens
from fake_assistants.plans import Plan
from fake_assistants.shelf import Obj


def size(parts: Iterable[Obj]) -> int:
    """Tokens of the text in parts."""
    return sum(tokens.count(part["text"]["value"]) for part in parts if part["type"] == "text")


def affordable(plan: Plan, parts: tuple[Obj, ...]) -> tuple[tuple[Obj, ...], bool]:
    """The parts that fit within the run's limit of completion tokens, and whether anything did not."""
    limit = plan.run.get("max_completion_tokens")
    if not isinstance(limit, int) or size(parts) <= limit - plan.completion:
        return parts, False
    left, kept = max(0, limit - plan.completion), []
    for part in parts:
        if part["type"] == "text" and size((part,)) > left:
            kept.append(deltas.head(part, len(tokens.within(part["text"]["value"], left))))
            break
        kept.append(part)
        left -= size((part,))
    return tuple(kept), True
