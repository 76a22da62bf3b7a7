"""What becomes of a service's log lines: where they come from, the stages they pass in order, where they go.

`specwatch.logs.interpreter` says what each stage means; every shipper renders the same meaning. A field's name may have dots, which
reach into nested JSON objects. Regular expressions are of the portable kind that `specwatch.logs.expressions` describes.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Literal

from msgspec import Struct

from specwatch.stack.secrets import SecretFile

Source = Literal["container", "files", "fluentd", "otlp"]
ParseFormat = Literal["json", "logfmt", "text", "regex", "docker", "cri"]


class Parse(Struct, frozen=True, kw_only=True, tag=True):
    """Read fields from the line; `expression` is for "regex". Of "docker" and "cri" the inner line goes on, at the time they give."""

    format: ParseFormat
    expression: str = ""


class Multiline(Struct, frozen=True, kw_only=True, tag=True):
    """Join a line to the ones before it unless it matches `first_line`.

    An entry has at most so many lines (0: any number), and so many seconds are waited for another.
    """

    first_line: str
    max_lines: int = 0
    max_wait_seconds: int = 3


class Timestamp(Struct, frozen=True, kw_only=True, tag=True):
    """Take the line's time from the first of `fields` that is there.

    `layouts` are tried in order: names (see `specwatch.logs.times`) or strptime formats; a time without a zone is in `zone`. A line whose
    time cannot be read keeps the time at which it was seen, or is dropped.
    """

    fields: tuple[str, ...]
    layouts: tuple[str, ...] = ("auto",)
    zone: str = "UTC"
    otherwise: Literal["seen", "drop"] = "seen"


class Level(Struct, frozen=True, kw_only=True, tag=True):
    """Set the label and the field `level` to the level (a key of `spellings`) that the first of `fields` spells, else to "unknown"."""

    fields: tuple[str, ...]
    spellings: Mapping[str, tuple[str, ...]]


class Rename(Struct, frozen=True, kw_only=True, tag=True):
    """Give fields other names, as (old, new) pairs; a field that is not there changes nothing."""

    names: tuple[tuple[str, str], ...]


class DropFields(Struct, frozen=True, kw_only=True, tag=True):
    """Forget fields, so that no later stage sees them."""

    fields: tuple[str, ...]


class Labels(Struct, frozen=True, kw_only=True, tag=True):
    """Make fields labels; a value that is not among a label's `values` becomes "other", so that streams stay few."""

    values: Mapping[str, tuple[str, ...]]


class Metadata(Struct, frozen=True, kw_only=True, tag=True):
    """Make fields structured metadata, which may have any number of values."""

    fields: tuple[str, ...]


class Redaction(Struct, frozen=True, kw_only=True):
    """Replace what `matches`; `before` (which may be empty) must match in front of it and stays."""

    name: str
    matches: str
    before: str = ""
    replacement: str = "[redacted]"


class Redact(Struct, frozen=True, kw_only=True, tag=True):
    """Make secrets unreadable, in the line and in every field."""

    rules: tuple[Redaction, ...]


class Drop(Struct, frozen=True, kw_only=True, tag=True):
    """Drop a line of which everything given holds; it is counted under `reason`.

    `matches` is looked for in `field`, or in the line when that is empty; `longer_than_bytes` is about the line in UTF-8.
    """

    reason: str
    field: str = ""
    matches: str = ""
    older_than_seconds: int = 0
    longer_than_bytes: int = 0


class Sample(Struct, frozen=True, kw_only=True, tag=True):
    """Keep a random share (`ratio`, above 0 and below 1) of the lines; with `matches`, of those alone that match, and all others."""

    ratio: Decimal
    field: str = ""
    matches: str = ""


class Limit(Struct, frozen=True, kw_only=True, tag=True):
    """Keep at most `rate` lines a second, and `burst` at once."""

    rate: int
    burst: int


class Line(Struct, frozen=True, kw_only=True, tag=True):
    """Write the line anew: `template` is text with `{field}`; a field that is not there is empty, `{line}` is the line itself."""

    template: str


Stage = Parse | Multiline | Timestamp | Level | Rename | DropFields | Labels | Metadata | Redact | Drop | Sample | Limit | Line


class Logs(Struct, frozen=True, kw_only=True):
    """A service's log lines.

    `source` is "container" (its standard output), "files" (`files`, globs), "fluentd" (sent to the forward intake) or "otlp" (sent to
    the collector). `format` is what a line is written in.
    """

    format: Literal["json", "logfmt", "text"]
    source: Source
    files: tuple[str, ...] = ()
    stages: tuple[Stage, ...] = ()


class Elasticsearch(Struct, frozen=True, kw_only=True):
    """Where Fluentd writes every line besides Loki: indices `prefix`-YYYY.MM.DD. `user` is empty without authentication."""

    url: str
    prefix: str
    user: str = ""
    password: SecretFile | None = None


class Archive(Struct, frozen=True, kw_only=True):
    """Compressed files of every line, one for each service and day, kept for so many days."""

    days: int


class Sinks(Struct, frozen=True, kw_only=True):
    """Where lines go besides Loki."""

    elasticsearch: Elasticsearch | None = None
    archive: Archive | None = None


class StreamRetention(Struct, frozen=True, kw_only=True):
    """How long the streams that a LogQL selector selects are kept, when not as long as all others."""

    selector: str
    seconds: int
    priority: int


class LogLimits(Struct, frozen=True, kw_only=True):
    """What Loki takes: megabytes a second in all and of each stream, and streams there may be."""

    rate_mb: int
    stream_rate_mb: int
    max_streams: int


class LogMetric(Struct, frozen=True, kw_only=True):
    """A series that Loki's ruler computes from logs and writes to Prometheus."""

    name: str
    expr: str
    labels: Mapping[str, str] = {}
