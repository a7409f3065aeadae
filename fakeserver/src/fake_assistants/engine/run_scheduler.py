"""How runs move on: by reading, at once, by the clock, or under a stream that takes them along."""

from collections import deque
from collections.abc import Iterator, Mapping
from itertools import islice

import fake_assistants.engine.run_execution as story
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

# --- beginnings and turns -----------------------------------------------------------------------------


def begin(backend: Backend, run: Obj, steps: Steps, *, asked: int) -> RunPlan:
    """Plan a run that is queued. `asked` is how many tokens the model is asked with."""
    plan = _planned(backend, run)
    plan.asked, plan.deadline = asked, run["expires_at"]
    plan.story = story.of_new(backend, plan, steps)
    return plan


def submit(backend: Backend, run: Obj, outputs: Mapping[str, str], steps: Steps) -> RunPlan:
    """Hand over the outputs that a run waits for. `steps` are for a run that has no plan, since a state put it in."""
    plan = planned(backend, run)
    if plan is None:
        plan = _planned(backend, run)
        plan.story = story.of_resumed(backend, plan, steps)
    plan.outputs = outputs
    return plan


def cancel(backend: Backend, run: Obj) -> RunPlan:
    """Let a run come to its end; it is cancelling when this returns."""
    plan = planned(backend, run) or _planned(backend, run)
    plan.story = story.of_cancelled(backend, plan)
    answer_with(backend, plan)
    return plan


def planned(backend: Backend, run: Obj) -> RunPlan | None:
    """The plan of a run; none when it has ended, or when a state has put it there."""
    return backend.plans.get((run["thread_id"], run["id"]))


def _planned(backend: Backend, run: Obj) -> RunPlan:
    now = backend.clock.now()
    plan = RunPlan(run=run, moment=now, since=now)
    backend.plans[plan.key] = plan
    return plan


# --- moving on ----------------------------------------------------------------------------------------


def pull(backend: Backend, plan: RunPlan, moment: int) -> bool:
    """Let the next thing happen, at an epoch second. False when the plan is in force no more.

    A stream may have kept such a plan: its run was deleted or changed, or after a reset the same id is another run's.
    """
    if backend.plans.get(plan.key) is not plan:
        return False
    plan.moment = moment
    beat = next(plan.story)
    if plan.status not in ACTIVE:
        del backend.plans[plan.key]
    for inbox in plan.inboxes:
        inbox.append(beat)
    return True


def carry_on(backend: Backend, plan: RunPlan, moment: int) -> None:
    """Let things happen until the run has another status."""
    before = plan.status
    while plan.status == before and pull(backend, plan, moment):
        pass


def answer_with(backend: Backend, plan: RunPlan) -> None:
    """Carry the run on to the status with which a call is answered, which is its first showing."""
    carry_on(backend, plan, backend.clock.now())
    plan.shown = 1


def run_on(backend: Backend, plan: RunPlan) -> None:
    """Let everything happen that happens by itself."""
    while plan.status in MOVING and pull(backend, plan, backend.clock.now()):
        pass


def answered(backend: Backend, plan: RunPlan) -> None:
    """A call that set the run going is answered: where runs move on at once, this one does."""
    if backend.runs.progress == "immediate":
        run_on(backend, plan)


def seen(backend: Backend, plan: RunPlan) -> None:
    """Somebody reads the run: where reading carries runs on, this one goes on when it was shown often enough."""
    if backend.runs.progress != "read" or plan.status not in MOVING:
        return
    if plan.shown >= backend.runs.reads:
        carry_on(backend, plan, backend.clock.now())
    plan.shown += 1


def settle(backend: Backend) -> None:
    """Catch up with the clock and with how runs move on: what is due happens, and runs that took too long expire."""
    now = backend.clock.now()
    mark = (now, backend.runs.progress, backend.runs.seconds)
    if mark != backend.settled_at:
        backend.settled_at = mark
        for plan in list(backend.plans.values()):
            _settle(backend, plan, now)


def _settle(backend: Backend, plan: RunPlan, now: int) -> None:
    """One thing after the other, each at its own second; where runs move on at once, all that happens by itself."""
    if not plan.is_heard:
        answered(backend, plan)
    while plan.status in ACTIVE:
        due, is_late = _due(backend, plan)
        if due is None or due > now:
            return
        if is_late:
            plan.story = story.of_expired(backend, plan)
        carry_on(backend, plan, due)


def _due(backend: Backend, plan: RunPlan) -> tuple[int | None, bool]:
    """When something is due, and whether it is the run's expiry. What somebody streams moves with the stream."""
    by_clock = backend.runs.progress == "clock" and plan.status in MOVING and not plan.is_heard
    due = plan.since + backend.runs.seconds if by_clock else None
    if plan.deadline is not None and (due is None or plan.deadline <= due):
        return plan.deadline, True
    return due, False


# --- streams ------------------------------------------------------------------------------------------


def stream(backend: Backend, plan: RunPlan, first: Event | None = None) -> Iterator[Chunk]:
    """The run from here on as server-sent events, `first` before all. Taking a chunk moves the run on."""
    inbox: deque[RunEvent] = deque() if first is None else deque([first])
    plan.inboxes.append(inbox)
    flow = _flow(backend, plan, inbox)
    next(flow)
    return flow


# Behind these a stream has nothing more to tell: the run stands still or has ended.
_LAST = frozenset({"error", *(f"thread.run.{status}" for status in TRANSITIONS if status not in MOVING)})


def _flow(backend: Backend, plan: RunPlan, inbox: deque[RunEvent]) -> Iterator[Chunk]:
    """The first pause is for nobody: only what has begun can notice that it is closed before its first chunk."""
    try:
        yield Pause(0)
        for beat in _beats(backend, plan, inbox):
            is_last = isinstance(beat, Event) and beat.name in _LAST
            if is_last:  # whoever hears this may set the run going again, and that is told elsewhere
                _leave(plan, inbox)
            yield sse.event(beat.name, beat.data) if isinstance(beat, Event) else beat
            if is_last:
                yield sse.DONE
            if is_last or isinstance(beat, Cut):
                return
        yield Cut()  # the run has vanished under its stream: no proper end
    finally:
        _leave(plan, inbox)
        backend.settled_at = None  # from here on the clock moves the run
        answered(backend, plan)


def _leave(plan: RunPlan, inbox: deque[RunEvent]) -> None:
    plan.inboxes = [other for other in plan.inboxes if other is not inbox]


def _beats(backend: Backend, plan: RunPlan, inbox: deque[RunEvent]) -> Iterator[RunEvent]:
    """What comes into the inbox, and what has to happen so that something comes; until the run stands still."""
    while _something_comes(backend, plan, inbox):
        while inbox:
            yield inbox.popleft()


def _something_comes(backend: Backend, plan: RunPlan, inbox: deque[RunEvent]) -> bool:
    settle(backend)  # the run may have taken too long
    return bool(inbox) or (plan.status in MOVING and pull(backend, plan, backend.clock.now()))


_NEWEST = 50  # a script looks no further back: threads may have 100,000 messages


def turn_of(backend: Backend, run: Obj) -> Turn:
    """The turn of a run: its thread's newest messages, and the user's last words."""
    collection = backend.database.collection(MESSAGES, run["thread_id"])
    newest = [collection.at(place) for place in islice(reversed(collection.places), _NEWEST)]
    words = next((text for text in map(_words, newest) if text), "")
    return Turn(kind="run", request=run, text=words, messages=tuple(reversed(newest)))


def asked_with(turn: Turn) -> int:
    """Tokens, roughly: the instructions and the user's last words."""
    instructions = turn.request.get("instructions")
    return tokens.count(turn.text) + tokens.count(instructions if isinstance(instructions, str) else "")


def _words(message: Obj) -> str:
    """The text of a user's message, "" for anybody else's. A state may have brought in any JSON."""
    content = message.get("content")
    if message.get("role") != "user" or not isinstance(content, list):
        return ""
    texts = [part.get("text") for part in content if isinstance(part, dict)]
    values = [text.get("value") for text in texts if isinstance(text, dict)]
    return "\n".join(value for value in values if isinstance(value, str))
