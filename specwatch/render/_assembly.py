"""Lines out of files, as operators of the collector's file receiver: containers' files opened, pieces made whole, lines joined.

The counterpart of `specwatch.logs.interpreter.assembled`. Of a plain file the receiver itself joins lines (`joined_reading`): what waits
for its last line stays in the file, and is read again when the collector is killed.
"""

from collections.abc import Mapping
from typing import Final

from specwatch.logs.defaults import MAX_LINE_BYTES
from specwatch.logs.expressions import to_lines
from specwatch.logs.fields import CRI
from specwatch.logs.interpreter import used_fields
from specwatch.render._expr import RFC_3339
from specwatch.render._logs import quoted
from specwatch.stack.logs import Multiline, Parse, Stage

Operator = Mapping[str, object]

DROPPED: Final = "specwatch.drop"
"""The attribute of the resource that says why a line is to be dropped."""
KEPT: Final = f"resource[{quoted(DROPPED)}] == nil"
QUIET: Final = {"on_error": "send_quiet"}
BLANK: Final = {"type": "filter", "expr": 'body == ""'}
"""The operator that drops lines with nothing in them."""


def opener(stages: tuple[Stage, ...]) -> Parse | None:
    """Return the stage that opens a container's file, None when it is a plain file."""
    return next((stage for stage in stages if isinstance(stage, Parse) and stage.format in {"docker", "cri"}), None)


def joiner(stages: tuple[Stage, ...]) -> Multiline | None:
    """Return the stage that joins lines, None when there is none."""
    return next((stage for stage in stages if isinstance(stage, Multiline)), None)


def opening(format_: str, *, chosen: str = "") -> list[Operator]:
    """Return the operators that open a container's file: pieces become whole lines again, at the time that Docker or the CRI wrote.

    `chosen` is an expression that holds for the lines that are wanted; the others are dropped uncounted. Without it, what cannot be read
    is dropped as "not_docker" or "not_cri".
    """
    if format_ == "docker":
        read: Operator = {"type": "json_parser", "parse_from": "body", "parse_to": "attributes", **QUIET}
        is_last = 'body endsWith "\\n"'
    else:
        read = {"type": "regex_parser", "parse_from": "body", "parse_to": "attributes", "regex": CRI, **QUIET}
        is_last = '!(attributes.flags == "P" || attributes.flags startsWith "P:")'
    is_read = 'type(attributes.log) == "string"'
    wanted = (
        {"type": "filter", "expr": f"!({is_read} && {chosen})"}
        if chosen
        else {"type": "add", "field": f"resource[{quoted(DROPPED)}]", "value": f"not_{format_}", "if": f"!({is_read})"}
    )
    return [
        read,
        wanted,
        {
            "type": "time_parser",
            "if": '(attributes.time ?? "") startsWith "20"',
            "parse_from": "attributes.time",
            "layout_type": "gotime",
            "layout": RFC_3339,
            "location": "UTC",
            **QUIET,
        },
        {"type": "move", "from": "attributes.log", "to": "body", **QUIET},
        # Docker and the CRI cut a line at 16 KiB.
        {**_recombine(3), "if": KEPT, "combine_with": "", "is_last_entry": is_last},
        {"type": "add", "field": "body", "value": 'EXPR(trimSuffix(trimSuffix(body, "\\n"), "\\r"))', **QUIET},
    ]


def joining(stages: tuple[Stage, ...]) -> list[Operator]:
    """Return the operators that join lines of an opened container's file, and forget what its opening left behind."""
    stage = joiner(stages)
    joined = (
        [{**_recombine(stage.max_wait_seconds), "if": KEPT, "is_first_entry": f"body matches {quoted(stage.first_line)}"}] if stage else []
    )
    keep = "stream" in used_fields(stages) and opener(stages) is not None
    return [
        *joined,
        *(stripping() if stage else []),
        BLANK,
        {"type": "retain", "fields": ["attributes.stream"]} if keep else {"type": "remove", "field": "attributes", **QUIET},
    ]


def joined_reading(stage: Multiline) -> dict[str, object]:
    """Return the receiver's settings that join lines of a plain file."""
    return {
        "multiline": {"line_start_pattern": to_lines(stage.first_line)},
        "force_flush_period": f"{stage.max_wait_seconds}s",
    }


def stripping() -> list[Operator]:
    """Return the operators that take the line ends from around joined lines, and give those within their usual form."""
    return [
        {"type": "regex_replace", "field": "body", "regex": r"\r\n", "replace_with": "\n", "if": 'body contains "\\r\\n"'},
        {"type": "regex_replace", "field": "body", "regex": r"\A\n+|\n+\z", "replace_with": ""},
    ]


def _recombine(wait_seconds: int) -> Operator:
    return {
        "type": "recombine",
        "combine_field": "body",
        "max_batch_size": 0,
        "max_unmatched_batch_size": 0,
        "max_log_size": f"{MAX_LINE_BYTES}",
        "force_flush_period": f"{wait_seconds}s",
        **QUIET,
    }
