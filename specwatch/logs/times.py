"""The times that log lines carry, and how they are read.

A layout is a name or a strptime format. The names: `auto` (RFC 3339 with `T` or a space, with or without zone, or seconds or
milliseconds since 1970), `rfc3339`, `unix`, `unix_ms`, `unix_us`, `unix_ns`. A format has `%Y`, `%m` or `%b`, `%d`, `%H`, `%M`, `%S`
and may have a fraction (`.%f` or `,%f` behind the seconds) and `%z`. A clock that was never set, or that runs ahead, says nothing: of
times only those of this century count, as they are written, and none that is later than `AHEAD_SECONDS` after the line was seen. What
Go reads leniently is read so by all: hours of one digit, zones up to +24:60, digits beyond nanoseconds.
"""

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, tzinfo
from fractions import Fraction
from functools import lru_cache
from typing import Final

NAMES: Final = ("auto", "rfc3339", "unix", "unix_ms", "unix_us", "unix_ns")
EPOCHS: Final = {"unix": 1, "unix_ms": 1_000, "unix_us": 1_000_000, "unix_ns": 1_000_000_000}
"""How many units a second has."""

AHEAD_SECONDS: Final = 600
"""Loki takes no line that is further ahead."""

# As Go's and Ruby's regular expressions read it too.
DATE: Final = r"20\d\d-\d\d-\d\d[T ]\d?\d:\d\d:\d\d(?:[.,]\d+)?(?:Z|[+-]\d\d:?\d\d)?"
EPOCH: Final = r"1\d{9}(?:\d{3})?(?:[.]\d+)?"
"""Seconds or milliseconds from 2001 to 2033."""

REQUIRED: Final = (("%Y",), ("%m", "%b"), ("%d",), ("%H",), ("%M",), ("%S",))
MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
PARTS: Final = {
    "%Y": r"(?P<Y>20\d\d)",
    "%m": r"(?P<m>0[1-9]|1[0-2])",
    "%b": rf"(?P<b>{'|'.join(MONTHS)})",
    "%d": r"(?P<d>0[1-9]|[12]\d|3[01])",
    "%H": r"(?P<H>[01]?\d|2[0-3])",
    "%M": r"(?P<M>[0-5]\d)",
    "%S": r"(?P<S>[0-5]\d)",
    "%z": r"(?P<z>Z|[+-]\d\d:?\d\d)",
}
AUTO: Final = tuple(f"%Y-%m-%d{between}%H:%M:%S.%f{zone}" for between in "T " for zone in ("", "%z"))
"""The dates that "auto" reads, as strptime formats."""
GO: Final = {"%Y": "2006", "%m": "01", "%b": "Jan", "%d": "02", "%H": "15", "%M": "04", "%S": "05"}
"""The parts in Go's layouts; a fraction goes without saying."""
GO_ZONES: Final = {"Z07:00": r"(?:Z|[+-]\d\d:\d\d)", "Z0700": r"[+-]\d\d\d\d"}
"""What `%z` is in Go's layouts, and what each of them reads: Z07:00 is first, because it reads RFC 3339."""

FRACTION: Final = r"(?:[.,](?P<f>\d+))?"
_DIRECTIVE: Final = re.compile(r"[.,]%f|%.|[^%]")
_CLOCK: Final = f"{PARTS['%H']}:{PARTS['%M']}:{PARTS['%S']}{FRACTION}"
_DAY: Final = f"{PARTS['%Y']}-{PARTS['%m']}-{PARTS['%d']}"
_RFC_3339: Final = f"{_DAY}[T ]{_CLOCK}{PARTS['%z']}?"
_STRICT: Final = rf"{_DAY}T{_CLOCK}(?P<z>Z|[+-]\d\d:\d\d)"
# Text between the parts that Go would take for parts.
_GO_WORDS: Final = re.compile(r"\d|Jan|Mon|MST|PM|pm|Z0|_2")
PLAIN_EPOCH: Final = r"\d{9,20}(?:[.]\d+)?"
CENTURY: Final = (946_684_800, 4_102_444_800)
"""The first second of this century and of the next, since 1970."""

_MOST_HOURS: Final = 24
_MOST_MINUTES: Final = 60
_DIGITS_OF_SECONDS: Final = 10


def complaint(layout: str) -> str:
    """Return what is wrong with a layout, empty when nothing is."""
    return "" if layout in NAMES else next(_complaints(layout), "")


def _complaints(layout: str) -> Iterator[str]:
    directives = re.findall(r"%.?", layout)
    if not directives:
        yield f"expected one of {', '.join(NAMES)}, or a format with %Y, %m, %d, %H, %M and %S"
    yield from (f"{each} is not one of {', '.join((*PARTS, '%f'))}" for each in sorted({*directives} - PARTS.keys() - {"%f"}))
    if "%f" in directives and not re.search(r"%S[.,]%f", layout):
        yield "%f goes behind the seconds, as %S.%f or %S,%f"
    yield from (f"{' or '.join(each)} is missing" for each in REQUIRED if not {*directives}.intersection(each))
    yield from (f"{each} is there twice" for each in directives if directives.count(each) > 1)
    word = _GO_WORDS.search(re.sub(r"%.", "\0", layout))
    if word:
        yield f"{word[0]} stands for something else in Go's layouts; take the time out of the line with a regex first"


def variants(layout: str, parts: Mapping[str, str] = GO, zones: Mapping[str, str] = GO_ZONES) -> tuple[tuple[str, str], ...]:
    """Return (regular expression of the whole text, layout of another language) for a strptime format.

    There are several where the zone may have a colon or not: `parts` names the parts of a time in that language, `zones` its spellings of a
    zone, each with what it reads.
    """
    pieces = _DIRECTIVE.findall(layout)
    found = []
    for zone, reads in zones.items() if "%z" in layout else (("", ""),):
        text = "".join(FRACTION if piece[1:] == "%f" else reads if piece == "%z" else PARTS.get(piece) or _bare(piece) for piece in pieces)
        other = "".join("" if piece[1:] == "%f" else zone if piece == "%z" else parts.get(piece, piece) for piece in pieces)
        found.append((f"^{re.sub(r'[?]P<.>', '?:', text)}$", other))
    return tuple(found)


def _bare(piece: str) -> str:
    return piece if piece.isalnum() or piece in " -:/," else re.escape(piece)


def nanoseconds(text: str, layouts: tuple[str, ...], zone: str = "UTC", seen: int = 0) -> int | None:
    """Return the time in nanoseconds since 1970, None where no layout reads it or where it cannot be.

    `seen` is when the line was read, in nanoseconds since 1970; 0 takes any time of this century.
    """
    for layout in layouts:
        found = _read(text, layout, zone)
        if found is not None:
            return None if seen and found > seen + AHEAD_SECONDS * 10**9 else found
    return None


def pattern(layout: str) -> str:
    """Return the regular expression of a strptime layout, or of "auto" (without epochs) or "rfc3339".

    Its groups are Y, m or b, d, H, M, S, f and z.
    """
    if layout == "auto":
        return _RFC_3339
    if layout == "rfc3339":
        return _STRICT
    parts = _DIRECTIVE.findall(layout)
    return "".join(FRACTION if part[1:] == "%f" else PARTS.get(part) or _bare(part) for part in parts)


def _read(text: str, layout: str, zone: str) -> int | None:
    if layout in EPOCHS:
        return _since_1970(text, EPOCHS[layout]) if re.fullmatch(PLAIN_EPOCH, text, re.ASCII) else None
    if layout == "auto" and re.fullmatch(EPOCH, text, re.ASCII):
        return _since_1970(text, 1 if len(text.partition(".")[0]) == _DIGITS_OF_SECONDS else 1000)
    found = _compiled(layout).fullmatch(text)
    return _from(found.groupdict(), zone) if found else None


def _since_1970(text: str, units: int) -> int | None:
    seconds = Fraction(text) / units
    return int(seconds * 10**9) if CENTURY[0] <= seconds < CENTURY[1] else None


@lru_cache(maxsize=64)
def _compiled(layout: str) -> re.Pattern[str]:
    return re.compile(pattern(layout), re.ASCII)


def _from(found: dict[str, str | None], zone: str) -> int | None:
    year, day, hour, minute, second = (int(found[key] or 0) for key in ("Y", "d", "H", "M", "S"))
    month = MONTHS.index(str(found["b"])) + 1 if found.get("b") else int(found["m"] or 0)
    written = found.get("z")
    offset = 0 if written is None else _offset_seconds(written)
    if offset is None:
        return None
    try:
        moment = datetime(year, month, day, hour, minute, second, tzinfo=_zone(zone) if written is None else UTC)
    except ValueError:
        return None
    return (int(moment.timestamp()) - offset) * 10**9 + int((found.get("f") or "0").ljust(9, "0")[:9])


def _offset_seconds(text: str) -> int | None:
    if text == "Z":
        return 0
    hours, minutes = int(text[1:3]), int(text[-2:])
    if hours > _MOST_HOURS or minutes > _MOST_MINUTES:
        return None
    return (hours * 3600 + minutes * 60) * (-1 if text[0] == "-" else 1)


def is_zone(name: str) -> bool:
    """Return whether there is a time zone of that name."""
    try:
        _zone(name)
    except (ValueError, OSError, KeyError):  # a zone that is not found is a KeyError
        return False
    return True


def _zone(name: str) -> tzinfo:
    if name == "UTC":
        return UTC
    from zoneinfo import ZoneInfo  # noqa: PLC0415  # few specs name a zone, and `generate` need not wait for it

    return ZoneInfo(name)
