"""Advance runs: when they are read, at once, by the clock, or with a stream."""

from collections import deque
from collections.abc import Iterator, Mapping
from itertools import islice

import fake_assistants.engine.run_execution as run_execution
import fake_assistants.http.sse as sse
import fake_assistants.simulation.tokens as tokens
from fake_assistants.engine.backend import Backend
from fake_assistants.engine.run_plan import Event, RunEvent, RunPlan
from fake_assistants.engine.run_status import ACTIVE, MOVING, TRANSITIONS
from fake_assistants.http.lossless_json import Obj
from fake_assistants.http.message import Chunk, Cut, Pause
from fake_assistants.simulation.script import Turn
from fake_assistants.simulation.script_parser import Steps
from fake_assistants.store.kinds import MESSAGES

# --- starting and submitting --------------------------------------------------------------------------


def begin(backend: Backend, run: Obj, steps: Steps, *, asked: int) -> RunPlan:
    """Plan a queued run. `asked` is the estimated number of tokens of its prompt."""
    plan = _planned(backend, run)
    plan.asked, plan.deadline = asked, run["expires_at"]
    plan.events = run_execution.of_new(backend, plan, steps)
    return plan


def submit(backend: Backend, run: Obj, outputs: Mapping[str, str], steps: Steps) -> RunPlan:
    """Submit the outputs that a run waits for. `steps` are used if it has no plan because a state was loaded."""
    plan = planned(backend, run)
    if plan is None:
        plan = _planned(backend, run)
        plan.events = run_execution.of_resumed(backend, plan, steps)
    plan.outputs = outputs
    return plan


def cancel(backend: Backend, run: Obj) -> RunPlan:
    """Cancel a run. Its status is cancelling when this returns."""
    plan = planned(backend, run) or _planned(backend, run)
    plan.events = run_execution.of_cancelled(backend, plan)
    advance_for_reply(backend, plan)
    return plan


def planned(backend: Backend, run: Obj) -> RunPlan | None:
    """Return the plan of a run, or None if it has ended or was loaded with a state."""
    return backend.plans.get((run["thread_id"], run["id"]))


def _planned(backend: Backend, run: Obj) -> RunPlan:
    now = backend.clock.now()
    plan = RunPlan(run=run, now=now, since=now)
    backend.plans[plan.key] = plan
    return plan


# --- advancing ----------------------------------------------------------------------------------------


def advance(backend: Backend, plan: RunPlan, now: int) -> bool:
    """Execute the next event of a run, at epoch second `now`. Return False if the plan is no longer valid.

    A stream may hold such a plan: its run was deleted or changed, or a reset gave the same id to another run.
    """
    if backend.plans.get(plan.key) is not plan:
        return False
    plan.now = now
    event = next(plan.events)
    if plan.status not in ACTIVE:
        del backend.plans[plan.key]
    for inbox in plan.inboxes:
        inbox.append(event)
    return True


def advance_status(backend: Backend, plan: RunPlan, now: int) -> None:
    """Advance a run until its status changes."""
    before = plan.status
    while plan.status == before and advance(backend, plan, now):
        pass


def advance_for_reply(backend: Backend, plan: RunPlan) -> None:
    """Advance a run to the status that the reply shows, and count the reply as the first time it is shown."""
    advance_status(backend, plan, backend.clock.now())
    plan.shown = 1


def _advance_to_wait(backend: Backend, plan: RunPlan) -> None:
    """Advance a run until it waits for outputs or has ended."""
    while plan.status in MOVING and advance(backend, plan, backend.clock.now()):
        pass


def after_reply(backend: Backend, plan: RunPlan) -> None:
    """Advance a run after the reply to the call that started it, if runs advance at once."""
    if backend.runs.progress == "immediate":
        _advance_to_wait(backend, plan)


def count_read(backend: Backend, plan: RunPlan) -> None:
    """Count a read of the run. If reads advance runs and the status was shown often enough, advance it."""
    if backend.runs.progress != "read" or plan.status not in MOVING:
        return
    if plan.shown >= backend.runs.reads:
        advance_status(backend, plan, backend.clock.now())
    plan.shown += 1


def settle(backend: Backend) -> None:
    """Execute all events that are due by the clock and the settings, and expire runs past their deadline."""
    now = backend.clock.now()
    current = (now, backend.runs.progress, backend.runs.seconds)
    if current != backend.settled_at:
        backend.settled_at = current
        for plan in list(backend.plans.values()):
            _settle(backend, plan, now)


def _settle(backend: Backend, plan: RunPlan, now: int) -> None:
    """Execute the due events of a run in order, each at the second at which it was due."""
    if not plan.is_streamed:
        after_reply(backend, plan)
    while plan.status in ACTIVE:
        due, is_expiry = _due(backend, plan)
        if due is None or due > now:
            return
        if is_expiry:
            plan.events = run_execution.of_expired(backend, plan)
        advance_status(backend, plan, due)


def _due(backend: Backend, plan: RunPlan) -> tuple[int | None, bool]:
    """Return when the next event is due, and whether it is the expiry. A streamed run advances with its stream."""
    by_clock = backend.runs.progress == "clock" and plan.status in MOVING and not plan.is_streamed
    due = plan.since + backend.runs.seconds if by_clock else None
    if plan.deadline is not None and (due is None or plan.deadline <= due):
        return plan.deadline, True
    return due, False


# --- streams ------------------------------------------------------------------------------------------


def stream(backend: Backend, plan: RunPlan, first: Event | None = None) -> Iterator[Chunk]:
    """Return the remaining events of a run as server-sent events, after `first`. Taking a chunk advances the run."""
    inbox: deque[RunEvent] = deque() if first is None else deque([first])
    plan.inboxes.append(inbox)
    chunks = _chunks(backend, plan, inbox)
    next(chunks)
    return chunks


# A stream ends after these events: the run waits for outputs or has ended.
_LAST = frozenset({"error", *(f"thread.run.{status}" for status in TRANSITIONS if status not in MOVING)})


def _chunks(backend: Backend, plan: RunPlan, inbox: deque[RunEvent]) -> Iterator[Chunk]:
    """Yield the chunks of a stream.

    `stream` takes the first pause: only a generator that was started runs its `finally` when it is closed.
    """
    try:
        yield Pause(0)
        for event in _events(backend, plan, inbox):
            is_last = isinstance(event, Event) and event.name in _LAST
            if is_last:  # the client may resume the run now, in another stream
                _unsubscribe(plan, inbox)
            yield sse.event(event.name, event.data) if isinstance(event, Event) else event
            if is_last:
                yield sse.DONE
            if is_last or isinstance(event, Cut):
                return
        yield Cut()  # the run was deleted or replaced during the stream
    finally:
        _unsubscribe(plan, inbox)
        backend.settled_at = None  # from here on the clock advances the run
        after_reply(backend, plan)


def _unsubscribe(plan: RunPlan, inbox: deque[RunEvent]) -> None:
    plan.inboxes = [other for other in plan.inboxes if other is not inbox]


def _events(backend: Backend, plan: RunPlan, inbox: deque[RunEvent]) -> Iterator[RunEvent]:
    """Yield the events of the inbox, and advance the run for more, until it waits or has ended."""
    while _has_event(backend, plan, inbox):
        while inbox:
            yield inbox.popleft()


def _has_event(backend: Backend, plan: RunPlan, inbox: deque[RunEvent]) -> bool:
    settle(backend)  # the run may be past its deadline
    return bool(inbox) or (plan.status in MOVING and advance(backend, plan, backend.clock.now()))


_NEWEST = 50  # messages that a script gets: a thread may have 100,000


def turn_of(backend: Backend, run: Obj) -> Turn:
    """Build the turn of a run: the newest messages of its thread, and the text of the last user message."""
    collection = backend.database.collection(MESSAGES, run["thread_id"])
    newest = [collection.at(place) for place in islice(reversed(collection.places), _NEWEST)]
    words = next((text for text in map(_user_text, newest) if text), "")
    return Turn(kind="run", request=run, text=words, messages=tuple(reversed(newest)))


def prompt_tokens(turn: Turn) -> int:
    """Estimate the tokens of the instructions and of the last user message."""
    instructions = turn.request.get("instructions")
    return tokens.count(turn.text) + tokens.count(instructions if isinstance(instructions, str) else "")


def _user_text(message: Obj) -> str:
    """Return the text of a user message, or "" for other roles. A loaded state may have any JSON as a message."""
    content = message.get("content")
    if message.get("role") != "user" or not isinstance(content, list):
        return ""
    texts = [part.get("text") for part in content if isinstance(part, dict)]
    values = [text.get("value") for text in texts if isinstance(text, dict)]
    return "\n".join(value for value in values if isinstance(value, str))
