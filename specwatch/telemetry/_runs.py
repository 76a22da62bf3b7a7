"""Calls that may hang, each with a time-out that holds: what does not come back is left behind, never waited for.

The threads are daemons, so that a call that never returns keeps no program from ending, as those of an executor would.
"""

import asyncio
import contextlib
import contextvars
import inspect
import os
import threading
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import Future, wait

Call = Callable[[], object]
"""A function, or an `async` one."""


class Run:
    """One call on its way.

    Attributes:
        future: its result or its exception.
        cancel: asks it to end; a thread cannot be asked.
    """

    __slots__ = ("_ended", "_loop", "_pid", "_started", "_waiters", "cancel", "future")

    def __init__(self, loop: asyncio.AbstractEventLoop | None = None) -> None:
        self.future: Future[object] = Future()
        self.cancel: Callable[[], object] = lambda: None
        self._loop = loop
        self._waiters: set[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = set()
        self._pid = os.getpid()
        self._started = time.perf_counter()
        self._ended = 0.0

    def end(self, result: object, error: BaseException | None = None) -> None:
        """Say how the call ended."""
        self._ended = time.perf_counter()
        if error is None:
            self.future.set_result(result)
        else:
            self.future.set_exception(error)
        for loop, ended in tuple(self._waiters):
            # The loop may be gone by the time a call that nobody waits for any more comes back.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(ended.set)

    @property
    def seconds(self) -> float:
        """How long the call took, or has been taking."""
        return (self._ended or time.perf_counter()) - self._started

    def running(self) -> bool:
        """Return whether the call may still come back; its thread does not outlive a fork, nor its task the event loop."""
        lost = os.getpid() != self._pid or (self._loop is not None and self._loop.is_closed())
        return not lost and not self.future.done()

    def just_ended(self) -> bool:
        """Return whether the call ended within the last second."""
        return self.future.done() and time.perf_counter() - self._ended < 1.0

    def wait(self, seconds: float) -> bool:
        """Return whether the call ended within the time; blocks this thread."""
        return self.future in wait([self.future], max(seconds, 0)).done

    async def wait_async(self, seconds: float) -> bool:
        """Return whether the call ended within the time; the event loop goes on meanwhile."""
        waiter = (asyncio.get_running_loop(), asyncio.Event())
        self._waiters.add(waiter)
        try:
            # Not `wait_for`: before Python 3.12 it loses a cancellation that comes at the moment the call ends.
            async with asyncio.timeout(max(seconds, 0)):
                if not self.future.done():
                    await waiter[1].wait()
        except TimeoutError:
            pass
        finally:
            self._waiters.discard(waiter)
        return self.future.done()


def is_async(call: Call) -> bool:
    """Return whether calling gives something to await."""
    method = getattr(type(call), "__call__", None)  # noqa: B004  # which method it is, not whether there is one
    return inspect.iscoroutinefunction(call) or inspect.iscoroutinefunction(method)


def in_thread(call: Call, name: str) -> Run:
    """Start `call` in a thread of its own, in a copy of the caller's context; an async one gets an event loop of its own."""
    run = Run()
    context = contextvars.copy_context()

    def work() -> None:
        try:
            result = context.run(call)
            if inspect.isawaitable(result):
                result = context.run(asyncio.run, _awaited(result))
        except BaseException as error:  # noqa: BLE001  # whatever it raises is its outcome, and belongs to whoever waits
            run.end(None, error)
        else:
            run.end(result)

    threading.Thread(target=work, name=name, daemon=True).start()
    return run


def on_loop(call: Call, name: str) -> Run:
    """Start the async `call` as a task of the running event loop."""
    loop = asyncio.get_running_loop()
    run = Run(loop)

    async def work() -> object:
        result = call()
        return await result if inspect.isawaitable(result) else result

    def settle(task: asyncio.Task[object]) -> None:
        if task.cancelled():
            run.end(None, asyncio.CancelledError())
        elif error := task.exception():
            run.end(None, error)
        else:
            run.end(task.result())

    task = loop.create_task(work(), name=name)
    task.add_done_callback(settle)
    run.cancel = task.cancel
    return run


async def _awaited(value: Awaitable[object]) -> object:
    return await value
