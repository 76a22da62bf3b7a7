"""Fields that every record carries until they are taken away, in this thread or task alone."""

import re
from collections.abc import Callable, Mapping
from contextvars import ContextVar, copy_context
from logging import Logger
from types import TracebackType
from typing import Final, ParamSpec, TypeVar

from specwatch.telemetry.context import RequestContext, attach, current, new_ids, new_span_id
from specwatch.telemetry.logs.bound import BoundLogger, get_logger
from specwatch.telemetry.logs.service_logger import adopt

_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")

_NOTHING: Final[Mapping[str, object]] = {}
_FIELDS: ContextVar[Mapping[str, object]] = ContextVar("specwatch_log_fields", default=_NOTHING)
# The trace that `set_trace_id` began, and what was current before: `clear` ends that one and never a request's.
_BEGUN: ContextVar[tuple[RequestContext | None, RequestContext | None]] = ContextVar("specwatch_log_trace", default=(None, None))
_TRACE_ID: Final = re.compile(r"(?!0{32})[0-9a-f]{32}", re.ASCII)


def context_fields() -> Mapping[str, object]:
    """Return the fields that are set at the moment. The mapping never changes; setting a field makes another one."""
    return _FIELDS.get()


class LogContext:
    """Fields for every record, in each form that the documents show.

    - `LogContext.set(order="o-1")` until `LogContext.clear()`, with `set_trace_id`, `set_request_id` and `set_user_id` for the
      ids (document 001);
    - `with LogContext(logger, token="BTC") as log:` for the block, and `log` is a logger to be called with keyword arguments (003);
    - `with LogContext.bind(order="o-1"):` for the block.

    Fields belong to the thread or asyncio task that sets them; a task inherits those of the one that starts it, and a thread does when
    its function is wrapped in `LogContext.wrap`. A record's own field wins over one of the context.

    Args:
        logger: what `log` writes to: a logger, a bound one, or a name.
        fields: what every record of the block carries.
    """

    __slots__ = ("_before", "_fields", "_logger")

    def __init__(self, logger: Logger | BoundLogger | str | None = None, /, **fields: object) -> None:
        self._logger = logger
        self._fields = fields
        self._before: list[Mapping[str, object]] = []

    def __enter__(self) -> BoundLogger:
        before = _FIELDS.get()
        self._before.append(before)
        _FIELDS.set({**before, **self._fields})
        if isinstance(self._logger, BoundLogger):
            return self._logger
        return BoundLogger(adopt(self._logger)) if isinstance(self._logger, Logger) else get_logger(self._logger)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        _FIELDS.set(self._before.pop())

    @staticmethod
    def bind(**fields: object) -> "LogContext":
        """Return a context manager; every record of its block carries the fields."""
        return LogContext(None, **fields)

    @staticmethod
    def set(**fields: object) -> None:
        """Give every following record these fields, besides those that are set."""
        _FIELDS.set({**_FIELDS.get(), **fields})

    @staticmethod
    def get() -> dict[str, object]:
        """Return the fields that are set."""
        return dict(_FIELDS.get())

    @staticmethod
    def clear(*names: str) -> None:
        """Take these fields away; without a name all of them, and the trace that `set_trace_id` began."""
        if names:
            _FIELDS.set({key: value for key, value in _FIELDS.get().items() if key not in names})
            return
        _FIELDS.set(_NOTHING)
        begun, before = _BEGUN.get()
        if begun is not None and current() is begun:
            attach(before)
            _BEGUN.set((None, None))

    @staticmethod
    def set_trace_id(trace_id: str | None = None) -> str:
        """Continue the trace of this id, a new one without it, and return the id.

        An id that is none to W3C (32 hex digits) is shown in the logs and not handed to the next service.
        """
        chosen = trace_id or new_ids()[0]
        if _TRACE_ID.fullmatch(chosen):
            before = current()
            begun = RequestContext(chosen, "", new_span_id()) if before is None else before._replace(trace_id=chosen)
            _BEGUN.set((begun, before))
            attach(begun)
            LogContext.clear("trace_id")
        else:
            LogContext.set(trace_id=chosen)
        return chosen

    @staticmethod
    def set_request_id(request_id: str | None = None) -> str:
        """Give every following record this request id, a new one without it, and return it."""
        chosen = request_id or new_ids()[1]
        LogContext.set(request_id=chosen)
        return chosen

    @staticmethod
    def set_user_id(user_id: object) -> None:
        """Give every following record this user id."""
        LogContext.set(user_id=user_id)

    @staticmethod
    def wrap(function: Callable[_Arguments, _Result]) -> Callable[_Arguments, _Result]:
        """Return `function` so that it runs with the fields and ids of now, in whichever thread it is called."""
        context = copy_context()

        def run(*args: _Arguments.args, **kwargs: _Arguments.kwargs) -> _Result:
            return context.copy().run(function, *args, **kwargs)

        return run
