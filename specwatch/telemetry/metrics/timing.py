"""`with child.time():`, `with child.track_inprogress():` and the same as decorators, for functions and coroutine functions."""

import functools
import inspect
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self, TypeVar, cast

Function = TypeVar("Function", bound=Callable[..., Any])


class Around:
    """Something that happens before and after a block, or before and after every call of a function it decorates."""

    def enter(self) -> object:
        """Begin; what is returned is handed to `leave`."""
        raise NotImplementedError

    def leave(self, begun: Any, error: BaseException | None) -> None:
        """End the block, which raised `error`."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        self._begun = self.enter()
        return self

    def __exit__(self, _: type[BaseException] | None, error: BaseException | None, __: TracebackType | None) -> None:
        self.leave(self._begun, error)

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.__exit__(kind, error, trace)

    def __call__(self, function: Function) -> Function:
        """Return `function` with this around each of its calls; of a generator, around its whole run."""
        return cast(Function, _wrapped(self, function))


class _Call:
    """One call's block: the decorator itself is shared by all calls at once."""

    def __init__(self, around: Around) -> None:
        self._around = around

    def __enter__(self) -> None:
        self._begun = self._around.enter()

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        self._around.leave(self._begun, error)


def _wrapped(around: Around, function: Callable[..., Any]) -> Callable[..., Any]:
    if inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def coroutine(*args: Any, **named: Any) -> Any:
            with _Call(around):
                return await function(*args, **named)

        return coroutine
    if inspect.isasyncgenfunction(function):

        @functools.wraps(function)
        async def stream(*args: Any, **named: Any) -> Any:
            with _Call(around):
                async for item in function(*args, **named):
                    yield item

        return stream
    if inspect.isgeneratorfunction(function):

        @functools.wraps(function)
        def generator(*args: Any, **named: Any) -> Any:
            with _Call(around):
                return (yield from function(*args, **named))

        return generator

    @functools.wraps(function)
    def call(*args: Any, **named: Any) -> Any:
        with _Call(around):
            return function(*args, **named)

    return call
