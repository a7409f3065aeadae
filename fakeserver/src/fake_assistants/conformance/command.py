"""The command `python -m fake_assistants.conformance`."""

import json
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from urllib.parse import urlsplit

import click

from fake_assistants.conformance.api import KEY, Setting
from fake_assistants.conformance.case import Case, Result
from fake_assistants.conformance.expectations import Unreachable
from fake_assistants.conformance.http_client import HttpPort, pause
from fake_assistants.conformance.suite import NoSuchCase, NotTheApi, run, selected
from fake_assistants.http.address import base_url
from fake_assistants.option_groups import HELP, GroupedCommand, option

_NAME = "python -m fake_assistants.conformance"

# Exit codes: everything as expected, a deviation, a mistake in the call, no such server.
AS_EXPECTED, DEVIATED, MISTAKE, NO_SERVER = range(4)


def main(arguments: list[str] | None = None) -> None:
    """Run the command.

    Exit code 0 if every applicable case is as expected, 1 if one deviates, 2 for a mistake in the call, 3 if the server
    cannot be reached or does not have the API, 130 if it is interrupted.
    """
    try:
        code = conformance.main(arguments, prog_name=_NAME, standalone_mode=False)
    except click.ClickException as error:
        click.echo(f"{_NAME}: {error.format_message()}", err=True)
        code = error.exit_code
    except click.Abort:
        code = 130
    sys.exit(code)


class _NoServer(click.ClickException):
    """The server cannot be reached, or does not have the API."""

    exit_code = NO_SERVER


def _address(_: click.Context, __: click.Parameter, given: str | None) -> str | None:
    if given is None:
        return None
    try:
        return base_url(given)
    except ValueError:
        raise click.BadParameter(f"{given!r} is not of the form http://127.0.0.1:8000/v1") from None


@click.command(name=_NAME, cls=GroupedCommand, context_settings=HELP)
@option(
    "Server",
    "--base-url",
    "url",
    envvar="OPENAI_BASE_URL",
    show_envvar=True,
    metavar="URL",
    callback=_address,
    help="Check this server; the URL ends in /v1.",
)
@option("Server", "--api-key", "key", envvar="OPENAI_API_KEY", default=KEY, metavar="K", help="Send this key.")
@option(
    "Server",
    "--model",
    default=Setting().model,
    show_default=True,
    metavar="NAME",
    help="Use this model for assistants and runs.",
)
@option("Server", "--no-control", is_flag=True, help="Do not use the fake's control API.")
@option(
    "Cases",
    "--only",
    multiple=True,
    metavar="AREA/NAME...",
    help="Run only these: an area, or AREA/NAME; * fits any text.",
)
@click.argument("more", nargs=-1, metavar="")
@option("Cases", "--list", "listing", is_flag=True, help="List the cases, and send nothing.")
@option("Cases", "--json", "as_json", is_flag=True, help="Print one JSON object instead of lines.")
@option(
    "Waiting",
    "--timeout",
    default=30.0,
    show_default=True,
    metavar="S",
    type=click.FloatRange(0.1),
    help="Wait so many seconds for an answer.",
)
@option(
    "Waiting",
    "--poll",
    default=0.5,
    show_default=True,
    metavar="S",
    type=click.FloatRange(0),
    help="Wait so many seconds between two polls.",
)
@option(
    "Waiting",
    "--polls",
    default=60,
    show_default=True,
    metavar="N",
    type=click.IntRange(1),
    help="Poll one run at most so often.",
)
def conformance(
    url: str | None,
    key: str,
    model: str,
    only: tuple[str, ...],
    more: tuple[str, ...],
    listing: bool,
    as_json: bool,
    no_control: bool,
    timeout: float,
    poll: float,
    polls: int,
) -> int:
    """Check a server against the known behaviour of the Assistants API. Threads, assistants and runs are created
    there, and deleted again.
    """
    names = [name for given in (*only, *more) for name in given.split(",")]
    if listing:
        return _list(_cases(names), as_json=as_json)
    if url is None:
        raise click.UsageError("give --base-url, such as http://127.0.0.1:8000/v1")
    setting = Setting(base=urlsplit(url).path, key=key, model=model, polls=polls, pause=pause(poll))
    cases, port = _cases(names), HttpPort(url, timeout=timeout)
    report = _ignore if as_json else _print_line
    results = _results(port, [str(case) for case in cases], setting, None if not no_control else False, report)
    (_print_object if as_json else _print_totals)(url, results)
    return DEVIATED if any(result.outcome == "deviates" for result in results) else AS_EXPECTED


def _cases(names: Sequence[str]) -> tuple[Case, ...]:
    try:
        return selected(names)
    except NoSuchCase as error:
        raise click.BadParameter(str(error), param_hint="--only") from None


def _results(
    port: HttpPort, names: Sequence[str], setting: Setting, control: bool | None, report: Callable[[Result], None]
) -> tuple[Result, ...]:
    try:
        return run(port.send, only=names, setting=setting, control=control, on_result=report)
    except (NotTheApi, Unreachable) as error:
        raise _NoServer(f"{port.base_url}: {error}") from None


# --- what is printed ------------------------------------------------------------------------------------


def _list(cases: Sequence[Case], *, as_json: bool) -> int:
    rows = [
        {"area": case.area, "name": case.name, "evidence": case.evidence, "needs": case.needs, "promise": case.promise}
        for case in cases
    ]
    if as_json:
        click.echo(json.dumps({"cases": rows}, ensure_ascii=False, indent=2))
    else:
        width = max(len(str(case)) for case in cases)
        for case in cases:
            click.echo(f"{case!s:{width}}  {case.evidence:8}  {case.promise}")
    return AS_EXPECTED


def _print_line(result: Result) -> None:
    """Print a line for each case, and the deviation below it."""
    click.echo(f"{result.outcome:14}  {result.case}  ({result.case.evidence})")
    if result.detail is not None:
        click.echo(f"{'':14}    {result.detail}")
        if result.outcome == "deviates":
            click.echo(f"{'':14}    the promise: {result.case.promise}")


def _ignore(_: Result) -> None:
    """Report nothing: the results are printed at the end."""


def _counts(results: Sequence[Result]) -> dict[str, int]:
    found = Counter(result.outcome for result in results)
    return {"ok": found["ok"], "deviates": found["deviates"], "not applicable": found["not applicable"]}


def _print_totals(url: str, results: Sequence[Result]) -> None:
    counts = ", ".join(f"{count} {outcome}" for outcome, count in _counts(results).items())
    click.echo(f"\n{url}: {len(results)} cases: {counts}")


def _print_object(url: str, results: Sequence[Result]) -> None:
    found = {"base_url": url, "totals": _counts(results), "results": [result.json() for result in results]}
    click.echo(json.dumps(found, ensure_ascii=False, indent=2))
