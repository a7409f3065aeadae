"""The pytest plugin: a fake for each test or for the session, mounted or served.

A request that matches no route fails its test. pytest loads this file in every run of a project that has
fake-assistants installed, so HTTP libraries and servers are imported only when a fixture is used.
"""

import inspect
import os
import sys
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from itertools import chain
from pathlib import Path
from typing import Any

import attrs
import pytest

import fake_assistants.dispatch.unrouted as unrouted
from fake_assistants.fake import FakeAssistants, FakeAssistantsServer
from fake_assistants.simulation.request_log import RequestLog
from fake_assistants.user_input import BadInput

_MARK = "fake_assistants"
_MARKED = f"@pytest.mark.{_MARK}"

# The fixtures of the session, in the order in which they are switched on.
_SESSION = "fake_assistants_session"
_SESSION_SERVER = "fake_assistants_session_server"
_SESSION_OPTIONS = "fake_assistants_session_options"

# The options of the marker in addition to the arguments of FakeAssistants. For the session's fake only the first two.
_EACH_TEST = ("allow_unknown_routes", "reset")
_OWN = (*_EACH_TEST, "load")

_KEY = "sk-fake-assistants"

_NEXT = f"""

The client was answered as the real API answers, and may have hidden the error. If this is intended, mark the test:
{_MARKED}(allow_unknown_routes=True)"""


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker, and let the traceback of a BadInput end at the user's line, except for `--full-trace`.

    pytest hides the frames of a module with this variable. To set it here keeps pytest out of all other modules.
    """
    line = f"{_MARK}({', '.join(_options())}): options of the fake of this test; further marks add to it"
    config.addinivalue_line("markers", line)
    for name, module in list(sys.modules.items()):
        if name.startswith("fake_assistants."):
            vars(module)["__tracebackhide__"] = _is_bad_input


def _is_bad_input(caught: pytest.ExceptionInfo[BaseException] | None) -> bool:
    return caught is not None and isinstance(caught.value, BadInput)


# --- the fixtures of one test ---------------------------------------------------------------------------


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


@pytest.fixture
def _fake_assistants_made(request: pytest.FixtureRequest) -> FakeAssistants:
    """The only fake of a test, created from its marks."""
    options = _marked(request.node)
    fake = _made(request.config.rootpath, options)
    _watch(request.node, fake, options)
    return fake


def _mount(fake: FakeAssistants, fixture: str = "fake_assistants") -> AbstractContextManager[FakeAssistants]:
    try:
        return fake.mount()
    except ImportError as error:
        raise _failure(f"the fixture {fixture}: {error}") from None


def _set_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """Set a key if none is set: the client requires one."""
    if not os.environ.get("OPENAI_API_KEY"):
        monkeypatch.setenv("OPENAI_API_KEY", _KEY)


# --- the fixtures of the session ------------------------------------------------------------------------


@attrs.define
class _Shared:
    """The fake of the session, and its changes to the process, which are active only during tests that request it.

    `switches` are the fixtures requested so far, each with its change. One that a test requested by `getfixturevalue`
    remains active (`stays`): pytest does not say which later tests will do so.
    """

    fake: FakeAssistants
    options: Mapping[str, Any]
    item: pytest.Item
    switches: dict[str, Callable[[], AbstractContextManager[object]]] = attrs.field(factory=dict)
    stays: set[str] = attrs.field(factory=set)
    _on: tuple[str, ...] = ()
    _stack: ExitStack = attrs.field(factory=ExitStack)

    def begin(self, item: pytest.Item) -> None:
        """Prepare for a test: switch its fixtures on and the others off, and reset the fake if an option says so."""
        self.item = item
        self._switch(self._requested())
        if _uses(item, _SESSION, _SESSION_SERVER):
            options = {**self.options, **_marked_for_session(item)}
            if options.get("reset"):
                self.fake.reset()
            _watch(item, self.fake, options)

    def end(self) -> None:
        """Switch everything on for the teardown of fixtures of a wider scope: they may use the fake."""
        self._switch(tuple(sorted(self.switches)))

    def add(self, fixture: str, switch: Callable[[], AbstractContextManager[object]]) -> None:
        """Register a fixture that was set up, and switch it on."""
        self.switches[fixture] = switch
        if not _uses(self.item, fixture):
            self.stays.add(fixture)
        self._switch(self._requested())

    def remove(self, fixture: str) -> None:
        """Switch a fixture off for good."""
        self._switch(tuple(name for name in self._on if name != fixture))
        del self.switches[fixture]

    def _requested(self) -> tuple[str, ...]:
        return tuple(name for name in sorted(self.switches) if name in self.stays or _uses(self.item, name))

    def _switch(self, requested: tuple[str, ...]) -> None:
        if requested != self._on:
            self._stack.close()
            self._on = requested
            for name in requested:
                self._stack.enter_context(self.switches[name]())


_SHARED = pytest.StashKey[_Shared]()
_ITEM = pytest.StashKey[pytest.Item]()


def _uses(item: pytest.Item, *fixtures: str) -> bool:
    """Return whether a test, or one of its fixtures, uses one of these fixtures."""
    return not {*fixtures}.isdisjoint(getattr(item, "fixturenames", ()))


@pytest.fixture(scope="session", name=_SESSION_OPTIONS)
def _session_options() -> Mapping[str, Any]:
    """The options of the session's fake, as for the marker: override this fixture in a conftest.py."""
    return {}


@pytest.fixture(scope="session", name=_SESSION)
def _session_mounted(_fake_assistants_shared: _Shared) -> Iterator[FakeAssistants]:
    """One fake of the Assistants API for the whole session, mounted during the tests that request it."""
    shared = _fake_assistants_shared

    @contextmanager
    def mounting() -> Iterator[None]:
        with _mount(shared.fake, _SESSION), pytest.MonkeyPatch.context() as monkeypatch:
            _set_key(monkeypatch)
            monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
            yield

    shared.add(_SESSION, mounting)
    yield shared.fake
    shared.remove(_SESSION)


@pytest.fixture(scope="session", name=_SESSION_SERVER)
def _session_served(_fake_assistants_shared: _Shared) -> Iterator[FakeAssistantsServer]:
    """One served fake for the whole session, with its address in OPENAI_BASE_URL during the tests that request it."""
    shared = _fake_assistants_shared
    with shared.fake.serve() as server:

        @contextmanager
        def named() -> Iterator[None]:
            with pytest.MonkeyPatch.context() as monkeypatch:
                _set_key(monkeypatch)
                monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
                yield

        shared.add(_SESSION_SERVER, named)
        yield FakeAssistantsServer(fake=shared.fake, url=server.url, base_url=server.base_url)
        shared.remove(_SESSION_SERVER)


@pytest.fixture(scope="session")
def _fake_assistants_shared(
    request: pytest.FixtureRequest, fake_assistants_session_options: Mapping[str, Any]
) -> Iterator[_Shared]:
    """The only fake of the session, created from its options."""
    options = dict(fake_assistants_session_options)
    item = request.config.stash[_ITEM]
    _known(options, f"the fixture {_SESSION_OPTIONS}:")
    fake = _made(request.config.rootpath, options, f"the fixture {_SESSION_OPTIONS}")
    _watch(item, fake, {**options, **_marked_for_session(item)})
    shared = request.config.stash[_SHARED] = _Shared(fake, options, item)
    yield shared
    del request.config.stash[_SHARED]


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Switch the session's fake on or off before any fixture of the test is set up."""
    item.config.stash[_ITEM] = item
    if _SHARED in item.config.stash:
        item.config.stash[_SHARED].begin(item)


# --- requests without a route -------------------------------------------------------------------------


@attrs.define
class _Watch:
    """A fake that a test uses, and the length of its request logs when the test began. It reports once."""

    fake: FakeAssistants
    lengths: dict[int, tuple[RequestLog, int]]  # by id of the log, which is held so that the id stays unique
    is_reported: bool

    @classmethod
    def of(cls, fake: FakeAssistants, *, is_reported: bool) -> "_Watch":
        """Watch a fake from now on."""
        logs = [world.requests for world in fake.worlds()]
        return cls(fake, {id(log): (log, log.total) for log in logs}, is_reported)

    def text(self) -> str:
        """Return the text to report, "" if there is none or it was reported."""
        if self.is_reported:
            return ""
        logs = [world.requests for world in self.fake.worlds()]
        asked = chain.from_iterable(log.unrouted(self.lengths.get(id(log), (log, 0))[1]) for log in logs)
        text = unrouted.describe(asked, self.fake.profile)
        self.is_reported = bool(text)
        return text and text + _NEXT


_WATCHES = pytest.StashKey[list[_Watch]]()


def _watch(item: pytest.Item, fake: FakeAssistants, options: Mapping[str, Any]) -> None:
    """Fail the test if a request to the fake matches no route, unless its options allow that."""
    watch = _Watch.of(fake, is_reported=bool(options.get("allow_unknown_routes", False)))
    item.stash.setdefault(_WATCHES, []).append(watch)


def _report(item: pytest.Item) -> str:
    return "\n\n".join(filter(None, (watch.text() for watch in item.stash.get(_WATCHES, []))))


def _fail(item: pytest.Item) -> None:
    if text := _report(item):
        pytest.fail(text, pytrace=False)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, None, None]:
    """Fail the test in its call: an exception in a teardown would count as an error of a test that passed."""
    yield
    _fail(item)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> Generator[None, None, None]:
    """Report requests that other fixtures made in their teardown."""
    ending_scopes = set(item.listchain()[:-1]) - set(nextitem.listchain() if nextitem else ())
    if ending_scopes and _SHARED in item.config.stash:
        item.config.stash[_SHARED].end()
    yield
    _fail(item)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add a section about such requests to the report of a test that fails otherwise."""
    report = yield
    if call.excinfo is not None and (text := _report(item)):
        report.sections.append(("fake-assistants", text))
    return report


# --- the marker -----------------------------------------------------------------------------------------


def _options() -> list[str]:
    """Return every option of the marker, by name."""
    return sorted({*inspect.signature(FakeAssistants).parameters, *_OWN})


def _known(options: Mapping[str, Any], who: str) -> None:
    for name in options:
        if name not in _options():
            raise _failure(f"{who} has no option {name!r}; it has: {', '.join(_options())}")


def _marked(node: pytest.Item) -> dict[str, Any]:
    """Return the options of all marks; if two set the same option, the closest to the test wins."""
    options: dict[str, Any] = {}
    for mark in node.iter_markers(_MARK):
        if mark.args:
            raise _failure(f"{_MARKED}: takes options by name only, such as load=...; not {mark.args[0]!r}")
        _known(mark.kwargs, f"{_MARKED}:")
        options = {**mark.kwargs, **options}
    return options


def _marked_for_session(item: pytest.Item) -> dict[str, Any]:
    """Return the options for the session's fake. Any other option needs a fake of the test's own."""
    options = _marked(item)
    others = [name for name in options if name not in _EACH_TEST]
    if others and not _uses(item, "_fake_assistants_made"):
        raise _failure(
            f"{_MARKED}: {others[0]} is for a fake of the test's own; the session's is made from the fixture "
            f"{_SESSION_OPTIONS}, and a test may change only {', '.join(_EACH_TEST)}"
        )
    return {name: value for name, value in options.items() if name in _EACH_TEST}


def _made(root: Path, options: Mapping[str, Any], who: str = _MARKED) -> FakeAssistants:
    arguments = {name: value for name, value in options.items() if name not in _EACH_TEST}
    source = arguments.pop("load", None)
    try:
        fake = FakeAssistants(**arguments)
        fake.reset()  # a mark is shared by many tests: restart its clock and ids
        if source is not None:
            fake.load(root / source if isinstance(source, str | os.PathLike) else source)
    except (TypeError, ValueError, OSError) as error:
        raise _failure(f"{who}: {error}") from None
    return fake


def _failure(text: str) -> BaseException:
    """Return a failure without a traceback. Raise it `from None`: its cause has the same message."""
    return pytest.fail.Exception(text, pytrace=False)
