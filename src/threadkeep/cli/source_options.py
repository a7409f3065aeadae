"""The options that say which server to ask, and with what: the same for every command that asks one."""

import functools
import os
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import click

from threadkeep.api.endpoints import ApiSource, Auth, Endpoint, endpoint_of, is_well_known
from threadkeep.api.keys import Key, read_keys
from threadkeep.cli.console import escape, print_error
from threadkeep.errors import UnreadableKeys
from threadkeep.storage.paths import Paths

__all__ = ["OptionalSource", "load_keys", "optional_source_options", "source_options"]

_OPTIONS = (
    click.option("--base-url", help="The address of the API; else OPENAI_BASE_URL, else OpenAI's own."),
    click.option("--api-version", help="The api-version of every request, where Azure wants one."),
    click.option(
        "--auth",
        type=click.Choice([str(auth) for auth in Auth]),
        help="The header of the key; api-key for Azure OpenAI by default, else bearer.",
    ),
    click.option("--token-command", help="A command that prints a bearer token; run again when that is refused."),
    click.option("--keys-file", help="A file with one key a line, in place of the key of the environment."),
)

# Windows has no such bits, and calls every file readable.
_OTHERS_MAY_READ = 0o044 if os.name == "posix" else 0

_WHAT_CAN_BE_DONE = (
    "Asking all the same, in case something still answers there. Threads live on in Microsoft Foundry Agents (classic)"
    " until 2027-03-31, and on compatible servers: give the address with --base-url. Of threads that were OpenAI's own,"
    " what your application stored is what is left."
)


@attrs.frozen
class _Given:
    """The options as click gives them."""

    base_url: str | None
    api_version: str | None
    auth: str | None
    token_command: str | None = attrs.field(repr=False)
    keys_file: str | None

    def source(self) -> ApiSource:
        """What they come to. The file of keys is read, and what is known of the address is said on standard error."""
        source = ApiSource(
            base_url=self.base_url,
            api_version=self.api_version,
            auth=None if self.auth is None else Auth(self.auth),
            token_command=self.token_command,
            keys=() if self.keys_file is None else load_keys(self.keys_file),
        )
        _announce(endpoint_of(source, os.environ))
        return source


@attrs.frozen
class OptionalSource:
    """The options of a source for a command that asks only when it is told to. Nothing is read or said before."""

    _given: _Given

    def refuse(self, option: str) -> None:
        """Refuse them where this option, which alone has a use for them, was not given.

        Raises:
            click.UsageError: any of them was given.
        """
        names = [name for name, value in attrs.asdict(self._given).items() if value is not None]
        if names:
            raise click.UsageError(f"--{names[0].replace('_', '-')} says where to ask, which only {option} does.")

    def source(self, exported_from: str | None) -> ApiSource:
        """Give the source: as typed, else by the environment, else where the export came from.

        A key goes to no address that only a file names, unless it is one of the hosts that everybody knows: whoever
        hands an export on could have written any other into its journal.

        Args:
            exported_from: the address in the journal; None where there is none.

        Raises:
            click.UsageError: the address that the export came from must be typed.
        """
        if exported_from is None or self._given.base_url is not None or "OPENAI_BASE_URL" in os.environ:
            return self._given.source()
        if not is_well_known(exported_from):
            raise click.UsageError(
                f"OUT was exported from {escape(exported_from)}. Give --base-url"
                f" {shlex.quote(escape(exported_from))} to ask there, or another address: the key is"
                " sent to none that only a file names."
            )
        return attrs.evolve(self._given, base_url=exported_from).source()


def source_options(command: Callable[..., int]) -> Callable[..., int]:
    """Give a command the options of a source; it takes them as one `ApiSource` by the name ``source``.

    What is known of the address before anything is asked, the end of the API above all, is said on standard error.
    """

    return _with_options(command, _Given.source)


def optional_source_options(command: Callable[..., int]) -> Callable[..., int]:
    """Give a command the same options; it takes them as a `OptionalSource` by the name ``source``."""
    return _with_options(command, OptionalSource)


def _with_options(command: Callable[..., int], made: Callable[[_Given], object]) -> Callable[..., int]:
    @functools.wraps(command)
    def with_source(**arguments: Any) -> int:
        given = _Given(*(arguments.pop(field.name) for field in attrs.fields(_Given)))
        _refuse_contradictions(given)
        _refuse_mixed_up(given, arguments)
        return command(source=made(given), **arguments)

    return functools.reduce(lambda wrapped, option: option(wrapped), reversed(_OPTIONS), with_source)


def load_keys(name: str) -> tuple[Key, ...]:
    """Read the file of keys, and say so when others could read it too.

    Raises:
        UnreadableKeys: the file cannot be read, or lines of it are no keys.
    """
    path = Path(name)
    try:
        content, mode = path.read_bytes(), path.stat().st_mode
        keys = read_keys(content)
    except OSError as error:
        raise UnreadableKeys(f"{name}: {error.strerror or error}") from None
    except UnreadableKeys as error:
        raise UnreadableKeys(f"{name}: {error}") from None
    if mode & _OTHERS_MAY_READ:
        print_error(f"{name} holds keys, and others than its owner may read it", f"chmod 600 {shlex.quote(name)}")
    return keys


def _refuse_contradictions(given: _Given) -> None:
    if given.keys_file == "-":
        raise click.UsageError("--keys-file takes a file: standard input may hold the ids.")
    if given.token_command is not None and given.keys_file is not None:
        raise click.UsageError("Give --keys-file or --token-command, not both.")
    if given.token_command is not None and given.auth == Auth.API_KEY:
        raise click.UsageError("What --token-command prints is sent as the bearer: --auth api-key contradicts it.")


def _refuse_mixed_up(given: _Given, arguments: dict[str, Any]) -> None:
    """The file of keys must be taken neither for that of ids, whose wrong lines are told, nor for the export."""
    if given.keys_file is None:
        return
    keys_file = Path(given.keys_file).resolve()
    ids = arguments.get("thread_ids") or arguments.get("ids") or "-"
    if keys_file == Path(ids).resolve():
        raise click.UsageError("The thread ids and --keys-file are the same file.")
    if "out" in arguments and keys_file in {path.resolve() for path in Paths(arguments["out"]).all}:
        raise click.UsageError("OUT would take the place of the file of keys.")


def _announce(endpoint: Endpoint) -> None:
    if endpoint.provider.notice:
        print_error(endpoint.provider.notice, _WHAT_CAN_BE_DONE)
