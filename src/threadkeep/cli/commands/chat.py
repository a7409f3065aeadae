"""``threadkeep chat``: a conversation with a model in the terminal, which may begin with an exported thread."""

import contextlib
import signal
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, Literal

import click

from threadkeep.api.endpoints import without_secrets
from threadkeep.cli.arguments import OUT
from threadkeep.cli.console import counted, escape, ignore_broken_pipe, print_error, print_request
from threadkeep.cli.exit_codes import Exit, exit_for
from threadkeep.cli.message_input import MessageInput, from_pipe, from_terminal
from threadkeep.cli.option_groups import argument, command, option
from threadkeep.cli.shared_options import FILE, number_option, verbose_option
from threadkeep.cli.source_options import OptionalSource, optional_source_options
from threadkeep.cli.streamed_text import StreamedText
from threadkeep.errors import AccessRefused, ApiError, ApiGone, RunEnded, ThreadkeepError, WrongAddress
from threadkeep.history.answers import texts_of
from threadkeep.history.conversation import Conversation, Reply
from threadkeep.history.entrypoints import open_history
from threadkeep.history.session import History
from threadkeep.html_report.visible_text import cut, visible

if TYPE_CHECKING:
    from threadkeep.api.transport import ModelsClient

__all__ = ["chat"]

_CONVERSATION, _MODEL = "Conversation", "Model"
_EXIT = "/exit"
_SHOWN, _LONGEST = 4, 400
_HOW = 'Ctrl-C stops a reply; """ begins and ends a message of several lines; Ctrl-D or /exit ends.'
_AGAIN = "Nothing of this turn is stored. The arrow key brings your message back."


@command("Talk with a model, or continue an exported thread.")
@argument("thread_id", "The thread of --from to begin with.", required=False)
@option(_CONVERSATION, "--from", "export", type=OUT, metavar="OUT", help="Begin with THREAD_ID of this export.")
@option(
    _CONVERSATION,
    "--history",
    "url",
    type=FILE,
    metavar="URL",
    required=True,
    help="Store the turns in this file, database or server.",
)
@option(
    _CONVERSATION,
    "--session",
    "session_id",
    metavar="ID",
    show_default="THREAD_ID or default",
    help="Use this session of the history.",
)
@option(_MODEL, "--model", required=True, metavar="M", help="Ask this model; on Azure, this deployment.")
@option(
    _MODEL,
    "--api",
    type=click.Choice(["chat", "responses"]),
    default="chat",
    show_default=True,
    help="Ask by Chat Completions or by Responses.",
)
@option(_MODEL, "--instructions", metavar="TEXT", help="Send this system message; it is not stored.")
@number_option(_MODEL, "--max-tokens", "Send at most N tokens, without the oldest messages.", "no limit")
@optional_source_options("Where from")
@verbose_option
def chat(
    thread_id: str | None,
    source: OptionalSource,
    export: Path | None,
    url: str,
    session_id: str | None,
    model: str,
    api: Literal["chat", "responses"],
    instructions: str | None,
    max_tokens: int | None,
    verbose: bool,
) -> int:
    """Talk with a model. The history is stored after each turn, and the next call continues it.

    The history is a file that ends in .json or .jsonl, a database such as sqlite:///chats.db, or a server such as
    redis://localhost.

    With THREAD_ID and --from, an empty history begins with the messages of that thread. Lines from a pipe are turns.
    Ctrl-C stops a reply, of which nothing is stored, and Ctrl-D or /exit ends.
    """
    if (thread_id is None) != (export is None):
        raise click.UsageError("Give THREAD_ID and --from together: one names a thread, the other its export.")
    if thread_id is not None and session_id is not None:
        raise click.UsageError("The session of a thread is named by THREAD_ID: leave out --session.")
    name = thread_id or session_id or "default"
    with _usage_named():
        history = open_history(url, name)
    asked = source.source(of_threads=False)
    with _Signals() as signals, contextlib.closing(history.sync):
        # Only here, since importing the SDK takes most of a second that no other command needs.
        from threadkeep.api.transport import connect_to_models

        models = connect_to_models(asked)
        models.watch(print_request if verbose else None)
        settings: dict[str, Any] = {
            "api": api,
            "instructions": instructions,
            "max_tokens": max_tokens,
            "options": models.options,
        }
        stored: Any = _UninterruptedHistory(history, signals)
        is_new = not history.sync.get_items(1)
        with _usage_named():
            if thread_id is None or export is None:
                conversation = Conversation(models.client, stored, model=model, **settings)
            else:
                conversation = Conversation.from_export(
                    export, thread_id, models.client, stored, model=model, **settings
                )
        is_shown = _is_terminal(sys.stdin) and _is_terminal(sys.stdout)
        _print_losses(conversation)
        if is_shown:
            _print_begin(history, name, url, added=is_new)
        with models.client, ignore_broken_pipe():
            messages = from_terminal() if is_shown else from_pipe()
            return _Chat(conversation, models, signals, is_shown=is_shown).run(messages)
        return Exit.COMPLETE


class _Chat:
    """The turns of a conversation, one after another."""

    def __init__(
        self, conversation: Conversation, models: "ModelsClient", signals: "_Signals", *, is_shown: bool
    ) -> None:
        self._conversation, self._models, self._signals = conversation, models, signals
        self._is_shown = is_shown

    def run(self, messages: MessageInput) -> int:
        """Carry out all turns, and return the exit code."""
        while True:
            try:
                message = messages.next()
            except UnicodeError:
                print_error("the input is not UTF-8")
                if not self._is_shown:
                    return Exit.USAGE
                continue
            except KeyboardInterrupt:
                self._stop_or_raise()
                continue
            if message is None or message.strip() == _EXIT:
                if self._is_shown and message is None:
                    click.echo()
                return Exit.COMPLETE
            code = self._turn(message)
            if self._signals.is_ending:
                raise KeyboardInterrupt
            if code is not None:
                return code

    def _stop_or_raise(self) -> None:
        """End the line at a Ctrl-C in a terminal; raise KeyboardInterrupt at any other end."""
        if self._signals.is_ending or not self._is_shown:
            raise KeyboardInterrupt
        click.echo()

    def _turn(self, message: str) -> int | None:
        """Carry out a turn, and return the exit code if it was the last."""
        try:
            reply = self._renewing(message)
        except KeyboardInterrupt:
            self._stop_or_raise()
            print_error("the reply was stopped, and nothing of this turn is stored")
        except ValueError as error:
            return self._failed(Exit.USAGE, str(error).replace("max_tokens", "--max-tokens"))
        except ApiError as error:
            return self._refused(error)
        else:
            if reply.refusal is not None:
                print_error(f"the model refuses: {reply.refusal}")
            if reply.incomplete is not None:
                print_error(f"the reply is cut off ({reply.incomplete}), and stored as it is")
        return None

    def _renewing(self, message: str) -> Reply:
        """Print a reply as `_reply` does, and once more with a new token if the first is refused."""
        try:
            return self._reply(message)
        except AccessRefused as error:
            if error.status != 401 or not self._models.renew():
                raise
        return self._reply(message)

    def _reply(self, message: str) -> Reply:
        """Print a reply while it comes.

        Raises:
            ApiError: there is none.
        """
        stream = self._conversation.say(message, stream=True)
        with contextlib.closing(iter(stream)) as pieces, StreamedText() as shown:
            while (piece := self._next(pieces)) is not None:
                shown.add(piece)
        self._models.record_answered()
        return stream.reply

    def _next(self, pieces: Iterator[str]) -> str | None:
        """Return the next piece of a reply; None at its end."""
        try:
            return next(pieces, None)
        except ApiError as error:
            raise self._models.finish(error) from None
        except ThreadkeepError:
            raise
        except Exception as error:  # noqa: BLE001 - what a server sends makes the SDK raise anything
            raise self._models.problem(error) from None

    def _refused(self, error: ApiError) -> int | None:
        if error.status in (404, 410) and isinstance(error, WrongAddress | ApiGone):
            what = f"{self._models.address} has no such route: {error.status}"
            print_error(what, "Check --base-url, which ends where /chat/completions begins, or choose another --api.")
            return Exit.USAGE
        code, next_step = exit_for(error)
        if error.unreachable and not next_step:
            next_step = "Check --base-url, and whether its server runs."
        if isinstance(error, RunEnded):
            print_error(str(error), next_step)
            return code
        return self._failed(code, str(error), next_step)

    def _failed(self, code: int, what: str, next_step: str = "") -> int | None:
        """Print why a turn failed, and return the exit code unless somebody can type the next."""
        print_error(what, next_step, _AGAIN if self._is_shown else "")
        return None if self._is_shown else code


class _Signals:
    """Ctrl-C, SIGTERM and a lost terminal, while a chat runs: each raises KeyboardInterrupt, but for while it is held.

    Attributes:
        is_ending: it was not Ctrl-C, so the program is to end.
    """

    def __init__(self) -> None:
        self.is_ending = False
        self._is_held = False
        self._usual: dict[int, Any] = {}

    def __enter__(self) -> "_Signals":
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) is not signal.SIG_IGN:  # as under nohup
                self._usual[number] = signal.signal(number, self._take)
        return self

    def __exit__(self, *_error: object) -> None:
        for number, handler in self._usual.items():
            signal.signal(number, handler)

    def _take(self, number: int, _frame: FrameType | None) -> None:
        self.is_ending = self.is_ending or number != signal.SIGINT
        if not self._is_held:
            raise KeyboardInterrupt

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Let nothing interrupt what is done in here."""
        self._is_held = True
        try:
            yield
        finally:
            self._is_held = False


class _UninterruptedHistory:
    """A history whose items are added without an interruption: a turn is stored, or it was stopped, never both."""

    def __init__(self, history: History, signals: _Signals) -> None:
        self.sync = self
        self._history, self._signals = history, signals

    def get_items(self, limit: int | None = None) -> list[Any]:
        """Return items of the history."""
        return self._history.sync.get_items(limit)

    def add_items(self, items: list[Any]) -> None:
        """Add items to the history."""
        with self._signals.held():
            self._history.sync.add_items(items)


@contextlib.contextmanager
def _usage_named() -> Iterator[None]:
    try:
        yield
    except (ValueError, TypeError) as error:
        raise click.UsageError(str(error)) from None


def _is_terminal(stream: Any) -> bool:
    return stream is not None and bool(stream.isatty())


# --- what is printed when it begins


def _print_losses(conversation: Conversation) -> None:
    totals = Counter(loss.lost for loss in conversation.losses)
    whys = [loss.why for loss in conversation.losses if loss.lost == "messages"]
    for why in whys:
        print_error(why)
    lost = ", ".join(f"{count:,} {escape(name)}" for name, count in totals.items() if name != "messages")
    if lost:
        print_error(f"not carried over from the thread: {lost}")


def _print_begin(history: History, name: str, url: str, *, added: bool) -> None:
    items = history.sync.get_items()
    url = escape(without_secrets(url) if "@" in url else url)  # a database may be named with its password
    place = f"{escape(name)} in {url}"
    if not items:
        words = f"{place} is empty."
    elif added:
        words = f"{counted(len(items), 'message')} of {escape(name)} added to {url}."
    else:
        words = f"{place} has {counted(len(items), 'item')}."
    click.echo(f"{words}\n{_HOW}")
    for role, text in _last(items):
        click.echo(f"{role}: {cut(text, _LONGEST)}")


def _last(items: Sequence[Any]) -> list[tuple[str, str]]:
    """Return the last messages that have a text, each with its role."""
    found: list[tuple[str, str]] = []
    for item in reversed(items):
        text = _text(item.get("content")) if item.get("role") in ("user", "assistant") else ""
        if text and len(found) < _SHOWN:
            found.append((item["role"], visible(text.replace("\r\n", "\n"))))
    return found[::-1]


def _text(content: Any) -> str:
    """Return the texts of a message, each on lines of its own."""
    parts = [[part] for part in content] if isinstance(content, list) else [content]
    return "\n".join(filter(None, map(texts_of, parts)))
