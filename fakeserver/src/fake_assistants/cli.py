"""The command `fake-assistants`."""

import errno
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click

import fake_assistants.simulation.fault_plan as fault_plan
from fake_assistants import __version__
from fake_assistants.adapters.server_address import Server
from fake_assistants.demo import demo_world
from fake_assistants.engine.run_plan import WAYS, By
from fake_assistants.fake import FakeAssistants
from fake_assistants.http.address import base_url
from fake_assistants.http.lossless_json import MalformedJson, loads
from fake_assistants.option_groups import HELP, GroupedCommand, option
from fake_assistants.simulation.clock import LIMIT, Clock
from fake_assistants.simulation.profiles import PROFILES
from fake_assistants.simulation.sunset import STYLES, SunsetPlan
from fake_assistants.store.recording import Recording
from fake_assistants.user_input import BadInput

_NAME = "fake-assistants"


def main(arguments: list[str] | None = None) -> None:
    """Run the command. Mistakes are reported in one line on stderr.

    Exit code 2 for a mistake in the call, 1 if the address cannot be bound or the recording cannot be written, 130 if
    it is interrupted before it listens.
    """
    try:
        code = commands.main(arguments, prog_name=_NAME, standalone_mode=False)
    except click.ClickException as error:
        click.echo(f"{_NAME}: {_harmless(error.format_message())}", err=True)
        code = error.exit_code
    except click.Abort:
        code = 130
    sys.exit(code)


def _harmless(text: str) -> str:
    """Return a text in one line, in which characters that a terminal obeys, such as those of a name, are escapes."""
    line = " ".join(text.split())  # click lists choices on lines of their own
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in line)


@click.group(name=_NAME, invoke_without_command=True, context_settings=HELP)
@click.version_option(__version__, message="%(prog)s %(version)s")
@click.pass_context
def commands(context: click.Context) -> None:
    """A fake of OpenAI's Assistants API."""
    if context.invoked_subcommand is None:
        raise click.UsageError(f"give a command, such as `{_NAME} serve`; `{_NAME} -h` lists them")


class _Number(click.IntRange):
    """A whole number within limits."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return it; the error names the limits, whatever is wrong."""
        try:
            return super().convert(value, param, ctx)
        except click.BadParameter:
            limits = f"of at least {self.min}" if self.max is None else f"from {self.min} to {self.max}"
            self.fail(f"{value} is not a whole number {limits}", param, ctx)


def _epoch_second(_: click.Context, __: click.Parameter, given: str | None) -> int | None:
    """Parse epoch seconds, or an ISO date or date and time; without a zone it is in UTC."""
    if given is None:
        return None
    try:
        second = int(given) if given.isdecimal() else _second(datetime.fromisoformat(given))
    except ValueError:
        raise click.BadParameter(f"{given!r} is neither epoch seconds nor an ISO date") from None
    if second > LIMIT:
        raise click.BadParameter(f"{given} is beyond the clock's last second, {LIMIT}")
    return second


def _second(time: datetime) -> int:
    return int((time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp())


def _size(_: click.Context, __: click.Parameter, given: str | None) -> tuple[int, int | None] | None:
    """Parse a number of threads, and optionally of messages in each: such as 40, or 20x50."""
    if given is None:
        return None
    threads, cross, messages = given.partition("x")
    if not threads.isdecimal() or not (messages.isdecimal() if cross else True):
        raise click.BadParameter(f"{given!r} is neither of the form 40 nor of the form 20x50")
    return int(threads), int(messages) if cross else None


def _not_empty(_: click.Context, __: click.Parameter, given: tuple[str, ...]) -> tuple[str, ...]:
    if "" in given:
        raise click.BadParameter("must not be empty")
    return given


def _upstream(_: click.Context, __: click.Parameter, given: str) -> str:
    try:
        return base_url(given)
    except ValueError:
        raise click.BadParameter(f"{given!r} is not of the form https://api.openai.com/v1") from None


class _Failure(click.ClickException):
    """The call is correct, but cannot be carried out."""

    exit_code = 1


@commands.command(cls=GroupedCommand, context_settings=HELP, short_help="Serve the fake over HTTP.")
@option("Address", "--host", default="127.0.0.1", show_default=True, metavar="HOST", help="Listen on this address.")
@option(
    "Address",
    "--port",
    default=8000,
    show_default=True,
    metavar="N",
    type=_Number(0, 65535),
    help="Listen on this port; 0 picks a free one.",
)
@option(
    "Contents",
    "--load",
    "files",
    multiple=True,
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Load a state (JSON), or a file of a full export (NDJSON). May be repeated.",
)
@option(
    "Contents",
    "--demo",
    callback=_size,
    metavar="N[xM]",
    help="Make up N threads, with M messages each or 0 to some hundreds.",
)
@option("Contents", "--seed", type=int, default=0, show_default=True, metavar="N", help="Draw ids from this seed.")
@option(
    "API",
    "--profile",
    type=click.Choice(list(PROFILES)),
    default="openai",
    show_default=True,
    metavar="NAME",
    help="Imitate openai, azure or foundry.",
)
@option("API", "--list-threads", is_flag=True, help="Let clients list the threads, which OpenAI does not.")
@option(
    "API",
    "--api-key",
    "keys",
    multiple=True,
    callback=_not_empty,
    metavar="K",
    help="Refuse other keys. May be repeated.",
)
@option("API", "--worlds-by-key", is_flag=True, help="Give every API key a state of its own.")
@option(
    "API",
    "--runs",
    type=click.Choice(WAYS),
    default="read",
    show_default=True,
    help="Let this advance runs.",
)
@option(
    "API",
    "--model",
    "models",
    multiple=True,
    callback=_not_empty,
    metavar="NAME",
    help="Refuse other models for assistants and runs. May be repeated.",
)
@option("API", "--check-files", is_flag=True, help="Refuse files that a search, a message or an item cannot read.")
@option(
    "Sunset", "--sunset", "when", callback=_epoch_second, metavar="WHEN", help="End the API then: epoch or ISO, in UTC."
)
@option("Sunset", "--sunset-after", type=_Number(0), metavar="N", help="End the API after N requests.")
@option(
    "Sunset",
    "--sunset-style",
    type=click.Choice(STYLES),
    default="gone",
    show_default=True,
    metavar="STYLE",
    help="Then answer gone (410), or not-found (404, no body).",
)
@option("Trouble", "--latency-ms", type=_Number(0), default=0, metavar="N", help="Delay every answer.")
@option("Trouble", "--rpm", type=_Number(1), metavar="N", help="Allow each key N requests a minute.")
@option(
    "Trouble",
    "--faults",
    "plan_file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Inject the faults of a plan (JSON).",
)
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
    list_threads: bool,
    worlds_by_key: bool,
    runs: By,
    seed: int,
    keys: tuple[str, ...],
    models: tuple[str, ...],
    check_files: bool,
    demo: tuple[int, int | None] | None,
) -> None:
    """Serve the fake over HTTP until SIGTERM, SIGINT or SIGHUP."""
    from fake_assistants.adapters.serve_command import now  # it imports uvicorn, which slows down help

    fake = FakeAssistants(
        clock=Clock(now),
        seed=seed,
        api_keys=keys,
        sunset=_plan(when, sunset_after, sunset_style),
        faults=_faults(plan_file) if plan_file else (),
        rpm=rpm,
        profile=profile,
        list_threads=list_threads,
        worlds_by_key=worlds_by_key,
        runs=runs,
        models=models,
        check_files=check_files,
    )
    contents = [*(_load_demo(fake, demo, seed) if demo else []), *_load(fake, files)]

    def notes(server: Server) -> list[str]:
        return [*contents, _thread_ids(fake, server)] if contents else []

    _until_signal(fake.asgi(latency_ms=latency_ms), host, port, fake.profile.base_path, notes)


def _plan(when: int | None, after: int | None, style: Any) -> SunsetPlan | None:
    if when is not None and after is not None:
        raise click.UsageError("give --sunset or --sunset-after, not both")
    if when is None and after is None:
        return None
    return SunsetPlan(at=when, after_requests=after, style=style)


def _faults(path: Path) -> Any:
    """Read and check a fault plan."""
    with _usage_errors(path):
        try:
            plan = loads(path.read_bytes())
        except MalformedJson as error:
            raise BadInput(f"not JSON: {error}") from None
        fault_plan.rules(plan)
    return plan


@contextmanager
def _usage_errors(path: Path) -> Iterator[None]:
    """Report an error in a file as a mistake in the call, with its path."""
    try:
        yield
    except BadInput as error:
        raise click.UsageError(f"{path}: {error}") from None
    except OSError as error:
        raise click.UsageError(f"{path}: {error.strerror}") from None


def _load(fake: FakeAssistants, files: Iterable[Path]) -> Iterator[str]:
    """Load files, and yield a line on the contents of each."""
    for path in files:
        with _usage_errors(path):
            yield f"{path}: {_counted(fake.load(path)) or 'no objects'}"


def _load_demo(fake: FakeAssistants, size: tuple[int, int | None], seed: int) -> list[str]:
    """Load a demo, and return the lines that describe it."""
    state = demo_world(*size, seed=seed)
    fake.load(state)
    counts = {kind: len(state[kind]) for kind in ("threads", "messages", "runs", "files")}
    return [
        f"demo: {_counted(counts)}",
        *(f"assistant: {assistant['id']} ({assistant['name']})" for assistant in state["assistants"]),
    ]


def _thread_ids(fake: FakeAssistants, server: Server) -> str:
    """Return a line with a command that prints the ids of the threads. Clients cannot list them at every service."""
    if fake.lists_threads:
        return f"thread ids: OPENAI_API_KEY=KEY OPENAI_BASE_URL={server.base_url} threadkeep threads"
    state = f"json.load(urllib.request.urlopen('{server.url}/_fake/state'))"
    code = f"import json, urllib.request; [print(thread['id']) for thread in {state}['threads']]"
    return f'thread ids: {Path(sys.executable).name} -c "{code}"'


def _until_signal(app: Any, host: str, port: int, base_path: str, notes: Callable[[Server], list[str]]) -> None:
    from fake_assistants.adapters.serve_command import serve_until_signal

    def warn() -> None:
        click.echo(f"{_NAME}: warning: {host} can be reached from other machines", err=True)

    try:
        serve_until_signal(app, host=host, port=port, base_path=base_path, warn=warn, notes=notes)
    except OSError as error:
        step = ". Choose another --port; 0 picks a free one." if error.errno == errno.EADDRINUSE else ""
        raise _Failure(f"cannot listen on {host}:{port}: {error.strerror}{step}") from None
    except UnicodeError:
        raise _Failure(f"cannot listen on {host!r}: not an address") from None


# --- record ---------------------------------------------------------------------------------------------


@commands.command(cls=GroupedCommand, context_settings=HELP, short_help="Record a real server, to be served later.")
@option(
    "Address",
    "--upstream",
    required=True,
    callback=_upstream,
    metavar="URL",
    help="Pass requests on to this base URL.",
)
@option(
    "Address",
    "--port",
    default=8000,
    show_default=True,
    metavar="N",
    type=_Number(0, 65535),
    help="Listen on this port; 0 picks a free one.",
)
@option(
    "Recording",
    "--out",
    required=True,
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write the state here at the end, in place of what is there.",
)
def record(upstream: str, port: int, out: Path) -> None:
    """Pass requests on to a real server of this API until SIGTERM, SIGINT or SIGHUP, and write what it answered.

    `fake-assistants serve --load FILE` serves that state. The keys of requests are not written.
    """
    try:
        from fake_assistants.adapters.record_proxy import RecordProxy
    except ImportError as error:
        raise _Failure(str(error)) from None
    if not out.absolute().parent.is_dir():
        raise click.UsageError(f"{out}: there is no folder {out.parent}")
    recording = Recording()
    proxy = RecordProxy(upstream, recording)
    _until_signal(proxy, "127.0.0.1", port, urlsplit(upstream).path, lambda _: [f"recording {upstream}"])
    try:
        proxy.save(out.absolute())
    except OSError as error:
        raise _Failure(f"{out}: {error.strerror}") from None
    click.echo(f"{_NAME}: {out}: {_counted(recording.counts()) or 'no objects'}", err=True)
    if recording.unused:
        reasons = ", ".join(f"{reason} ({count})" for reason, count in recording.unused.items())
        click.echo(f"{_NAME}: answers not used: {reasons}", err=True)


def _counted(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {_noun(name, count)}" for name, count in counts.items())


def _noun(plural: str, count: int) -> str:
    noun = plural.replace("_", " ")
    return noun if count != 1 else noun.removesuffix("es" if noun.endswith("ches") else "s")
