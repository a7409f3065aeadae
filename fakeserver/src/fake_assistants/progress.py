"""How runs move on: by reading, at once, by the clock, or under a stream that takes them along."""

from collections import deque
from collections.abc import Iterator, Mapping

import fake_assistants.sse as sse
import fake_assistants.story as story
from fake_assistants.core import Core
from fake_assistants.exchange import Chunk, Cut, Pause
from fake_assistants.lifecycle import ACTIVE, MOVING, TRANSITIONS
from fake_assistants.plans import Beat, Event, Plan
from fake_assistants.scriptfile import Steps
from fake_assistants.shelf import Obj

# --- beginnings and turns -----------------------------------------------------------------------------


def begin(core: Core, run: Obj, steps: Steps, *, asked: int) -> Plan:
    """Plan a run that is queued. `asked` is how many tokens the model is asked with."""
    plan = _planned(core, run)
    plan.asked, plan.deadline = asked, run["expires_at"]
    plan.story = story.of_new(core, plan, steps)
    return plan


def submit(core: Core, run: Obj, outputs: Mapping[str, str], steps: Steps) -> Plan:
    """Hand over the outputs that a run waits for. `steps` are for a run that has no plan, since a state put it in."""
    plan = planned(core, run)
    if plan is None:
        plan = _planned(core, run)
        plan.story = story.of_resumed(core, plan, steps)
    plan.outputs = outputs
    return plan


def cancel(core: Core, run: Obj) -> Plan:
    """Let a run come to its end; it is cancelling when this returns."""
    plan = planned(core, run) or _planned(core, run)
    plan.story = story.of_cancelled(core, plan)
    answer_with(core, plan)
    return plan


def planned(core: Core, run: Obj) -> Plan | None:
    """The plan of a run; none when it has ended, or when a state has put it there."""
    return core.plans.get((run["thread_id"], run["id"]))


def _planned(core: Core, run: Obj) -> Plan:
    now = core.clock.now()
    plan = Plan(run=run, moment=now, since=now)
    core.plans[plan.key] = plan
    return plan


# --- moving on ----------------------------------------------------------------------------------------


def pull(core: Core, plan: Plan, moment: int) -> bool:
    """Let the next thing happen, at an epoch second. False when the plan is in force no more.

    A stream may have kept such a plan: its run was deleted or changed, or after a reset the same id is another run's.
    """
    if core.plans.get(plan.key) is not plan:
        return False
    plan.moment = moment
    beat = next(plan.story)
    if plan.status not in ACTIVE:
        del core.plans[plan.key]
    for inbox in plan.inboxes:
        inbox.append(beat)
    return True


def carry_on(core: Core, plan: Plan, moment: int) -> None:
    """Let things happen until the run has another status."""
    before = plan.status
    while plan.status == before and pull(core, plan, moment):
        pass


def answer_with(core: Core, plan: Plan) -> None:
    """Carry the run on to the status with which a call is answered, which is its first showing."""
    carry_on(core, plan, core.clock.now())
    plan.shown = 1


def run_on(core: Core, plan: Plan) -> None:
    """Let everything happen that happens by itself."""
    while plan.status in MOVING and pull(core, plan, core.clock.now()):
        pass


def answered(core: Core, plan: Plan) -> None:
    """A call that set the run going is answered: where runs move on at once, this one does."""
    if core.runs.progress == "immediate":
        run_on(core, plan)


def seen(core: Core, plan: Plan) -> None:
    """Somebody reads the run: where reading carries runs on, this one goes on when it was shown often enough."""
    if core.runs.progress != "read" or plan.status not in MOVING:
        return
    if plan.shown >= core.runs.reads:
        carry_on(core, plan, core.clock.now())
    plan.shown += 1


def settle(core: Core) -> None:
    """Catch up with the clock and with how runs move on: what is due happens, and runs that took too long expire."""
    now = core.clock.now()
    mark = (now, core.runs.progress, core.runs.seconds)
    if mark != core.settled_at:
        core.settled_at = mark
        for plan in list(core.plans.values()):
            _settle(core, plan, now)


def _settle(core: Core, plan: Plan, now: int) -> None:
    """One thing after the other, each at its own second; where runs move on at once, all that happens by itself."""
    if not plan.is_heard:
        answered(core, plan)
    while plan.status in ACTIVE:
        due, is_late = _due(core, plan)
        if due is None or due > now:
            return
        if is_late:
            plan.story = story.of_expired(core, plan)
        carry_on(core, plan, due)


def _due(core: Core, plan: Plan) -> tuple[int | None, bool]:
    """When something is due, and whether it is the run's expiry. What somebody streams moves with the stream."""
    by_clock = core.runs.progress == "clock" and plan.status in MOVING and not plan.is_heard
    due = plan.since + core.runs.seconds if by_clock else None
    if plan.deadline is not None and (due is None or plan.deadline <= due):
        return plan.deadline, True
    return due, False


# --- streams ------------------------------------------------------------------------------------------


def stream(core: Core, plan: Plan, first: Event | None = None) -> Iterator[Chunk]:
    """The run from here on as server-sent events, `first` before all. Taking a chunk moves the run on."""
    inbox: deque[Beat] = deque() if first is None else deque([first])
    plan.inboxes.append(inbox)
    flow = _flow(core, plan, inbox)
    next(flow)
    return flow


# Behind these a stream has nothing more to tell: the run stands still or has ended.
_LAST = frozenset({"error", *(f"thread.run.{status}" for status in TRANSITIONS if status not in MOVING)})


def _flow(core: Core, plan: Plan, inbox: deque[Beat]) -> Iterator[Chunk]:
    """The first pause is for nobody: only what has begun can notice that it is closed before its first chunk."""
    try:
        yield Pause(0)
        for beat in _beats(core, plan, inbox):
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
        core.settled_at = None  # from here on the clock moves the run
        answered(core, plan)


def _leave(plan: Plan, inbox: deque[Beat]) -> None:
    plan.inboxes = [other for other in plan.inboxes if other is not inbox]


def _beats(core: Core, plan: Plan, inbox: deque[Beat]) -> Iterator[Beat]:
    """What comes into the inbox, and what has to happen so that something comes; until the run stands still."""
    while _something_comes(core, plan, inbox):
        while inbox:
            yield inbox.popleft()


def _something_comes(core: Core, plan: Plan, inbox: deque[Beat]) -> bool:
    settle(core)  # the run may have taken too long
    return bool(inbox) or (plan.status in MOVING and pull(core, plan, core.clock.now()))
