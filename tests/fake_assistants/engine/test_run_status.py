"""The table of a run's statuses, held against the documented ones."""

from itertools import product
from typing import Any, get_args

import pytest

from fake_assistants.engine.run_status import ACTIVE, MOVING, TRANSITIONS, Move, allows, is_active, moved

DOCUMENTED = {
    *("queued", "in_progress", "requires_action", "cancelling"),
    *("cancelled", "failed", "completed", "incomplete", "expired"),
}


def reached(status: str) -> set[str]:
    """What can become of a status."""
    seen: set[str] = set()
    coming = {status}
    while coming:
        seen |= coming
        coming = {after for one in coming for after in TRANSITIONS[one].values()} - seen
    return seen


def test_the_statuses_are_the_documented_ones() -> None:
    """All of them can be reached, and every way ends."""
    assert set(TRANSITIONS) == DOCUMENTED == reached("queued")
    for status in DOCUMENTED:
        assert reached(status) - ACTIVE, f"{status} never ends"
    assert {"cancelled", "failed", "completed", "incomplete", "expired"} == DOCUMENTED - ACTIVE
    assert ACTIVE - {"requires_action"} == MOVING


@pytest.mark.parametrize(("status", "move"), list(product(TRANSITIONS, get_args(Move))))
def test_a_move_goes_where_the_table_says_or_nowhere(status: str, move: Move) -> None:
    """Whatever it is about is left in the run."""
    run = {"status": status, "required_action": None, "usage": None}
    assert allows(run, move) is (move in TRANSITIONS[status])
    if not allows(run, move):
        with pytest.raises(KeyError):
            moved(run, move, 7, {})
        return
    after = moved(run, move, 7, {})
    assert after["status"] == TRANSITIONS[status][move]
    assert run["status"] == status


@pytest.mark.parametrize("odd", [None, 3, [], {}, "zombie"])
def test_a_status_that_nobody_knows_locks_nothing(odd: Any) -> None:
    """A state may bring in any JSON."""
    assert not is_active({"status": odd})
    assert not is_active({})
    assert not allows({"status": odd}, "cancel")
