"""The run lifecycle, as a table.

A run is queued, then in_progress. It may wait for the outputs of functions (requires_action), and is then queued
again, until it is completed, incomplete or failed. A run that has not ended can be cancelled: it is cancelling
first, then cancelled. A run that has not ended ten minutes after its creation expires. Statuses and moves are
documented; the fields that each move sets are recorded, except for `expire`, `cut` and `fail` (inferred).

                        start               call
    (create) -> queued -------> in_progress -----> requires_action
                  ^                                      |
                  +--------------------------------------+ submit

A thread is locked while one of its runs is active.
"""

from collections.abc import Callable, Mapping
from typing import Any, Literal

from fake_assistants.http.lossless_json import Obj

Move = Literal["start", "call", "submit", "finish", "cut", "fail", "cancel", "stop", "expire"]

TRANSITIONS: Mapping[str, Mapping[Move, str]] = {
    "queued": {
        "start": "in_progress",
        "cancel": "cancelling",
        "expire": "expired",
    },
    "in_progress": {
        "call": "requires_action",
        "finish": "completed",
        "cut": "incomplete",
        "fail": "failed",
        "cancel": "cancelling",
        "expire": "expired",
    },
    "requires_action": {
        "submit": "queued",
        "cancel": "cancelling",
        "expire": "expired",
    },
    "cancelling": {
        "stop": "cancelled",
        "expire": "expired",
    },
    "cancelled": {},
    "completed": {},
    "expired": {},
    "failed": {},
    "incomplete": {},
}

ACTIVE = frozenset(status for status, moves in TRANSITIONS.items() if moves)

# The statuses that a run leaves by itself. It leaves requires_action only when outputs are submitted.
MOVING = frozenset({"queued", "in_progress", "cancelling"})

LIFETIME = 600  # seconds from creation to expiry (recorded)

# The fields that a move sets in addition to the status, from the epoch second and the argument of the move.
_CHANGES: Mapping[Move, Callable[[int, Any], Obj]] = {
    "start": lambda now, _: {"started_at": now},
    "call": lambda _, calls: {"required_action": {"type": "submit_tool_outputs", "submit_tool_outputs": calls}},
    "submit": lambda _, __: {"required_action": None},
    "finish": lambda now, usage: {"expires_at": None, "completed_at": now, "usage": usage},
    "cut": lambda _, ending: {"expires_at": None, **ending},
    "fail": lambda now, ending: {"failed_at": now, **ending},
    "cancel": lambda _, __: {"required_action": None},
    "stop": lambda now, ending: {"expires_at": None, "cancelled_at": now, **ending},
    "expire": lambda _, usage: {"required_action": None, "usage": usage},
}


def moved(run: Obj, move: Move, now: int, about: Any = None) -> Obj:
    """Return the run after a move at epoch second `now`. Raises KeyError if its status does not allow the move."""
    return {**run, "status": TRANSITIONS[run["status"]][move], **_CHANGES[move](now, about)}


def is_active(run: Obj) -> bool:
    """Return whether the run locks its thread. A loaded state may have any JSON as a status."""
    status = run.get("status")
    return isinstance(status, str) and status in ACTIVE


def allows(run: Obj, move: Move) -> bool:
    """Return whether the run's status allows a move."""
    status = run.get("status")
    return isinstance(status, str) and move in TRANSITIONS.get(status, {})
