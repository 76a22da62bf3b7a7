"""The small values that the whole spec shares: names, durations, secrets."""

from decimal import Decimal
from typing import Annotated, Final

from msgspec import Meta, Struct

# `$` alone would let a final line break pass, and `[0-9]` is ASCII in every language that reads the JSON Schema.
_PORT: Final = r"(?:[1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])"
_HOST: Final = r"(?:[A-Za-z0-9_.-]{1,253}|\[[0-9a-fA-F:.]{2,45}\])"
_PATH: Final = r"(?:[^\s\x00-\x1f\x7f%]|%[0-9A-Fa-f]{2}){0,2000}"
_URL: Final = rf"https?://(?:[A-Za-z0-9_.~!*+,;=:-]{{1,200}}@)?{_HOST}(?::{_PORT})?(?:[/?#]{_PATH})?"

Name = Annotated[
    str,
    Meta(
        pattern=r"^[a-z](?:[a-z0-9_-]{0,61}[a-z0-9])?(?!\n)$",
        title="a name of lower-case letters, digits, `-` and `_`, beginning with a letter",
        examples=["shop"],
    ),
]
MetricName = Annotated[
    str,
    Meta(
        pattern=r"^[a-zA-Z_:][a-zA-Z0-9_:]{0,199}(?!\n)$",
        title="a metric name of letters, digits, `_` and `:`",
        examples=["orders_total"],
    ),
]
LabelName = Annotated[
    str,
    Meta(
        pattern=r"^(?!__)[a-zA-Z_][a-zA-Z0-9_]{0,127}(?!\n)$",
        title="a label name of letters, digits and `_`, not beginning with `__`",
        examples=["status"],
    ),
]
AlertName = Annotated[
    str,
    Meta(
        pattern=r"^[A-Z][A-Za-z0-9]{0,99}(?!\n)$",
        title="an alert name in CamelCase",
        examples=["PaymentsFailing"],
    ),
]
# The whole stays below 292 years, which is all that Go's durations hold.
Duration = Annotated[
    str,
    Meta(
        pattern=r"^(?=[0-9])(?:[0-9]{1,2}y)?(?:[0-9]{1,3}w)?(?:[0-9]{1,4}d)?(?:[0-9]{1,5}h)?(?:[0-9]{1,6}m)?(?:[0-9]{1,8}s)?(?!\n)$",
        title="a duration in whole seconds, such as 30s, 5m, 1h30m or 15d",
        examples=["5m"],
    ),
]
Size = Annotated[
    str,
    Meta(pattern=r"^[1-9][0-9]{0,5}(?:KB|MB|GB|TB)(?!\n)$", title="a size such as 500MB or 10GB", examples=["10GB"]),
]
Memory = Annotated[
    str,
    Meta(
        pattern=r"^[1-9][0-9]{0,5}[kmg](?!\n)$",
        title="a memory limit such as 512m or 2g",
        examples=["512m"],
    ),
]
HostPort = Annotated[
    str,
    Meta(
        pattern=rf"^{_HOST}:{_PORT}(?!\n)$",
        title="an address of the form host:port",
        examples=["db.example.com:9187"],
    ),
]
Url = Annotated[
    str,
    Meta(
        pattern=rf"^{_URL}(?!\n)$",
        title="a URL beginning with http:// or https://",
        examples=["https://example.com/health"],
    ),
]
BaseUrl = Annotated[
    str,
    Meta(
        pattern=rf"^https?://{_HOST}/?(?!\n)$",
        title="a URL without port and path",
        examples=["http://127.0.0.1"],
    ),
]
UrlPath = Annotated[
    str,
    Meta(pattern=rf"^/{_PATH}(?!\n)$", title="a path beginning with `/`", examples=["/metrics"]),
]
ProbeUrl = Annotated[
    str,
    Meta(
        pattern=rf"^(?:{_URL}|/{_PATH}|{_HOST}:{_PORT})(?!\n)$",
        title="a URL, a path or host:port",
        examples=["/health"],
    ),
]
Text = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=4000,
        title="text",
    ),
]
Address = Annotated[
    str,
    Meta(
        pattern=r"^[^@\s<>,;:\"()\[\]\\\x00-\x1f\x7f]{1,64}@[A-Za-z0-9.-]{1,253}(?!\n)$",
        title="an e-mail address",
        examples=["a@example.com"],
    ),
]
Argument = Annotated[
    str,
    Meta(
        pattern=r"^[^\x00]{0,4000}(?!\n)$|^[^\x00]{0,3999}\n$",
        title="a text without the character U+0000",
    ),
]

# The text "nan" is none, and an integer is one.
Number = Annotated[int | Decimal, Meta(title="a number")]

Port = Annotated[
    int,
    Meta(
        ge=1,
        le=65535,
        title="a port",
    ),
]
Seconds = Annotated[int, Meta(ge=1)]
SecretName = Annotated[
    str,
    Meta(
        pattern=r"^[a-z0-9](?:[a-z0-9_.-]{0,62}[a-z0-9])?(?!\n)$",
        title="the name of a file in secrets/ (lower-case letters, digits, `_`, `-`, `.`)",
        examples=["slack_webhook"],
    ),
]


class SecretRef(Struct, frozen=True, forbid_unknown_fields=True):
    """A value that is never written down: the content of the file of that name in `secrets/`."""

    secret: SecretName
