"""The whole API at once, against a model of plain lists: every answer foretold, the world compared after each rule."""

import copy
import json
import re
from collections.abc import Callable, Collection, Iterator
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from fake_assistants import FakeAssistants, Reply, Request
from fake_assistants.http.message import Cut, Pause
from plain_model import ACTIVE, MOVING, Beat, Model, Objects, Run
from scripts import answers
from staging import HEADERS, event

EPOCH = 1774963200
GONE = {"gone": 410, "not-found": 404}
METADATA = st.dictionaries(st.sampled_from("abc"), st.sampled_from(["", "x", "č"]), max_size=2)
SAID = st.sampled_from(["Hi", "What is 3x + 11?", "č\u2028"])
DOINGS: list[dict[str, Any]] = [
    *({"status": status} for status in (400, 429, 500, 502, 503)),
    *({"drop": "before"}, {"drop": "answer"}, {"drop": "mid-body"}, {"truncate": 7}, {"delay": 1}),
    {"status": 500, "executed": True},
    *({"rewrite": "repeat-page"}, {"rewrite": "shift-page"}, {"rewrite": "lie-has-more"}),
]
MATCHES: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {},
    optional={
        "method": st.sampled_from(["GET", "POST"]),
        "path": st.sampled_from(["/runs", "/messages$", "thread_", "^/v1/files"]),
        "nth": st.integers(1, 3),
        "times": st.integers(0, 2),
        "probability": st.sampled_from([0, 0.5, 1]),
    },
)
SPOILED = ("drop mid-body", "truncate", "rewrite")

Expected = Callable[[], int]


class Stream:
    """One that a client reads: `told` is what it must still hear of what has happened already."""

    def __init__(self, chunks: Iterator[Any], run: Run, inbox: list[Beat], *, is_spoiled: bool) -> None:
        self.chunks, self.run, self.inbox, self.is_spoiled = chunks, run, inbox, is_spoiled


class Whole(RuleBasedStateMachine):
    """Each rule asks the fake and moves the model; `ask` foretells the status, `the_world_is_as_foretold` the rest."""

    def __init__(self) -> None:
        super().__init__()
        self.fake = FakeAssistants()
        self.model = Model(now=EPOCH)
        self.loaded = Objects()
        self.saved: list[tuple[Any, Objects]] = []
        self.streams: list[Stream] = []
        self.request_log: list[tuple[str, int]] = []
        self.sunset: dict[str, Any] | None = None
        self.served = 0
        self.plan: list[dict[str, Any]] = []
        self.made = 0

    @property
    def world(self) -> Objects:
        return self.model.world

    # --- asking

    def send(self, method: str, path: str, body: Any) -> Reply:
        content = b"" if body is None else json.dumps(body).encode()
        return self.fake.handle(Request.of(method, f"/v1{path}", HEADERS, content))

    def ask(self, method: str, path: str, expected: Expected, body: Any = None) -> tuple[Reply, bool] | None:
        """The answer and whether a fault spoiled it; None where the request was not carried out or was refused.

        `expected` foretells the status, and moves the model.
        """
        may_strike = [one for one in self.plan if self.fits(one, method, path)]
        reply = self.send(method, path, body)
        entry = list(self.fake.requests)[-1]
        fault = self.foretold_fault(may_strike, entry.fault or "", path)
        self.request_log.append((method, entry.status))
        assert reply.status == entry.status
        is_lost = fault.get("drop") in ("before", "answer") or "status" in fault
        if is_lost:
            assert (reply.hang_up, reply.status) == ("drop" in fault, fault.get("status", 0))
        assert entry.executed is (not is_lost or fault.get("drop") == "answer" or fault.get("executed", False))
        if not entry.executed:
            return None
        is_spoiled = any(key in fault for key in ("drop", "truncate", "rewrite", "executed"))
        is_assistants = path.startswith(("/assistants", "/threads"))
        if is_assistants and self.is_silent():
            assert is_lost or reply.status == GONE[(self.sunset or {})["style"]]
            assert is_spoiled or not reply.body or self.is_envelope(reply)
            return None
        self.served += is_assistants
        self.model.settle()
        status = expected()
        assert is_lost or reply.status == status, (reply.status, reply.body, status)
        assert status == 200 or is_spoiled or self.is_envelope(reply)
        return (reply, is_spoiled) if status == 200 else None

    @staticmethod
    def is_envelope(reply: Reply) -> bool:
        body = reply.json() if reply.body else None
        return isinstance(body, dict) and list(body["error"]) == ["message", "type", "param", "code"]

    @staticmethod
    def fits(one: dict[str, Any], method: str, path: str) -> bool:
        match = one["rule"]["match"]
        wire = f"/v1{path}".partition("?")[0]
        is_meant = match.get("method", method) == method and re.search(match.get("path", ""), wire) is not None
        one["calls"] += is_meant
        return is_meant

    def foretold_fault(self, fitting: list[dict[str, Any]], name: str, path: str) -> dict[str, Any]:
        """The first rule that is due strikes; dice, and whether there is a page to rewrite, are the fake's to say."""
        for one in fitting:
            match, do = one["rule"]["match"], one["rule"]["do"]
            first, times = match.get("nth"), match.get("times")
            last = (first or 0) + (1 if times is None else times)
            due = first <= one["calls"] < last if first else times is None or one["struck"] < times
            key, value = next(iter(do.items()))
            label = {"delay": "delay", "truncate": "truncate"}.get(key, f"{key} {value}")
            if not due or match.get("probability") == 0:
                continue
            if name == label:
                one["struck"] += 1
                return dict(do)
            assert match.get("probability") == 0.5 or key == "rewrite", (name, label, path)
            if key == "rewrite" and not name:  # it may have struck and found no page
                return {}
        assert not name, (name, fitting)
        return {}

    def is_silent(self) -> bool:
        plan = self.sunset
        return plan is not None and (
            plan.get("at", 10**12) <= self.model.now or plan.get("after", 10**12) <= self.served
        )

    def fresh(self, kind: str) -> Any:
        return self.fake.snapshot()[kind][-1]

    # --- assistants, threads, messages

    @initialize()
    def begin(self) -> None:
        self.new_assistant(False)
        self.new_thread(["Hi"])

    @rule(instructed=st.booleans())
    def new_assistant(self, instructed: bool) -> None:
        def expected() -> int:
            self.world.assistants[self.fresh("assistants")["id"]] = instructed
            return 200

        self.ask("POST", "/assistants", expected, {"model": "m", "instructions": "Be kind." if instructed else None})

    @rule(said=st.lists(SAID, max_size=3))
    def new_thread(self, said: list[str]) -> None:
        body = {"messages": [{"role": "user", "content": one} for one in said]}
        self.ask("POST", "/threads", lambda: self.thread_made(said), body)

    def thread_made(self, said: list[str]) -> int:
        thread = self.fresh("threads")["id"]
        self.world.add_thread(thread)
        fresh = [one for one in self.fake.snapshot()["messages"] if one["thread_id"] == thread]
        for one, text in zip(fresh, said, strict=False):
            self.said(thread, one["id"], text)
        return 200

    def said(self, thread: str, message: str, text: str, role: str = "user") -> None:
        content = [{"type": "text", "text": {"value": text, "annotations": []}}]
        row: dict[str, Any] = {"id": message, "role": role, "run_id": None, "content": content, "metadata": {}}
        self.world.threads[thread].append(row)

    def a_thread(self, data: st.DataObject) -> str:
        thread: str = data.draw(st.sampled_from([*self.world.threads, "thread_none"]), label="thread")
        return thread

    def a_message(self, data: st.DataObject, thread: str) -> str:
        ids = [one["id"] for one in self.world.threads.get(thread, ())]
        message: str = data.draw(st.sampled_from([*ids, "msg_none"]), label="message")
        return message

    @rule(data=st.data(), text=SAID, role=st.sampled_from(["user", "assistant"]))
    def new_message(self, data: st.DataObject, text: str, role: str) -> None:
        thread = self.a_thread(data)

        def expected() -> int:
            if thread not in self.world.threads:
                return 404
            if self.world.active(thread):
                return 400
            self.said(thread, self.fresh("messages")["id"], text, role)
            return 200

        self.ask("POST", f"/threads/{thread}/messages", expected, {"role": role, "content": text})

    @rule(data=st.data(), metadata=METADATA, method=st.sampled_from(["GET", "POST", "DELETE"]))
    def one_message(self, data: st.DataObject, metadata: dict[str, str], method: str) -> None:
        thread = self.a_thread(data)
        message = self.a_message(data, thread)

        def expected() -> int:
            row = self.world.message(thread, message) if thread in self.world.threads else None
            if row is None:
                return 404
            if method == "POST":
                row["metadata"] = metadata
            if method == "DELETE":
                self.world.threads[thread].remove(row)
            return 200

        body = {"metadata": metadata} if method == "POST" else None
        self.ask(method, f"/threads/{thread}/messages/{message}", expected, body)

    @rule(data=st.data(), limit=st.integers(1, 4), order=st.sampled_from(["asc", "desc"]))
    def listed_messages(self, data: st.DataObject, limit: int, order: str) -> None:
        thread = self.a_thread(data)
        cursor = data.draw(st.none() | st.just(self.a_message(data, thread)), label="cursor")
        run = data.draw(st.sampled_from([None, *self.world.runs.get(thread, ())]), label="run")
        query = f"limit={limit}&order={order}" + (f"&after={cursor}" if cursor else "")
        query += f"&run_id={run}" if run else ""
        rows: list[Any] = []

        def expected() -> int:
            if thread not in self.world.threads or cursor == "msg_none":
                return 404
            rows.extend(self.world.threads[thread])
            return 200

        answer = self.ask("GET", f"/threads/{thread}/messages?{query}", expected)
        if answer is None or answer[1]:
            return
        page = answer[0].json()
        rows = rows if order == "asc" else rows[::-1]
        ids = [one["id"] for one in rows]
        beyond = rows[ids.index(cursor) + 1 :] if cursor else rows
        kept = [one["id"] for one in beyond if run in (None, one["run_id"])]
        assert ([one["id"] for one in page["data"]], page["has_more"]) == (kept[:limit], len(kept) > limit)

    @rule(data=st.data(), method=st.sampled_from(["GET", "DELETE"]))
    def one_thread(self, data: st.DataObject, method: str) -> None:
        thread = self.a_thread(data)

        def expected() -> int:
            if thread not in self.world.threads:
                return 404
            if method == "DELETE":
                self.world.delete_thread(thread)
            return 200

        self.ask(method, f"/threads/{thread}", expected)

    @rule(kind=st.sampled_from(["files", "conversations"]), data=st.data())
    def other_things(self, kind: str, data: st.DataObject) -> None:
        """They go on after the sunset."""

        def created() -> int:
            self.world.others["conversations"].append(self.fresh("conversations")["id"])
            return 200

        if kind == "conversations":
            self.ask("POST", "/conversations", created, {})
        known = self.world.others[kind]
        one = data.draw(st.sampled_from([*known, f"{kind[:4]}_none"]))
        self.ask("GET", f"/{kind}/{one}", lambda: 200 if one in known else 404)

    # --- runs

    def a_run(self, data: st.DataObject) -> tuple[str, str]:
        every = [(thread, run) for thread, runs in self.world.runs.items() for run in runs]
        return data.draw(st.sampled_from([*every, ("thread_none", "run_none")][-4:]), label="run")

    def run_of(self, thread: str, run: str) -> Run | None:
        return self.world.runs.get(thread, {}).get(run)

    @rule(data=st.data(), stream=st.booleans(), instructed=st.booleans())
    def new_run(self, data: st.DataObject, stream: bool, instructed: bool) -> None:
        thread = self.a_thread(data)
        assistant = data.draw(st.sampled_from([*self.world.assistants, "asst_none"]))
        made: list[Run] = []

        def expected() -> int:
            if thread not in self.world.threads or assistant not in self.world.assistants:
                return 404
            has_words = any(one["role"] == "user" for one in self.world.threads[thread])
            can_speak = instructed or self.world.assistants[assistant] or has_words
            if self.world.active(thread) or not can_speak:
                return 400
            made.append(self.begun(thread))
            return 200

        body = {"assistant_id": assistant, "stream": stream, "instructions": "Speak." if instructed else None}
        self.going(self.ask("POST", f"/threads/{thread}/runs", expected, body), made, stream, [])

    @rule(data=st.data(), stream=st.booleans(), said=st.lists(SAID, max_size=2))
    def new_thread_and_run(self, data: st.DataObject, stream: bool, said: list[str]) -> None:
        assistant = data.draw(st.sampled_from(list(self.world.assistants) or ["asst_none"]))
        made: list[Run] = []

        def expected() -> int:
            if assistant not in self.world.assistants:
                return 404
            if not said and not self.world.assistants[assistant]:
                return 400
            self.thread_made(said)
            made.append(self.begun(self.fresh("threads")["id"]))
            return 200

        body = {"assistant_id": assistant, "stream": stream}
        body["thread"] = {"messages": [{"role": "user", "content": one} for one in said]}
        self.going(self.ask("POST", "/threads/runs", expected, body), made, stream, [("thread.created", None)])

    def begun(self, thread: str) -> Run:
        run = Run(self.fresh("runs")["id"], thread)
        self.model.begin(run)
        return run

    def going(self, answer: tuple[Reply, bool] | None, made: list[Run], stream: bool, first: list[Beat]) -> None:
        """A run was set going: it is streamed, or answered as queued."""
        if answer is None:
            return
        reply, is_spoiled = answer
        (run,) = made
        if stream:
            run.inboxes.append(first)
            self.streamed(reply, run, first, is_spoiled=is_spoiled)
        else:
            assert is_spoiled or reply.json()["status"] == "queued"
            self.model.answered(run)

    @rule(data=st.data(), stream=st.booleans(), is_right=st.booleans())
    def submitted(self, data: st.DataObject, stream: bool, is_right: bool) -> None:
        thread, run_id = self.a_run(data)
        waiting = [run for runs in self.fake.snapshot()["runs"] for run in [runs] if run["id"] == run_id]
        action = (waiting[0].get("required_action") if waiting else None) or {}
        calls = [call["id"] for call in action.get("submit_tool_outputs", {}).get("tool_calls", [])]
        given = calls if is_right else [*calls, "call_none"]
        made: list[Run] = []
        inbox: list[Beat] = []

        def expected() -> int:
            run = self.run_of(thread, run_id)
            if run is None:
                return 404
            if run.status != "requires_action" or not is_right:
                return 400
            made.append(run)
            if stream:
                run.inboxes.append(inbox)
            self.model.submit(run)
            return 200

        body = {"tool_outputs": [{"tool_call_id": call, "output": "x"} for call in given], "stream": stream}
        answer = self.ask("POST", f"/threads/{thread}/runs/{run_id}/submit_tool_outputs", expected, body)
        if answer is not None and stream:
            self.streamed(answer[0], made[0], inbox, is_spoiled=answer[1])
        elif answer is not None:
            assert answer[1] or answer[0].json()["status"] == "queued"
            self.model.answered(made[0])

    @rule(data=st.data(), times=st.integers(1, 3))
    def read_run(self, data: st.DataObject, times: int) -> None:
        thread, run_id = self.a_run(data)

        def expected() -> int:
            run = self.run_of(thread, run_id)
            self.model.seen(run)
            return 404 if run is None else 200

        for _ in range(times):
            answer = self.ask("GET", f"/threads/{thread}/runs/{run_id}", expected)
            run = self.run_of(thread, run_id)
            if answer is not None and not answer[1]:
                assert run is not None
                assert answer[0].json()["status"] == run.status

    @rule(data=st.data())
    def listed_runs(self, data: st.DataObject) -> None:
        thread = self.a_thread(data)

        def expected() -> int:
            if thread not in self.world.threads:
                return 404
            self.model.seen(self.world.active(thread))
            return 200

        answer = self.ask("GET", f"/threads/{thread}/runs?order=asc&limit=100", expected)
        if answer is not None and not answer[1]:
            rows = [(one["id"], one["status"]) for one in answer[0].json()["data"]]
            assert rows == [(run.id, run.status) for run in self.world.runs[thread].values()]

    @rule(data=st.data(), order=st.sampled_from(["asc", "desc"]), limit=st.integers(1, 3))
    def listed_steps(self, data: st.DataObject, order: str, limit: int) -> None:
        thread, run_id = self.a_run(data)
        expected: Expected = lambda: 200 if self.run_of(thread, run_id) else 404  # noqa: E731
        answer = self.ask("GET", f"/threads/{thread}/runs/{run_id}/steps?order={order}&limit={limit}", expected)
        run = self.run_of(thread, run_id)
        if answer is not None and not answer[1] and run is not None:
            page = answer[0].json()
            rows = run.steps if order == "asc" else run.steps[::-1]
            assert [[one["type"], one["status"]] for one in page["data"]] == rows[:limit]
            assert page["has_more"] == (len(rows) > limit)

    @rule(data=st.data(), metadata=METADATA)
    def changed_run(self, data: st.DataObject, metadata: dict[str, str]) -> None:
        thread, run_id = self.a_run(data)

        def expected() -> int:
            run = self.run_of(thread, run_id)
            if run is None:
                return 404
            if run.status in ACTIVE:
                return 400
            run.metadata = metadata
            return 200

        self.ask("POST", f"/threads/{thread}/runs/{run_id}", expected, {"metadata": metadata})

    @rule(data=st.data())
    def cancelled_run(self, data: st.DataObject) -> None:
        thread, run_id = self.a_run(data)

        def expected() -> int:
            run = self.run_of(thread, run_id)
            if run is None:
                return 404
            if run.status not in ("queued", "in_progress", "requires_action"):
                return 400
            self.model.cancel(run)
            return 200

        answer = self.ask("POST", f"/threads/{thread}/runs/{run_id}/cancel", expected)
        run = self.run_of(thread, run_id)
        if answer is not None and run is not None:
            assert answer[1] or answer[0].json()["status"] == "cancelling"
            self.model.answered(run)

    # --- streams

    def streamed(self, reply: Reply, run: Run, inbox: list[Beat], *, is_spoiled: bool) -> None:
        """A stream has begun; one that was lost has ended already."""
        assert reply.chunks is not None or is_spoiled
        stream = Stream(reply.chunks or nothing(), run, inbox, is_spoiled=is_spoiled)
        self.streams.append(stream)
        if reply.chunks is None:
            self.took_unseen(stream)

    def took_unseen(self, stream: Stream) -> None:
        """The rest of a stream is taken, whatever was read, and the run has come as far as it does."""
        list(stream.chunks)
        self.hung_up(stream)
        while self.foretold() != self.shown() and self.model.pull(stream.run, self.model.now):
            pass

    @precondition(lambda self: self.streams)
    @rule(data=st.data(), count=st.integers(1, 12))
    def read_stream(self, data: st.DataObject, count: int) -> None:
        stream = data.draw(st.sampled_from(self.streams))
        if stream.is_spoiled:
            self.took_unseen(stream)
            return
        for _ in range(count):
            if not self.takes(stream):
                self.hung_up(stream)
                return

    def takes(self, stream: Stream) -> bool:
        """One chunk, which must be what comes next; deltas and pauses change nothing. False at the end."""
        chunk = next(stream.chunks, None)
        assert chunk is not None, "a stream ends with an event or a cut"
        if isinstance(chunk, Pause):
            return True
        if isinstance(chunk, Cut):
            assert stream.run.is_void or stream.run.may_cut
            return False
        name = event(chunk)[0]
        if name.endswith(".delta"):
            return True
        run = stream.run
        if not stream.inbox and run.status in MOVING:
            self.model.pull(run, self.model.now)
        end = "cut" if run.is_void and run.status in MOVING else "done"
        wanted = stream.inbox.pop(0)[0] if stream.inbox else end
        assert name.removeprefix("thread.").replace("run.step", "step") == wanted.replace("thread.", "")
        return name != "done"

    def hung_up(self, stream: Stream) -> None:
        stream.chunks.close()  # type: ignore[attr-defined]
        self.streams.remove(stream)
        stream.run.inboxes = [one for one in stream.run.inboxes if one is not stream.inbox]
        self.model.answered(stream.run)

    @precondition(lambda self: self.streams)
    @rule(data=st.data())
    def leave_stream(self, data: st.DataObject) -> None:
        self.hung_up(data.draw(st.sampled_from(self.streams)))

    # --- control

    def control(self, method: str, name: str, body: Any = None) -> Any:
        content = b"" if body is None else json.dumps(body).encode()
        reply = self.fake.handle(Request(method, f"/_fake/{name}", body=content))
        assert reply.status == 200, reply.body
        return reply.json()

    @rule(seconds=st.sampled_from([-5, 0, 1, 2, 5, 60, 599, 600, 601]))
    def time_moves(self, seconds: int) -> None:
        self.control("PUT", "clock", {"advance": seconds})
        self.model.now += seconds

    @rule(by=st.sampled_from(["read", "read", "immediate", "clock"]), count=st.integers(1, 3))
    def progress_changes(self, by: str, count: int) -> None:
        self.control("PUT", "runs", {"progress": by, "reads": count, "seconds": count})
        self.model.progress, self.model.reads, self.model.seconds = by, count, count

    @rule(queue=st.lists(answers, max_size=2), default=st.none() | answers)
    def scripted(self, queue: list[Any], default: list[Any] | None) -> None:
        self.control("PUT", "script", {"runs": queue, **({} if default is None else {"default": default})})
        self.model.queue, self.model.default = list(queue), default

    @rule(
        plan=st.lists(
            st.tuples(MATCHES, st.sampled_from(DOINGS)), min_size=1, max_size=2, unique_by=lambda rule: str(rule[1])
        ),
        lasts=st.booleans(),
    )
    def faults_set(self, plan: list[Any], lasts: bool) -> None:
        rules: list[Any] = [{"match": match if lasts else {"times": 1, **match}, "do": do} for match, do in plan]
        self.control("PUT", "faults", rules)
        self.plan = [{"rule": one, "calls": 0, "struck": 0} for one in rules]

    @rule()
    def faults_cleared(self) -> None:
        self.control("DELETE", "faults")
        self.plan = []

    @rule(when=st.sampled_from(["at", "after", "now"]), number=st.integers(0, 9), style=st.sampled_from(list(GONE)))
    def sun_sets(self, when: str, number: int, style: str) -> None:
        plans: dict[str, Any] = {
            "at": {"at": self.model.now + number},
            "after": {"after_requests": number},
            "now": {"now": True},
        }
        self.control("PUT", "sunset", {**plans[when], "style": style})
        kept: dict[str, Any] = {"at": {"at": self.model.now + number}, "after": {"after": number}, "now": {"after": 0}}
        self.sunset, self.served = {**kept[when], "style": style}, 0

    @rule()
    def sunset_lifted(self) -> None:
        self.control("DELETE", "sunset")
        self.sunset = None

    # --- states

    @rule(statuses=st.lists(st.sampled_from([*ACTIVE, "completed", "zombie"]), max_size=2))
    def loaded_more(self, statuses: list[str]) -> None:
        """A thread with runs of any status, also several active ones."""
        self.made += 1
        thread, calls = f"thread_{self.made}", [{"id": "call_1", "type": "function", "function": {"name": "f"}}]
        action = {"type": "submit_tool_outputs", "submit_tool_outputs": {"tool_calls": calls}}
        runs = [{"id": f"run_{self.made}_{place}", "status": status} for place, status in enumerate(statuses)]
        state: dict[str, Any] = {
            "threads": [{"id": thread}],
            "messages": [
                {"id": f"msg_{self.made}", "thread_id": thread, "role": "user", "content": [], "metadata": {}}
            ],
            "runs": [{**run, "thread_id": thread, "metadata": {}, "required_action": action} for run in runs],
        }
        self.fake.load(state)
        for world in (self.world, self.loaded):
            world.add_thread(thread)
            world.threads[thread].append(
                {"id": f"msg_{self.made}", "role": "user", "run_id": None, "content": [], "metadata": {}}
            )
            world.runs[thread] = {run["id"]: Run(run["id"], thread, run["status"], is_planned=False) for run in runs}

    @rule()
    def reset(self) -> None:
        self.control("POST", "reset")
        self.void(self.world)
        self.model = Model(now=EPOCH, world=copy.deepcopy(self.loaded))
        self.plan, self.sunset, self.request_log = [], None, []

    def void(self, world: Objects, but: Collection[Run] = ()) -> None:
        for runs in world.runs.values():
            for run in runs.values():
                if run not in but:
                    run.is_void = True

    @rule()
    def state_saved(self) -> None:
        """And put into another fake, where it is the same."""
        state = self.control("GET", "state")
        other = FakeAssistants()
        other.state = state
        assert other.snapshot() == state
        self.saved.append((state, copy.deepcopy(self.world)))

    @rule()
    def state_put_back_at_once(self) -> None:
        """Nothing changes; also runs and streams go on."""
        self.control("PUT", "state", self.control("GET", "state"))

    @precondition(lambda self: self.saved)
    @rule(data=st.data())
    def old_state_put_back(self, data: st.DataObject) -> None:
        """Runs that are now what they were go on; the others keep their status."""
        place = data.draw(st.integers(0, len(self.saved) - 1))
        state, world = self.saved[place][0], copy.deepcopy(self.saved[place][1])
        before = {run["id"]: run for run in self.fake.snapshot()["runs"]}
        went_on = []
        for thread in list(world.runs):
            for run in list(world.runs[thread].values()):
                current = self.run_of(thread, run.id)
                row = next(one for one in state["runs"] if one["id"] == run.id)
                if current is not None and current.is_planned and before[run.id] == row and run.status in ACTIVE:
                    is_same = self.thread_of(self.world, thread) == self.thread_of(world, thread)
                    world.runs[thread][run.id] = current
                    went_on.append(current)
                else:
                    is_same = True
                if not is_same:
                    state = without_thread(state, thread)
                    world.delete_thread(thread)
                    break
        self.control("PUT", "state", state)
        self.void(self.world, went_on)
        self.model.world = world

    @rule(data=st.data(), metadata=METADATA)
    def run_taken_in_hand(self, data: st.DataObject, metadata: dict[str, str]) -> None:
        """A run that is merged into the state with a change stays as it is put."""
        thread, run_id = self.a_run(data)
        run = self.run_of(thread, run_id)
        if run is None or run.metadata == metadata:
            return
        row = next(one for one in self.fake.snapshot()["runs"] if one["id"] == run_id)
        self.control("PATCH", "state", {"runs": [{**row, "metadata": metadata}]})
        run.is_void = True
        self.world.runs[thread][run_id] = fresh = copy.deepcopy(run)
        fresh.metadata = metadata

    @rule(kind=st.sampled_from(["files", "conversations"]))
    def merged(self, kind: str) -> None:
        self.made += 1
        object_id = f"{kind[:4]}_{self.made}"
        self.control("PATCH", "state", {kind: [{"id": object_id}]})
        self.world.others[kind].append(object_id)

    # --- what holds after every rule

    def thread_of(self, world: Objects, thread: str) -> Any:
        runs = world.runs[thread].values()
        messages = [(one["role"], one["run_id"], one["content"], one["metadata"]) for one in world.threads[thread]]
        return messages, [(run.id, run.status, run.metadata, run.steps) for run in runs]

    def foretold(self) -> Any:
        threads = {thread: self.thread_of(self.world, thread) for thread in self.world.threads}
        return list(self.world.assistants), threads, self.world.others

    def shown(self) -> Any:
        """The same of the fake; of a message that is being written the beginning is enough."""
        state = self.fake.snapshot()
        threads: dict[str, Any] = {one["id"]: ([], []) for one in state["threads"]}
        mine = {thread: iter(rows) for thread, rows in self.world.threads.items()}
        for one in state["messages"]:
            row = next(mine.get(one["thread_id"], iter(())), {})
            if "whole" in row and is_beginning(one["content"], row["whole"]):
                row["content"] = one["content"]
            if row.get("id", "") is None:
                row["id"] = one["id"]
            fields = (one["role"], one.get("run_id"), one["content"], one["metadata"])
            threads[one["thread_id"]][0].append(fields)
        for run in state["runs"]:
            steps = [[one["type"], one["status"]] for one in state["run_steps"] if one["run_id"] == run["id"]]
            threads[run["thread_id"]][1].append((run["id"], run["status"], run["metadata"], steps))
        others = {kind: [one["id"] for one in state[kind]] for kind in self.world.others}
        return [one["id"] for one in state["assistants"]], threads, others

    @invariant()
    def all_is_as_foretold(self) -> None:
        """The world, the request log, and no id twice. To look at the world is to let it catch up with the clock."""
        self.model.settle()
        shown = self.shown()
        foretold = self.foretold()
        assert shown == foretold, (shown, foretold)
        assert [(one.method, one.status) for one in self.fake.requests] == self.request_log
        every = [one["id"] for rows in self.fake.snapshot().values() for one in rows]
        assert len(every) == len(set(every))

    def teardown(self) -> None:
        for stream in self.streams:
            stream.chunks.close()  # type: ignore[attr-defined]


def nothing() -> Iterator[Any]:
    """The chunks of a stream that never arrived."""
    yield from ()


def is_beginning(told: list[Any], whole: list[Any]) -> bool:
    """Whether so much may have been told of a message: parts from its first on, the last perhaps cut short."""
    if not told or told == whole[: len(told)]:
        return True
    *before, last = told
    full = whole[len(before)] if len(before) < len(whole) else {}
    is_same = before == whole[: len(before)] and last["type"] == full.get("type")
    match last["type"]:
        case "text":
            return is_same and bool(full["text"]["value"].startswith(last["text"]["value"]))
        case "refusal":
            return is_same and bool(full["refusal"].startswith(last["refusal"]))
    return False


def without_thread(state: Any, thread: str) -> Any:
    """A state without one of its threads."""
    return {
        kind: [one for one in rows if thread not in (one["id"], one.get("thread_id"))] for kind, rows in state.items()
    }


TestWhole = Whole.TestCase
TestWhole.settings = settings(max_examples=60, stateful_step_count=40)
