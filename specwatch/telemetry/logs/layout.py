"""Which fields a line has, how they are called and in which order they come.

Each layout is what one of the systems that the library serves writes; a layout of one's own is `dataclasses.replace(FLAT, …)`.
"""

from dataclasses import dataclass
from typing import Final, Literal

PROMOTED: Final = ("trace_id", "request_id", "user_id")
"""The fields that stand beside the message, also when the others are nested."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """The shape of a line.

    Attributes:
        timestamp_digits: 6 for microseconds, 3 for milliseconds; the time is UTC and ends in Z.
        level_case: "upper" for DEBUG, INFO, WARNING …, "lower" for debug, info, warn …
        message_key: name of the field that holds the message.
        logger_key: name of the field that holds the logger's name; empty leaves it out.
        place: whether module, function and line are fields.
        service: whether the service is a field.
        deployment: whether environment and version are fields.
        nested: whether the record's own fields stand below one field `extra`, or beside the message.
        fields_first: whether the record's own fields come before the ids and the service.
        bracketed: whether text lines read `[time] [LEVEL] message k=v`, or `time LEVEL logger: message k=v`.
    """

    timestamp_digits: Literal[3, 6] = 6
    level_case: Literal["upper", "lower"] = "upper"
    message_key: str = "message"
    logger_key: str = "logger"
    place: bool = True
    service: bool = True
    deployment: bool = False
    nested: bool = False
    fields_first: bool = False
    bracketed: bool = False

    def own_fields(self) -> frozenset[str]:
        """Return the names that say where a line comes from; a record's field of that name is kept as `extra_<name>`."""
        names = {"timestamp", "level", self.message_key, "exception", "stack"}
        names.update({self.logger_key} if self.logger_key else ())
        names.update(("module", "function", "line") if self.place else ())
        names.update({"service"} if self.service else ())
        names.update(("environment", "version") if self.deployment else ())
        return frozenset(names)


FLAT: Final = Layout()
"""timestamp, level, logger, message, module, function, line, service, ids, then the record's own fields (document 000)."""

NESTED: Final = Layout(nested=True)
"""As `FLAT`, and the record's own fields stand below `extra` (document 001)."""

JOBS: Final = Layout(timestamp_digits=3, level_case="lower", logger_key="", place=False, service=False, bracketed=True)
"""timestamp with milliseconds, level in lower case, message, then the record's own fields; text is bracketed (document 002)."""

EVENT: Final = Layout(timestamp_digits=3, message_key="event", logger_key="", place=False, fields_first=True)
"""timestamp with milliseconds, level, event, the record's own fields, then trace_id and service (document 003)."""

SERVICE: Final = Layout(logger_key="name", place=False, deployment=True)
"""timestamp, level, name, message, service, environment, version, ids, then the record's own fields (document 004)."""

LAYOUTS: Final = {"flat": FLAT, "nested": NESTED, "jobs": JOBS, "event": EVENT, "service": SERVICE}
"""The layouts by the name that `configure_logging(preset=…)` takes."""
