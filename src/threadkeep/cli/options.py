"""The options that say which server to ask, and with what: the same for every command that asks one."""

import functools
import os
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import click

from threadkeep.cli.words import complain
from threadkeep.errors import UnreadableKeys
from threadkeep.keys import Key, read_keys
from threadkeep.paths import Paths
from threadkeep.sources import Auth, Place, Source, place_of

__all__ = ["load_keys", "source_options"]

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


def source_options(command: Callable[..., int]) -> Callable[..., int]:
    """Give a command the options of a source; it takes them as one `Source` by the name ``source``.

    What is known of the address before anything is asked, the end of the API above all, is said on standard error.
    """

    @functools.wraps(command)
    def with_source(**arguments: Any) -> int:
        given = _Given(*(arguments.pop(field.name) for field in attrs.fields(_Given)))
        _refuse_contradictions(given)
        _refuse_mixed_up(given, arguments)
        source = Source(
            base_url=given.base_url,
            api_version=given.api_version,
            auth=None if given.auth is None else Auth(given.auth),
            token_command=given.token_command,
            keys=() if given.keys_file is None else load_keys(given.keys_file),
        )
        _announce(place_of(source, os.environ))
        return command(source=source, **arguments)

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
        complain(f"{name} holds keys, and others than its owner may read it", f"chmod 600 {shlex.quote(name)}")
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
    if keys_file == Path(arguments.get("thread_ids", "-")).resolve():
        raise click.UsageError("THREAD_IDS and --keys-file are the same file.")
    if "out" in arguments and keys_file in {path.resolve() for path in Paths(arguments["out"]).all}:
        raise click.UsageError("OUT would take the place of the file of keys.")


def _announce(place: Place) -> None:
    if place.kind.notice:
        complain(place.kind.notice, _WHAT_CAN_BE_DONE)
