"""The options that say which server to ask, and with what: the same for every command that asks one.

A command that asks a second server has them once more, with the prefix ``--to-``.
"""

import functools
import os
import shlex
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import attrs
import click

from threadkeep.api.endpoints import ApiSource, Auth, endpoint_of, have_same_origin, is_well_known
from threadkeep.api.keys import Key, read_keys
from threadkeep.cli.console import escape, print_error
from threadkeep.cli.option_groups import option
from threadkeep.cli.shared_options import FILE
from threadkeep.errors import MalformedAddress, UnreadableKeys
from threadkeep.storage.index import SEVERAL_SOURCES
from threadkeep.storage.paths import Paths

__all__ = ["TARGET", "WHERE_TO", "OptionalSource", "optional_source_options", "source_options", "target_options"]

_OPTIONS: dict[str, dict[str, Any]] = {
    "base_url": {
        "metavar": "URL",
        "show_default": "OPENAI_BASE_URL, else OpenAI",
        "help": "Ask at this address.",
    },
    "api_version": {
        "metavar": "V",
        "show_default": "by the address",
        "help": "Send this api-version, which Azure needs.",
    },
    "auth": {
        "type": click.Choice([str(auth) for auth in Auth]),
        "show_default": "by the address",
        "help": "Send the key in this header.",
    },
    "token_command": {"metavar": "COMMAND", "help": "Send the bearer token that this command prints."},
    "keys_file": {
        "type": FILE,
        "metavar": "FILE",
        "show_default": "the key of the environment",
        "help": "Use the keys in FILE.",
    },
}

_TARGET_OPTIONS: dict[str, dict[str, Any]] = {
    "base_url": {"metavar": "URL", "required": True, "help": "Push to this address."},
    "api_version": {**_OPTIONS["api_version"], "help": "Send the target this api-version."},
    "auth": {**_OPTIONS["auth"], "help": "Send the target its key in this header."},
    "token_command": {"metavar": "COMMAND", "help": "Send the target the token that this command prints."},
    "keys_file": {
        **_OPTIONS["keys_file"],
        "show_default": "as for the source, or the environment",
        "help": "Use the keys in FILE.",
    },
}

TARGET = "--to-"
"""The prefix of the options of a second server."""

WHERE_TO = "Where to"
"""The heading of the options of a server that something is pushed to."""

_WHAT_CAN_BE_DONE = (
    "Asking all the same, in case something still answers there. Threads live on in Microsoft Foundry Agents (classic)"
    " until 2027-03-31, and on compatible servers: give the address with --base-url. Of threads that were OpenAI's own,"
    " what your application stored is what is left."
)


@attrs.frozen
class OptionalSource:
    """The options of a source, as typed. Nothing is read or printed before `source` is called."""

    _typed: Mapping[str, str | None] = attrs.field(repr=False)
    _prefix: str = "--"

    def refuse(self, user: str) -> None:
        """Raise click.UsageError if any of them was given: only this option, which was not, has a use for them."""
        for name, value in self._typed.items():
            if value is not None:
                raise click.UsageError(f"{_typed_as(name, self._prefix)} says where to ask, which only {user} does.")

    def source(self, exported_from: str | None = None, *, of_threads: bool = True) -> ApiSource:
        """Return the source: as typed, else by the environment, else where the export came from.

        The file of keys is read, and what is known of the threads there goes to standard error, unless something else
        is asked for. A key goes to no address that only a file names, unless it is one of the hosts that everybody
        knows: whoever hands an export on could have written any other into it.
        """
        given = {name: value for name, value in self._typed.items() if value is not None}
        if exported_from is not None and "base_url" not in given and "OPENAI_BASE_URL" not in os.environ:
            if exported_from == SEVERAL_SOURCES:
                raise click.UsageError("OUT was merged from exports of several addresses. Give --base-url to ask one.")
            if not is_well_known(exported_from):
                raise click.UsageError(
                    f"OUT was exported from {escape(exported_from)}. Give --base-url"
                    f" {shlex.quote(escape(exported_from))} to ask there, or another address: the key is"
                    " sent to none that only a file names."
                )
            given["base_url"] = exported_from
        keys_file = given.pop("keys_file", None)
        source = ApiSource(**given, keys=() if keys_file is None else _load_keys(keys_file))
        if of_threads and (notice := endpoint_of(source, os.environ).provider.notice):
            print_error(notice, _WHAT_CAN_BE_DONE)
        return source

    def second_to(self, source: ApiSource) -> ApiSource:
        """Return a second server, as typed. At the origin of the first it has the same credentials, unless it has own.

        The origin is scheme, host and port: no credential of one server goes to another.
        """
        own = self.source(of_threads=False)
        try:
            address = endpoint_of(own, os.environ).base_url
        except MalformedAddress as error:
            raise click.UsageError(f"{_typed_as('base_url', self._prefix)}: {error}") from None
        is_same = have_same_origin(address, endpoint_of(source, os.environ).base_url)
        if own.keys or own.token_command is not None or not is_same:
            return own
        if source.token_command is not None:
            _refuse_api_key("--token-command", own.auth, self._prefix)
        auth = own.auth or source.auth
        return attrs.evolve(own, keys=source.keys, token_command=source.token_command, auth=auth)


def source_options(command: Callable[..., int]) -> Callable[..., int]:
    """Give a command the options of a source; it takes them as one `ApiSource` by the name ``source``."""
    return _with_options(command, "source", OptionalSource.source, "Where from")


def optional_source_options(heading: str) -> Callable[[Callable[..., int]], Callable[..., int]]:
    """Give a command the same options; it takes them as an `OptionalSource` by the name ``source``."""
    return lambda command: _with_options(command, "source", lambda typed: typed, heading)


def target_options(command: Callable[..., int]) -> Callable[..., int]:
    """Give a command the options of a second server; it takes them as an `OptionalSource` by the name ``target``."""
    return _with_options(command, "target", lambda typed: typed, WHERE_TO, TARGET, _TARGET_OPTIONS)


def _with_options(
    command: Callable[..., int],
    server: str,
    made: Callable[[OptionalSource], object],
    heading: str,
    prefix: str = "--",
    settings: Mapping[str, Mapping[str, Any]] = _OPTIONS,
) -> Callable[..., int]:
    parameters = {name: _typed_as(name, prefix).removeprefix("--").replace("-", "_") for name in settings}

    @functools.wraps(command)
    def with_server(**arguments: Any) -> int:
        typed = {name: arguments.pop(parameter) for name, parameter in parameters.items()}
        _refuse_contradictions(typed, arguments, prefix)
        return command(**{server: made(OptionalSource(typed, prefix))}, **arguments)

    options = [option(heading, _typed_as(name, prefix), **given) for name, given in settings.items()]
    return functools.reduce(lambda wrapped, option: option(wrapped), reversed(options), with_server)


def _typed_as(name: str, prefix: str) -> str:
    return f"{prefix}{name.replace('_', '-')}"


def _load_keys(name: str) -> tuple[Key, ...]:
    path = Path(name)
    try:
        content, mode = path.read_bytes(), path.stat().st_mode
        keys = read_keys(content)
    except OSError as error:
        raise UnreadableKeys(f"{name}: {error.strerror or error}") from None
    except UnreadableKeys as error:
        raise UnreadableKeys(f"{name}: {error}") from None
    if mode & 0o044:
        print_error(f"{name} holds keys, and others than its owner may read it", f"chmod 600 {shlex.quote(name)}")
    return keys


def _refuse_contradictions(typed: Mapping[str, str | None], arguments: Mapping[str, Any], prefix: str) -> None:
    keys_file, token_command = typed["keys_file"], typed["token_command"]
    if keys_file == "-":
        raise click.UsageError(f"{prefix}keys-file takes a file: standard input may hold the ids.")
    if token_command is not None and keys_file is not None:
        raise click.UsageError(f"Give {prefix}keys-file or {prefix}token-command, not both.")
    if token_command is not None:
        _refuse_api_key(f"{prefix}token-command", typed["auth"], prefix)
    if keys_file is None:
        return
    # It must be taken neither for the file of ids, whose wrong lines are printed, nor for the export.
    path = Path(keys_file).resolve()
    if path == Path(arguments.get("thread_ids") or arguments.get("ids") or "-").resolve():
        raise click.UsageError(f"The thread ids and {prefix}keys-file are the same file.")
    out = arguments.get("out")
    if isinstance(out, Path) and path in {one.resolve() for one in Paths(out).all_files()}:
        raise click.UsageError("OUT would take the place of the file of keys.")


def _refuse_api_key(token_command: str, auth: str | None, prefix: str) -> None:
    if auth == Auth.API_KEY:
        raise click.UsageError(
            f"What {token_command} prints is sent as the bearer: {prefix}auth api-key contradicts it."
        )
