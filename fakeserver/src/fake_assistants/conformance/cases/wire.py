"""Cases: the form of every answer on the wire."""

import re

import fake_assistants.conformance.fixtures as staging
from fake_assistants.conformance.api import Api
from fake_assistants.conformance.case import Case
from fake_assistants.http.lossless_json import dumps


def pretty(api: Api) -> None:
    """Bodies are JSON with two-space indents and no newline at the end."""
    made, refused = api.post("/threads", {"metadata": {"a": "1"}}), api.get("/threads/thread_nobody")
    made.ok()["metadata"].same({"a": "1"})
    refused.refused(404)
    for answer in (made, refused):
        if answer.body != dumps(answer.json().value):
            raise answer.deviates("JSON with two-space indents, ': ' and no newline at the end")


def raw_unicode(api: Api) -> None:
    """Text is sent as raw UTF-8, not as escapes."""
    answer = api.post("/threads", {"metadata": {"é": "🌮【†】"}})
    answer.ok()["metadata"].same({"é": "🌮【†】"})
    if "🌮【†】".encode() not in answer.body:
        raise answer.deviates("raw UTF-8 in the body")


def json_type(api: Api) -> None:
    """Answers and errors are `application/json`, without a charset."""
    for answer in (api.post("/threads", {}), api.get("/threads/thread_nobody")):
        answer.has_header("content-type", "application/json")


def request_id(api: Api) -> None:
    """Each answer has a unique x-request-id: `req_` and 32 hexadecimal digits."""
    answers = (api.post("/threads", {}), api.get("/threads/thread_nobody"))
    ids = [answer.header("x-request-id") or "" for answer in answers]
    for answer, found in zip(answers, ids, strict=True):
        if not re.fullmatch(r"req_[0-9a-f]{32}", found):
            raise answer.deviates(f"an x-request-id such as req_0123...cdef, not {found!r}")
    if ids[0] == ids[1]:
        raise answers[1].deviates("another x-request-id")


def openai_headers(api: Api) -> None:
    """Answers have headers with the API's version and the processing time in milliseconds."""
    answer = api.post("/threads", {})
    answer.has_header("openai-version", "2020-10-01")
    if not (answer.header("openai-processing-ms") or "").isdecimal():
        raise answer.deviates("an openai-processing-ms")


def no_other_headers(api: Api) -> None:
    """No rate limit, poll, deprecation or sunset headers on these routes."""
    path = staging.thread(api, "Hello")
    read, listed = api.get(path), api.get(f"{path}/messages")
    read.ok()["object"].same("thread")
    listed.ok()["data"].only()["object"].same("thread.message")
    for answer in (read, listed):
        for name, _ in answer.reply.headers:
            if name.lower() in _NEVER or name.lower().startswith("x-ratelimit"):
                raise answer.deviates(f"no header {name}")


_NEVER = {"deprecation", "sunset", "warning", "openai-poll-after-ms"}


def id_shapes(api: Api) -> None:
    """Ids are a prefix and 24 letters and digits."""
    path = staging.thread(api)
    found = {
        "thread": api.get(path).ok()["id"],
        "msg": staging.message(api, path)["id"],
        "asst": api.post("/assistants", {"model": api.model}).ok()["id"],
    }
    for prefix, made in found.items():
        made.like(f"{prefix}_[A-Za-z0-9]{{24}}", f"{prefix}_ and 24 letters and digits")


CASES = (
    Case("wire", "pretty", "recorded", pretty),
    Case("wire", "raw-unicode", "recorded", raw_unicode),
    Case("wire", "json-type", "recorded", json_type),
    Case("wire", "request-id", "recorded", request_id, services=("openai",)),
    Case("wire", "openai-headers", "recorded", openai_headers),
    Case("wire", "no-other-headers", "recorded", no_other_headers),
    Case("wire", "id-shapes", "recorded", id_shapes),
)
