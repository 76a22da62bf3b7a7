"""How Promtail takes a line's time from its fields: parts by a regular expression, one way to write them, and only then a time.

Promtail's own layouts read more than the model does (texts behind the time, years of other centuries, clocks that run ahead).
"""

from collections.abc import Mapping
from typing import Final

from specwatch.logs.expressions import groups, regrouped
from specwatch.logs.times import AHEAD_SECONDS, CENTURY, EPOCHS, pattern
from specwatch.render._logs import quoted
from specwatch.render._stage_writer import Writer, first
from specwatch.stack.logs import Timestamp

_AHEAD: Final = "ahead"
_ZONED: Final = "2006-01-02T15:04:05Z07:00"
_LOCAL: Final = "2006-01-02T15:04:05"
_NANOSECOND_DIGITS: Final = 9
# Seconds, the digits of the unit behind them, and those behind the point.
_EPOCH: Final = r"0*(?P<s>\d{{9,10}})(?P<u>\d{{{digits}}})(?:[.](?P<g>\d+))?"
_AUTO_EPOCH: Final = r"(?P<s>1\d{9})(?P<u>\d{3})?(?:[.](?P<g>\d+))?"


def timestamp(stage: Timestamp, out: Writer) -> None:
    """Write the stages that set a line's time, or drop it where the stage says so."""
    at = out.name("at")
    slots = out.slots(*stage.fields)
    formats: dict[str, None] = {}
    if slots:
        text = slots[0] if len(slots) == 1 else out.name("time")
        if len(slots) > 1:
            out.template(text, first(slots, "{{{{ .{slot} }}}}"))
        for index, layout in enumerate(stage.layouts):
            formats |= dict.fromkeys(_layout(layout, text, at, index, stage.zone, out))
        kinds = {"format": next(iter(formats)), "fallback_formats": [*formats][1:]}
        out.add("timestamp", source=at, **kinds, location=stage.zone, action_on_failure="skip")
    if stage.otherwise == "drop":
        out.add("drop", source=at, expression=f"^(?:{_AHEAD})?$", drop_counter_reason="no_time")


def _layout(layout: str, text: str, at: str, index: int, zone: str, out: Writer) -> tuple[str, ...]:
    """Write the stages that put the time of the slot `text`, where the layout reads it, into the slot `at`; return its formats there."""
    expression = _expression(layout)
    parts = {name: f"{at}_{name}{index}" for name in groups(expression)}
    out.add("regex", source=text, expression=f"^(?:{regrouped(expression, parts)})$")
    tests = [(f'hasKey . "{at}"', f"{{{{ .{at} }}}}")] if index else []
    formats: tuple[str, ...] = ()
    if "Y" in parts:
        tests.append((f".{parts['Y']}", _date(parts, zone)))
        formats += tuple(_month(each, parts) for each in (_ZONED, _LOCAL))
    if "s" in parts:
        tests.append((f".{parts['s']}", _epoch(parts)))
        formats += ("Unix",)
    branches = (f"{{{{ {'else if' if number else 'if'} {test} }}}}{then}" for number, (test, then) in enumerate(tests))
    out.template(at, "".join((*branches, "{{ end }}")))
    return formats


def _expression(layout: str) -> str:
    if layout in EPOCHS:
        return _EPOCH.format(digits=len(str(EPOCHS[layout])) - 1)
    return f"{pattern(layout)}|{_AUTO_EPOCH}" if layout == "auto" else pattern(layout)


def _date(parts: Mapping[str, str], zone: str) -> str:
    """Return the template that writes a date's parts in one way, nothing for a date that the calendar does not have."""
    date = " ".join(f".{parts[part]}" for part in ("Y", "b" if "b" in parts else "m", "d", "H", "M", "S"))
    text = f'{{{{ $text := printf "%s-%s-%sT%s:%s:%s" {date} }}}}{{{{ $zone := "" }}}}'
    if "f" in parts:
        text += f'{{{{ with .{parts["f"]} }}}}{{{{ $text = print $text "." . }}}}{{{{ end }}}}'
    if "z" in parts:
        colon = '{{ if eq (len $zone) 5 }}{{ $zone = print (substr 0 3 $zone) ":" (substr 3 5 $zone) }}{{ end }}'
        text += f"{{{{ $zone = .{parts['z']} }}}}{colon}"
    # The zone that is not written is the one there now, which is exact enough for what runs ahead.
    there = '"Z"' if zone == "UTC" else f'dateInZone "Z07:00" now {quoted(zone)}'
    local = f"{{{{ $there := $zone }}}}{{{{ if not $zone }}}}{{{{ $there = {there} }}}}{{{{ end }}}}"
    text += f"{local}{{{{ $at := toDate {quoted(_month(_ZONED, parts))} (print $text $there) }}}}"
    return text + f"{{{{ if not $at.IsZero }}}}{_unless_ahead('$at.Unix', '{{ $text }}{{ $zone }}')}{{{{ end }}}}"


def _epoch(parts: Mapping[str, str]) -> str:
    """Return the template that writes a number as seconds since 1970, nothing for one of another century."""
    digits = " ".join(f'(default "" .{parts[part]})' for part in ("u", "g") if part in parts)
    fraction = f"{{{{ with trunc {_NANOSECOND_DIGITS} (print {digits}) }}}}.{{{{ . }}}}{{{{ end }}}}"
    then = _unless_ahead("$seconds", f"{{{{ .{parts['s']} }}}}{fraction}")
    return (
        f"{{{{ $seconds := int64 .{parts['s']} }}}}"
        f"{{{{ if and (ge $seconds {CENTURY[0]}) (lt $seconds {CENTURY[1]}) }}}}{then}{{{{ end }}}}"
    )


def _unless_ahead(seconds: str, then: str) -> str:
    return f"{{{{ if gt {seconds} (add now.Unix {AHEAD_SECONDS}) }}}}{_AHEAD}{{{{ else }}}}{then}{{{{ end }}}}"


def _month(format_: str, parts: Mapping[str, str]) -> str:
    return format_.replace("-01-", "-Jan-") if "b" in parts else format_
