"""The pytest plugin: a fake for each test, mounted or served, and no request without a route goes unseen.

pytest loads this file in every run of a project that has fake-assistants installed, so it imports no HTTP
library and no server: a fixture brings them in when a test asks for it.
"""

import inspect
import os
from collections.abc import Generator, Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Any

import attrs
import pytest

import fake_assistants.dispatch.unrouted as unrouted
from fake_assistants.fake import FakeAssistants

_MARK = "fake_assistants"
_MARKED = f"@pytest.mark.{_MARK}"

# What the marker takes beside the arguments of FakeAssistants.
_OWN = ("allow_unknown_routes", "load")

_KEY = "sk-fake-assistants"

_NEXT = f"""

The client was answered as the real API answers, and may have hidden it. If the test means to ask for this, mark it:
{_MARKED}(allow_unknown_routes=True)"""


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker."""
    line = f"{_MARK}({', '.join(_options())}): how the fake of this test is made; further marks add to it"
    config.addinivalue_line("markers", line)


@attrs.frozen(kw_only=True)
class FakeAssistantsServer:
    """A fake behind a real HTTP server. `url` is scheme, host and port; `base_url` is what an OpenAI client takes."""

    fake: FakeAssistants
    url: str
    base_url: str


@pytest.fixture(name="fake_assistants")
def _mounted(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, _fake_assistants_made: FakeAssistants
) -> Iterator[FakeAssistants]:
    """A fresh fake of the Assistants API that every OpenAI() and AsyncOpenAI() of the test reaches."""
    with _mount(_fake_assistants_made) as fake:
        _set_key(monkeypatch)
        if "fake_assistants_server" not in request.fixturenames:
            monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
        yield fake


@pytest.fixture(name="fake_assistants_server")
def _served(monkeypatch: pytest.MonkeyPatch, _fake_assistants_made: FakeAssistants) -> Iterator[FakeAssistantsServer]:
    """A fresh fake of the Assistants API on a free port, named in OPENAI_BASE_URL, for child processes too."""
    with _fake_assistants_made.serve() as server:
        _set_key(monkeypatch)
        monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
        yield FakeAssistantsServer(fake=_fake_assistants_made, url=server.url, base_url=server.base_url)


def _mount(fake: FakeAssistants) -> Any:
    try:
        return fake.mount()
    except ImportError as error:
        raise _failure(f"the fixture fake_assistants: {error}") from None


def _set_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without any key the client would not even start. A key that is set stays: the fake keeps it to itself."""
    if not os.environ.get("OPENAI_API_KEY"):
        monkeypatch.setenv("OPENAI_API_KEY", _KEY)


# --- requests without a route -------------------------------------------------------------------------


@attrs.define
class _Watch:
    """The fake of one test, and whether its requests without a route were told, or need not be."""

    fake: FakeAssistants
    is_told: bool

    def tell(self) -> str:
        """What is to be told, once; "" when there is nothing."""
        asked = chain.from_iterable(world.requests for world in self.fake.worlds())
        text = "" if self.is_told else unrouted.told(asked, self.fake.profile)
        self.is_told = True
        return text and text + _NEXT


_WATCH = pytest.StashKey[_Watch]()


@pytest.fixture
def _fake_assistants_made(request: pytest.FixtureRequest) -> Iterator[FakeAssistants]:
    """The one fake of a test, as its marks want it. The test fails in its teardown when a request had no route."""
    options = _marked(request.node)
    is_told = bool(options.pop("allow_unknown_routes", False))
    watch = request.node.stash[_WATCH] = _Watch(_made(request.config.rootpath, options), is_told)
    yield watch.fake
    if text := watch.tell():
        pytest.fail(text, pytrace=False)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A test that fails by itself is told about its requests in a section of its own, beside its own failure."""
    report = yield
    watch = item.stash.get(_WATCH, None)
    if watch is not None and call.excinfo is not None and (text := watch.tell()):
        report.sections.append(("fake-assistants", text))
    return report


# --- the marker -----------------------------------------------------------------------------------------


def _options() -> list[str]:
    """Every option of the marker, by name."""
    return sorted({*inspect.signature(FakeAssistants).parameters, *_OWN})


def _marked(node: pytest.Item) -> dict[str, Any]:
    """The options of all marks; of two that say different things, the one closest to the test counts."""
    options: dict[str, Any] = {}
    for mark in node.iter_markers(_MARK):
        if mark.args:
            raise _refused(f"takes options by name only, such as load=...; not {mark.args[0]!r}")
        for name in mark.kwargs:
            if name not in _options():
                raise _refused(f"has no option {name!r}; it has: {', '.join(_options())}")
        options = {**mark.kwargs, **options}
    return options


def _made(root: Path, options: Mapping[str, Any]) -> FakeAssistants:
    arguments = dict(options)
    source = arguments.pop("load", None)
    try:
        fake = FakeAssistants(**arguments)
        fake.reset()  # a mark is made once for many tests: the clock and the ids that it holds start again
        if source is not None:
            fake.load(root / source if isinstance(source, str | os.PathLike) else source)
    except (TypeError, ValueError, OSError) as error:
        raise _refused(str(error)) from None
    return fake


def _refused(reason: str) -> BaseException:
    return _failure(f"{_MARKED}: {reason}")


def _failure(text: str) -> BaseException:
    """To be raised `from None`: what it came from would be told beside it, in the same words."""
    return pytest.fail.Exception(text, pytrace=False)
