"""The command `fake-assistants`."""

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

import fake_assistants.simulation.fault_plan as faultplan
from fake_assistants import __version__
from fake_assistants.adapters.serve_command import now as wall_clock
from fake_assistants.demo import demo_world
from fake_assistants.engine.run_plan import WAYS, By
from fake_assistants.fake import FakeAssistants
from fake_assistants.http.lossless_json import MalformedJson, loads
from fake_assistants.simulation.clock import LIMIT, Clock
from fake_assistants.simulation.profiles import PROFILES
from fake_assistants.simulation.sunset import STYLES, SunsetPlan
from fake_assistants.user_input import BadInput

_NAME = "fake-assistants"


def main(arguments: list[str] | None = None) -> None:
    """Run the command. One line on stderr says what is wrong; exit code 2 for a mistake, 1 for the port.

    Exit code 130 when it is interrupted before it listens.
    """
    try:
        code = commands.main(arguments, prog_name=_NAME, standalone_mode=False)
    except click.ClickException as error:
        click.echo(f"{_NAME}: {error.format_message()}", err=True)
        code = error.exit_code
    except click.Abort:
        code = 130
    sys.exit(code)


@click.group(name=_NAME, invoke_without_command=True)
@click.version_option(__version__, message="%(prog)s %(version)s")
@click.pass_context
def commands(context: click.Context) -> None:
    """A fake of OpenAI's Assistants API."""
    if context.invoked_subcommand is None:
        raise click.UsageError(f"give a command, such as `{_NAME} serve`; `{_NAME} --help` tells more")


def _moment(_: click.Context, __: click.Parameter, given: str | None) -> int | None:
    """Epoch seconds, or an ISO date or date and time; without a zone it is UTC."""
    if given is None:
        return None
    try:
        second = int(given) if given.isdecimal() else _second(datetime.fromisoformat(given))
    except ValueError:
        raise click.BadParameter(f"{given!r} is neither epoch seconds nor an ISO date") from None
    if second > LIMIT:
        raise click.BadParameter(f"{given} is beyond the clock's last second, {LIMIT}")
    return second


def _second(moment: datetime) -> int:
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())


def _size(_: click.Context, __: click.Parameter, given: str | None) -> tuple[int, int] | None:
    """Such as 20x50: threads, and messages in each."""
    if given is None:
        return None
    threads, _cross, messages = given.partition("x")
    if not (threads.isdecimal() and messages.isdecimal()):
        raise click.BadParameter(f"{given!r} is not of the form 20x50")
    return int(threads), int(messages)


def _named(_: click.Context, __: click.Parameter, given: tuple[str, ...]) -> tuple[str, ...]:
    if "" in given:
        raise click.BadParameter("must not be empty")
    return given


class _NotServed(click.ClickException):
    """The address cannot be listened on."""

    exit_code = 1


@commands.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=8000, show_default=True, type=click.IntRange(0, 65535), help="0: a free one.")
@click.option(
    "--load",
    "files",
    multiple=True,
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="A state (JSON) or a full export (NDJSON). May be repeated.",
)
@click.option("--sunset", "when", callback=_moment, metavar="WHEN", help="Fall silent then: epoch seconds or ISO, UTC.")
@click.option("--sunset-after", type=click.IntRange(0), metavar="N", help="Fall silent after N requests.")
@click.option("--sunset-style", type=click.Choice(STYLES), default="gone", show_default=True)
@click.option("--latency-ms", type=click.IntRange(0), default=0, metavar="N", help="Delay every answer.")
@click.option("--rpm", type=click.IntRange(1), metavar="N", help="Let each key ask N times a minute.")
@click.option(
    "--faults", "plan_file", type=click.Path(path_type=Path), metavar="FILE", help="A plan of faults to inject (JSON)."
)
@click.option(
    "--profile", type=click.Choice(list(PROFILES)), default="openai", show_default=True, help="Service to imitate."
)
@click.option("--worlds-by-key", is_flag=True, help="Give every API key a world of its own.")
@click.option(
    "--runs",
    type=click.Choice(WAYS),
    default="read",
    show_default=True,
    help="What carries runs on: each read of one, nothing (at once), or the clock.",
)
@click.option("--seed", type=int, default=0, show_default=True, help="Where ids come from.")
@click.option(
    "--api-key", "keys", multiple=True, callback=_named, metavar="K", help="Refuse other keys. May be repeated."
)
@click.option(
    "--model",
    "models",
    multiple=True,
    callback=_named,
    metavar="NAME",
    help="Refuse other models for assistants and runs. May be repeated.",
)
@click.option("--check-files", is_flag=True, help="Refuse files that a file search or a message cannot read.")
@click.option("--demo", callback=_size, metavar="THREADSxMESSAGES", help="Serve made-up conversations.")
def serve(
    host: str,
    port: int,
    files: tuple[Path, ...],
    when: int | None,
    sunset_after: int | None,
    sunset_style: Any,
    latency_ms: int,
    rpm: int | None,
    plan_file: Path | None,
    profile: str,
    worlds_by_key: bool,
    runs: By,
    seed: int,
    keys: tuple[str, ...],
    models: tuple[str, ...],
    check_files: bool,
    demo: tuple[int, int] | None,
) -> None:
    """Serve the fake over HTTP until SIGTERM or SIGINT."""
    fake = FakeAssistants(
        clock=Clock(wall_clock),
        seed=seed,
        api_keys=keys,
        sunset=_plan(when, sunset_after, sunset_style),
        faults=_faults(plan_file) if plan_file else (),
        rpm=rpm,
        profile=profile,
        worlds_by_key=worlds_by_key,
        runs=runs,
        models=models,
        check_files=check_files,
    )
    if demo:
        fake.load(demo_world(*demo, seed=seed))
    _load(fake, files)
    _serve(fake, host, port, latency_ms)


def _plan(when: int | None, after: int | None, style: Any) -> SunsetPlan | None:
    if when is not None and after is not None:
        raise click.UsageError("give --sunset or --sunset-after, not both")
    if when is None and after is None:
        return None
    return SunsetPlan(at=when, after_requests=after, style=style)


def _faults(path: Path) -> Any:
    """A plan of faults, read and checked."""
    with _told_with(path):
        try:
            plan = loads(path.read_bytes())
        except MalformedJson as error:
            raise BadInput(f"not JSON: {error}") from None
        faultplan.rules(plan)
    return plan


@contextmanager
def _told_with(path: Path) -> Iterator[None]:
    """What is wrong with a file is a mistake of the user's, told with its path."""
    try:
        yield
    except BadInput as error:
        raise click.UsageError(f"{path}: {error}") from None
    except OSError as error:
        raise click.UsageError(f"{path}: {error.strerror}") from None


def _load(fake: FakeAssistants, files: Iterable[Path]) -> None:
    for path in files:
        with _told_with(path):
            fake.load(path)


def _serve(fake: FakeAssistants, host: str, port: int, latency_ms: int) -> None:
    from fake_assistants.adapters.serve_command import serve_until_told  # uvicorn is slow to import

    def warn() -> None:
        click.echo(f"{_NAME}: warning: {host} can be reached from other machines", err=True)

    try:
        app = fake.asgi(latency_ms=latency_ms)
        serve_until_told(app, host=host, port=port, base_path=fake.profile.base_path, warn=warn)
    except OSError as error:
        raise _NotServed(f"cannot listen on {host}:{port}: {error.strerror}") from None
    except UnicodeError:
        raise _NotServed(f"cannot listen on {host!r}: not an address") from None
