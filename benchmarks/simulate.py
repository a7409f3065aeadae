"""A simulation of an export in shards that is too large to be run: 100 million threads on 200 keys, by default.

Prints the assumptions, then a table: what, simulated, reference, ratio, wanted, ok or missed. The references are what
the quota of the keys alone takes, and one process.

    python benchmarks/simulate.py [--threads N] [--keys N] [--rpm N] ... [--check]

The simulation is of discrete events, at two levels. Of some shards, 500 by default, every request is an event: threads
of drawn lengths wait for the pace of the key, page by page, and meet 429 and 5xx. The complete run has an event for
each shard that ends, each worker that dies or comes back, and each key that is refused; each of its shards takes as
long as one of those that were simulated by their requests. So 200,000 shards take a few seconds, and memory for the
samples alone. Workers do not slow each other down: each has a key of its own. The size of a shard is that of
`threadkeep.scale.plan`.

Not in the model: the merge, the download of files, an output store or an API that is slower under load, and the reading
of all manifests when a run is resumed.

`--check` runs the model for 2,000 threads on 2 keys, and then the same for real: the fake over HTTP in a process of its
own, with a bucket for each key and with 5xx, and `threadkeep export --dask local:2`. It takes a little more than a
minute.
"""

import argparse
import contextlib
import heapq
import json
import math
import random
import tempfile
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from listening import FAKE, listening
from scale import Scaled
from table import HEAD, Line
from threadkeep.scale.plan import shard_size

# `--rpm` sends so much of the limit, and so many requests at once after a while without any.
_PACE, _BURST = 0.99, 3

# The first wait before a failed request is repeated is a random time below this, in seconds. It doubles.
_BACKOFF = 0.5


def _given(default: Any, about: str) -> Any:
    return attrs.field(default=default, metadata={"about": about})


@attrs.frozen(kw_only=True)
class Model:
    """What the simulation assumes. Times are seconds."""

    threads: int = _given(100_000_000, "threads of the list")
    keys: int = _given(200, "keys, and workers: each has one")
    rpm: float = _given(1000.0, "requests a minute that a key may send, which --rpm sends evenly")
    mean_messages: float = _given(30.0, "messages of a thread, on average")
    spread: float = _given(1.5, "spread of that: the standard deviation of its logarithm, as lengths are log-normal")
    page: int = _given(100, "messages of a page")
    extra_requests: int = _given(0, "requests for a thread besides its pages, such as 1 for --include threads")
    latency: float = _given(0.4, "from a request to its answer")
    concurrency: int = _given(64, "threads that a worker walks at a time")
    too_many: float = _given(0.0005, "share of requests that are answered 429 in spite of the pace")
    pause: float = _given(1.0, "what a 429 asks all of a worker to wait")
    failed: float = _given(0.002, "share of requests that are answered 5xx, and repeated")
    message_bytes: float = _given(1500.0, "bytes of a message in OUT and its index")
    put: float = _given(0.15, "to put an object")
    objects: int = _given(3, "objects of a shard")
    bandwidth: float = _given(50e6, "bytes a second from a worker to the output store")
    shard: float = _given(0.25, "to begin a shard and to write its files: the store, connections, the disk")
    coordinator: float = _given(0.01, "of the command for each shard, one after another")
    plan: float = _given(7e-6, "to plan a thread: the list, the database, the objects of the plan")
    start: float = _given(60.0, "from the command to the first shard: imports, and workers that start")
    end: float = _given(1.0, "from the last shard to the end of the command")
    deaths: float = _given(0.01, "deaths of a worker in an hour")
    lost_folders: float = _given(0.5, "share of deaths that take the working folder with them: a machine, a pod")
    restart: float = _given(60.0, "from a death to another worker that has the key")
    refused: float = _given(0.0005, "refusals of a key in an hour, as when it is revoked")
    process_rpm: float = _given(30_000.0, "requests a minute of one process whose core is full")
    samples: int = _given(500, "shards that are simulated request by request")
    seed: int = _given(1, "of the random numbers")

    @property
    def rate(self) -> float:
        """The requests a second that a key sends."""
        return self.rpm * _PACE / 60

    @property
    def shard_threads(self) -> int:
        """The threads of a shard, by the rule of the plan."""
        return shard_size(self.threads, self.keys)

    @property
    def shards(self) -> int:
        """How many shards there are."""
        return math.ceil(self.threads / self.shard_threads)


# --- one shard, request by request


@attrs.frozen
class Fetched:
    """What a shard takes, without deaths.

    Attributes:
        seconds: of all of it, the end included.
        unused: seconds in which the pace allowed a request that no thread was ready for: at the end a few may be long.
        requests: how many are sent, repeated ones too.
        repeated: how many of them are repeated.
        messages: how many it has.
    """

    seconds: float
    unused: float
    requests: int
    repeated: int
    messages: int


def draw_lengths(model: Model, threads: int, draw: random.Random) -> list[int]:
    """Return how many messages each thread has."""
    mean = math.log(model.mean_messages) - model.spread**2 / 2
    return [round(draw.lognormvariate(mean, model.spread)) for _ in range(threads)]


def requests_of(model: Model, messages: int) -> int:
    """Return how many requests a thread takes: a full page is followed by one more, and an empty thread asked twice."""
    return messages // model.page + 1 + (not messages) + model.extra_requests


def simulate_shard(model: Model, lengths: Sequence[int], draw: random.Random) -> Fetched:
    """Simulate the requests of one shard.

    Requests take their places in the order in which they are ready. One that got its place before a 429 is sent at it.
    """
    waiting = iter([requests_of(model, one) for one in lengths])
    ready = [(0.0, place, pages, 0) for place, pages in zip(range(model.concurrency), waiting, strict=False)]
    place, free, now, requests, repeated = len(ready), 0.0, 0.0, 0, 0
    while ready:
        at, _, left, failures = heapq.heappop(ready)
        sent = max(at, free - (_BURST - 1) / model.rate)
        free = max(free, sent) + 1 / model.rate
        answered = sent + model.latency
        now, requests, place, fate = max(now, answered), requests + 1, place + 1, draw.random()
        if fate < model.too_many:
            repeated += 1
            free = max(free, answered + model.pause + (_BURST - 1) / model.rate)
            heapq.heappush(ready, (answered, place, left, failures))
        elif fate < model.too_many + model.failed:
            repeated += 1
            wait = draw.random() * _BACKOFF * 2**failures
            heapq.heappush(ready, (answered + wait, place, left, failures + 1))
        elif left > 1:
            heapq.heappush(ready, (answered, place, left - 1, 0))
        elif (pages := next(waiting, None)) is not None:
            heapq.heappush(ready, (answered, place, pages, 0))
    messages = sum(lengths)
    put = model.objects * model.put + messages * model.message_bytes / model.bandwidth
    unused = max(0.0, now - model.latency - requests / model.rate)
    return Fetched(now + model.shard + put, unused, requests, repeated, messages)


# --- the run, shard by shard


@attrs.frozen
class Todo:
    """A shard, or what is left of it after a death.

    Attributes:
        shard: what all of it takes.
        left: the share of its requests that no working folder has.
    """

    shard: Fetched
    left: float = 1.0


@attrs.define(kw_only=True)
class Ended:
    """What a run came to. Times are seconds.

    Attributes:
        began, ended: when the first shard began, and when the last one ended.
        first_idle: when a worker first found nothing left to do.
        requests, repeated: of them all, and those after 429 and 5xx.
        lost: requests whose answers a death has lost.
        seconds, unused: of all shards, as of `Fetched`.
        sent: the requests of each key.
        deaths, refused: how many workers died, and how many keys were refused.
    """

    began: float = 0.0
    ended: float = 0.0
    first_idle: float = math.inf
    requests: float = 0
    repeated: int = 0
    lost: float = 0
    messages: int = 0
    shards: int = 0
    seconds: float = 0.0
    unused: float = 0.0
    deaths: int = 0
    refused: int = 0
    sent: list[float] = attrs.field(factory=list)


class Run:
    """One run of a model, from its first event to its last.

    Args:
        model: what is assumed.
        shards: what each shard takes, in the order of the plan.
        draw: random numbers.
    """

    def __init__(self, model: Model, shards: Iterator[Fetched], draw: random.Random) -> None:
        self._model, self._shards, self._draw = model, shards, draw
        self._events: list[tuple[float, int, str, int, Todo | None]] = []
        self._number = 0
        self._again: deque[Todo] = deque()
        self._idle: list[int] = []
        self._coordinator_free = 0.0
        self._running = 0
        self.ended = Ended(sent=[0.0] * model.keys)

    def to_its_end(self) -> Ended:
        """Simulate all events."""
        self.ended.began = self._model.start + self._model.plan * self._model.threads
        for worker in range(self._model.keys):
            self._push(self.ended.began, "ready", worker)
        while self._events:
            now, _, what, worker, todo = heapq.heappop(self._events)
            if what == "ready":
                self._begin(now, worker)
            elif todo is not None:
                self._running -= 1
                getattr(self, f"_{what}")(now, worker, todo)
        return self.ended

    def _push(self, at: float, what: str, worker: int, todo: Todo | None = None) -> None:
        self._number += 1
        heapq.heappush(self._events, (at, self._number, what, worker, todo))

    def _begin(self, now: float, worker: int) -> None:
        """Give a worker a shard: those first that another one has not ended."""
        todo = self._again.popleft() if self._again else self._next()
        if todo is None:
            self._idle.append(worker)
            if self._running:  # nothing is left, but it may be given what another one does not end
                self.ended.first_idle = min(self.ended.first_idle, now)
            return
        self._running += 1
        begins = self._coordinator_free = max(now, self._coordinator_free) + self._model.coordinator
        takes = todo.left * todo.shard.seconds
        dies, refused = (
            self._draw.expovariate(per_hour / 3600) if per_hour else math.inf
            for per_hour in (self._model.deaths, self._model.refused)
        )
        first = min(takes, dies, refused)
        what = "end" if first == takes else "die" if first == dies else "refuse"
        self._push(begins + first, what, worker, attrs.evolve(todo, left=todo.left - first / todo.shard.seconds))
        self.ended.sent[worker] += todo.shard.requests * first / todo.shard.seconds

    def _next(self) -> Todo | None:
        shard = next(self._shards, None)
        return None if shard is None else Todo(shard)

    def _end(self, now: float, worker: int, todo: Todo) -> None:
        self.ended.shards += 1
        self.ended.repeated += todo.shard.repeated
        self.ended.seconds += todo.shard.seconds
        self.ended.unused += todo.shard.unused
        self.ended.messages += todo.shard.messages
        self.ended.ended = now
        self._push(now, "ready", worker)

    def _die(self, now: float, worker: int, todo: Todo) -> None:
        """Lose the answers on their way, or all of the shard; another worker gets the key, and any the shard."""
        self.ended.deaths += 1
        on_their_way = min(self._model.rate * self._model.latency, self._model.concurrency) / todo.shard.requests
        is_lost = self._draw.random() < self._model.lost_folders
        left = 1.0 if is_lost else min(1.0, todo.left + on_their_way)
        self.ended.lost += (left - todo.left) * todo.shard.requests
        self._repeat(now, attrs.evolve(todo, left=left))
        self._push(now + self._model.restart, "ready", worker)

    def _refuse(self, now: float, worker: int, todo: Todo) -> None:
        """Retire a worker with its key. What it has fetched is in the output store."""
        del worker
        self.ended.refused += 1
        self._repeat(now, todo)

    def _repeat(self, now: float, todo: Todo) -> None:
        self._again.append(todo)
        if self._idle:
            self._push(now, "ready", self._idle.pop())


def simulate(model: Model) -> Ended:
    """Simulate a run whose shards are drawn from samples."""
    draw, size = random.Random(model.seed), model.shard_threads
    shards, rest = divmod(model.threads, size)
    samples = [
        simulate_shard(model, draw_lengths(model, size, draw), draw) for _ in range(min(model.samples, shards or 1))
    ]
    last = [simulate_shard(model, draw_lengths(model, rest, draw), draw)] if rest else []

    def drawn() -> Iterator[Fetched]:
        for _ in range(shards):
            yield draw.choice(samples)
        yield from last

    return finished(model, Run(model, drawn(), draw).to_its_end())


def finished(model: Model, ended: Ended) -> Ended:
    """Return what a run came to, with the end of the command and the sum of its requests."""
    if ended.shards < model.shards:
        raise SystemExit(f"every key was refused: {ended.shards:,} of {model.shards:,} shards are complete")
    ended.requests = sum(ended.sent)
    ended.ended += model.end
    return ended


def lines_of(model: Model, ended: Ended) -> Iterator[Line]:
    """Hold a run against what its keys grant and against one process."""
    hours, requests = ended.ended / 3600, ended.requests / 1e6
    quota = ended.requests / (model.keys * model.rpm) / 60
    yield Line(f"{model.threads:,} threads, {model.keys:,} keys (their quota alone)", hours, quota, 1.2, "h")
    mean, least = (one / hours / 60 for one in (ended.requests / model.keys, min(ended.sent)))
    yield Line("requests of a key, on average (its limit)", mean, model.rpm, 0.8, "/min", at_least=True)
    yield Line("the same, of the key that has sent least", least, model.rpm, 0.8, "/min", at_least=True)
    yield Line("requests (one for each thread)", requests, model.threads / 1e6, 1.5, "M")
    yield Line("of these lost by deaths (all)", ended.lost / 1e3, ended.requests / 1e3, 0.01, "k")
    shard = ended.requests / ended.shards / model.rate
    yield Line("a shard, all of it (its requests at the pace)", ended.seconds / ended.shards, shard, 1.2)
    yield Line("of that: nothing is ready to be sent (the same)", ended.unused / ended.shards, shard, 0.1)
    tail = (ended.ended - model.end - ended.first_idle) / 60
    yield Line("tail, from the first idle worker to the end (all of it)", max(tail, 0.0), hours * 60, 0.05, "min")
    alone, together = (ended.requests / rpm / 60 for rpm in (model.rpm * _PACE, model.process_rpm))
    together = max(together, alone / model.keys)
    yield Line("one process with one key (this)", alone, hours, 0.8 * model.keys, "h", at_least=True)
    yield Line("one process with all keys (this)", together, hours, 1, "h", at_least=True)


# --- held against a real run

CHECKED = Model(
    threads=2000,
    keys=2,
    rpm=1400.0,
    mean_messages=50.0,
    latency=0.055,
    too_many=0.0,
    failed=0.01,
    put=0.005,
    bandwidth=200e6,
    shard=0.2,
    start=2.7,
    end=0.5,
    deaths=0.0,
    refused=0.0,
)


def check() -> Iterator[Line]:
    """The model for 2,000 threads, beside the run itself: the same threads, limits and shares of failures."""
    draw = random.Random(CHECKED.seed)
    lengths = draw_lengths(CHECKED, CHECKED.threads, draw)
    size = CHECKED.shard_threads
    parts = [lengths[at : at + size] for at in range(0, len(lengths), size)]
    run = Run(CHECKED, iter([simulate_shard(CHECKED, part, draw) for part in parts]), draw)
    simulated = finished(CHECKED, run.to_its_end())
    with _world(lengths) as there:
        real = there.sharded(CHECKED.keys, "--rpm", f"{CHECKED.rpm:.0f}")
    assert real.printed["messages"] == simulated.messages, real.printed
    yield Line("requests, 2,000 threads on 2 keys (simulated)", len(real.log), simulated.requests, 1.02, "")
    yield Line("answered 429", real.log.count(429) / len(real.log) * 100, None, 1, "%")
    yield Line("seconds of the command (simulated)", real.seconds, simulated.ended, 1.1)
    yield Line("seconds simulated (of the command)", simulated.ended, real.seconds, 1.1)


@contextlib.contextmanager
def _world(lengths: Sequence[int]) -> Iterator[Scaled]:
    """A fake with threads of these lengths, and a folder with the file of their ids."""
    names = [f"thread_{number:06}" for number in range(len(lengths))]
    rows = [_message(name, number) for name, many in zip(names, lengths, strict=True) for number in range(many)]
    faults = [{"match": {"probability": CHECKED.failed}, "do": {"status": 500}}]
    with tempfile.TemporaryDirectory() as folder:
        state, plan, ids = (Path(folder) / name for name in ("state.json", "faults.json", "ids.txt"))
        state.write_text(json.dumps({"threads": [{"id": name} for name in names], "messages": rows}))
        plan.write_text(json.dumps(faults))
        ids.write_text("\n".join(names))
        limits = ("--rpm", f"{CHECKED.rpm:.0f}", "--latency-ms", "50")
        with listening(*FAKE, "--load", str(state), "--faults", str(plan), *limits) as base_url:
            yield Scaled(Path(folder), base_url, ids)


def _message(thread_id: str, number: int) -> Mapping[str, Any]:
    text = {"value": f"The message {number} of {thread_id}. " * 5, "annotations": []}
    return {
        "id": f"msg_{thread_id}_{number:06}",
        "thread_id": thread_id,
        "role": "user",
        "content": [{"type": "text", "text": text}],
    }


def main() -> None:
    """Simulate, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    fields = attrs.fields(Model)
    for field in fields:
        option = "--" + field.name.replace("_", "-")
        parser.add_argument(option, type=type(field.default), default=field.default, help=field.metadata["about"])
    parser.add_argument("--check", action="store_true", help="hold the model against a real run of 2,000 threads")
    options = parser.parse_args()
    model = CHECKED if options.check else Model(**{field.name: getattr(options, field.name) for field in fields})
    for field in fields:
        print(f"{field.name:<16}{getattr(model, field.name):>15,}  {field.metadata['about']}")
    print(f"{'shard_threads':<16}{model.shard_threads:>15,}  threads of a shard, by the rule of the plan\n\n{HEAD}")
    for line in check() if options.check else lines_of(model, simulate(model)):
        print(line, flush=True)


if __name__ == "__main__":
    main()
