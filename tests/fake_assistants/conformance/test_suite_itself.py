"""The conformance suite can fail: small lies of a server are found, each by the case that is meant for it."""

import itertools
import json
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

import fake_assistants.conformance as conformance
from fake_assistants import FakeAssistants, Reply, Request
from fake_assistants.conformance import (
    CASES,
    Case,
    Deviation,
    Found,
    NoSuchCase,
    NotTheApi,
    Port,
    Result,
    Setting,
    Unreachable,
    run,
)
from fake_assistants.conformance.response import Answer, events
from fake_assistants.conformance.suite import check, selected
from fake_assistants.http.lossless_json import dumps, dumps_compact
from fake_assistants.http.message import Chunk, Cut, Pause

KEY = "sk-conformance"
SETTING = Setting(key=KEY, control=True, polls=5)
BY_NAME = {str(case): case for case in CASES}

Lie = Callable[[Request, Reply], Reply]


def honest() -> FakeAssistants:
    return FakeAssistants(api_keys=[KEY])


def lying(lie: Lie) -> Port:
    """A server that is the fake but for one lie. Which answers are lies is the lie's own business."""
    fake = honest()

    def send(request: Request) -> Reply:
        return lie(request, fake.handle(request))

    return send


# --- ways to lie


def of_json(change: Callable[[Request, Any], Any], *, on: str = "", method: str = "", error: bool = False) -> Lie:
    """Change the JSON of answers to paths that end in `on`; of refusals only with `error`.

    The control API tells the truth unless it is named.
    """

    def lie(request: Request, reply: Reply) -> Reply:
        meant = request.path.startswith("/v1/") or on.startswith("/_fake/")
        fits = meant and re.search(on + "$", request.path) and request.method.startswith(method)
        if not fits or reply.chunks is not None or not reply.body or error is not (reply.status >= 400):
            return reply
        return attrs.evolve(reply, body=dumps(change(request, reply.json())))

    return lie


def of_page(change: Callable[[Request, Any], Any]) -> Lie:
    """Change list pages."""
    return of_json(lambda request, body: change(request, body) if body.get("object") == "list" else body)


def of_object(kind: str, change: Callable[[Any], Any], *, method: str = "") -> Lie:
    """Change objects of a kind, also in pages."""

    def changed(_: Request, body: Any) -> Any:
        if body.get("object") == "list":
            return body | {"data": [change(row) if row["object"] == kind else row for row in body["data"]]}
        return change(body) if body.get("object") == kind else body

    return of_json(changed, method=method)


def of_stream(change: Callable[[list[bytes]], Iterable[Chunk]]) -> Lie:
    """Change the events of a stream."""

    def lie(_: Request, reply: Reply) -> Reply:
        if reply.chunks is None:
            return reply
        told = b"".join(chunk for chunk in reply.chunks if isinstance(chunk, bytes))
        return attrs.evolve(
            reply, chunks=iter(change([f"{one}\n\n".encode() for one in told.decode().split("\n\n")[:-1]]))
        )

    return lie


def without(*names: str) -> Callable[[Any], Any]:
    return lambda value: {key: item for key, item in value.items() if key not in names}


def renamed(old: str, new: str) -> Callable[[Any], Any]:
    return lambda value: {new if key == old else key: item for key, item in value.items()}


def status(wanted: int, *, when: Callable[[Request, Reply], bool]) -> Lie:
    return lambda request, reply: attrs.evolve(reply, status=wanted) if when(request, reply) else reply


def header(name: str, value: str | None) -> Lie:
    def lie(_: Request, reply: Reply) -> Reply:
        kept = [(key, old) for key, old in reply.headers if key != name]
        return attrs.evolve(reply, headers=[*kept, *([] if value is None else [(name, value)])])

    return lie


def without_parameters(assistant: Any) -> Any:
    """Functions are echoed as they came, without an empty set of parameters."""
    for tool in assistant["tools"]:
        if tool.get("function", {}).get("parameters") == {"type": "object", "properties": {}}:
            del tool["function"]["parameters"]
    return assistant


def cut_to_20(_: Request, body: Any) -> Any:
    rows = body["data"][:20]
    return body | {"data": rows, "last_id": rows[-1]["id"] if rows else None, "has_more": False}


def by_time_and_id(request: Request, body: Any) -> Any:
    rows = sorted(body["data"], key=lambda row: row["id"], reverse="asc" not in dict(request.query).values())
    ends = {"first_id": rows[0]["id"], "last_id": rows[-1]["id"]} if rows else {}
    return body | {"data": rows} | ends


def with_the_cursor(request: Request, body: Any) -> Any:
    """`after` is not strict: its own row comes first."""
    after = request.asked("after")
    return body | {"data": [{"id": after}, *body["data"]]} if after else body


def forgetful() -> Lie:
    """A list is answered as it was at first."""
    seen: dict[str, Reply] = {}

    def lie(request: Request, reply: Reply) -> Reply:
        key = f"{request.path} {request.asked('order')} {request.asked('limit')} {request.asked('after')}"
        return seen.setdefault(key, reply) if request.path.endswith("/messages") and request.method == "GET" else reply

    return lie


def deaf_to_cursors() -> Lie:
    """The first page comes again and again."""
    first: dict[str, Reply] = {}

    def lie(request: Request, reply: Reply) -> Reply:
        if request.method != "GET" or reply.status != 200:
            return reply
        key = f"{request.path} {request.asked('order')} {request.asked('limit')}"
        return first.setdefault(key, reply)

    return lie


def sunny(told: list[bytes]) -> list[bytes]:
    """Deltas of the code interpreter lose their input."""
    return [
        re.sub(rb'"code_interpreter":\{"input":"a[^}]*', b'"code_interpreter":{"input":"b"', event) for event in told
    ]


def never_silent(_: Request, reply: Reply) -> Reply:
    """After the sunset there is a page all the same."""
    silent = (reply.status, reply.body) == (404, b"")
    return Reply(200, (), b'{"object": "list", "data": [], "last_id": "msg_1"}') if silent else reply


def lenient(request: Request, reply: Reply) -> Reply:
    """The control API takes whatever is put."""
    wrong = request.path.startswith("/_fake/") and reply.status == 400
    return Reply(200, (), b"{}") if wrong else reply


def compact(_: Request, reply: Reply) -> Reply:
    is_json = reply.chunks is None and reply.body
    return attrs.evolve(reply, body=dumps_compact(reply.json())) if is_json else reply


def escaped(_: Request, reply: Reply) -> Reply:
    is_json = reply.chunks is None and reply.body
    return attrs.evolve(reply, body=json.dumps(reply.json(), indent=2).encode()) if is_json else reply


def silent_404(_: Request, reply: Reply) -> Reply:
    return Reply(404) if reply.status == 404 else reply


def no_gate(_: Request, reply: Reply) -> Reply:
    """A missing beta header is not missed."""
    return Reply(200, reply.headers, dumps({"id": "thread_x"})) if b"invalid_beta" in reply.body else reply


def deleted_for_ever(request: Request, reply: Reply) -> Reply:
    """A second delete is as good as the first."""
    again = request.method == "DELETE" and reply.status == 404
    told = {"id": request.path.rpartition("/")[2], "object": "thread.deleted", "deleted": True}
    return Reply(200, reply.headers, dumps(told)) if again else reply


def whole_numbers(_: Request, reply: Reply) -> Reply:
    return attrs.evolve(reply, body=reply.body.replace(b": 1.0", b": 1")) if reply.chunks is None else reply


def line_ends(_: Request, reply: Reply) -> Reply:
    return attrs.evolve(reply, body=reply.body.replace(b"\\r\\n", b"\\n")) if reply.chunks is None else reply


def swapped(told: list[bytes]) -> list[bytes]:
    """The message is completed before its deltas."""
    at = next(index for index, event in enumerate(told) if b".delta\n" in event)
    done = next((index for index, event in enumerate(told) if b"message.completed" in event), at)
    return [*told[:at], told[done], *told[at:done], *told[done + 1 :]]


def always_annotated(told: list[bytes]) -> list[bytes]:
    return [re.sub(rb'("text":\{"value":"[^"]*")\}', rb'\1,"annotations":[]}', event) for event in told]


def arguments_as_object(body: Any) -> Any:
    calls = ((body.get("required_action") or {}).get("submit_tool_outputs") or {}).get("tool_calls") or []
    for call in calls:
        call["function"]["arguments"] = json.loads(call["function"]["arguments"])
    return body


def stuck(body: Any) -> Any:
    return body | {"status": "queued"}


def short_form(told: list[bytes]) -> list[bytes]:
    """Messages in streams as over REST."""
    return [re.sub(rb'"incomplete_at":null,', b"", event) for event in told]


MUTANTS: dict[str, tuple[Lie, str]] = {
    "lists are cut to 20": (of_page(cut_to_20), "paging/many"),
    "lists are cut to 20, and walked": (of_page(cut_to_20), "paging/walk"),
    "the first page again and again": (deaf_to_cursors(), "paging/walk"),
    "has_more is never true": (of_page(lambda _, page: page | {"has_more": False}), "paging/default-limit"),
    "has_more is always true": (of_page(lambda _, page: page | {"has_more": True}), "paging/full-last-page"),
    "has_more is missing": (of_page(lambda _, page: without("has_more")(page)), "paging/page-shape"),
    "empty ids of an empty page": (
        of_page(lambda _, page: page | {"first_id": page["first_id"] or "", "last_id": page["last_id"] or ""}),
        "paging/empty",
    ),
    "ties sorted by id": (of_page(by_time_and_id), "paging/ties"),
    "the cursor's own row": (of_page(with_the_cursor), "paging/after"),
    "lists are remembered": (forgetful(), "messages/delete"),
    "metadata is dropped": (of_object("thread", without("metadata")), "threads/create"),
    "keys are sorted": (of_object("thread.message", lambda row: dict(sorted(row.items()))), "messages/create"),
    "a status on messages": (of_object("thread.message", lambda row: row | {"status": "completed"}), "messages/create"),
    "a message modified in the new shape": (
        of_object("thread.message", renamed("file_ids", "attachments")),
        "messages/modify",
    ),
    "line ends are changed": (line_ends, "messages/every-character"),
    "functions without parameters": (of_object("assistant", without_parameters), "assistants/bare-function"),
    "a cancelled run that still expires": (
        of_object("thread.run", lambda row: row | {"expires_at": row["expires_at"] or row["created_at"] + 600}),
        "runs/cancel",
    ),
    "deltas without padding": (
        of_stream(lambda told: [re.sub(rb'"obfuscation":"[^"]*",', b"", event) for event in told]),
        "responses/padding",
    ),
    "any name of a function": (
        status(200, when=lambda _, reply: b"does not match pattern" in reply.body),
        "validation/function-name-assistants",
    ),
    "threads that begin with any number of messages": (
        status(200, when=lambda _, reply: b"maximum length 32" in reply.body),
        "validation/many-messages",
    ),
    "tool messages that nobody asked for": (
        status(200, when=lambda _, reply: b"role 'tool'" in reply.body),
        "chat/tool-without-call",
    ),
    "no long form of a thread": (of_object("thread", lambda row: row | {"tool_resources": {}}), "threads/long-form"),
    "creates answer 201": (
        status(201, when=lambda request, reply: request.method == "POST" and reply.status == 200),
        "threads/create",
    ),
    "empty 404 bodies": (silent_404, "errors/unknown-thread"),
    "errors as FastAPI words them": (
        of_json(lambda _, body: {"detail": body["error"]["message"]}, error=True),
        "errors/envelope",
    ),
    "errors without param": (
        of_json(lambda _, body: {"error": without("param")(body["error"])}, error=True),
        "validation/role",
    ),
    "422 for bad bodies": (status(422, when=lambda _, reply: reply.status == 400), "validation/metadata-type"),
    "the beta header is not wanted": (no_gate, "errors/no-beta"),
    "deleting is idempotent": (deleted_for_ever, "threads/delete"),
    "compact JSON": (compact, "wire/pretty"),
    "escapes for what is not ASCII": (escaped, "wire/raw-unicode"),
    "a charset": (header("content-type", "application/json; charset=utf-8"), "wire/json-type"),
    "no request id": (header("x-request-id", None), "wire/request-id"),
    "a rate limit header": (header("x-ratelimit-limit-requests", "60"), "wire/no-other-headers"),
    "whole numbers": (whole_numbers, "assistants/decimals"),
    "runs never leave the queue": (of_object("thread.run", stuck), "runs/completes"),
    "runs are completed at once": (
        of_object("thread.run", lambda row: row | {"status": "completed"}, method="POST"),
        "runs/create",
    ),
    "runs never expire": (of_object("thread.run", lambda row: row | {"expires_at": None}), "runs/expires"),
    "usage without the misspelling": (
        of_object(
            "thread.run",
            lambda row: (
                row | {"usage": row["usage"] and renamed("prompt_token_details", "prompt_tokens_details")(row["usage"])}
            ),
        ),
        "runs/usage",
    ),
    "steps as the specification says": (
        of_object("thread.run.step", renamed("expires_at", "expired_at")),
        "steps/message-creation",
    ),
    "arguments as an object": (of_object("thread.run", arguments_as_object), "tools/requires-action"),
    "outputs leave the action required": (
        of_json(lambda _, body: body | {"status": "requires_action"}, on="submit_tool_outputs"),
        "tools/submit",
    ),
    "the message completed before its deltas": (of_stream(swapped), "streaming/plain"),
    "events with blanks": (
        of_stream(lambda told: [event.replace(b'{"', b'{ "') for event in told]),
        "streaming/on-the-wire",
    ),
    "no done": (of_stream(lambda told: told[:-1]), "streaming/on-the-wire"),
    "a stream that breaks": (of_stream(lambda told: [*told[:-1], Pause(1), Cut()]), "streaming/afterwards"),
    "a comment to keep alive": (of_stream(lambda told: [b": ping\n\n", *told]), "streaming/on-the-wire"),
    "annotations in every delta": (of_stream(always_annotated), "streaming/deltas"),
    "messages in their short form": (of_stream(short_form), "streaming/message-form"),
    "no status 200": (status(206, when=lambda _, reply: reply.chunks is not None), "streaming/plain"),
    "no deltas": (
        of_stream(lambda told: [event for event in told if b"message.delta" not in event]),
        "streaming/deltas",
    ),
    "an event that is no JSON": (
        of_stream(lambda told: [event.replace(b"}\n\n", b"\n\n") for event in told]),
        "streaming/run-form",
    ),
    "code that is not what ran": (of_stream(sunny), "streaming/code"),
    "a charset before a stream": (header("content-type", "application/json; charset=utf-8"), "streaming/refused"),
    "a 401 like any error": (header("content-type", "application/json"), "errors/no-key"),
    "another version": (header("openai-version", "2026-01-01"), "wire/openai-headers"),
    "no processing time": (header("openai-processing-ms", None), "wire/openai-headers"),
    "the same request id": (header("x-request-id", f"req_{'0' * 32}"), "wire/request-id"),
    "a run completed before it began": (
        of_object("thread.run", lambda row: row | {"completed_at": row["completed_at"] and 1}),
        "runs/completes",
    ),
    "arguments that are no JSON": (
        of_json(lambda _, body: json.loads(json.dumps(body).replace('{\\"city', "city"))),
        "tools/requires-action",
    ),
    "arguments that are a list": (
        of_json(lambda _, body: json.loads(json.dumps(body).replace('{\\"city', '[\\"city').replace('\\"}"', '\\"]"'))),
        "tools/requires-action",
    ),
    "items with a time": (
        of_page(lambda _, page: page | {"data": [row | {"created_at": 1} for row in page["data"]]}),
        "conversations/items-create",
    ),
    "vectors of any length": (
        of_json(
            lambda _, body: body | {"data": [row | {"embedding": [1.0] * 8} for row in body["data"]]}, on="/embeddings"
        ),
        "embeddings/vectors",
    ),
    "a batch that never ends": (
        of_json(lambda _, body: body | {"status": "in_progress"}, on="", method="GET"),
        "stores/batch",
    ),
    "results of another page": (
        of_json(lambda _, body: body | {"search_query": "Ada"}, on="/search"),
        "stores/search",
    ),
    "no silence": (never_silent, "sunset/after-requests"),
    "a ledger with keys": (
        of_json(lambda _, body: [row | {"key": KEY} for row in body], on="/_fake/requests"),
        "control/ledger",
    ),
    "control that takes anything": (lenient, "control/mistakes"),
    "a page that always repeats": (deaf_to_cursors(), "faults/repeated-page"),
    "deltas that are lost": (
        of_stream(lambda told: told[:8] + told[9:]),
        "streaming/deltas",
    ),
}


@pytest.mark.parametrize("name", MUTANTS)
def test_a_lie_is_found_by_its_case(name: str) -> None:
    """And the same case holds for the honest fake."""
    lie, fitting = MUTANTS[name]
    assert check(BY_NAME[fitting], honest().handle, SETTING).outcome == "ok"
    found = check(BY_NAME[fitting], lying(lie), SETTING)
    assert (found.outcome, found.detail) != ("ok", None)
    assert found.outcome == "deviates"
    assert ": expected " in str(found.detail)


# --- servers that say nothing of use


def saying(reply: Reply) -> Port:
    return lambda _: reply


DUMB = {
    "an empty object": Reply(200, (), b"{}"),
    "null": Reply(200, (), b"null"),
    "a list": Reply(200, (), b"[]"),
    "a page": Reply(200, (), b'{"object": "list", "data": [{}], "has_more": true}'),
    "an id": Reply(200, (), b'{"id": "thread_1", "thread_id": "thread_1", "status": "completed", "data": []}'),
    "html": Reply(200, (), b"<html>"),
    "an error": Reply(500, (), b'{"error": {"message": "x", "type": "server_error", "param": null, "code": null}}'),
    "nothing": Reply(204),
    "a stream of nothing": Reply(200, (), b"event: done\ndata: [DONE]\n\n"),
}


@pytest.mark.parametrize("name", DUMB)
def test_no_case_holds_for_a_server_that_always_says_the_same(name: str) -> None:
    """A case that does would check nothing."""
    results = [check(case, saying(DUMB[name]), SETTING) for case in CASES]
    assert [str(result.case) for result in results if result.outcome == "ok"] == []


WORDS = ["", "x", "é\n", "thread_1", "run_1", "completed", "requires_action", "list"]
NAMES = ["id", "thread_id", "status", "object", "data", "error", "usage", "content", "delta", "type"]
odd = st.recursive(
    st.sampled_from([None, True, 0, -1, 1.5, 2**70, *WORDS]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=3),
    max_leaves=4,
)


@given(st.lists(odd, min_size=1, max_size=5), st.sampled_from([200, 400, 404]), st.sampled_from(CASES))
def test_no_answer_upsets_the_suite(values: list[Any], code: int, case: Case) -> None:
    """Whatever JSON comes, a case deviates; nothing is raised."""
    answers = iterate(values)
    assert check(case, lambda _: Reply(code, (), dumps(next(answers))), SETTING).outcome != "ok"


places = st.lists(st.integers(0, 30), min_size=1, max_size=6)


OPENAIS = [case for case in CASES if "openai" in case.services]


@given(st.integers(0, 12), places, odd, st.sampled_from(OPENAIS))
def test_no_odd_value_upsets_the_suite(at: int, place: list[int], value: Any, case: Case) -> None:
    """One answer has something odd somewhere: at most the case deviates."""
    answers = itertools.count()
    change = of_json(lambda _, body: with_odd(body, place, value))
    result = check(
        case, lying(lambda request, reply: change(request, reply) if next(answers) == at else reply), SETTING
    )
    assert result.outcome in {"ok", "deviates"}


def with_odd(value: Any, place: list[int], odd: Any) -> Any:
    """The value with something else at a place; a number picks a key or an item."""
    if not place or not isinstance(value, dict | list) or not value:
        return odd
    names = list(value) if isinstance(value, dict) else list(range(len(value)))
    name = names[place[0] % len(names)]
    value[name] = with_odd(value[name], place[1:], odd)
    return value


def iterate(values: list[Any]) -> Iterator[Any]:
    while True:
        yield from values


STREAMS = [case for case in CASES if case.area == "streaming"]


names = st.lists(st.sampled_from(["thread.run.created", "thread.created", "error", "done", "", "x"]), max_size=4)


@given(names, odd, st.sampled_from([case for case in STREAMS if case.name != "refused"]))
def test_no_stream_upsets_the_suite(names: list[str], value: Any, case: Case) -> None:
    """Nor any events, of any JSON."""
    told = [f"event: {name}\r\ndata: {dumps_compact(value).decode()}\r\n\r\n".encode() for name in names]

    def lie(_: Request, reply: Reply) -> Reply:
        return reply if reply.chunks is None else attrs.evolve(reply, chunks=iter(told))

    assert check(case, lying(lie), SETTING).outcome == "deviates"


def test_a_stream_without_end_is_left() -> None:
    """After 16 MiB."""
    endless = Reply(200, (), chunks=iterate([b"x" * 1024 * 1024]))
    with pytest.raises(Deviation, match="a stream that ends"):
        events(Answer("POST /x", endless))


# --- the run of a suite


def test_a_run_tells_each_result_as_it_comes() -> None:
    """And gives them all at the end, in the table's order."""
    told: list[Result] = []
    results = run(honest().handle, only=["threads", "errors/no-*"], told=told.append)
    assert list(results) == told
    names = [str(result.case) for result in results]
    assert names == [str(case) for case in CASES if case.area == "threads"] + ["errors/no-beta", "errors/no-key"]
    assert {result.outcome for result in results} == {"ok"}


def test_without_a_control_api_its_cases_do_not_apply() -> None:
    """Whether it is missing or not to be used; what the port cannot send does not apply either."""

    def plain(request: Request) -> Reply:
        return Reply(404) if request.path.startswith("/_fake/") else fake.handle(request)

    fake = honest()
    for results in (run(plain, only=["sunset"]), run(fake.handle, only=["sunset"], control=False)):
        assert {result.outcome for result in results} == {"not applicable"}
        assert {result.detail for result in results} == {"needs the fake's control API under /_fake/"}
    (left_out,) = run(fake.handle, only=["errors/bad-json"], lacks=["raw"])
    assert (left_out.outcome, left_out.detail) == ("not applicable", "needs requests that this client cannot send")


def test_a_model_left_to_itself_need_not_call_functions() -> None:
    """Without a script the fake echoes: what needs a call does not apply, all else holds."""
    results = run(honest().handle, control=False)
    assert [str(result.case) for result in results if result.outcome == "deviates"] == []
    details = {str(result.case): result.detail for result in results}
    for name in ("tools/submit", "runs/cancel", "streaming/function-call", "steps/answered-call"):
        assert details[name] == "the model answered without calling the function"


def test_what_a_server_leaves_open_does_not_apply() -> None:
    """It takes every key, or lists threads as Foundry does."""
    (keys,) = run(FakeAssistants().handle, only=["errors/wrong-key"])
    assert (keys.outcome, keys.detail) == ("not applicable", "the server takes every key")
    lists = lying(status(200, when=lambda request, _: (request.method, request.path) == ("GET", "/v1/threads")))
    assert check(BY_NAME["errors/list-threads"], lists, SETTING).outcome == "not applicable"


def test_what_stands_beside_the_api_may_be_missing() -> None:
    """Files, stores, embeddings, models, conversations, responses and chat do not apply where they are answered 404."""
    areas = {"files", "stores", "embeddings", "models", "conversations", "responses", "chat"}
    beside = [case for case in CASES if case.area in areas]

    def bare(request: Request, reply: Reply) -> Reply:
        return reply if re.match(r"/v1/(threads|assistants)|/_fake/", request.path) else Reply(404)

    outcomes = {check(case, lying(bare), SETTING).outcome for case in beside}
    assert outcomes == {"not applicable"}


def test_nothing_is_left_behind() -> None:
    """Threads, assistants and what is staged: the world after a run is the world before it."""
    fake = honest()
    fake.script = {"default": [{"reply": "Mine."}]}
    fake.sunset.at(2**39)
    before = staged(fake)
    run(fake.handle)
    assert staged(fake) == before


def staged(fake: FakeAssistants) -> Any:
    state = {name: rows for name, rows in fake.state.items() if rows}
    return state, fake.script.json(), fake.sunset.left, fake.clock.now(), fake.clock.frozen


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (Reply(404), "does not serve the Assistants API"),
        (Reply(404, (), b"<html>"), "does not serve the Assistants API"),
        (Reply(200, (), b"<html>"), "does not serve the Assistants API"),
        (Reply(200, (), b"{}"), "does not serve the Assistants API"),
        (Reply(401, (), b"{}"), "refuses the key"),
    ],
)
def test_another_server_is_told_at_once(reply: Reply, words: str) -> None:
    """Before any case."""
    with pytest.raises(NotTheApi, match=words):
        run(saying(reply))


def test_a_server_that_stops_answering_is_left() -> None:
    """After three cases in a row without an answer; one is a deviation."""
    fake, left = honest(), [12]

    def dying(request: Request) -> Reply:
        left[0] -= 1
        if left[0] < 0:
            raise Unreachable("connection refused")
        return fake.handle(request)

    told: list[Result] = []
    with pytest.raises(Unreachable, match="the server stopped answering"):
        run(dying, told=told.append, control=False)
    assert [result.detail for result in told[-3:]] == ["no answer came: connection refused"] * 3
    assert len(told) < len(CASES)


def test_names_select_cases() -> None:
    """An area, a name, a pattern; what fits nothing is refused, with the areas."""
    assert selected([]) == CASES
    assert [str(case) for case in selected(["paging/w*", "paging/after"])] == ["paging/walk", "paging/after"]
    with pytest.raises(NoSuchCase, match="no case 'nothing'; the areas are wire, assistants"):
        selected(["threads", "nothing"])


def test_every_case_has_a_name_of_its_own_and_a_promise() -> None:
    """In one line, for the list."""
    assert len(BY_NAME) == len(CASES)
    for case in CASES:
        assert re.fullmatch(r"[a-z]+/[a-z0-9-]+", str(case))
        assert case.promise.endswith(".")


def test_all_is_what_the_package_shows() -> None:
    """Nothing public is missing."""
    assert set(conformance.__all__) <= set(vars(conformance))
    public = {
        name
        for name, value in vars(conformance).items()
        if not name.startswith("_") and getattr(value, "__module__", "").startswith("fake_assistants.")
    }
    assert public <= set(conformance.__all__)


# --- the words of a deviation


def found(value: Any) -> Found:
    return Found(value, "GET /v1/x")


def answer() -> Answer:
    return Answer("GET /v1/x", Reply(200, {"a": "1"}))


@pytest.mark.parametrize(
    ("expect", "words"),
    [
        (lambda: found({"a": 1})["b"], """GET /v1/x: expected the key 'b' at $, got {"a": 1}"""),
        (lambda: found([])["b"], "expected an object at $, got []"),
        (lambda: found({"a": {"b": 1}})["a"]["b"].text(), "expected a string at $.a.b, got 1"),
        (lambda: found(True).number(), "expected a whole number at $, got true"),
        (lambda: found(1.5).number(), "expected a whole number at $, got 1.5"),
        (lambda: found({"a": [0]})["a"].rows(2), "expected at least 2 items at $.a, got [0]"),
        (lambda: found([0, 1]).only(), "expected exactly one item at $, got [0, 1]"),
        (lambda: found([{"a": 1}]).only()["a"].same(True), "expected true at $[0].a, got 1"),
        (lambda: found([1, {"a": None}]).same([1, {"a": 0}]), "expected 0 at $[1].a, got null"),
        (lambda: found({"a": [1]}).same({"a": [1, 2]}), "expected [1, 2] at $.a, got [1]"),
        (lambda: found({"a": 1}).same({"b": 1}), """expected {"b": 1} at $, got {"a": 1}"""),
        (lambda: found("a\u2028\x85").same(""), r'got "a\u2028\u0085"'),
        (lambda: answer().has_header("b", "1"), "expected b: 1, got no b"),
        (lambda: answer().has_header("A", "2"), "expected A: 2, got A: 1"),
        (lambda: found("x").one_of(["a", None]), """expected one of ["a", null] at $, got "x\""""),
        (lambda: found("x").like("y", "a y"), "expected a y at $"),
        (lambda: found({"a": 1, "b": 2}).keys(["b", "a"]), "expected the keys in the order b, a at $"),
        (lambda: found({"a": 1}).keys(["a", "b"]), "expected the keys a, b (missing: b) at $"),
        (lambda: found({"a": 1, "b": 2}).keys(["b", "c"]), "(missing: c; too many: a)"),
        (lambda: found({"data": [{"id": "1"}]}).ids(["1", "2"]), """expected 2 rows, ["1", "2"], got 1, ["1"]"""),
        (lambda: found("x" * 300).same(""), "... (302 characters)"),
    ],
)
def test_a_deviation_says_what_was_wanted_where_and_what_came(expect: Callable[[], object], words: str) -> None:
    """In one line."""
    with pytest.raises(Deviation) as deviation:
        expect()
    assert words in str(deviation.value)
    assert "\n" not in str(deviation.value)


def test_numbers_are_alike_and_truth_is_not_a_number() -> None:
    """As in JSON."""
    found({"a": [1.0, "x"]}).same({"a": [1, "x"]})
    found(None).one_of([1, None])
    found(7).one_of([7])
    assert found({"a": 1}).either("b", []).value == []


# --- Azure OpenAI and Foundry ---------------------------------------------------------------------------

AZURES = [case for case in CASES if "openai" not in case.services]


@pytest.mark.parametrize("case", AZURES, ids=str)
def test_what_is_azures_own_is_missed_at_openai(case: Case) -> None:
    """A server that is OpenAI deviates, or does not apply where it lists nothing; its ids are as good as Foundry's."""
    outcomes = {"foundry/list-threads": "not applicable", "foundry/conversation-ids": "ok"}
    result = check(case, FakeAssistants().handle, attrs.evolve(SETTING, service="foundry"))
    assert result.outcome == outcomes.get(str(case), "deviates")


@pytest.mark.parametrize("header", ["apim-request-id", "x-ms-region", "x-request-id", "openai-project"])
def test_each_header_of_azure_is_looked_for(header: str) -> None:
    """One that is missing, or that is OpenAI's, is a deviation."""
    fake = FakeAssistants(profile="azure")

    def send(request: Request) -> Reply:
        reply = fake.handle(request)
        kept = tuple(pair for pair in reply.headers if pair[0] != header)
        return attrs.evolve(reply, headers=kept if kept != reply.headers else (*kept, (header, "proj_x")))

    setting = attrs.evolve(SETTING, service="azure", base="/openai/v1")
    assert check(BY_NAME["azure/headers"], fake.handle, setting).outcome == "ok"
    result = check(BY_NAME["azure/headers"], send, setting)
    assert (result.outcome, header in (result.detail or "")) == ("deviates", True)
