"""Cases: the sunset of the API, set on a fake."""

import fake_assistants.conformance.fixtures as staging
from fake_assistants.conformance.api import Api
from fake_assistants.conformance.case import Case


def not_found(api: Api) -> None:
    """After the sunset every route of the Assistants API answers 404 with an empty body, for every method."""
    path = staging.thread(api, "Hello")
    with api.staged("sunset", {"now": True, "style": "not-found"}):
        for answer in (api.get(path), api.get(f"{path}/messages"), api.post("/threads", {}), api.get("/assistants")):
            if (answer.status, answer.body) != (404, b""):
                raise answer.deviates("status 404 and an empty body")


def gone(api: Api) -> None:
    """In the style `gone` every route answers 410, in the envelope."""
    with api.staged("sunset", {"now": True, "style": "gone"}):
        answer = api.post("/threads", {})
        answer.refused(410)
        answer.json()["error"]["message"].like(r".*no longer available.*", "a text about the end of the API")


def keys_first(api: Api) -> None:
    """A wrong key is still reported after the sunset."""
    with api.staged("sunset", {"now": True, "style": "not-found"}):
        answer = api.ask("GET", "/assistants", headers={"authorization": None})
        if answer.status != 401:
            raise answer.deviates("status 401")


def after_requests(api: Api) -> None:
    """The sunset can come in the middle of a walk, after a given number of requests."""
    path = staging.thread(api, "one", "two", "three")
    with api.staged("sunset", {"after_requests": 2, "style": "not-found"}):
        first = api.get(f"{path}/messages?limit=1").ok()["last_id"].text()
        second = api.get(f"{path}/messages?limit=1&after={first}").ok()["last_id"].text()
        third = api.get(f"{path}/messages?limit=1&after={second}")
        if (third.status, third.body) != (404, b""):
            raise third.deviates("no more answers after two requests")


def lifted(api: Api) -> None:
    """After the sunset is lifted, all objects are still there."""
    path = staging.thread(api, "Hello")
    with api.staged("sunset", {"now": True, "style": "gone"}):
        api.get(path).refused(410)
    api.get(f"{path}/messages").ok()["data"].only()


CASES = (
    Case("sunset", "not-found", "recorded", not_found, needs=("control",)),
    Case("sunset", "gone", "inferred", gone, needs=("control",)),
    Case("sunset", "keys-first", "inferred", keys_first, needs=("control",)),
    Case("sunset", "after-requests", "own", after_requests, needs=("control",)),
    Case("sunset", "lifted", "own", lifted, needs=("control",)),
)
