"""The run of a suite: which cases, in which order, and what came of each."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from fnmatch import fnmatchcase

import attrs

from fake_assistants.conformance.api import Api, Port, Setting, has_control, service_of
from fake_assistants.conformance.case import Case, Need, Result
from fake_assistants.conformance.cases.all_cases import CASES
from fake_assistants.conformance.expectations import Deviation, NotApplicable, Unreachable
from fake_assistants.conformance.response import Answer

# So many cases in a row without any answer, and the server is taken to be gone.
_SILENT = 3


class NoSuchCase(ValueError):
    """A name that no case has. The message says which."""


class NotTheApi(Exception):
    """What answers is no Assistants API, or refuses the key. The message says what came."""


def selected(names: Iterable[str]) -> tuple[Case, ...]:
    """The cases with these names, in the table's order: an area, AREA/NAME, or either with `*`; all without names.

    Raises NoSuchCase.
    """
    wanted = list(names)
    for name in wanted:
        if not any(_fits(case, name) for case in CASES):
            areas = ", ".join(dict.fromkeys(case.area for case in CASES))
            raise NoSuchCase(f"no case {name!r}; the areas are {areas}")
    return tuple(case for case in CASES if not wanted or any(_fits(case, name) for name in wanted))


def _fits(case: Case, name: str) -> bool:
    return fnmatchcase(str(case), name if "/" in name else f"{name}/*")


def run(
    send: Port,
    *,
    only: Iterable[str] = (),
    setting: Setting | None = None,
    control: bool | None = None,
    lacks: Sequence[Need] = (),
    told: Callable[[Result], None] | None = None,
) -> tuple[Result, ...]:
    """Run the cases over a port and report each result as it comes.

    `send` takes a Request and returns a Reply, as `fake.handle` and `http_client.HttpPort` do. `control` says whether
    to use the fake's control API, None finds out; `lacks` names other needs that the port cannot serve. Which service
    it is is found out too: cases of others do not apply. Raises NoSuchCase, NotTheApi, and Unreachable when nobody
    answers.
    """
    cases = selected(only)
    asked = setting or Setting()
    service = service_of(send, asked, probe(send, asked))
    has = has_control(send) if control is None else control
    asked = attrs.evolve(asked, control=has, service=service)
    missing: tuple[Need, ...] = (*lacks, *(() if asked.control else ("control",)))
    results = []
    for result in _alive(check(case, send, asked, missing) for case in cases):
        results.append(result)
        (told or _untold)(result)
    return tuple(results)


def check(case: Case, send: Port, setting: Setting, lacks: Sequence[Need] = ()) -> Result:
    """Run one case, and delete what it created."""
    if setting.service not in case.services:
        return Result(case, "not applicable", f"the API is {_SERVICES[setting.service]}")
    missing = [need for need in case.needs if need in lacks]
    if missing:
        return Result(case, "not applicable", f"needs {_NEEDS[missing[0]]}")
    api = Api(send, setting)
    try:
        case.check(api)
    except Deviation as deviation:
        return Result(case, "deviates", str(deviation))
    except NotApplicable as reason:
        return Result(case, "not applicable", str(reason))
    except Unreachable as error:
        return Result(case, "deviates", f"{_NO_ANSWER}: {error}")
    finally:
        api.tidy()
    return Result(case, "ok")


_NEEDS = {"control": "the fake's control API under /_fake/", "raw": "requests that this client cannot send"}
_SERVICES = {"openai": "OpenAI's", "azure": "Azure's", "foundry": "Microsoft Foundry's"}
_NO_ANSWER = "no answer came"


def probe(send: Port, setting: Setting) -> Answer:
    """The answer of a server that creates a thread. Raises NotTheApi or Unreachable."""
    api = Api(send, setting)
    answer = api.post("/threads", {})
    try:
        if answer.status in {401, 403}:
            raise NotTheApi(f"the server refuses the key: {_said(answer)}")
        if not 200 <= answer.status < 300:
            raise NotTheApi(f"this address does not serve the Assistants API: {_said(answer)}")
        answer.json()["id"].text()
        return answer
    except Deviation:
        raise NotTheApi(f"this address does not serve the Assistants API: {_said(answer)}") from None
    finally:
        api.tidy()


def _said(answer: Answer) -> str:
    return str(answer.deviates("a thread"))


def _alive(results: Iterator[Result]) -> Iterator[Result]:
    """The results, as long as answers come. Raises Unreachable."""
    silent = 0
    for result in results:
        silent = silent + 1 if (result.detail or "").startswith(_NO_ANSWER) else 0
        yield result
        if silent == _SILENT:
            raise Unreachable(f"the server stopped answering: {result.detail}")


def _untold(_: Result) -> None:
    """Nobody listens."""
