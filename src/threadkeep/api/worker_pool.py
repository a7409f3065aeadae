"""Many at work with several keys: each takes one id after another, and a refused key leaves its own to the others."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence

from threadkeep.api.client import ApiClient, PacingOptions, TransportLike
from threadkeep.api.rate_control import Traffic
from threadkeep.errors import AccessRefused, ApiError, BadPage, RequestFailed, RunEnded, ServerUnreachable

__all__ = ["Work", "WorkerPool", "traffic_of"]

Work = Callable[[str, ApiClient], Awaitable[None]]
"""What is done with one id, by the key that it stays with."""


class WorkerPool:
    """Those who work at one thing.

    Args:
        transports: where it is, once for each key.
        pace: how hard to ask.
        concurrency: how many are at work at a time.
        on_notice: called with a text for people when a key is refused and the others go on, and at the first sign
            that nobody is there.

    Attributes:
        ended_by: what ended the work before every id had its turn; None when nothing did.
    """

    def __init__(
        self,
        transports: Sequence[TransportLike],
        pace: PacingOptions,
        concurrency: int,
        on_notice: Callable[[str], None],
    ) -> None:
        self._transports = transports
        self._clients = [ApiClient(transport, pace, self._tell_silence) for transport in transports]
        self._concurrency = concurrency
        self._on_notice = on_notice
        self._waiting: deque[str] = deque()
        self._silent = 0
        self._silence_is_told = False
        self.ended_by: RunEnded | None = None

    @property
    def traffic(self) -> Traffic:
        """The requests of all keys together. Everybody waits when every key that may still be used does."""
        seen = [client.traffic for client in self._clients]
        return Traffic(
            sent=sum(traffic.sent for traffic in seen),
            refused=sum(traffic.refused for traffic in seen),
            waits=min((client.traffic.waits for client in self._at_work), default=0.0),
        )

    @property
    def is_refused(self) -> bool:
        """Whether a key was: nobody knows then what it would have said."""
        return any(isinstance(client.ended_by, AccessRefused) for client in self._clients)

    @property
    def _at_work(self) -> list[ApiClient]:
        return [client for client in self._clients if client.ended_by is None]

    def clients_from(self, client: ApiClient) -> list[ApiClient]:
        """This one, and the others that may still be used."""
        return [client, *(other for other in self._at_work if other is not client)]

    async def run(self, ids: Iterable[str], work: Work) -> None:
        """Work at all of these, unless the work is ended before."""
        self._waiting.extend(ids)
        while self._waiting and self.ended_by is None:
            await self._all_at_work(self._at_work, work)
        self._waiting.clear()

    async def _all_at_work(self, clients: Sequence[ApiClient], work: Work) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                for number in range(min(self._concurrency, len(self._waiting))):
                    group.create_task(self._keep_at(work, clients[number % len(clients)]))
        except BaseExceptionGroup as problems:
            # The first problem ended the run; the others are its echo in the other workers.
            raise problems.exceptions[0] from None

    async def _keep_at(self, work: Work, client: ApiClient) -> None:
        """Take one id after another, until there are none or the client may go on no longer."""
        while client.ended_by is None and self._waiting:
            await work(self._waiting.popleft(), client)

    def reassign(self, client: ApiClient, wanted: str, ending: RunEnded) -> bool:
        """A refused key ends its own work, and the others take that over. Everything else ends the work of all.

        Args:
            client: what was ended.
            wanted: the id that it was at.
            ending: by what.

        Returns:
            Whether the others take over.
        """
        is_told, client.ended_by = client.ended_by is not None, client.ended_by or ending
        if not isinstance(ending, AccessRefused) or not self._at_work:
            self._end(ending)
            return False
        self._waiting.append(wanted)
        if not is_told:
            self._on_notice(f"a key was refused, the others go on: {ending}")
        return True

    def _end(self, ending: RunEnded) -> None:
        self.ended_by = self.ended_by or ending
        for client in self._clients:
            client.ended_by = client.ended_by or ending

    def _tell_silence(self, problem: ApiError) -> None:
        """The first time, at once: until a server is called silent, every retry has been waited for in vain."""
        if not self._silence_is_told and isinstance(problem, RequestFailed) and problem.unreachable:
            self._silence_is_told = True
            self._on_notice(f"{problem}; it is asked again")

    def record_response(self) -> None:
        """The server has answered as an API does."""
        self._silent = 0

    def record_failure(self, problem: ApiError) -> None:
        """A server that answers nobody any more, or never answered as an API, is not asked about every id."""
        answered = any(transport.answered for transport in self._transports)
        unreachable = isinstance(problem, RequestFailed) and problem.unreachable
        silent = unreachable or (not answered and isinstance(problem, BadPage | RequestFailed))
        self._silent = self._silent + 1 if silent else 0
        patience = 1 if unreachable and not answered else max(16, 2 * self._concurrency)
        if self._silent >= patience:
            self._end(ServerUnreachable(str(problem)))


def traffic_of(pools: Sequence[WorkerPool]) -> Traffic:
    """The requests of one pool after another; only the last one can be waiting."""
    seen = [pool.traffic for pool in pools]
    sent, refused = sum(traffic.sent for traffic in seen), sum(traffic.refused for traffic in seen)
    return Traffic(sent=sent, refused=refused, waits=seen[-1].waits)
