"""The pytest plugin, in runs of its own: fixtures, marker, isolation, and failures that teach."""

import re
import subprocess
import sys
import warnings
from collections.abc import Callable
from importlib.metadata import entry_points

import pytest
from openai import OpenAI
from openai.resources.beta.threads.threads import Threads

from fake_assistants import FakeAssistants
from pages import OF_THE_FAKE, README

Run = Callable[..., pytest.RunResult]

SHOWN = "".join(page.read_text(encoding="utf-8") for page in (README, *OF_THE_FAKE))
TAUGHT = [block for block in re.findall(r"```python\n(.*?)```", SHOWN, re.DOTALL) if "def test_" in block]

HEAD = """
import os, subprocess, sys
import openai, pytest
from openai import AsyncOpenAI, OpenAI
import fake_assistants as package
from fake_assistants import Clock, FakeAssistantsServer, IdSource, SunsetPlan

@pytest.fixture
def anyio_backend():
    return "asyncio"

@pytest.fixture
def client():
    made = OpenAI(max_retries=0)
    yield made
    made.close()
"""


@pytest.fixture(autouse=True, scope="module")
def _imported() -> None:
    """A run inside this one forgets what it was the first to import, which neither the SDK nor respx can stand."""
    fake, quiet = FakeAssistants(), warnings.catch_warnings(action="ignore")
    with fake.serve(), fake.mount(), OpenAI(api_key="sk-test") as client, quiet:
        thread = client.beta.threads.create()
        client.beta.threads.messages.create(thread.id, role="user", content="x")


@pytest.fixture
def run(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a test file in a pytest of its own, without a key or an address in the environment.

    Nor `CI`, with which pytest's summary repeats every failure in full.
    """
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "CI", "BUILD_NUMBER"):
        monkeypatch.delenv(name, raising=False)

    def running(code: str, *arguments: str) -> pytest.RunResult:
        pytester.makepyfile(HEAD + code)
        return pytester.runpytest_inprocess(
            "--strict-markers", "-p", "no:cacheprovider", "-W", "ignore::DeprecationWarning", *arguments
        )

    return running


def test_it_is_found_by_its_entry_point() -> None:
    """An install from before the plugin does not know it: install again."""
    (found,) = entry_points(group="pytest11", name="fake_assistants")
    assert found.value == "fake_assistants.pytest_plugin"


def test_it_is_light() -> None:
    """Every run of a project loads it, whether or not a test wants a fake."""
    heavy = ["openai", "respx", "httpx", "httpx2", "starlette", "uvicorn", "asyncio"]
    code = f"import sys, fake_assistants.pytest_plugin; print([name for name in {heavy!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


# --- the fixtures -------------------------------------------------------------------------------------


def test_a_plain_client_reaches_the_mounted_fake(run: Run) -> None:
    """Sync and async, without a key or an address of its own; the request log begins empty in each test."""
    code = """
async def asked():
    async with AsyncOpenAI() as client:
        return await client.beta.threads.create()

def test_sync(fake_assistants, client):
    made = client.beta.threads.create()
    assert [one["id"] for one in fake_assistants.state["threads"]] == [made.id]
    assert [one.path for one in fake_assistants.requests] == ["/v1/threads"]

@pytest.mark.anyio
async def test_async(fake_assistants):
    made = await asked()
    assert [one["id"] for one in fake_assistants.state["threads"]] == [made.id]
    assert [one.path for one in fake_assistants.requests] == ["/v1/threads"]
"""
    run(code).assert_outcomes(passed=2)


def test_the_environment_is_the_tests_own(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """A key that is set stays, an address is taken away; afterwards all is as it was."""
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:1/v1")
    code = """
@pytest.mark.parametrize("key", ["", "sk-own"])
def test_it(monkeypatch, request, key):
    monkeypatch.setenv("OPENAI_API_KEY", key)
    request.getfixturevalue("fake_assistants")
    assert "OPENAI_BASE_URL" not in os.environ
    assert os.environ["OPENAI_API_KEY"] == (key or "sk-fake-assistants")

def test_afterwards():
    assert os.environ["OPENAI_BASE_URL"] == "http://127.0.0.1:1/v1"
    assert "OPENAI_API_KEY" not in os.environ
"""
    run(code).assert_outcomes(passed=3)


def test_a_child_process_reaches_the_server(run: Run) -> None:
    """By OPENAI_BASE_URL and OPENAI_API_KEY; afterwards both are gone, and so is the server."""
    code = """
import http.client
CHILD = '''
import os, urllib.request
headers = {"Authorization": "Bearer " + os.environ["OPENAI_API_KEY"], "OpenAI-Beta": "assistants=v2"}
request = urllib.request.Request(os.environ["OPENAI_BASE_URL"] + "/threads", b"{}", headers)
print(urllib.request.urlopen(request).status)
'''
ports = []

def test_child(fake_assistants_server):
    assert isinstance(fake_assistants_server, FakeAssistantsServer)
    assert fake_assistants_server.base_url == fake_assistants_server.url + "/v1"
    assert subprocess.run([sys.executable, "-c", CHILD], capture_output=True).stdout.strip() == b"200"
    assert len(fake_assistants_server.fake.state["threads"]) == 1
    ports.append(int(fake_assistants_server.url.rpartition(":")[2]))

def test_afterwards():
    assert not {"OPENAI_BASE_URL", "OPENAI_API_KEY"} & set(os.environ)
    with pytest.raises(ConnectionError):
        http.client.HTTPConnection("127.0.0.1", ports[0]).connect()
"""
    run(code).assert_outcomes(passed=2)


BOTH = ["fake_assistants", "fake_assistants_server"]


@pytest.mark.parametrize("order", [", ".join(BOTH), ", ".join(BOTH[::-1])])
def test_both_fixtures_of_a_test_have_one_fake(run: Run, order: str) -> None:
    """Mounted here, served to others; the address stays set, in whichever order they are asked for."""
    code = f"""
def test_it({order}):
    assert fake_assistants_server.fake is fake_assistants
    assert os.environ["OPENAI_BASE_URL"] == fake_assistants_server.base_url
"""
    run(code).assert_outcomes(passed=1)


def test_two_tests_share_nothing(run: Run) -> None:
    """World, clock, ids and request log, also where a mark holds the clock and the ids of both."""
    code = """
CLOCK = Clock(now=100)

@pytest.mark.fake_assistants(clock=CLOCK, ids=IdSource(7))
@pytest.mark.parametrize("turn", [1, 2])
def test_it(fake_assistants, client, turn):
    thread = client.beta.threads.create()
    assert thread.created_at == 100
    assert thread.id == package.IdSource(7).draw("thread_")
    assert len(fake_assistants.requests) == len(fake_assistants.state["threads"]) == 1
    CLOCK.advance(60)
"""
    run(code).assert_outcomes(passed=2)


def test_without_respx_it_says_what_to_install(pytester: pytest.Pytester) -> None:
    """An error of the test, without a traceback."""
    pytester.makepyfile("def test_it(fake_assistants): pass")
    pytester.makeconftest("import sys; sys.modules['respx.mocks'] = None")
    done = pytester.runpytest_subprocess("-p", "no:cacheprovider")
    done.assert_outcomes(errors=1)
    done.stdout.fnmatch_lines(
        ["the fixture fake_assistants: mount() needs respx: pip install 'fake-assistants[[]respx[]]'"]
    )
    assert "Traceback" not in done.stdout.str()
    assert "direct cause" not in done.stdout.str()


# --- the marker ---------------------------------------------------------------------------------------


def test_options_make_the_fake(run: Run, pytester: pytest.Pytester) -> None:
    """Those of FakeAssistants, and what is loaded: a state, or a file below the root of the run."""
    pytester.makefile(".json", state='{"threads": [{"id": "thread_file"}]}')
    code = """
pytestmark = pytest.mark.fake_assistants(api_keys=["sk-right"], seed=3)

@pytest.mark.fake_assistants(seed=4, sunset=SunsetPlan(after_requests=1))
def test_the_closest_counts(fake_assistants):
    with OpenAI(api_key="sk-right", max_retries=0) as right, OpenAI(api_key="sk-wrong") as wrong:
        assert right.beta.threads.create().id == package.IdSource(4).draw("thread_")
        with pytest.raises(openai.APIStatusError, match="no longer available"):
            right.beta.threads.create()
        with pytest.raises(openai.AuthenticationError):
            wrong.beta.threads.create()

@pytest.mark.fake_assistants(load={"threads": [{"id": "thread_state"}]})
def test_a_state(fake_assistants):
    assert fake_assistants.state["threads"] == [{"id": "thread_state"}]

@pytest.mark.fake_assistants(load="state.json")
def test_a_file(fake_assistants_server):
    assert fake_assistants_server.fake.state["threads"] == [{"id": "thread_file"}]
"""
    run(code).assert_outcomes(passed=3)


def test_it_is_shown_with_its_options(run: Run) -> None:
    """By `--markers`, whatever the fake takes by then."""
    done = run("", "--markers")
    done.stdout.fnmatch_lines(["@pytest.mark.fake_assistants(allow_unknown_routes, *load, *): options of the fake *"])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("sede=3", "has no option 'sede'; it has: allow_unknown_routes, api_keys, check_files, clock,*seed, sunset*"),
        ("7", "takes options by name only, such as load=...; not 7"),
        ("api_keys='sk-right'", "api_keys is a list of strings, not one string"),
        ("runs='sometimes'", "unknown runs 'sometimes'; known are read, immediate, clock"),
        ("sunset='2026-08-26'", "expected a SunsetPlan, such as SunsetPlan(after_requests=40), not '2026-08-26'"),
        ("rpm='ten'", "*'str'*'int'*"),
        ("api_keys=['']", "api_keys has an empty string: leave it out"),
        ("load={'threads': [{}]}", "expected a string @ $.threads[[]0[]].id"),
        ("load='no-such-file'", "*No such file or directory: *no-such-file'"),
    ],
)
def test_a_mistake_is_told_in_one_line(run: Run, options: str, words: str) -> None:
    """What is wrong, and what there is; the test does not run."""
    done = run(f"@pytest.mark.fake_assistants({options})\ndef test_it(fake_assistants): pass\n", "--tb=short")
    done.assert_outcomes(errors=1)
    done.stdout.fnmatch_lines([f"@pytest.mark.fake_assistants: {words}"])
    assert "pytest_plugin.py" not in done.stdout.str()
    assert "During handling" not in done.stdout.str()


# --- requests without a route -------------------------------------------------------------------------

HIDDEN = """
def asked(**options):
    with OpenAI(max_retries=0, **options) as client:
        try:
            client.beta.threads.create()
        except openai.NotFoundError:
            return "hidden"
"""

TOLD = """\
The fake has no route for 1 request:

  POST /threads at HOST (answered 404)
    The base URL is wrong: this route is /v1/threads. It should be exactly the host and /v1.

The client was answered as the real API answers, and may have hidden the error. If this is intended, mark the test:
@pytest.mark.fake_assistants(allow_unknown_routes=True)"""


def shown(done: pytest.RunResult) -> str:
    """What was printed, whatever the host is that was asked."""
    return re.sub(r" at \S+ \(answered", " at HOST (answered", done.stdout.str())


@pytest.mark.parametrize(
    ("fixture", "address"),
    [("fake_assistants", "'https://api.openai.com'"), ("fake_assistants_server", "fake_assistants_server.url")],
)
def test_a_hidden_request_without_a_route_fails_the_test(run: Run, fixture: str, address: str) -> None:
    """The test itself, not its teardown; with what was asked, what is wrong, and what to do."""
    done = run(HIDDEN + f"def test_it({fixture}):\n    assert asked(base_url={address}) == 'hidden'\n")
    done.assert_outcomes(failed=1)
    text = shown(done)
    assert text.count(TOLD) == 1
    assert f" at {'api.openai.com' if 'openai' in address else '127.0.0.1:'}" in done.stdout.str()
    assert "pytest_plugin.py" not in text


def test_a_reset_does_not_hide_it(run: Run) -> None:
    """Though the request log starts again."""
    code = """
def test_it(fake_assistants):
    asked(base_url="http://a")
    fake_assistants.reset()
    assert fake_assistants.requests == []
"""
    done = run(HIDDEN + code)
    done.assert_outcomes(failed=1)
    assert shown(done).count(TOLD) == 1


def test_a_request_of_a_teardown_is_an_error(run: Run) -> None:
    """The test has passed by then. What its setup asked fails the test."""
    code = """
@pytest.fixture
def late(fake_assistants):
    yield
    asked(base_url="http://a")

@pytest.fixture
def early(fake_assistants):
    asked(base_url="http://a")

def test_late(late): pass

def test_early(early): pass
"""
    done = run(HIDDEN + code)
    done.assert_outcomes(passed=1, errors=1, failed=1)
    assert shown(done).count(TOLD) == 2


def test_a_failing_test_keeps_its_own_failure(run: Run) -> None:
    """The requests are told in a section beside it, once, and the teardown is no second failure."""
    done = run(
        HIDDEN
        + """
def test_it(fake_assistants):
    asked(base_url="http://a")
    assert "its own" == "failure"

@pytest.fixture
def broken(fake_assistants):
    asked(base_url="http://a")
    raise ZeroDivisionError

def test_setup(broken): pass

def test_without_any_fixture():
    assert "another" == "failure"

def test_routed(fake_assistants, client):
    client.beta.threads.create()
    assert "a third" == "failure"
"""
    )
    done.assert_outcomes(failed=3, errors=1)
    text = shown(done)
    assert len(re.findall("-+ fake-assistants -+", text)) == text.count(TOLD) == 2


@pytest.mark.parametrize(
    "mark",
    [
        "@pytest.mark.fake_assistants(allow_unknown_routes=True)\n",
        "@pytest.mark.xfail(raises=ZeroDivisionError, strict=True)\n",
    ],
)
def test_what_is_meant_is_no_failure(run: Run, mark: str) -> None:
    """By the marker; and a test that is expected to fail has failed already."""
    last = "1 / 0" if "xfail" in mark else "pass"
    done = run(f"{HIDDEN}\n{mark}def test_it(fake_assistants):\n    asked(base_url='http://a')\n    {last}\n")
    assert done.ret == 0
    assert "no route" not in done.stdout.str()


def test_the_worlds_of_all_keys_are_looked_at(run: Run) -> None:
    """With worlds by key each has a request log of its own."""
    code = "@pytest.mark.fake_assistants(worlds_by_key=True)\ndef test_it(fake_assistants):\n    asked(base_url='http://a')\n"
    done = run(HIDDEN + code)
    done.assert_outcomes(failed=1)
    assert TOLD in shown(done)


def test_what_a_route_refuses_is_no_failure(run: Run) -> None:
    """A missing thread, a malformed id, a route that has fallen silent."""
    code = """
def test_it(fake_assistants, client):
    with pytest.raises(openai.NotFoundError):
        client.beta.threads.retrieve("thread_x")
    with pytest.raises(openai.BadRequestError):
        client.beta.threads.retrieve("undefined")
    fake_assistants.sunset.now(style="not-found")
    with pytest.raises(openai.NotFoundError):
        client.beta.threads.create()
"""
    run(code).assert_outcomes(passed=1)


FROZEN = """
from freezegun import freeze_time

@pytest.fixture
def frozen():
    with freeze_time("2026-01-01"):
        yield

@pytest.fixture(scope="session")
def frozen_session():
    with freeze_time("2026-01-01"):
        yield
"""


@pytest.mark.parametrize(
    "fixtures",
    [
        "frozen, fake_assistants_server",
        "fake_assistants_server, frozen",
        "frozen, fake_assistants",
        "frozen_session, fake_assistants_session_server",
    ],
)
def test_every_fixture_ends_in_frozen_time(run: Run, fixtures: str) -> None:
    """Whichever was there first."""
    code = f"""
def test_it({fixtures}, client):
    assert client.beta.threads.create().id.startswith("thread_")
"""
    run(FROZEN + code).assert_outcomes(passed=1)


# --- the session --------------------------------------------------------------------------------------

SESSION = """
@pytest.fixture(scope="session")
def assistant(fake_assistants_session):
    with OpenAI() as client:
        made = client.beta.assistants.create(model="gpt-4o")
        yield made.id
        client.beta.assistants.delete(made.id)
    assert fake_assistants_session.state["assistants"] == []

@pytest.fixture(scope="session")
def fake_assistants_session_options():
    return {"seed": 5, "load": {"threads": [{"id": "thread_loaded"}]}}
"""


def test_the_session_has_one_fake(run: Run) -> None:
    """Reached by the tests that ask for it and by no others, also by the teardown of what it was used for."""
    code = """
def test_one(fake_assistants_session, assistant, client):
    client.beta.threads.create()
    assert os.environ["OPENAI_API_KEY"] == "sk-fake-assistants"

def test_other(fake_assistants_server, client):
    assert fake_assistants_server.fake.state["assistants"] == []
    client.beta.threads.create()
    assert len(fake_assistants_server.fake.requests) == 1

def test_without():
    assert "OPENAI_API_KEY" not in os.environ

def test_own(fake_assistants, client):
    client.beta.threads.create()
    assert len(fake_assistants.state["threads"]) == 1

def test_both(fake_assistants, fake_assistants_session, client):
    client.beta.threads.create()
    assert len(fake_assistants.state["threads"]) == 1
    assert len(fake_assistants_session.state["threads"]) == 2

def test_two(assistant, fake_assistants_session, client):
    assert [one["id"] for one in fake_assistants_session.state["assistants"]] == [assistant]
    assert [one["id"] for one in fake_assistants_session.state["threads"]][0] == "thread_loaded"

def test_last():
    assert "OPENAI_API_KEY" not in os.environ
"""
    run(SESSION + code).assert_outcomes(passed=7)


@pytest.mark.parametrize("where", ["mark", "options"])
def test_it_is_reset_where_that_is_asked_for(run: Run, where: str) -> None:
    """By a mark for some tests, by the options for all: back to what was loaded, before the test."""
    code = SESSION.replace('"seed": 5', '"seed": 5, "reset": True') if where == "options" else SESSION
    mark = "@pytest.mark.fake_assistants(reset=True)\n" if where == "mark" else ""
    code += f"""
def test_one(fake_assistants_session, client):
    client.beta.threads.create()

{mark}def test_two(fake_assistants_session, client):
    assert fake_assistants_session.state["threads"] == [{{"id": "thread_loaded"}}]
    assert fake_assistants_session.requests == []
    client.beta.threads.create()

@pytest.mark.fake_assistants(reset=False)
def test_three(fake_assistants_session):
    assert len(fake_assistants_session.state["threads"]) == 2
"""
    run(code).assert_outcomes(passed=3)


def test_the_session_has_a_server_too(run: Run) -> None:
    """It serves the same fake; its address is set for the tests that ask for it, whichever is asked for first."""
    code = """
ADDRESSES = set()

@pytest.mark.parametrize("turn", [1, 2])
def test_it(fake_assistants_session_server, turn, client):
    ADDRESSES.add(os.environ["OPENAI_BASE_URL"])
    assert ADDRESSES == {fake_assistants_session_server.base_url}
    client.beta.threads.create()
    assert len(fake_assistants_session_server.fake.state["threads"]) == turn

def test_both(fake_assistants_session_server, fake_assistants_session):
    assert fake_assistants_session_server.fake is fake_assistants_session
    assert os.environ["OPENAI_BASE_URL"] == fake_assistants_session_server.base_url

def test_mounted(fake_assistants_session, client):
    assert "OPENAI_BASE_URL" not in os.environ
    client.beta.threads.create()

def test_without():
    assert not {"OPENAI_BASE_URL", "OPENAI_API_KEY"} & set(os.environ)
"""
    run(code).assert_outcomes(passed=5)


def test_what_is_asked_for_on_the_way_stays_on(run: Run) -> None:
    """Nobody knows which later test will do the same; a request that left the machine would be worse."""
    code = """
@pytest.mark.parametrize("turn", [1, 2])
def test_it(request, turn):
    fake = request.getfixturevalue("fake_assistants_session")
    with OpenAI() as client:
        client.beta.threads.create()
    assert len(fake.state["threads"]) == turn
"""
    run(code).assert_outcomes(passed=2)


def test_each_test_answers_for_its_own_requests(run: Run) -> None:
    """A request without a route fails the test that made it, not the next one, however often the fake is reset."""
    code = """
def test_before(fake_assistants_session, client):
    client.beta.threads.create()

def test_wrong(fake_assistants_session):
    assert asked(base_url="http://a") == "hidden"

@pytest.mark.fake_assistants(reset=True)
def test_after(fake_assistants_session, client):
    client.beta.threads.create()

@pytest.mark.fake_assistants(allow_unknown_routes=True)
def test_meant(fake_assistants_session):
    asked(base_url="http://a")

@pytest.mark.fake_assistants(reset=True)
def test_wrong_again(fake_assistants_session):
    asked(base_url="http://a")
"""
    done = run(HIDDEN + code)
    done.assert_outcomes(passed=3, failed=2)
    assert shown(done).count(TOLD) == 2


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (
            "@pytest.mark.fake_assistants(seed=3)\ndef test_it(fake_assistants_session): pass\n",
            "@pytest.mark.fake_assistants: seed is for a fake of the test's own; the session's is made from *",
        ),
        (
            SESSION.replace('"seed": 5', '"sede": 5') + "def test_it(fake_assistants_session): pass\n",
            "the fixture fake_assistants_session_options: has no option 'sede'; it has: allow_unknown_routes, *",
        ),
        (
            SESSION.replace('"seed": 5', '"rpm": 0') + "def test_it(fake_assistants_session): pass\n",
            "the fixture fake_assistants_session_options: expected 1 request per minute or more",
        ),
    ],
)
def test_a_mistake_about_the_session_is_explained_in_one_line(run: Run, code: str, words: str) -> None:
    """What is wrong, and what there is."""
    done = run(code, "--tb=short")
    done.assert_outcomes(errors=1)
    done.stdout.fnmatch_lines([words])
    assert "pytest_plugin.py" not in done.stdout.str()


# --- the pages, and this run itself ---------------------------------------------------------------------


def test_the_tests_of_the_pages_pass(run: Run) -> None:
    """Every test that they show, in one file."""
    done = run("\n".join(TAUGHT))
    done.assert_outcomes(passed="\n".join(TAUGHT).count("def test_"))
    assert TAUGHT


MISTAKES = [
    'fake_assistants.script = {"default": [{"rply": "x"}]}',
    'fake_assistants.script.when(lambda turn: True, [{"rply": "x"}])',
    'fake_assistants.faults = [{"match": {"pth": "x"}, "do": {"status": 500}}]',
    'fake_assistants.faults = [{"do": {"status": 5}}]',
    'fake_assistants.runs = {"progress": "x"}',
    'fake_assistants.load({"threads": [{"object": "thread"}]})',
    'fake_assistants.state = {"thrads": []}',
    'package.FakeAssistants(faults=[{"do": {}}])',
]


@pytest.mark.parametrize("style", ["short", "long", "auto"])
def test_the_traceback_of_a_mistake_ends_at_its_line(run: Run, style: str) -> None:
    """No frame of the package is in it, unless `--full-trace` asks for them."""
    code = "\n".join(f"def test_{n}(fake_assistants):\n    {mistake}" for n, mistake in enumerate(MISTAKES))
    done = run(code, f"--tb={style}")
    done.assert_outcomes(failed=len(MISTAKES))
    assert len(re.findall(r"^E .*BadInput: .* @ \$", done.stdout.str(), re.MULTILINE)) == len(MISTAKES)
    done.stdout.no_fnmatch_line("*fake_assistants/*.py:*")
    run(code, "--full-trace").stdout.fnmatch_lines(["*fake_assistants/*.py:*"])


def test_the_settings_shown_ignore_the_sdks_own_warning(pytester: pytest.Pytester) -> None:
    """The first tests of the pages pass where every other warning is an error."""
    (settings,) = re.findall(r"```toml\n(.*?)```", SHOWN, re.DOTALL)
    pytester.makepyprojecttoml(settings)
    pytester.makepyfile(test_shown="\n".join(TAUGHT[:2]))
    done = pytester.runpytest_inprocess("-p", "no:cacheprovider", "test_shown.py")
    done.assert_outcomes(passed=2)
    done = pytester.runpytest_inprocess("-p", "no:cacheprovider", "-W", "error", "test_shown.py")
    warned = hasattr(Threads.create, "__deprecated__")  # 1.55 does not warn
    done.assert_outcomes(**{"failed" if warned else "passed": 2})


def test_the_fixtures_are_there_in_this_run_too(fake_assistants: FakeAssistants, fake: FakeAssistants) -> None:
    """Beside a project's own."""
    assert fake is not fake_assistants
    assert len(fake_assistants.requests) == 0
