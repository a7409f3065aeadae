"""A conversation with a model: the user's message and the reply are added to a history together, or not at all.

The client is the caller's own, sync or async, and its library is not imported here. What a turn sends, and what becomes
of an answer, is decided in `_Turn`, which knows no client; `Conversation` carries it out, once with ``await`` and once
without.
"""

import inspect
import os
from collections.abc import AsyncGenerator, Callable, Generator, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypedDict, overload

import attrs

from threadkeep.arguments import wrong_type
from threadkeep.errors import RequestFailed
from threadkeep.history.answers import BETWEEN, Answer, Call
from threadkeep.history.entrypoints import open_history
from threadkeep.history.items import Item, checked, encodable
from threadkeep.history.repairing import repair
from threadkeep.history.session import Session, checked_session, sync_session
from threadkeep.history.trimming import trim
from threadkeep.serialization.lossless_json import dumps, loads

if TYPE_CHECKING:
    from typing import Unpack

    from threadkeep.conversion.losses import Loss

__all__ = ["AsyncReplyStream", "Conversation", "Reply", "ReplyStream", "Settings"]

_Pieces: TypeAlias = Generator[str, None, None]
_AsyncPieces: TypeAlias = AsyncGenerator[str, None]

_APIS = {"chat": "completions", "responses": "responses"}


@attrs.frozen(kw_only=True)
class Reply:
    """What a model replied, after the history has it.

    Attributes:
        text: of the reply; empty if there is none. Texts between calls of tools are part of it.
        items: what was added to the history: the user's message, then all that came of it.
        responses: the answers of the API as JSON, one for each request. A stream of Chat Completions is put together.
        refusal: what the model says instead of a reply, if it refuses.
        incomplete: why the reply is cut off, in the API's word: ``length``, ``max_output_tokens``, ``content_filter``;
            None if it is not. Such a reply is stored as it is.
    """

    text: str
    items: tuple[Item, ...]
    responses: tuple[Mapping[str, Any], ...]
    refusal: str | None
    incomplete: str | None

    @property
    def usage(self) -> dict[str, int]:
        """The tokens of all requests, by the API's words, as far as it says."""
        found: dict[str, int] = {}
        for response in self.responses:
            for name, value in (response.get("usage") or {}).items():
                if isinstance(value, int):
                    found[name] = found.get(name, 0) + value
        return found


class ReplyStream:
    """A reply that is iterated once for pieces of its text. The request is sent when that begins.

    Leaving the loop before its end closes the connection, and nothing is stored then.
    """

    def __init__(self, pieces: Callable[[], _Pieces], turn: "_Turn") -> None:
        self._pieces, self._turn = pieces, turn

    def __iter__(self) -> _Pieces:
        # The loop alone holds what is iterated, so that this is closed when the loop is left.
        self._turn.begin()
        return self._pieces()

    @property
    def reply(self) -> Reply:
        """The reply, after the last piece.

        Raises:
            RuntimeError: the stream has not been read to its end.
        """
        return self._turn.reply()


class AsyncReplyStream:
    """A reply that is iterated once with ``async for``, as a `ReplyStream` is without."""

    def __init__(self, pieces: Callable[[], _AsyncPieces], turn: "_Turn") -> None:
        self._pieces, self._turn = pieces, turn

    def __aiter__(self) -> _AsyncPieces:
        self._turn.begin()
        return self._pieces()

    @property
    def reply(self) -> Reply:
        """The reply, after the last piece; raises as `ReplyStream.reply` does."""
        return self._turn.reply()


class Settings(TypedDict, total=False):
    """What `Conversation` and `Conversation.from_export` take by name besides the model."""

    instructions: str | None
    max_tokens: int | None
    api: Literal["chat", "responses"]
    tools: Sequence[Mapping[str, Any]] | None
    on_call: Callable[[str, dict[str, Any]], Any] | None
    max_rounds: int
    options: Mapping[str, Any] | None


class Conversation:
    """A conversation with a model, over Chat Completions or Responses.

    Each turn loads the history, sends it with the new message, and adds the message and everything of the reply in one
    call of ``add_items``. If anything fails before, or the reply is not read to its end, nothing is added. What is sent
    is repaired as `threadkeep.history.repair` does, with U+FFFD for lone surrogates; the history is not changed.

    Attributes:
        history: of the conversation.
        losses: what could not be carried over from an exported thread; see `from_export`.
    """

    losses: "tuple[Loss, ...]" = ()

    def __init__(
        self,
        client: Any,
        history: Session | str | os.PathLike[str],
        *,
        model: str,
        instructions: str | None = None,
        max_tokens: int | None = None,
        api: Literal["chat", "responses"] = "chat",
        tools: Sequence[Mapping[str, Any]] | None = None,
        on_call: Callable[[str, dict[str, Any]], Any] | None = None,
        max_rounds: int = 20,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        """Make a conversation. Nothing is read or sent.

        Args:
            client: an ``OpenAI`` or ``AzureOpenAI`` for `say`, or an async one for `asay`, 1.x to 3.x: its key,
                address, retries and timeouts are used. Its exceptions are raised as they are.
            history: a `History`, any session of the Agents SDK, or what `threadkeep.open_history` takes. Its items may
                be messages of Chat Completions or items of Responses: they are converted where the API needs it.
            model: its name; on Azure that of the deployment.
            instructions: sent as the system message with each request, and not stored.
            max_tokens: the budget of what is sent: instructions, history and message. The oldest items are left out
                beyond it, as `threadkeep.history.trim` does. Definitions of tools are not counted.
            api: "chat" for Chat Completions, which every server and every version of the SDK has, or "responses" for
                Responses, which OpenAI recommends for its own models.
            tools: in the API's own shape.
            on_call: called with the name and the arguments of each function that the model calls; returns a str or
                JSON. In `asay` it may be async. What it raises ends the turn.
            max_rounds: how many requests a turn may take.
            options: more arguments of each request, such as ``{"temperature": 0}``.

        Raises:
            ValueError: an unknown API, fewer than one round, or a URL that names no history.
            TypeError: the client is none, or its SDK has no Responses API; or the history is no session.
        """
        if api not in _APIS:
            raise ValueError(f"the API {api!r} is not known. Give 'chat' or 'responses'.")
        if max_rounds < 1:
            raise ValueError(f"max_rounds is {max_rounds}, and a turn needs at least 1")
        self.history: Session = (
            open_history(history) if isinstance(history, str | os.PathLike) else checked_session(history)
        )
        if not (hasattr(client, "chat") or hasattr(client, "responses")):
            raise wrong_type("client", "an OpenAI or an AsyncOpenAI", client)
        self._client, self._on_call, self._api = client, on_call, api
        module = import_module(f"threadkeep.history.{_APIS[api]}")
        self._create: Callable[..., Any] = module.create_of(client)
        more = {**({"tools": [*tools]} if tools else {}), **(options or {})}
        self._plan = _Plan(
            api=module,
            model=model,
            instructions=instructions,
            max_tokens=max_tokens,
            max_rounds=max_rounds,
            options=more,
        )

    @classmethod
    def from_export(
        cls,
        out: str | os.PathLike[str],
        thread_id: str,
        client: Any,
        history: Session | str | os.PathLike[str],
        *,
        model: str,
        inline_images: bool = False,
        **settings: "Unpack[Settings]",
    ) -> "Conversation":
        """Continue a thread of an export: if the history is empty, the messages of the thread are added to it.

        Of a thread that is not complete in the export, those that it has are added, and ``losses`` says so.

        Args:
            out: the export.
            thread_id: of the thread; it is also the session id if the history is given as a URL.
            client, history, model: as for `Conversation`.
            inline_images: send the images that were downloaded with the export as data URLs.
            settings: as for `Conversation`.

        Raises:
            ValueError: the export does not have the thread, or no message of it.
            OutputUnusable, MalformedLine: the export cannot be read.
            HistoryDamaged, HistoryUnusable: as for `History.get_items`.
        """
        made = cls(client, _session(history, thread_id), model=model, **settings)
        session = sync_session(made.history)
        if not session.get_items(1):
            session.add_items(made._begin_with(Path(out), thread_id, inline_images=inline_images))
        return made

    @classmethod
    async def afrom_export(
        cls,
        out: str | os.PathLike[str],
        thread_id: str,
        client: Any,
        history: Session | str | os.PathLike[str],
        *,
        model: str,
        inline_images: bool = False,
        **settings: "Unpack[Settings]",
    ) -> "Conversation":
        """Do what `from_export` does, and use the history in the event loop that runs."""
        made = cls(client, _session(history, thread_id), model=model, **settings)
        if not await made.history.get_items(1):
            await made.history.add_items(made._begin_with(Path(out), thread_id, inline_images=inline_images))
        return made

    def _begin_with(self, out: Path, thread_id: str, *, inline_images: bool) -> list[Item]:
        """Return the messages of an exported thread, and set ``losses``."""
        exported = import_module("threadkeep.history.exported_thread")
        items, self.losses = exported.read_thread(out, thread_id, self._api, inline_images=inline_images)
        found: list[Item] = items
        return found

    # --- a turn, without await

    @overload
    def say(self, content: str | Sequence[Mapping[str, Any]], *, stream: Literal[False] = False) -> Reply: ...
    @overload
    def say(self, content: str | Sequence[Mapping[str, Any]], *, stream: Literal[True]) -> ReplyStream: ...
    def say(self, content: str | Sequence[Mapping[str, Any]], *, stream: bool = False) -> Reply | ReplyStream:
        """Send a message of the user, and return the reply when the history has both.

        Args:
            content: a text, or parts as the API takes them.
            stream: return a `ReplyStream` in place of the reply.

        Raises:
            TypeError, ValueError: the content is not JSON, the history cannot be sent over this API, or the message
                does not fit into ``max_tokens``. Nothing has been sent.
            TypeError: the client is async, or ``on_call`` is.
            RequestFailed: the answer is broken off, has failed, or the model calls functions without an end, or without
                an ``on_call``.
            HistoryDamaged, HistoryUnusable: as for `History.get_items`.
        """
        if hasattr(self._client, "__aenter__"):
            raise TypeError("the client is async. Use asay.")
        turn = _Turn(self._plan, content)
        turn.load(sync_session(self.history).get_items())
        if stream:
            return ReplyStream(lambda: self._pieces(turn, stream=True), turn)
        list(self._pieces(turn, stream=False))  # there are none
        return turn.reply()

    def _pieces(self, turn: "_Turn", *, stream: bool) -> _Pieces:
        while not turn.is_over:
            request = turn.request()
            if stream:
                assembly = turn.assembly()
                with self._create(**request, stream=True) as events:
                    for event in events:
                        if piece := assembly.take(_json(event)):
                            yield turn.separated(piece)
                answer = assembly.finish()
            else:
                answer = _json(self._create(**request))
            for call in turn.take(answer):
                turn.answer(call, self._called(call))
        sync_session(self.history).add_items(turn.items)
        turn.is_stored = True

    def _called(self, call: Call) -> str:
        arguments = _arguments(call)
        if isinstance(arguments, str):
            return arguments
        result = self._handler(call)(call.name, arguments)
        if inspect.isawaitable(result):
            if inspect.iscoroutine(result):
                result.close()
            raise TypeError("on_call is async. Use asay.")
        return _called_output(call, result)

    # --- a turn, with await

    @overload
    async def asay(self, content: str | Sequence[Mapping[str, Any]], *, stream: Literal[False] = False) -> Reply: ...
    @overload
    async def asay(self, content: str | Sequence[Mapping[str, Any]], *, stream: Literal[True]) -> AsyncReplyStream: ...
    async def asay(
        self, content: str | Sequence[Mapping[str, Any]], *, stream: bool = False
    ) -> Reply | AsyncReplyStream:
        """Do what `say` does with an async client. A stream is ``async for piece in await asay(..., stream=True)``.

        Raises:
            TypeError: the client is not async.
            ValueError, RequestFailed, HistoryDamaged, HistoryUnusable: as for `say`.
        """
        if not hasattr(self._client, "__aenter__"):
            raise TypeError("the client is not async. Use say.")
        turn = _Turn(self._plan, content)
        turn.load(await self.history.get_items())
        if stream:
            return AsyncReplyStream(lambda: self._apieces(turn, stream=True), turn)
        _ = [piece async for piece in self._apieces(turn, stream=False)]  # there are none
        return turn.reply()

    async def _apieces(self, turn: "_Turn", *, stream: bool) -> _AsyncPieces:
        while not turn.is_over:
            request = turn.request()
            if stream:
                assembly = turn.assembly()
                async with await self._create(**request, stream=True) as events:
                    async for event in events:
                        if piece := assembly.take(_json(event)):
                            yield turn.separated(piece)
                answer = assembly.finish()
            else:
                answer = _json(await self._create(**request))
            for call in turn.take(answer):
                turn.answer(call, await self._acalled(call))
        await self.history.add_items(turn.items)
        turn.is_stored = True

    async def _acalled(self, call: Call) -> str:
        arguments = _arguments(call)
        if isinstance(arguments, str):
            return arguments
        result = self._handler(call)(call.name, arguments)
        return _called_output(call, await result if inspect.isawaitable(result) else result)

    # --- what both share

    def _handler(self, call: Call) -> Callable[[str, dict[str, Any]], Any]:
        if self._on_call is None:
            raise RequestFailed(f"the model calls {call.name!r}, and there is no on_call to answer it")
        return self._on_call


@attrs.frozen(kw_only=True)
class _Plan:
    """What all turns of a conversation share. ``api`` is `completions` or `responses`."""

    api: ModuleType
    model: str
    instructions: str | None
    max_tokens: int | None
    max_rounds: int
    options: Mapping[str, Any]


class _Turn:
    """A message of the user, and what has come of it so far.

    Attributes:
        items: to be added to the history.
        is_over: the model has replied.
        is_stored: the history has the items.
    """

    def __init__(self, plan: _Plan, content: str | Sequence[Mapping[str, Any]]) -> None:
        parts = content if isinstance(content, str) else [dict(part) for part in content]
        self.items: list[Item] = checked([{"role": "user", "content": parts}])
        self.is_over = self.is_stored = False
        self._plan = plan
        self._past: list[Item] = []
        self._next: dict[str, Any] | None = None
        self._responses: list[Mapping[str, Any]] = []
        self._answers: list[Answer] = []
        self._is_begun = self._is_separated = False

    def load(self, past: list[Item]) -> None:
        """Take the items of the history, and see whether a request can be sent with them.

        Raises:
            ValueError: as `request` does.
        """
        self._past = repair(past).items
        self._next = self._request()

    def begin(self) -> None:
        """Begin to stream, once.

        Raises:
            RuntimeError: it has begun before.
        """
        if self._is_begun:
            raise RuntimeError("a stream can be read once")
        self._is_begun = True

    def request(self) -> dict[str, Any]:
        """Return the arguments of the next request.

        Raises:
            ValueError: the API does not take an item, or this turn does not fit into the budget.
        """
        found, self._next = self._next, None
        return found or self._request()

    def _request(self) -> dict[str, Any]:
        plan = self._plan
        sent = plan.api.sendable([*self._trimmed(), *self.items])
        # A lone surrogate, which histories keep, cannot be sent: the SDK encodes the request as UTF-8.
        return {**encodable(plan.api.request(plan.model, plan.instructions, sent)), **plan.options}

    def _trimmed(self) -> list[Item]:
        """Return the items of the history that fit into the budget next to this turn."""
        plan = self._plan
        if plan.max_tokens is None:
            return self._past
        system = [] if plan.instructions is None else [{"role": "system", "content": plan.instructions}]
        fits = trim([*system, *self._past, *self.items], plan.max_tokens, model=plan.model)
        if fits[-len(self.items) :] != self.items or len(fits) < len(system) + len(self.items):
            raise ValueError(f"the message does not fit into {plan.max_tokens:,} tokens. Raise max_tokens.")
        return fits[len(system) : -len(self.items)]

    def assembly(self) -> Any:
        """Return what puts the events of the next answer together."""
        self._is_separated = not any(answer.text for answer in self._answers)
        return self._plan.api.Assembly()

    def separated(self, piece: str) -> str:
        """Return a piece of text, behind what separates it from the text of the answer before."""
        before, self._is_separated = self._is_separated, True
        return piece if before else f"{BETWEEN}{piece}"

    def take(self, response: Mapping[str, Any]) -> tuple[Call, ...]:
        """Take a complete answer, and return the calls that are to be answered before the next request.

        Raises:
            RequestFailed: it is no answer, or the model calls functions without an end.
        """
        answer: Answer = self._plan.api.read_answer(response)
        self._responses.append(response)
        self._answers.append(answer)
        self.items += checked(answer.items)
        if answer.incomplete is not None:
            for call in answer.calls:  # which may be cut off too; without an output the API refuses the history
                self.answer(call, f"not called: the reply was cut off ({answer.incomplete})")
        self.is_over = not answer.calls or answer.incomplete is not None
        if not self.is_over and len(self._answers) >= self._plan.max_rounds:
            names = ", ".join(sorted({call.name for call in answer.calls}))
            raise RequestFailed(f"the model still calls {names} after {self._plan.max_rounds} rounds")
        return () if self.is_over else answer.calls

    def answer(self, call: Call, output: str) -> None:
        """Add the output of a call."""
        self.items.append(self._plan.api.output_item(call, output))

    def reply(self) -> Reply:
        """Return the reply.

        Raises:
            RuntimeError: it is not stored.
        """
        if not self.is_stored:
            raise RuntimeError("there is no reply: the stream has not been read to its end")
        return Reply(
            text=BETWEEN.join(answer.text for answer in self._answers if answer.text),
            items=tuple(self.items),
            responses=tuple(self._responses),
            refusal=self._answers[-1].refusal,
            incomplete=self._answers[-1].incomplete,
        )


def _session(history: Session | str | os.PathLike[str], session_id: str) -> Session:
    return open_history(history, session_id) if isinstance(history, str | os.PathLike) else history


def _json(value: Any) -> Mapping[str, Any]:
    """Return an object of the SDK as the JSON that it came from."""
    if hasattr(value, "to_dict"):
        value = value.to_dict(mode="json", warnings=False)
    if not isinstance(value, Mapping):
        raise RequestFailed(f"the answer is no JSON object: {str(value)[:200]}")
    return value


def _arguments(call: Call) -> dict[str, Any] | str:
    """Return the arguments of a call, or what to tell the model if they are not what they should be."""
    try:
        arguments = loads(call.arguments.encode("utf-8", "surrogatepass")) if call.arguments.strip() else {}
    except ValueError as error:
        return _output({"error": f"not called: the arguments are not JSON: {error}"})
    if not isinstance(arguments, dict):
        return _output({"error": "not called: the arguments are not a JSON object"})
    return arguments


def _called_output(call: Call, result: Any) -> str:
    try:
        return _output(result)
    except (TypeError, ValueError) as error:
        raise TypeError(f"on_call returned neither a str nor JSON for {call.name!r}: {error}") from None


def _output(result: Any) -> str:
    return result if isinstance(result, str) else dumps(result).decode()
