"""Files: uploaded as forms, kept with what they hold, and had back only where the API gave them back."""

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fake_assistants import FakeAssistants, Reply, Request
from fake_assistants.simulation.clock import EPOCH

Ask = Callable[..., Reply]

AUTH = {"Authorization": "Bearer sk-test"}
FORM = {**AUTH, "Content-Type": "multipart/form-data; boundary=BOUND"}
DAY = 24 * 60 * 60


def field(disposition: str, content: bytes) -> bytes:
    return b"--BOUND\r\nContent-Disposition: form-data; %b\r\n\r\n%b\r\n" % (disposition.encode(), content)


def form(content: bytes = b"hello", filename: str = "a.txt", purpose: str = "vision", **fields: str) -> bytes:
    """A form as the SDK sends it."""
    parts = [field('name="purpose"', purpose.encode())]
    parts += [field(f'name="expires_after[{key}]"', value.encode()) for key, value in fields.items()]
    parts.append(field(f'name="file"; filename="{filename}"', content))
    return b"".join(parts) + b"--BOUND--\r\n"


def uploaded(ask: Ask, *arguments: Any, **fields: Any) -> dict[str, Any]:
    reply = ask("POST", "/v1/files", form(*arguments, **fields), FORM)
    assert reply.status == 200, reply.body
    file: dict[str, Any] = reply.json()
    return file


@given(content=st.binary(max_size=300), name=st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=12))
def test_what_was_uploaded_comes_back(content: bytes, name: str) -> None:
    """Any bytes under any name, also after a state was saved and put back elsewhere."""
    name = name.replace('"', "").replace("\\", "")
    fake, other = FakeAssistants(), FakeAssistants()
    made = fake.handle(Request.of("POST", "/v1/files", FORM, form(content, name))).json()
    assert (made["filename"], made["bytes"]) == (name, len(content))
    other.state = fake.state
    for one in (fake, other):
        reply = one.handle(Request.of("GET", f"/v1/files/{made['id']}/content", AUTH))
        assert (reply.status, reply.body) == (200, content)
        for header, value in reply.headers:
            assert f"{header}: {value}".encode("latin-1").isascii()


def test_a_file_in_full(ask: Ask) -> None:
    """Recorded key order; the id has 22 letters and digits."""
    made = uploaded(ask, purpose="assistants")
    assert list(made.items()) == [
        ("object", "file"),
        ("id", made["id"]),
        ("purpose", "assistants"),
        ("filename", "a.txt"),
        ("bytes", 5),
        ("created_at", EPOCH),
        ("expires_at", None),
        ("status", "processed"),
        ("status_details", None),
    ]
    assert len(made["id"].removeprefix("file-")) == 22
    assert ask("GET", f"/v1/files/{made['id']}", headers=AUTH).json() == made


def test_a_file_is_deleted_with_what_it_holds(fake: FakeAssistants, ask: Ask) -> None:
    """The answer has an order of its own; a second delete finds nothing."""
    made = uploaded(ask)
    gone = ask("DELETE", f"/v1/files/{made['id']}")
    assert list(gone.json().items()) == [("object", "file"), ("deleted", True), ("id", made["id"])]
    assert ask("DELETE", f"/v1/files/{made['id']}").status == 404
    assert {kind: rows for kind, rows in fake.state.items() if rows} == {}


def test_an_unknown_file_is_told_twice(ask: Ask) -> None:
    """With a detail beside the error, whatever the id looks like."""
    for method, path in (("GET", ""), ("DELETE", ""), ("GET", "/content")):
        reply = ask(method, f"/v1/files/fake_id{path}")
        message = "No such File object: fake_id"
        assert reply.status == 404
        assert list(reply.json().items()) == [
            ("error", {"message": message, "type": "invalid_request_error", "param": "id", "code": None}),
            ("detail", {"message": message, "code": None}),
        ]


@pytest.mark.parametrize("purpose", ["assistants", "user_data"])
def test_what_users_uploaded_for_the_model_stays_there(ask: Ask, purpose: str) -> None:
    """400, in the API's words."""
    made = uploaded(ask, purpose=purpose)
    reply = ask("GET", f"/v1/files/{made['id']}/content")
    assert (reply.status, reply.json()["error"]["message"]) == (
        400,
        f"Not allowed to download files of purpose: {purpose}",
    )


def test_a_download_names_the_file(ask: Ask) -> None:
    """As recorded when the name is plain, percent-encoded when it is not."""
    plain, odd = uploaded(ask), uploaded(ask, filename="dir/你好.txt")
    replies = [ask("GET", f"/v1/files/{made['id']}/content") for made in (plain, odd)]
    assert [reply.header("content-type") for reply in replies] == ["application/octet-stream"] * 2
    assert [reply.header("content-disposition") for reply in replies] == [
        'attachment; filename="a.txt"',
        "attachment; filename*=utf-8''dir/%E4%BD%A0%E5%A5%BD.txt",
    ]


def test_a_longer_name_beside_the_plain_one_wins(ask: Ask) -> None:
    """As some clients send it, without quotes."""
    parts = field("name=purpose", b"vision")
    parts += field("name=file; filename=x.txt; filename*=utf-8''%E4%BD%A0%E5%A5%BD.txt", b"x")
    made = ask("POST", "/v1/files", parts + b"--BOUND--\r\n", FORM).json()
    assert made["filename"] == "你好.txt"


def test_files_expire_when_they_are_told_to(ask: Ask) -> None:
    """Those of a batch do it by themselves."""
    told = uploaded(ask, anchor="created_at", seconds="3600")
    assert told["expires_at"] == EPOCH + 3600
    assert uploaded(ask, purpose="batch")["expires_at"] == EPOCH + 30 * DAY


def test_files_are_listed_by_purpose(ask: Ask) -> None:
    """Newest first, with cursors; up to 10,000 at once."""
    ids = [uploaded(ask, purpose=purpose)["id"] for purpose in ("vision", "batch", "vision")]
    assert [row["id"] for row in ask("GET", "/v1/files").json()["data"]] == ids[::-1]
    page = ask("GET", "/v1/files?purpose=vision&limit=10000&order=asc").json()
    assert [row["id"] for row in page["data"]] == [ids[0], ids[2]]
    assert ask("GET", f"/v1/files?purpose=vision&after={ids[2]}").json()["data"][0]["id"] == ids[0]
    assert ask("GET", "/v1/files?limit=10001").json()["error"]["message"].endswith("<= 10000, but got 10001 instead.")


BASES = [
    ("api.openai.com", "/v1"),
    ("unit.openai.azure.com", "/openai/v1"),
    ("unit.services.ai.azure.com", "/api/projects/mine"),
    ("unit.services.ai.azure.com", "/api/projects/mine/openai/v1"),
    ("unit.services.ai.azure.com", "/openai/v1"),
]


@pytest.mark.parametrize(("host", "base"), BASES)
def test_files_are_at_every_base(ask: Ask, host: str, base: str) -> None:
    """Uploaded with each purpose, listed with all parameters, retrieved, and 404 when they are unknown."""
    at = {"Host": host, **FORM}
    purposes = ("vision", "user_data", "assistants", "user_data")
    made = [ask("POST", f"{base}/files", form(purpose=purpose), at).json() for purpose in purposes]
    assert [file["purpose"] for file in made] == list(purposes)

    def listed(query: str) -> list[str]:
        return [row["id"] for row in ask("GET", f"{base}/files?{query}", headers=at).json()["data"]]

    ids = [file["id"] for file in made]
    assert listed("order=asc") == ids == listed("order=desc")[::-1] == listed("")[::-1]
    assert listed(f"order=asc&after={ids[0]}&limit=2") == ids[1:3]
    assert listed("purpose=user_data&limit=1") == ids[3:]
    assert listed("purpose=user_data&order=asc") == [ids[1], ids[3]]
    for file in made:
        assert ask("GET", f"{base}/files/{file['id']}", headers=at).json() == file
    unknown = ask("GET", f"{base}/files/file-unknown", headers=at)
    assert (unknown.status, unknown.json()["error"]["message"]) == (404, "No such File object: file-unknown")


KNOWN = "['fine-tune', 'assistants', 'batch', 'user_data', 'vision', 'evals']"
NO_FORM = "Could not parse multipart form."
BAD_FORMS = [
    (form(purpose="world_domination"), FORM, f"'world_domination' is not one of {KNOWN} - 'purpose'", "purpose"),
    (field('name="file"; filename="a"', b"") + b"--BOUND--\r\n", FORM, "'purpose' is a required property", None),
    (field('name="purpose"', b"vision") + b"--BOUND--\r\n", FORM, "'file' is a required property", None),
    (field('name="file"', b"no file") + b"--BOUND--\r\n", FORM, "'file' is a required property", None),
    (form()[:-4], FORM, NO_FORM, None),
    (b"nothing of the kind", FORM, NO_FORM, None),
    (b"", FORM, NO_FORM, None),
    (b"{}", {**AUTH, "Content-Type": "application/json"}, NO_FORM, None),
    (form(), {**AUTH, "Content-Type": "multipart/form-data"}, NO_FORM, None),
    (form(), {**AUTH, "Content-Type": "multipart/form-data; boundary=" + "b" * 300}, NO_FORM, None),
]


@pytest.mark.parametrize(("body", "headers", "text", "param"), BAD_FORMS)
def test_a_bad_form_is_refused(
    fake: FakeAssistants, ask: Ask, body: bytes, headers: dict[str, str], text: str, param: str | None
) -> None:
    """400 with a detail, and nothing is kept."""
    reply = ask("POST", "/v1/files", body, headers)
    problem = reply.json()
    assert (reply.status, problem["error"]["message"], problem["error"]["param"]) == (400, text, param)
    assert problem["detail"] == {"message": text, "code": None}
    assert not any(fake.state.values())


@pytest.mark.parametrize(
    ("expiry", "param"),
    [
        ({"anchor": "created_at"}, "expires_after.seconds"),
        ({"seconds": "3600"}, "expires_after.anchor"),
        ({"anchor": "now", "seconds": "3600"}, "expires_after.anchor"),
        ({"anchor": "created_at", "seconds": "1"}, "expires_after.seconds"),
        ({"anchor": "created_at", "seconds": "soon"}, "expires_after.seconds"),
    ],
)
def test_a_bad_expiry_is_refused(ask: Ask, expiry: dict[str, str], param: str) -> None:
    """By the place in the form."""
    reply = ask("POST", "/v1/files", form(b"hello", "a.txt", "vision", **expiry), FORM)
    assert (reply.status, reply.json()["error"]["param"]) == (400, param)


@pytest.mark.parametrize("kept", [{}, {"content": 7}, {"content": "!"}, {"content": "é"}], ids=json.dumps)
def test_a_file_whose_content_a_state_left_out_is_not_found(
    fake: FakeAssistants, ask: Ask, kept: dict[str, Any]
) -> None:
    """Its object is there, its bytes are not."""
    odd = {"id": "img", "purpose": ["vision"], "filename": 3}
    fake.load({"files": [odd], "file_contents": [{"id": "img", **kept}]})
    assert ask("GET", "/v1/files/img").json() == odd
    assert ask("GET", "/v1/files/img/content").status == 404
    fake.state = {"files": [odd]}
    assert ask("DELETE", "/v1/files/img").status == 200


def test_a_state_may_bring_a_file_with_its_content(fake: FakeAssistants, ask: Ask) -> None:
    """Under any id, and with a name that no header could carry as it is."""
    content = {"id": "img", "content": base64.b64encode(b"\x00\xff").decode()}
    fake.load({"files": [{"id": "img", "filename": 'a"\r\nb'}], "file_contents": [content]})
    reply = ask("GET", "/v1/files/img/content")
    assert (reply.body, reply.header("content-disposition")) == (
        b"\x00\xff",
        "attachment; filename*=utf-8''a%22%0D%0Ab",
    )


def test_files_go_on_after_the_sunset(fake: FakeAssistants, ask: Ask) -> None:
    """And want no beta header before it."""
    fake.sunset.now()
    made = uploaded(ask)
    assert ask("GET", f"/v1/files/{made['id']}", headers=AUTH).status == 200
    assert ask("GET", "/v1/files", headers={}).status == 401
