"""What is known about log lines before a spec says anything: names of fields, spellings of levels, presets."""

from typing import Final

from specwatch.stack.logs import Level, Logs, Metadata, Multiline, Parse, Redaction, Stage, Timestamp

LEVEL_FIELDS: Final = ("level", "severity", "lvl", "levelname")
TIME_FIELDS: Final = ("timestamp", "time", "ts")
METADATA: Final = ("trace_id", "request_id")
UNKNOWN_LEVEL: Final = "unknown"
OTHER_VALUE: Final = "other"
"""What a label's value becomes that is not among the declared ones."""
# The numbers are those of pino and bunyan.
LEVELS: Final = {
    "debug": ("debug", "trace", "dbg", "10", "20"),
    "info": ("info", "information", "notice", "30"),
    "warn": ("warn", "warning", "wrn", "40"),
    "error": ("error", "err", "50"),
    "critical": ("critical", "crit", "fatal", "panic", "alert", "emerg", "emergency", "60"),
}
MAX_LINE_BYTES: Final = 1024 * 1024
"""A longer line is cut here by every shipper and by Loki, so that none is refused."""

_WORDS: Final = "TRACE|DEBUG|INFO|NOTICE|WARN|WARNING|ERROR|CRITICAL|CRIT|FATAL|PANIC|EMERG"
_ENTRY: Final = rf"[\[(<]?\d{{4}}-\d\d-\d\d[T ]|[{{]|[\[(<]?(?:{_WORDS})\b|\S+=\S+ \S+="
MULTILINE: Final = {
    # Frames and "The above exception …" belong to the entry before them; a bare traceback is an entry of its own.
    "python": rf"^(?:{_ENTRY}|Traceback \(most recent call last\):)",
    # The exception's own line follows the entry that reports it; frames, "Caused by" and "... 12 more" follow that.
    "java": rf"^(?:{_ENTRY})",
}
"""Expressions of an entry's first line, by the name under which a spec asks for them."""

_KEYS: Final = r"password|passwd|passphrase|secret|token|api_?key|apikey|authorization|cookie|private_key"
REDACTIONS: Final = {
    # Of JSON `"password": "…"`, of logfmt and of text `password=…` or `password: …`.
    "passwords": Redaction(
        name="passwords",
        before=rf'(?i:(?:{_KEYS})"?\s*[:=]\s*)',
        matches=r'(?:"(?:[^"\\]|\\.)*"|(?i:(?:bearer|basic)\s+)?[^\s"&,;{}\[\]]+)',
        replacement='"[redacted]"',
    ),
    "tokens": Redaction(
        name="tokens", matches=r"\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*|\b(?:gh[pousr]|xox[abprs])[_-][\w-]{10,}|\bAKIA[0-9A-Z]{16}\b"
    ),
    "emails": Redaction(name="emails", matches=r"[\w.+-]{1,64}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63}){1,8}"),
    "cards": Redaction(name="cards", matches=r"\b(?:\d{4}[ -]?){3}\d{1,7}\b"),
}
"""What can be made unreadable, by the name under which a spec asks for it."""


def default_stages(format_: str) -> tuple[Stage, ...]:
    """Return what happens to a line of which a spec says the format alone: json, logfmt or text."""
    return completed((), format_)


def completed(stages: tuple[Stage, ...], format_: str) -> tuple[Stage, ...]:
    """Return the stages with what they leave out.

    A parser of `format_`, the time and the level come before the others (behind what joins lines and opens containers' files), and
    trace_id and request_id are metadata at the end.
    """
    kinds = {type(stage) for stage in stages}
    head = 0
    while head < len(stages) and _opens(stages[head]):
        head += 1
    front: tuple[Stage, ...] = ()
    if not any(isinstance(stage, Parse) and not _opens(stage) for stage in stages):
        front += (Parse(format=format_),)  # type: ignore[arg-type]  # the formats of a service are among those of a stage
    else:
        while head < len(stages) and isinstance(stages[head], Parse):
            head += 1
    is_text = format_ == "text"
    if Timestamp not in kinds:
        front += (Timestamp(fields=("time",) if is_text else TIME_FIELDS),)
    if Level not in kinds:
        front += (Level(fields=("level",) if is_text else LEVEL_FIELDS, spellings=LEVELS),)
    chosen = tuple(dict.fromkeys((*METADATA, *(field for stage in stages if isinstance(stage, Metadata) for field in stage.fields))))
    rest = tuple(stage for stage in stages[head:] if not isinstance(stage, Metadata))
    return (*stages[:head], *front, *rest, Metadata(fields=chosen))


def _opens(stage: Stage) -> bool:
    return isinstance(stage, Multiline) or (isinstance(stage, Parse) and stage.format in {"docker", "cri"})


def stages_of(logs: Logs) -> tuple[Stage, ...]:
    """Return a service's stages."""
    return logs.stages or default_stages(logs.format)
