"""The test server of Engramia answers as the real one. The answers here are those of engramia 0.6.6 with JSON storage.

They were recorded from its own server, on loopback, without an embedding model. To ask a newer one (Python 3.12),
send it what ``SCENARIOS`` has, each scenario to a new server with these settings.
"""

import http.client
import json
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import attrs
import pytest

from engramia_server import KEY, Clock, Engramia, Fault, by_chance, planned

LINE = {
    "task": "Summarise the report",
    "code": "Here it is.",
    "eval_score": 5.0,
    "source": "import",
    "run_id": "openai-thread:thread_abc",
}
LEARN, HEALTH, EXPORT, STREAM = "/v1/learn", "/v1/health", "/v1/export", "/v1/governance/export"


@attrs.frozen
class Asked:
    """A request, and the answer of engramia 0.6.6: status, content type, body, and further headers that matter."""

    method: str
    path: str
    body: Any
    status: int
    answer: str
    kind: str = "application/json"
    key: str | None = KEY
    headers: Mapping[str, str | None] = attrs.field(factory=dict)
    sent_headers: Mapping[str, str] = attrs.field(factory=dict)

    def sent(self) -> bytes | None:
        """The bytes of the body."""
        return self.body if isinstance(self.body, bytes | None) else json.dumps(self.body).encode()


def learn(status: int, answer: str, /, **changed: Any) -> Asked:
    """A request that stores a line, with some values changed."""
    return Asked("POST", LEARN, {**LINE, **changed}, status, answer)


def schema(kind: str, where: str, message: str, given: str, context: str = "") -> str:
    """The body of an error of the schema."""
    more = f',"ctx":{{{context}}}' if context else ""
    return f'{{"detail":[{{"type":"{kind}","loc":["body"{where}],"msg":"{message}","input":{given}{more}}}]}}'


NO_KEY = '{"error_code":"UNAUTHORIZED","detail":"Missing or malformed Authorization header. Expected: Bearer <key>"}'
OTHER_KEY = '{"error_code":"UNAUTHORIZED","detail":"Invalid API key."}'
VALIDATION = '{"error_code":"VALIDATION_ERROR","detail":"Validation error in request."}'
PARAMETERS = '{"error_code":"VALIDATION_ERROR","detail":"Invalid request parameters."}'
TOO_LARGE = (
    '{"error_code":"PAYLOAD_TOO_LARGE","detail":"Request body too large. Maximum allowed: 1048576 bytes.",'
    '"error_context":{"max_bytes":1048576}}'
)
LIMITED = (
    '{"error_code":"RATE_LIMITED","detail":"Rate limit exceeded. Max 1 requests per minute.",'
    '"error_context":{"retry_after":60}}'
)
LIMITED_KEY = (
    '{"error_code":"RATE_LIMITED","detail":"Rate limit exceeded. Max 2 requests per minute per API key.",'
    '"error_context":{"retry_after":60}}'
)
MAINTENANCE = (
    '{"error_code":"SERVICE_UNAVAILABLE","detail":"Service is under scheduled maintenance. Please try again later.",'
    '"error_context":{"retry_after":3600}}'
)
FORBIDDEN = '{"error_code":"FORBIDDEN","detail":"Role \'editor\' does not have permission \'export\'."}'
NO_SYNTAX = schema(
    "json_invalid", ",1", "JSON decode error", "{}", '"error":"Expecting property name enclosed in double quotes"'
)
NO_OBJECT = "Input should be a valid dictionary or object to extract fields from"
A_PATTERN = (
    '{{"version": 1, "key": "patterns/059dc8fc_#", "data": {{"task": "Summarise the report", "design": '
    '{{"code": "{}", "classification": "internal", "source": "import"}}, "success_score": 5.0, "reuse_count": 0, '
    '"timestamp": #, "_author_key_id": "env-key"}}}}'
)


def compact(record: str) -> str:
    """The JSON text without blanks."""
    return json.dumps(json.loads(record.replace(": #", ": 0")), separators=(",", ":")).replace(
        '"timestamp":0', '"timestamp":#'
    )


def stored(count: int) -> str:
    """The answer to a line that was stored."""
    return f'{{"stored":true,"pattern_count":{count}}}'


WITHOUT_LIMITS: dict[str, Any] = {"per_minute": None, "per_key": None}
SCENARIOS: dict[str, tuple[dict[str, Any], list[Asked]]] = {
    "a line that is sent again is stored again": (
        WITHOUT_LIMITS,
        [
            Asked("GET", EXPORT, None, 200, '{"records":[],"count":0}'),
            Asked("GET", STREAM, None, 200, "", "application/x-ndjson"),
            learn(200, stored(1)),
            Asked("POST", LEARN, LINE, 200, stored(2), sent_headers={"Idempotency-Key": "one"}),
            Asked("POST", LEARN, LINE, 200, stored(3), sent_headers={"Idempotency-Key": "one"}),
            Asked(
                "GET",
                STREAM,
                None,
                200,
                f"{A_PATTERN.format('Here it is.')}\n" * 3,
                "application/x-ndjson",
                headers={"Content-Disposition": "attachment; filename=engramia_export.ndjson"},
            ),
            Asked(
                "GET",
                EXPORT,
                None,
                200,
                f'{{"records":[{",".join([compact(A_PATTERN.format("Here it is."))] * 3)}],"count":3}}',
            ),
            Asked("GET", HEALTH, None, 200, '{"status":"ok","storage":"JSONStorage","pattern_count":3}'),
        ],
    ),
    "limits of a line": (
        WITHOUT_LIMITS,
        [
            learn(200, stored(1), task="x" * 10_000),
            learn(
                422,
                schema(
                    "string_too_long",
                    ',"task"',
                    "String should have at most 10000 characters",
                    f'"{"x" * 10_001}"',
                    '"max_length":10000',
                ),
                task="x" * 10_001,
            ),
            learn(200, stored(2), code="x " * 250_000),  # one long word would take minutes to redact, there and here
            learn(
                422,
                schema(
                    "string_too_long",
                    ',"code"',
                    "String should have at most 500000 characters",
                    f'"{"x" * 500_001}"',
                    '"max_length":500000',
                ),
                code="x" * 500_001,
            ),
            learn(413, TOO_LARGE, code="€" * 340_000),  # escaped, six bytes each
            Asked(
                "POST", LEARN, json.dumps({**LINE, "code": "€" * 340_000}, ensure_ascii=False).encode(), 200, stored(3)
            ),
            Asked("POST", LEARN, b"x" * 1_048_577, 413, TOO_LARGE, key=None),
            learn(422, VALIDATION, task=" \u2003"),
            learn(422, VALIDATION, task=""),
            learn(422, VALIDATION, code="\n"),
            learn(
                422,
                schema(
                    "less_than_equal", ',"eval_score"', "Input should be less than or equal to 10", "11", '"le":10.0'
                ),
                eval_score=11,
            ),
            learn(200, stored(4), eval_score="5"),
            Asked("POST", LEARN, b'{"task":"a","code":"b","eval_score":NaN}', 422, PARAMETERS),
            learn(
                422,
                schema(
                    "string_too_long",
                    ',"run_id"',
                    "String should have at most 200 characters",
                    f'"{"s" * 201}"',
                    '"max_length":200',
                ),
                run_id="s" * 201,
            ),
            learn(422, schema("string_type", ',"source"', "Input should be a valid string", "null"), source=None),
            learn(200, stored(5), run_id=None, unknown=1),
            Asked("POST", LEARN, b'{"task":"lone \\ud800","code":"b","eval_score":5}', 422, PARAMETERS),
            Asked("POST", LEARN, b'{"task":"lone","code":"\\ud800","eval_score":5}', 422, PARAMETERS),
            Asked("GET", HEALTH, None, 200, '{"status":"ok","storage":"JSONStorage","pattern_count":5}'),
        ],
    ),
    "requests that are no lines": (
        WITHOUT_LIMITS,
        [
            Asked(
                "POST",
                LEARN,
                {"task": "a"},
                422,
                '{"detail":[{"type":"missing","loc":["body","code"],"msg":"Field required","input":{"task":"a"}},'
                '{"type":"missing","loc":["body","eval_score"],"msg":"Field required","input":{"task":"a"}}]}',
            ),
            Asked("POST", LEARN, b"{", 422, NO_SYNTAX),
            Asked("POST", LEARN, b"{", 422, NO_SYNTAX, key=None),
            Asked("POST", LEARN, b"[]", 422, schema("model_attributes_type", "", NO_OBJECT, "[]")),
            Asked("POST", LEARN, None, 422, schema("missing", "", "Field required", "null")),
            Asked(
                "POST",
                LEARN,
                b"{}",
                422,
                schema("model_attributes_type", "", NO_OBJECT, '"{}"'),
                sent_headers={"Content-Type": "text/plain"},
            ),
            Asked("POST", LEARN, b'{"task":"\xff"}', 400, '{"detail":"There was an error parsing the body"}'),
            Asked("POST", LEARN, {}, 401, NO_KEY, key=None),
            Asked("POST", LEARN, LINE, 401, NO_KEY, key=None, sent_headers={"Authorization": f"bearer {KEY}"}),
            Asked("POST", LEARN, LINE, 401, OTHER_KEY, key="other"),
            Asked("GET", STREAM, None, 401, OTHER_KEY, key="other"),
            Asked("GET", LEARN, None, 405, '{"detail":"Method Not Allowed"}', headers={"Allow": "POST"}),
            Asked("POST", STREAM, {}, 405, '{"detail":"Method Not Allowed"}', headers={"Allow": "GET"}),
            Asked("GET", "/v1/nothing", None, 404, '{"detail":"Not Found"}'),
            Asked("GET", "/", None, 404, '{"detail":"Not Found"}'),
        ],
    ),
    "redaction": (
        WITHOUT_LIMITS,
        [
            learn(
                200,
                stored(1),
                code=f"a.b@example.com, 10.0.0.1, password: hunter22, sk-{'a' * 24}, {'deadbeef' * 4}, "
                "Bearer: 'a1b2c3d4', password=password=x password, my token:  [REDACTED_EMAIL] and a@b.cz",
            ),
            Asked(
                "GET",
                STREAM,
                None,
                200,
                A_PATTERN.format(
                    "[REDACTED_EMAIL], [REDACTED_IP], password: [REDACTED], [REDACTED_OPENAI_KEY], [REDACTED_SECRET], "
                    "Bearer: '[REDACTED]', password=[REDACTED] password, my token:  [REDACTED] and [REDACTED_EMAIL]"
                )
                + "\n",
                "application/x-ndjson",
            ),
            learn(200, stored(2), task="write to a.b@example.com", code="é\U0001f600\u2028"),
            Asked(
                "GET",
                EXPORT,
                None,
                200,
                '{"records":['
                + compact(
                    A_PATTERN.format(
                        "[REDACTED_EMAIL], [REDACTED_IP], password: [REDACTED], [REDACTED_OPENAI_KEY], "
                        "[REDACTED_SECRET], Bearer: '[REDACTED]', password=[REDACTED] password, "
                        "my token:  [REDACTED] and [REDACTED_EMAIL]"
                    )
                )
                + ',{"version":1,"key":"patterns/58c9467c_#","data":{"task":"write to a.b@example.com","design":'
                '{"code":"é\U0001f600\u2028","classification":"internal","source":"import"},"success_score":5.0,"reuse_count":0,'
                '"timestamp":#,"_author_key_id":"env-key"}}],"count":2}',
            ),
        ],
    ),
    "an editor, who may not export": (
        {**WITHOUT_LIMITS, "keys": {KEY: "editor"}},
        [learn(200, stored(1)), Asked("GET", STREAM, None, 403, FORBIDDEN), Asked("GET", EXPORT, None, 403, FORBIDDEN)],
    ),
    "a minute of a path": (
        {"per_minute": 1},
        [
            learn(422, VALIDATION, task=""),  # what is refused counts
            Asked("POST", LEARN, LINE, 429, LIMITED, headers={"Retry-After": "60"}),
            Asked("POST", LEARN, b"x" * 1_048_577, 429, LIMITED, key=None, headers={"Retry-After": "60"}),
            Asked("GET", HEALTH, None, 200, '{"status":"ok","storage":"JSONStorage","pattern_count":0}'),
        ],
    ),
    "a minute of a key": (
        {"per_key": 2},
        [
            learn(200, stored(1)),
            Asked("GET", HEALTH, None, 200, '{"status":"ok","storage":"JSONStorage","pattern_count":1}'),
            Asked("POST", LEARN, LINE, 429, LIMITED_KEY, headers={"Retry-After": "60"}),
            Asked("POST", LEARN, LINE, 401, OTHER_KEY, key="other"),
        ],
    ),
    "maintenance": (
        {"in_maintenance": True},
        [
            Asked("POST", LEARN, LINE, 503, MAINTENANCE, headers={"Retry-After": "3600"}),
            Asked("GET", STREAM, None, 503, MAINTENANCE, key=None, headers={"Retry-After": "3600"}),
            Asked("GET", HEALTH, None, 200, '{"status":"ok","storage":"JSONStorage","pattern_count":0}'),
        ],
    ),
}


def ask(url: str, asked: Asked) -> tuple[int, str | None, str, Mapping[str, str | None]]:
    """Send a request. Milliseconds of keys and times are ``#`` in the answer."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=30)
    headers = {"Authorization": f"Bearer {asked.key}"} if asked.key is not None else {}
    headers |= {"Content-Type": "application/json"} if asked.body is not None else {}
    try:
        connection.request(asked.method, asked.path, asked.sent(), {**headers, **asked.sent_headers})
        response = connection.getresponse()
        text = response.read().decode()
    finally:
        connection.close()
    text = re.sub(r"(?<=patterns/[0-9a-f]{8}_)\d+|(?<=\"timestamp\":)( ?)[\d.]+", r"\1#", text)
    named = {name: response.headers[name] for name in asked.headers}
    return response.status, response.headers["Content-Type"], text, named


@pytest.mark.parametrize("name", SCENARIOS)
def test_answers_are_those_of_the_real_server(name: str) -> None:
    """Status, content type, body, and headers that a client needs."""
    settings, requests = SCENARIOS[name]
    with Engramia(**settings).serving() as url:
        for asked in requests:
            assert ask(url, asked) == (asked.status, asked.kind, asked.answer, asked.headers)


def outcome(url: str, path: str = LEARN) -> int | str:
    """The status of an answer, or the name of what came in its place."""
    body = LINE if path == LEARN else None
    try:
        return ask(url, Asked("GET" if body is None else "POST", path, body, 0, ""))[0]
    except (http.client.HTTPException, ConnectionError) as error:
        return type(error).__name__


@pytest.mark.parametrize(
    ("fault", "answer", "count"),
    [
        (Fault.DROP_BEFORE, "RemoteDisconnected", 0),
        (Fault.DROP_AFTER, "RemoteDisconnected", 1),
        (Fault.FAIL_BEFORE, 500, 0),
        (Fault.FAIL_AFTER, 500, 1),
        (Fault.RATE_LIMITED, 429, 0),
        (Fault.MAINTENANCE, 503, 0),
        (Fault.CUT, "RemoteDisconnected", 1),
    ],
)
def test_a_fault_hits_the_request_that_it_was_planned_for(fault: Fault, answer: int | str, count: int) -> None:
    """Before or after the effect, and no other request."""
    server = Engramia(faults=planned({(LEARN, 2): fault}))
    with server.serving() as url:
        assert [outcome(url) for _ in range(3)] == [200, answer, 200]
        assert len(server.patterns) == 2 + count
        assert server.requests == {LEARN: 3}


def test_an_export_is_cut_in_the_middle() -> None:
    """After the first bytes of its body."""
    with Engramia(faults=planned({(STREAM, 1): Fault.CUT})).serving() as url:
        assert [outcome(url), outcome(url, STREAM), outcome(url, STREAM)] == [200, "IncompleteRead", 200]


def test_faults_by_chance_are_the_same_for_the_same_seed() -> None:
    """So a failure can be repeated."""
    first, second, other = (by_chance(0.3, seed) for seed in (1, 1, 2))
    found = [[faults(LEARN, nth) for nth in range(200)] for faults in (first, second, other)]
    assert found[0] == found[1] != found[2]
    assert {*found[0]} == {None, *Fault}


def test_a_task_twice_in_a_millisecond_is_stored_once() -> None:
    """Both are answered as stored: the key has the hash of the task and the milliseconds."""
    server = Engramia(clock=Clock(step=0))
    with server.serving() as url:
        assert [ask(url, learn(0, ""))[::2] for _ in range(2)] == [(200, stored(1)), (200, stored(1))]
        assert server.stored() == [(LINE["task"], LINE["code"])]


# Read in the code of engramia 0.6.6: accounts need PostgreSQL.


def test_a_used_up_quota_is_no_matter_of_waiting() -> None:
    """429 without Retry-After."""
    with Engramia(max_patterns=1).serving() as url:
        assert outcome(url) == 200
        asked = attrs.evolve(learn(0, ""), headers={"Retry-After": None})
        assert ask(url, asked) == (
            429,
            "application/json",
            '{"error_code":"QUOTA_EXCEEDED","detail":"Pattern quota reached. Delete old patterns or upgrade your plan."'
            ',"error_context":{"current":1,"limit":1}}',
            {"Retry-After": None},
        )


def test_a_full_storage_refuses_like_blank_texts() -> None:
    """The words do not say which of both it was."""
    with Engramia(full_at=1).serving() as url:
        assert outcome(url) == 200
        assert ask(url, learn(0, ""))[::2] == (422, VALIDATION)


def test_a_storage_with_columns_exports_the_run() -> None:
    """The export as a stream, and not the other."""
    server = Engramia(keeps_runs=True)
    with server.serving() as url:
        assert ask(url, learn(0, "", code="write to a@b.cz"))[0] == 200
        text = ask(url, Asked("GET", STREAM, None, 0, ""))[2].replace("#", "0")
        assert {name: value for name, value in json.loads(text).items() if name not in ("version", "key", "data")} == {
            "classification": "internal",
            "redacted": True,
            "source": "import",
            "run_id": LINE["run_id"],
        }
        assert "run_id" not in ask(url, Asked("GET", EXPORT, None, 0, ""))[2]
