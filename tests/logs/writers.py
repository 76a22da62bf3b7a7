"""What the corpus of log lines is made of: services that write, hostile text, Docker's way to write a line."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

KIB: Final = 1024


@dataclass(frozen=True)
class Writer:
    """A service: its `logs:` as the spec has it, and the lines of its file; `is_open` leaves the last one without a newline."""

    name: str
    logs: Mapping[str, Any]
    lines: tuple[bytes, ...]
    is_open: bool = False

    @property
    def content(self) -> bytes:
        """What the file holds."""
        return b"\n".join(self.lines) + (b"" if self.is_open else b"\n")


# What each shipper's templates, expressions and configuration would make something of, if it were not text.
TEMPLATES: Final = (
    "{{ .Entry }} {{ .Value }} {{ end }} {{",
    "${HOME} $HOME $$ $1 ${1} $${env:HOME}",
    "EXPR(body) EXPR(env('HOME')) EXPR(",
    "#{Dir.pwd} ${record['x']} ${tag} %{time}",
    'attributes["level"] resource.level <% %> <%= 1 %>',
    "{level} {line} {nope} %(levelname)s %s %d %",
)
HOSTILE: Final = (
    *TEMPLATES,
    'quotes \' " ` and back\\slash\\ and \\" and trailing \\',
    "naïve café 日本語 🛒👩‍👩‍👧 \u202e right to left \ufeff \u2028 \u2029 \u0085 end",
    "tab\tand bell\x07 and \x1b[31mred\x1b[0m and \x7f and \x00 NUL",
    "vertical\x0bfeed form\x0cfeed lone\rreturn",
    'a=b=c ==== = "=" key="un closed',
    "<script>alert(1)</script> & </td>",
    " leading and trailing spaces \t ",
    "   ",
    ".",
    "0",
    "null",
    "true",
    "[]",
    "[1, 2]",
    "{}",
    '""',
    "-",
    "NaN Infinity -Infinity",
)


def docker_lines(text: str, when: datetime, attributes: Mapping[str, str] | None = None, stream: str = "stdout") -> Iterator[bytes]:
    """Yield what Docker's json-file driver writes for one line: pieces of 16 KiB, of which the last ends with a newline."""
    raw = f"{text}\n"
    for start in range(0, len(raw), 16 * KIB):
        record: dict[str, Any] = {"log": raw[start : start + 16 * KIB], "stream": stream}
        if attributes:
            record["attrs"] = attributes
        record["time"] = f"{when:%Y-%m-%dT%H:%M:%S}.123456789Z"
        yield json.dumps(record, ensure_ascii=False).encode()


def now() -> datetime:
    """Return the time of day in whole seconds."""
    return datetime.now(UTC).replace(microsecond=0)
