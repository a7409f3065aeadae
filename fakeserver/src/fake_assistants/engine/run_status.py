"""The life of a run, as a table.

A run waits (queued), works (in_progress), asks for the outputs of functions (requires_action) and then waits
again, until it is completed, incomplete or failed. It can be cancelled as long as it has not ended: it is
cancelling first, and cancelled when it has stopped. A run that has not ended ten minutes after its creation
expires. Statuses and moves are documented; what each leaves in the run is recorded, except for `expire`,
`cut` and `fail` (inferred).

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

# A run moves out of these by itself; out of requires_action only somebody's outputs lead.
MOVING = frozenset({"queued", "in_progress", "cancelling"})

LIFETIME = 600  # seconds from creation to expiry (recorded)

# What a move leaves in the run beside its status, given the second and what the move is about.
_TRACES: Mapping[Move, Callable[[int, Any], Obj]] = {
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
    """The run after a move, at epoch second `now`. Raises KeyError for a move that its status does not know."""
    return {**run, "status": TRANSITIONS[run["status"]][move], **_TRACES[move](now, about)}


def is_active(run: Obj) -> bool:
    """Whether the run locks its thread. A state may have brought in any JSON as a status."""
    status = run.get("status")
    return isinstance(status, str) and status in ACTIVE


def knows(run: Obj, move: Move) -> bool:
    """Whether the run's status allows a move."""
    status = run.get("status")
    return isinstance(status, str) and move in TRANSITIONS.get(status, {})
