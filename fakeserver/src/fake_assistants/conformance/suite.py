"""Run the cases of the suite, and collect their results."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from fnmatch import fnmatchcase

import attrs

from fake_assistants.conformance.api import Api, Port, Setting, has_control, service_of
from fake_assistants.conformance.case import Case, Need, Result
from fake_assistants.conformance.cases.all_cases import CASES
from fake_assistants.conformance.expectations import Deviation, NotApplicable, Unreachable
from fake_assistants.conformance.response import Answer

# The number of cases in a row without any answer after which the server is considered gone.
_MAX_SILENT = 3


class NoSuchCase(ValueError):
    """No case has this name. The message has the name."""


class NotTheApi(Exception):
    """The server does not have the Assistants API, or refuses the key. The message has its answer."""


def selected(names: Iterable[str]) -> tuple[Case, ...]:
    """Return the cases with these names, in the table's order; all without names.

    A name is an area, AREA/NAME, or either with `*`. Raises NoSuchCase.
    """
    expected = list(names)
    for name in expected:
        if not any(_fits(case, name) for case in CASES):
            areas = ", ".join(dict.fromkeys(case.area for case in CASES))
            raise NoSuchCase(f"no case {name!r}; the areas are {areas}")
    return tuple(case for case in CASES if not expected or any(_fits(case, name) for name in expected))


def _fits(case: Case, name: str) -> bool:
    return fnmatchcase(str(case), name if "/" in name else f"{name}/*")


def run(
    send: Port,
    *,
    only: Iterable[str] = (),
    setting: Setting | None = None,
    control: bool | None = None,
    lacks: Sequence[Need] = (),
    on_result: Callable[[Result], None] | None = None,
) -> tuple[Result, ...]:
    """Run the cases over a port, and pass each result to `on_result` as it comes.

    `send` takes a Request and returns a Reply, as `fake.handle` and `http_client.HttpPort` do. `control` is whether to
    use the fake's control API, None to find out; `lacks` are other needs that the port cannot meet. The service is
    found out too: cases of other services do not apply. Raises NoSuchCase, NotTheApi, and Unreachable if no answers
    come.
    """
    cases = selected(only)
    asked = setting or Setting()
    service = service_of(send, asked, probe(send, asked))
    has = has_control(send) if control is None else control
    asked = attrs.evolve(asked, control=has, service=service)
    missing: tuple[Need, ...] = (*lacks, *(() if asked.control else ("control",)))
    results = []
    for result in _while_answering(check(case, send, asked, missing) for case in cases):
        results.append(result)
        (on_result or _ignore)(result)
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
    """Create a thread, and return the answer. Raises NotTheApi or Unreachable."""
    api = Api(send, setting)
    answer = api.post("/threads", {})
    try:
        if answer.status in {401, 403}:
            raise NotTheApi(f"the server refuses the key: {_description(answer)}")
        if not 200 <= answer.status < 300:
            raise NotTheApi(f"this address does not serve the Assistants API: {_description(answer)}")
        answer.json()["id"].text()
        return answer
    except Deviation:
        raise NotTheApi(f"this address does not serve the Assistants API: {_description(answer)}") from None
    finally:
        api.tidy()


def _description(answer: Answer) -> str:
    return str(answer.deviates("a thread"))


def _while_answering(results: Iterator[Result]) -> Iterator[Result]:
    """Yield the results while the server answers. Raises Unreachable."""
    silent = 0
    for result in results:
        silent = silent + 1 if (result.detail or "").startswith(_NO_ANSWER) else 0
        yield result
        if silent == _MAX_SILENT:
            raise Unreachable(f"the server stopped answering: {result.detail}")


def _ignore(_: Result) -> None:
    """Report nothing."""
