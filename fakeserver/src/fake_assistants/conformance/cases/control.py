"""Cases: the control API of the fake, which other cases depend on."""

import fake_assistants.conformance.fixtures as staging
from fake_assistants.conformance.api import Api
from fake_assistants.conformance.case import Case

_NOW = 1767225600


def health(api: Api) -> None:
    """The health check answers without a key."""
    api.control("GET", "health").ok().same({"status": "ok"})


def clock(api: Api) -> None:
    """New objects have the time of a frozen clock."""
    with api.staged("clock", {"now": _NOW, "frozen": True}):
        api.post("/threads", {}).ok()["created_at"].same(_NOW)
        api.control("PUT", "clock", {"advance": 60}).ok()
        api.post("/threads", {}).ok()["created_at"].same(_NOW + 60)


def state(api: Api) -> None:
    """Putting back a state changes nothing."""
    path = staging.thread(api, "one", "two")
    staging.finished(api, path)
    before = api.control("GET", "state").ok()
    api.control("PUT", "state", before.value).ok()
    api.control("GET", "state").ok().same(before.value)
    api.get(f"{path}/messages").ok()["data"].rows(3)


def request_log(api: Api) -> None:
    """API requests are logged with query, headers, JSON body and status, but without keys; control requests are not."""
    target = f"/threads/thread_{'0' * 24}"
    api.post(f"{target}?limit=1", {"metadata": {"a": "b"}}).refused(404)
    answer = api.control("GET", "requests")
    row = answer.ok().rows(1)[-1]
    row.has(method="POST", path=api.wire_path(target), status=404, fault=None, body={"metadata": {"a": "b"}})
    row["query"].has(limit="1")
    row["headers"]["authorization"].same("Bearer ***")
    row["host"].text()
    if api.setting.key.encode() in answer.body:
        raise answer.deviates("a request log without keys")


def mistakes(api: Api) -> None:
    """Malformed input is answered with 400, and changes nothing."""
    before = api.control("GET", "clock").ok()["frozen"].value
    for name, body in (("clock", {"soon": 1}), ("sunset", {"at": "soon"}), ("script", {"default": 5}), ("state", [])):
        answer = api.control("PUT", name, body)
        if answer.status != 400:
            raise answer.deviates("status 400")
        answer.json()["error"]["message"].text()
    api.control("GET", "clock").ok()["frozen"].same(before)


def echo(api: Api) -> None:
    """Without a script the model repeats the user's last message."""
    with api.staged("script", {}):
        path = staging.thread(api, "one", "Łódź 🌮")
        staging.finished(api, path)
    part = api.get(f"{path}/messages?limit=1").ok()["data"].only()["content"].only()
    part["text"]["value"].same("Łódź 🌮")


# --- faults ----------------------------------------------------------------------------------------------


def rate_limit(api: Api) -> None:
    """A 429 has the real text, and its own type and code."""
    with api.staged("faults", [{"match": {"path": "/threads"}, "do": {"status": 429}}]):
        answer = api.post("/threads", {})
        answer.refused(429, type="requests", code="rate_limit_exceeded")
        answer.json()["error"]["message"].like(r"Rate limit reached .*", "Rate limit reached ...")


def server_error(api: Api) -> None:
    """A 500 has the real text."""
    with api.staged("faults", [{"match": {"path": "/threads"}, "do": {"status": 500}}]):
        answer = api.post("/threads", {})
        answer.refused(500, type="server_error")
        text = r"The server had an error processing your request\. Sorry about that! .*"
        answer.json()["error"]["message"].like(text, "The server had an error processing your request. ...")


def lost_answers(api: Api) -> None:
    """A 500 comes in place of a request, or after it was carried out; the request log says which."""
    path = f"{staging.thread(api)}/messages"
    for executed in (False, True):
        rule = {"match": {"method": "POST", "path": "/messages$"}, "do": {"status": 500, "executed": executed}}
        with api.staged("faults", [rule]):
            api.post(path, {"role": "user", "content": "Hello"}).refused(500, type="server_error")
        entry = api.control("GET", "requests").ok().rows(1)[-1]
        entry.has(method="POST", status=500, fault="status 500", executed=executed)
        rows = api.get(path).ok()["data"]
        if len(rows.rows()) != executed:
            raise rows.deviates(f"{int(executed)} messages")


def repeated_page(api: Api) -> None:
    """A page can be repeated once; then the walk continues."""
    path = f"{staging.thread(api, 'one', 'two', 'three')}/messages?order=asc&limit=1"
    rule = {"match": {"method": "GET", "nth": 2}, "do": {"rewrite": "repeat-page"}}
    with api.staged("faults", [rule]):
        first = api.get(path).ok()
        cursor = first["last_id"].text()
        api.get(f"{path}&after={cursor}").ok().same(first.value)
        again = api.get(f"{path}&after={cursor}").ok()["last_id"]
    if again.value == cursor:
        raise again.deviates("the next page")


CASES = (
    Case("control", "health", "own", health, needs=("control",)),
    Case("control", "clock", "own", clock, needs=("control",)),
    Case("control", "state", "own", state, needs=("control",)),
    Case("control", "request-log", "own", request_log, needs=("control",)),
    Case("control", "mistakes", "own", mistakes, needs=("control",)),
    Case("control", "echo", "own", echo, needs=("control",)),
    Case("faults", "rate-limit", "quoted", rate_limit, needs=("control",), services=("openai",)),
    Case("faults", "server-error", "recorded", server_error, needs=("control",)),
    Case("faults", "lost-answers", "own", lost_answers, needs=("control",)),
    Case("faults", "repeated-page", "own", repeated_page, needs=("control",)),
)
