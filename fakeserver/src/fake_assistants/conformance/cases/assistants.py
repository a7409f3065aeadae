"""Cases: assistants."""

import re

import fake_assistants.conformance.fixtures as staging
from fake_assistants.conformance.api import Api
from fake_assistants.conformance.case import Case

KEYS = (
    *("id", "object", "created_at", "name", "description", "model", "instructions", "tools", "top_p", "temperature"),
    *("reasoning_effort?", "tool_resources", "metadata", "response_format"),
)
_RANKING = {"ranker": "default_2024_08_21", "score_threshold": 0.0, "hybrid_search": None}


def create(api: Api) -> None:
    """A new assistant has the recorded keys in the recorded order."""
    made = api.post("/assistants", {"model": api.model, "name": "Math Tutor"}).ok()
    made.keys(KEYS)
    made.has(object="assistant", name="Math Tutor", model=api.model)
    made["created_at"].number()


def effort(api: Api) -> None:
    """An assistant has a reasoning_effort, null where none was given; so have its runs."""
    made = api.post("/assistants", {"model": api.model, "instructions": "Answer in one short sentence."}).ok()
    made["reasoning_effort"].same(None)
    body = {"assistant_id": made["id"].text(), "thread": {"messages": [{"role": "user", "content": "Hello"}]}}
    api.post("/threads/runs", body).ok()["reasoning_effort"].same(None)


def defaults(api: Api) -> None:
    """Fields that are not given are null, empty, 1.0 or "auto"."""
    made = api.post("/assistants", {"model": api.model}).ok()
    made.has(name=None, description=None, instructions=None, response_format="auto")
    made.has(tools=[], tool_resources={}, metadata={}, top_p=1.0, temperature=1.0)


def decimals(api: Api) -> None:
    """Temperature and top_p are decimals, also when whole numbers are given."""
    answer = api.post("/assistants", {"model": api.model, "temperature": 1, "top_p": 1})
    answer.ok()
    for name in (b"temperature", b"top_p"):
        if not re.search(rb'"%b":\s*1\.0\b' % name, answer.body):
            raise answer.deviates(f'"{name.decode()}": 1.0')


def code_files(api: Api) -> None:
    """With the code interpreter on, its empty list of files is in the tool resources."""
    made = api.post("/assistants", {"model": api.model, "tools": [{"type": "code_interpreter"}]}).ok()
    made.has(tools=[{"type": "code_interpreter"}], tool_resources={"code_interpreter": {"file_ids": []}})


def function_echo(api: Api) -> None:
    """A function tool is echoed with `strict: false`, its keys in the recorded order."""
    given = {"parameters": {"type": "object", "properties": {}}, "description": "d", "name": "f"}
    made = api.post("/assistants", {"model": api.model, "tools": [{"type": "function", "function": given}]}).ok()
    function = made["tools"].only()["function"]
    function.same({**given, "strict": False})
    function.keys(("name", "description", "parameters", "strict"))


def bare_function(api: Api) -> None:
    """A function tool without parameters is echoed with those of an object without properties, before `strict`."""
    tools = [{"type": "function", "function": {"name": "f", "description": "d"}}]
    made = api.post("/assistants", {"model": api.model, "tools": tools}).ok()
    changed = api.post(f"/assistants/{made['id'].text()}", {"tools": tools}).ok()
    for answer in (made, changed):
        function = answer["tools"].only()["function"]
        function.keys(("name", "description", "parameters", "strict"))
        function["parameters"].same({"type": "object", "properties": {}})


def stores(api: Api) -> None:
    """A request can name one vector store and create another."""
    first = api.post("/vector_stores", {"name": "notes"}).ok()["id"].text()
    search = {"vector_store_ids": [first], "vector_stores": [{}]}
    made = api.post("/assistants", {"model": api.model, "tool_resources": {"file_search": search}}).ok()
    named = made["tool_resources"]["file_search"]["vector_store_ids"].rows(2)
    named[0].same(first)
    api.owns(f"/vector_stores/{named[1].text()}")


def search_echo(api: Api) -> None:
    """A file_search tool is echoed with its ranking options."""
    made = api.post("/assistants", {"model": api.model, "tools": [{"type": "file_search"}]}).ok()
    made["tools"].only()["file_search"]["ranking_options"].same(_RANKING)


def retrieve(api: Api) -> None:
    """Retrieve returns the same object as create."""
    made = api.post("/assistants", {"model": api.model, "description": "d", "metadata": {"a": "1"}}).ok()
    made.has(object="assistant", description="d", metadata={"a": "1"})
    api.get(f"/assistants/{made['id'].text()}").ok().same(made.value)


def modify(api: Api) -> None:
    """Fields that are given are replaced, the others are not changed."""
    made = api.post("/assistants", {"model": api.model, "name": "A", "instructions": "Be kind."}).ok()
    path = f"/assistants/{made['id'].text()}"
    changed = api.post(path, {"name": "B", "metadata": {"a": "1"}}).ok()
    changed.same(made.value | {"name": "B", "metadata": {"a": "1"}})
    changed.keys(KEYS)
    api.get(path).ok().same(changed.value)


def delete(api: Api) -> None:
    """Delete answers in the recorded shape; afterwards the assistant is unknown."""
    chosen = staging.assistant(api)
    gone = api.delete(f"/assistants/{chosen}").ok()
    gone.same({"id": chosen, "object": "assistant.deleted", "deleted": True})
    gone.keys(("id", "object", "deleted"))
    api.get(f"/assistants/{chosen}").refused(404, f"No assistant found with id '{chosen}'.")


def newest_first(api: Api) -> None:
    """Listed newest first, in the order of creation also within a second."""
    made = [staging.assistant(api) for _ in range(3)]
    page = api.get("/assistants?limit=3").ok()
    page.has(object="list", first_id=made[2], last_id=made[0])
    page.keys(("object", "data", "first_id", "last_id", "has_more"))
    page.ids(made[::-1])


def cursors(api: Api) -> None:
    """`after` starts strictly after its assistant, in the requested order."""
    made = [staging.assistant(api) for _ in range(4)]
    api.get(f"/assistants?limit=2&after={made[3]}").ok().ids(made[2:0:-1])
    api.get(f"/assistants?limit=2&order=asc&after={made[0]}").ok().ids(made[1:3])


CASES = (
    Case("assistants", "reasoning-effort", "recorded", effort, services=("openai",)),
    Case("assistants", "create", "recorded", create),
    Case("assistants", "defaults", "recorded", defaults),
    Case("assistants", "decimals", "recorded", decimals),
    Case("assistants", "code-files", "recorded", code_files),
    Case("assistants", "function-echo", "recorded", function_echo),
    Case("assistants", "bare-function", "recorded", bare_function),
    Case("assistants", "stores", "SDK", stores),
    Case("assistants", "search-echo", "recorded", search_echo),
    Case("assistants", "retrieve", "recorded", retrieve),
    Case("assistants", "modify", "recorded", modify),
    Case("assistants", "delete", "recorded", delete),
    Case("assistants", "newest-first", "recorded", newest_first),
    Case("assistants", "cursors", "recorded", cursors),
)
