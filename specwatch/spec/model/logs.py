"""What a spec says about log lines: their source, the stages they pass, where they go besides Loki."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from specwatch.spec.model.values import Duration, LabelName, Name, Number, SecretRef, Text, Url

FIELD_PATTERN = r"^[A-Za-z_][A-Za-z0-9_]{0,63}(?:\.[A-Za-z0-9_]{1,64}){0,7}(?!\n)$"
FIELD_TITLE = "a field of letters, digits and `_`; dots reach into nested objects"
FieldName = Annotated[str, Meta(pattern=FIELD_PATTERN, title=FIELD_TITLE, examples=["user.id"])]
Fields = Annotated[tuple[FieldName, ...], Meta(min_length=1)]
# A text with a pattern beside a list makes msgspec 0.22 crash when it is collected as garbage: the resolver checks a single name.
FieldOrFields = Text | Fields
Expression = Annotated[
    str,
    Meta(min_length=1, max_length=1000, title="a regular expression", description="What Go, Ruby and Python read alike; no look-around."),
]
Bytes = Annotated[str, Meta(pattern=r"^[1-9][0-9]{0,6}(?:B|KB|MB)(?!\n)$", title="a size such as 900B, 64KB or 1MB", examples=["64KB"])]
Shipper = Literal["promtail", "alloy", "otelcol", "fluentd"]


class RegexSpec(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Fields by the named groups of a regular expression."""

    regex: Annotated[Expression, Meta(description="Its named groups, `(?P<name>…)`, become fields.")]


class MultilineSpec(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Lines that belong together."""

    first_line: Annotated[
        Expression, Meta(description="What the first line of an entry matches; any other line belongs to the one before.")
    ]
    max_lines: Annotated[
        Annotated[int, Meta(ge=2, le=10_000)] | None,
        Meta(description="An entry has no more lines than this; when left out, it may have 1 MB."),
    ] = None
    max_wait: Annotated[Duration, Meta(description="How long another line is waited for.")] = "3s"


class TimestampSpec(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the line says its time."""

    field: Annotated[FieldOrFields, Meta(description="The field, or several of which the first that is there counts.")] = (
        "timestamp",
        "time",
        "ts",
    )
    format: Annotated[
        Text | tuple[Text, ...],
        Meta(
            description="auto, rfc3339, unix (or unix_ms, _us, _ns), or strptime's, as `%d/%b/%Y:%H:%M:%S %z`; tried in order.",
        ),
    ] = "auto"
    zone: Annotated[Text, Meta(description="The zone of a time that names none, such as Europe/Berlin.")] = "UTC"
    otherwise: Annotated[
        Literal["seen", "drop"], Meta(description="A time that cannot be read: the line keeps the time it was seen at, or is dropped.")
    ] = "seen"


class LevelSpec(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the line says its level."""

    field: Annotated[FieldOrFields, Meta(description="The field, or several of which the first that is there counts.")] = (
        "level",
        "severity",
        "lvl",
        "levelname",
    )
    spellings: Annotated[
        dict[Literal["debug", "info", "warn", "error", "critical"], tuple[Text, ...]],
        Meta(description="More spellings of a level, in any case."),
    ] = {}


class RedactSpec(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is made unreadable."""

    presets: Annotated[
        tuple[Literal["passwords", "tokens", "emails", "cards"], ...], Meta(description="What specwatch knows how to find.")
    ] = ()
    matches: Annotated[Expression | None, Meta(description="What else, wherever it stands.")] = None
    replacement: Annotated[
        str, Meta(pattern=r"^[\w \[\]<>*.:/-]{0,60}(?!\n)$", title="plain text", description="What stands there instead of `matches`.")
    ] = "[redacted]"


class DropSpec(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which lines are dropped: those of which everything given holds."""

    field: Annotated[FieldName | None, Meta(description="The field to look at; the line itself when left out.")] = None
    matches: Annotated[Expression | None, Meta(description="What is found in it.")] = None
    older_than: Annotated[Duration | None, Meta(description="The line's time is longer ago.")] = None
    longer_than: Annotated[Bytes | None, Meta(description="The line is longer.")] = None
    reason: Annotated[Name | None, Meta(description="The name under which they are counted.")] = None


class SampleSpec(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A random share of lines."""

    ratio: Annotated[Number, Meta(description="How many are kept, above 0 and below 1, such as 0.1.")]
    field: Annotated[FieldName | None, Meta(description="The field that `matches` is about; the line itself when left out.")] = None
    matches: Annotated[Expression | None, Meta(description="Lines without it are all kept.")] = None


class LimitSpec(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How many lines there may be."""

    rate: Annotated[int, Meta(ge=1, le=1_000_000, description="Lines a second.")]
    burst: Annotated[Annotated[int, Meta(ge=1, le=10_000_000)] | None, Meta(description="Lines at once; twice the rate when left out.")] = (
        None
    )


class StageSpec(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One step of a line's way: exactly one of these."""

    multiline: Annotated[
        Literal["python", "java"] | MultilineSpec | None, Meta(description="Join lines that belong together; stands first.")
    ] = None
    parse: Annotated[
        Literal["json", "logfmt", "text", "docker", "cri"] | RegexSpec | None, Meta(description="Read fields from the line.")
    ] = None
    timestamp: Annotated[TimestampSpec | None, Meta(description="Take the time from a field.")] = None
    level: Annotated[LevelSpec | None, Meta(description="Take the level from a field; it becomes the label `level`.")] = None
    rename: Annotated[dict[FieldName, FieldName] | None, Meta(description="New names of fields, as `old: new`.")] = None
    drop_fields: Annotated[Fields | None, Meta(description="Forget fields.")] = None
    labels: Annotated[
        dict[LabelName, Annotated[tuple[Text, ...], Meta(min_length=1, max_length=50)]] | None,
        Meta(description='Make fields labels of Loki, with the values they may have; any other value becomes "other".'),
    ] = None
    metadata: Annotated[Fields | None, Meta(description="Make fields structured metadata; trace_id and request_id always are.")] = None
    redact: Annotated[RedactSpec | None, Meta(description="Make secrets unreadable.")] = None
    drop: Annotated[DropSpec | None, Meta(description="Drop lines.")] = None
    sample: Annotated[SampleSpec | None, Meta(description="Keep a random share.")] = None
    limit: Annotated[LimitSpec | None, Meta(description="Keep so many a second.")] = None
    line: Annotated[Text | None, Meta(description="Write the line anew, as text with `{field}`.")] = None


class LogsSource(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where a service's log lines come from, how they read and what becomes of them."""

    format: Annotated[Literal["json", "logfmt", "text"], Meta(description="How a line reads.")] = "json"
    source: Annotated[
        Literal["container", "files", "fluentd", "otlp"],
        Meta(description="The container's output, files, Fluentd's forward intake, or OTLP to the collector."),
    ] = "container"
    files: Annotated[tuple[Text, ...], Meta(description="Globs of log files, with `source: files`.")] = ()
    stages: Annotated[
        tuple[StageSpec, ...],
        Meta(description="What becomes of a line, in this order. A parser, the time, the level and the ids are added where none is given."),
    ] = ()


class ElasticsearchSpec(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An Elasticsearch, 8 or newer, that Fluentd writes to."""

    url: Annotated[Url, Meta(description="Where it is.")]
    index_prefix: Annotated[Name, Meta(description="Indices are called PREFIX-YYYY.MM.DD.")] = "logs"
    username: Annotated[Text | None, Meta(description="The account, where it wants one.")] = None
    password: Annotated[SecretRef | None, Meta(description="The account's password.")] = None


class ArchiveSpec(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Compressed files of every line, on a volume."""

    keep: Annotated[Duration, Meta(description="How long they are kept; whole days.")] = "30d"


class SinksSpec(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where lines go besides Loki; both need Fluentd."""

    elasticsearch: Annotated[ElasticsearchSpec | None, Meta(description="Elasticsearch.")] = None
    archive: Annotated[ArchiveSpec | None, Meta(description="Files.")] = None


class LokiLimits(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What Loki takes."""

    rate_mb: Annotated[int, Meta(ge=1, le=10_000, description="Megabytes a second in all.")] = 64
    stream_rate_mb: Annotated[int, Meta(ge=1, le=10_000, description="Megabytes a second of one stream.")] = 32
    max_streams: Annotated[int, Meta(ge=10, le=1_000_000, description="Streams at a time.")] = 5000


class StreamRetentionSpec(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Another retention for some streams."""

    selector: Annotated[Text, Meta(description="Which, in LogQL.", examples=['{level="debug"}'])]
    keep: Annotated[Duration, Meta(description="How long; 24h at the least.")]


class LogsSpec(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`logs:` — what holds for all log lines."""

    sinks: Annotated[SinksSpec, Meta(description="Where lines go besides Loki.")] = SinksSpec()
    limits: Annotated[LokiLimits, Meta(description="What Loki takes.")] = LokiLimits()
    retention: Annotated[tuple[StreamRetentionSpec, ...], Meta(description="Streams that are kept longer or shorter than the rest.")] = ()


class LogMetricSpec(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A series that Loki computes from logs and writes to Prometheus."""

    expr: Annotated[Text, Meta(description='LogQL with a number as its result, such as `sum by (service) (rate({level="error"}[1m]))`.')]
    labels: Annotated[dict[LabelName, Text], Meta(description="Labels of the result.")] = {}
