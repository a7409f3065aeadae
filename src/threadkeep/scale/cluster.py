"""The workers of an export in shards: those of a scheduler, or processes of this machine; and calls with a limit."""

import asyncio
import contextlib
import logging
import re
import signal
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import CancelledError
from multiprocessing import resource_tracker
from typing import Any

import attrs

from threadkeep import __version__
from threadkeep.errors import ExtraMissing, ServerUnreachable
from threadkeep.scale.dask_worker import WorkerUnusable, heard_of

__all__ = ["SILENCE", "Cluster", "Connection", "connected"]

_ADDRESS = re.compile(r"(tcp|tls|ucx|ws|wss)://[^\s/@?#]+:[0-9]+")

SILENCE = 20
"""Seconds after which a worker of which the scheduler has not heard is called silent."""

# Seconds for the scheduler to answer, and for a worker.
_SCHEDULER, _WORKER = 30, 30

# Seconds between two questions for the silences of the workers.
_LISTENING = 5

# Seconds for the workers and the client to be closed.
_CLOSING = 30

# Signals that a terminal sends to every process that was started in it.
_OF_TERMINAL = (signal.SIGINT, signal.SIGHUP)

_INSTALL = f"Install it there: pip install 'threadkeep[dask]=={__version__}'."


@attrs.frozen
class Cluster:
    """Where the workers are: the address of a scheduler, or how many processes of this machine."""

    address: str | None = None
    processes: int = 0

    @classmethod
    def parse(cls, text: str) -> "Cluster":
        """Read ``local:N``, or an address.

        Raises:
            ValueError: it is neither.
        """
        kind, _, rest = text.partition(":")
        if kind == "local":
            if not re.fullmatch("[0-9]+", rest) or not 1 <= int(rest) <= 1000:
                raise ValueError(f"{text!r} is no number of processes, such as local:4")
            return cls(processes=int(rest))
        if not _ADDRESS.fullmatch(text) or not 0 < int(text.rpartition(":")[2]) < 65536:
            raise ValueError(f"{text!r} is neither an address, such as tcp://scheduler:8786, nor local:4")
        return cls(address=text)


@attrs.define
class Connection:
    """A scheduler that answers, and its workers.

    Attributes:
        client: of Dask.
        restart_workers: starts those again that nobody else does.
    """

    client: Any
    restart_workers: Callable[[], None]
    _silences: dict[str, float] = attrs.field(factory=dict, init=False)
    _asked_at: float = attrs.field(default=float("-inf"), init=False)
    _attempts: int = attrs.field(default=0, init=False)

    async def workers(self) -> dict[str, float]:
        """Return the workers, and how many seconds ago the scheduler had heard of each when it was last asked for that.

        Raises:
            ServerUnreachable: it does not answer.
        """
        self.refuse_closed()
        try:
            addresses = await asyncio.wait_for(self.client.nthreads(), _SCHEDULER)
            await self.listen()
        except OSError as error:
            raise ServerUnreachable(f"the Dask scheduler does not answer: {error}") from None
        return {address: self._silences.get(address, 0.0) for address in addresses}

    async def listen(self) -> None:
        """Ask for the silences from time to time: the scheduler logs that."""
        time = asyncio.get_running_loop().time()
        if time - self._asked_at >= _LISTENING:
            self._silences = await asyncio.wait_for(self.client.run_on_scheduler(heard_of), _SCHEDULER)
            self._asked_at = time

    def refuse_closed(self) -> None:
        """Refuse a connection that was lost: with it every task is, also if there is another one soon.

        Raises:
            ServerUnreachable: it is.
        """
        if self.client.status != "running":
            raise ServerUnreachable("the Dask scheduler does not answer any more")

    async def call(self, worker: str, function: Callable[..., Any], *given: object, seconds: float = _WORKER) -> Any:
        """Call a function on a worker, next to its tasks.

        Raises:
            OSError: it does not answer.
            ServerUnreachable: the scheduler does not.
            WorkerUnusable: it cannot, such as without threadkeep.
        """
        self.refuse_closed()
        called = self.client.run(function, *given, workers=[worker], on_error="return")
        answer = (await asyncio.wait_for(called, seconds)).get(worker)
        if isinstance(answer, OSError | WorkerUnusable):
            raise answer
        if isinstance(answer, Exception):
            raise WorkerUnusable(f"it cannot run this threadkeep. {_INSTALL} ({answer})") from answer
        return answer

    async def result_of(self, run: str, worker: str, function: Callable[..., Any], *given: object) -> Any:
        """Return the result of a task on a worker, or what it raised; None if it was lost with its process.

        Args:
            run: the name of the run, with which that of the task begins.
            worker: where it runs.
            function: what it runs, with the arguments ``given``.

        Raises:
            ServerUnreachable: the scheduler does not answer any more.
        """
        from distributed import KilledWorker

        self.refuse_closed()
        self._attempts += 1
        future = self.client.submit(function, *given, key=f"{run}-{self._attempts}", workers=[worker], pure=False)

        async def result() -> Any:
            return await future

        waiting = asyncio.create_task(result())
        try:
            await asyncio.wait({waiting})
            error = None if waiting.cancelled() else waiting.exception()
            if waiting.cancelled() or isinstance(error, CancelledError | KilledWorker):
                self.refuse_closed()
                return None
            return error or waiting.result()
        finally:
            waiting.cancel()
            future.release()


@contextlib.asynccontextmanager
async def connected(cluster: Cluster) -> AsyncIterator[Connection]:
    """Yield a connection to a cluster.

    Raises:
        ExtraMissing: its scheduler has no threadkeep.
        ServerUnreachable: there is no scheduler, or one that cannot be talked to.
    """
    from distributed import Client
    from distributed.utils import silence_logging_cmgr

    async with contextlib.AsyncExitStack() as opened:
        opened.enter_context(silence_logging_cmgr(logging.CRITICAL))
        restart_workers: Callable[[], None] = lambda: None  # noqa: E731
        place: Any = cluster.address
        if cluster.address is None:
            place = await opened.enter_async_context(_local_cluster(cluster.processes))
            restart_workers = lambda: _restart_workers(place)  # noqa: E731
        try:
            # It connects when it is awaited, and not before.
            client = Client(place, asynchronous=True, timeout=_SCHEDULER)  # type: ignore[no-untyped-call]
            opened.push_async_callback(_closed, client)
            await asyncio.wait_for(client, _SCHEDULER)
        except (OSError, ValueError, TypeError, RuntimeError, ImportError) as error:
            what = " ".join(str(error).split()) or type(error).__name__
            raise ServerUnreachable(f"no Dask scheduler answers at {cluster.address}: {what}") from None
        connection = Connection(client, restart_workers)
        try:
            await connection.listen()
        except OSError as error:
            raise ServerUnreachable(f"the Dask scheduler does not answer: {error}") from None
        except Exception as error:  # noqa: BLE001 - what is raised there comes as many things
            raise ExtraMissing(f"the Dask scheduler cannot run this threadkeep. {_INSTALL} ({error})") from None
        yield connection


async def _closed(client: Any) -> None:
    with contextlib.suppress(OSError):
        await asyncio.wait_for(client.close(), _CLOSING)


@contextlib.asynccontextmanager
async def _local_cluster(processes: int) -> AsyncIterator[Any]:
    import dask
    from distributed import LocalCluster, Security

    # Else it would give up a worker that takes longer to come back.
    with dask.config.set({"distributed.deploy.lost-worker-timeout": "1h"}), _terminal_signals_for_this_process():
        async with contextlib.AsyncExitStack() as opened:
            workers = LocalCluster(  # type: ignore[no-untyped-call]
                n_workers=processes,
                threads_per_worker=1,
                processes=True,
                memory_limit=0,
                dashboard_address="127.0.0.1:0",
                asynchronous=True,
                silence_logs=logging.CRITICAL,
                # Else every user of this machine could run code in its processes.
                security=Security.temporary(),  # type: ignore[no-untyped-call]
            )
            starting = asyncio.ensure_future(opened.enter_async_context(workers))
            try:
                yield await asyncio.shield(starting)
            finally:
                # Dask closes in order only what has started: a process that has not would print a traceback.
                await asyncio.wait({starting}, timeout=_CLOSING)


@contextlib.contextmanager
def _terminal_signals_for_this_process() -> Iterator[None]:
    """Keep the signals of a terminal from the processes that are started in here: this process asks them for their end.

    A process ignores from its first instruction on what the thread has blocked that starts it. So a thread that starts
    none takes these signals; Python calls their handlers in the main thread all the same.
    """
    resource_tracker.ensure_running()  # else the first process starts it, which unblocks the signals in its thread
    before, ended = signal.pthread_sigmask(signal.SIG_BLOCK, _OF_TERMINAL), threading.Event()

    def take_signals() -> None:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        ended.wait()

    threading.Thread(target=take_signals, daemon=True).start()
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        ended.set()


def _restart_workers(cluster: Any) -> None:
    """Start the processes again that have ended while they started: Dask restarts those only that had started."""
    from distributed.core import Status

    for nanny in cluster.workers.values():
        if nanny.process is not None and nanny.process.status is Status.stopped:
            task = asyncio.ensure_future(nanny.instantiate())
            _RESTARTS.add(task)
            task.add_done_callback(_RESTARTS.discard)


_RESTARTS = set[asyncio.Future[Any]]()
"""A task that nobody holds may vanish."""
