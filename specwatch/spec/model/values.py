"""The small values that the whole spec shares: names, durations, secrets."""

from typing import Annotated

from msgspec import Meta, Struct

Name = Annotated[
    str,
    Meta(
        pattern=r"^[a-z](?:[a-z0-9_-]{0,61}[a-z0-9])?$",
        title="a name of lower-case letters, digits, `-` and `_`, beginning with a letter",
        examples=["shop"],
    ),
]
MetricName = Annotated[
    str,
    Meta(
        pattern=r"^[a-zA-Z_:][a-zA-Z0-9_:]{0,199}$",
        title="a metric name of letters, digits, `_` and `:`",
        examples=["orders_total"],
    ),
]
LabelName = Annotated[
    str,
    Meta(
        pattern=r"^(?!__)[a-zA-Z_][a-zA-Z0-9_]{0,127}$",
        title="a label name of letters, digits and `_`, not beginning with `__`",
        examples=["status"],
    ),
]
AlertName = Annotated[
    str,
    Meta(
        pattern=r"^[A-Z][A-Za-z0-9]{0,99}$",
        title="an alert name in CamelCase",
        examples=["PaymentsFailing"],
    ),
]
Duration = Annotated[
    str,
    Meta(
        pattern=r"^(?=\d)(?:\d{1,6}y)?(?:\d{1,6}w)?(?:\d{1,6}d)?(?:\d{1,6}h)?(?:\d{1,6}m)?(?:\d{1,6}s)?$",
        title="a duration in whole seconds, such as 30s, 5m, 1h30m or 15d",
        examples=["5m"],
    ),
]
Size = Annotated[
    str,
    Meta(pattern=r"^[1-9]\d{0,5}(?:KB|MB|GB|TB)$", title="a size such as 500MB or 10GB", examples=["10GB"]),
]
Memory = Annotated[
    str,
    Meta(
        pattern=r"^[1-9]\d{0,5}[kmg]$",
        title="a memory limit such as 512m or 2g",
        examples=["512m"],
    ),
]
HostPort = Annotated[
    str,
    Meta(
        pattern=r"^(?:[A-Za-z0-9_.-]{1,253}|\[[0-9a-fA-F:]{2,45}\]):(?:[1-9]\d{0,4})$",
        title="an address of the form host:port",
        examples=["db.example.com:9187"],
    ),
]
Url = Annotated[
    str,
    Meta(
        pattern=r"^https?://[^\s/$.?#][^\s]{0,2000}$",
        title="a URL beginning with http:// or https://",
        examples=["https://example.com/health"],
    ),
]
UrlPath = Annotated[
    str,
    Meta(pattern=r"^/[^\s]{0,2000}$", title="a path beginning with `/`", examples=["/metrics"]),
]
ProbeUrl = Annotated[
    str,
    Meta(
        pattern=r"^(?:https?://[^\s/$.?#][^\s]{0,2000}|/[^\s]{0,2000}|[A-Za-z0-9_.-]{1,253}:[1-9]\d{0,4})$",
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
    Meta(pattern=r"^[^@\s<>]{1,64}@[^@\s<>]{1,255}$", title="an e-mail address", examples=["a@example.com"]),
]
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
        pattern=r"^[a-z0-9](?:[a-z0-9_.-]{0,62}[a-z0-9])?$",
        title="the name of a file in secrets/ (lower-case letters, digits, `_`, `-`, `.`)",
        examples=["slack_webhook"],
    ),
]


class SecretRef(Struct, frozen=True, forbid_unknown_fields=True):
    """A value that is never written down: the content of the file of that name in `secrets/`."""

    secret: SecretName
