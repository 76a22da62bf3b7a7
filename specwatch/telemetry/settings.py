"""The switches of the environment, read into one frozen value.

Every variable may carry a prefix of the application's own: with the prefix `SKILLMEAT_`, `SKILLMEAT_LOG_LEVEL` wins over `LOG_LEVEL`.
A value that cannot be read never stops a program: it is told once through `logging`, and the default stands.
"""

import functools
import logging
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Literal, TypeVar, cast

LogFormat = Literal["json", "text"]

_Value = TypeVar("_Value")
_YES: Final = frozenset({"1", "true", "yes", "on"})
_NO: Final = frozenset({"0", "false", "no", "off"})
_LEVELS: Final = {
    "TRACE": "DEBUG",
    "DEBUG": "DEBUG",
    "INFO": "INFO",
    "WARN": "WARNING",
    "WARNING": "WARNING",
    "ERROR": "ERROR",
    "FATAL": "CRITICAL",
    "CRITICAL": "CRITICAL",
}
_STRICT_ENVIRONMENTS: Final = frozenset({"dev", "development", "local", "test", "testing"})
_HIGHEST_PORT: Final = 65_535


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the environment says.

    Attributes:
        metrics_enabled: METRICS_ENABLED; false means that nothing is counted, collected or shown.
        metrics_created: METRICS_CREATED; true adds `_created` lines, which say when a series was made, to OpenMetrics.
        metrics_port: METRICS_PORT, where a metrics server of its own listens; 0 when not set.
        multiproc_dir: PROMETHEUS_MULTIPROC_DIR, the folder in which the workers of one service share their metrics, or empty.
        log_level: LOG_LEVEL as `logging` names it (DEBUG, INFO, WARNING, ERROR, CRITICAL), in any case and with `warn` too.
        log_format: LOG_FORMAT, "json" or "text".
        service: SERVICE_NAME, else OTEL_SERVICE_NAME, else empty.
        environment: ENVIRONMENT, "development" when not set (document 004).
        version: APP_VERSION, "unknown" when not set (document 004).
        strict: SPECWATCH_STRICT; not set, it is true where ENVIRONMENT itself says dev, development, local, test or testing. A
            program that nobody told where it runs is taken for production: there, telemetry counts a mistake and never raises it.
        tracing_enabled: whether spans leave the process: an endpoint is known, OTEL_SDK_DISABLED is not true and
            OTEL_TRACES_EXPORTER is not "none".
        otlp_endpoint: OTEL_EXPORTER_OTLP_TRACES_ENDPOINT, else OTEL_EXPORTER_OTLP_ENDPOINT, else empty.
        otlp_protocol: OTEL_EXPORTER_OTLP_TRACES_PROTOCOL, else OTEL_EXPORTER_OTLP_PROTOCOL, else "http/protobuf".
        trace_sample_ratio: the share of traces that is kept, from OTEL_TRACES_SAMPLER and OTEL_TRACES_SAMPLER_ARG; 1.0 when not set.
        sentry_dsn: SENTRY_DSN, or empty.
        sentry_traces_sample_rate: SENTRY_TRACES_SAMPLE_RATE, 0.1 when not set (document 004).
        sentry_profiles_sample_rate: SENTRY_PROFILES_SAMPLE_RATE, 0.1 when not set (document 004).
    """

    metrics_enabled: bool = True
    metrics_created: bool = False
    metrics_port: int = 0
    multiproc_dir: str = ""
    log_level: str = "INFO"
    log_format: LogFormat = "json"
    service: str = ""
    environment: str = "development"
    version: str = "unknown"
    strict: bool = False
    tracing_enabled: bool = False
    otlp_endpoint: str = ""
    otlp_protocol: str = "http/protobuf"
    trace_sample_ratio: float = 1.0
    sentry_dsn: str = ""
    sentry_traces_sample_rate: float = 0.1
    sentry_profiles_sample_rate: float = 0.1


_CONFIGURED: Final = {
    "service_name": "SERVICE_NAME",
    "environment": "ENVIRONMENT",
    "logging.level": "LOG_LEVEL",
    "logging.format": "LOG_FORMAT",
    "metrics.enabled": "METRICS_ENABLED",
    "metrics.port": "METRICS_PORT",
    "tracing.sampling.probability": "OTEL_TRACES_SAMPLER_ARG",
}
"""Document 003's `configs/observability.yaml`, key by key."""


def variables(config: Mapping[str, object]) -> dict[str, str]:
    """Return the environment variables that say what document 003's `observability.yaml` says; keys that it does not have are left out.

    `for name, value in variables(yaml.safe_load(text)).items(): os.environ.setdefault(name, value)` at a program's start leaves the last
    word to the environment.
    """
    config = cast(Mapping[str, object], config.get("observability", config))
    found = {name: _leaf(config, path) for path, name in _CONFIGURED.items()}
    found["OTEL_SDK_DISABLED"] = None if (on := _leaf(config, "tracing.enabled")) is None else not on
    return {name: str(value).lower() if isinstance(value, bool) else str(value) for name, value in found.items() if value is not None}


def _leaf(config: object, path: str) -> object:
    for key in path.split("."):
        config = config.get(key) if isinstance(config, Mapping) else None
    return config


def settings(prefix: str = "", environ: Mapping[str, str] | None = None) -> Settings:
    """Return what the environment says; read it once where a program starts and hand it on.

    Args:
        prefix: the application's own, such as `SKILLMEAT_` (its underscore may be left out); it wins over the plain name.
        environ: what to read instead of `os.environ`.
    """
    read = _Reader(os.environ if environ is None else environ, prefix)
    endpoint = read.text("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
    if not endpoint and read.text("JAEGER_ENDPOINT"):
        _tell("JAEGER_ENDPOINT is set, but spans go out over OTLP, which Jaeger takes on port 4318; set OTEL_EXPORTER_OTLP_ENDPOINT")
    off = read.value(_flag, "OTEL_SDK_DISABLED", default=False) or read.text("OTEL_TRACES_EXPORTER").lower() == "none"
    environment = read.text("ENVIRONMENT")
    return Settings(
        metrics_enabled=read.value(_flag, "METRICS_ENABLED", default=True),
        metrics_created=read.value(_flag, "METRICS_CREATED", default=False),
        metrics_port=read.value(_port, "METRICS_PORT", default=0),
        multiproc_dir=read.text("PROMETHEUS_MULTIPROC_DIR"),
        log_level=read.value(_level, "LOG_LEVEL", default="INFO"),
        log_format=read.value(_format, "LOG_FORMAT", default="json"),
        service=read.text("SERVICE_NAME", "OTEL_SERVICE_NAME"),
        environment=environment or "development",
        version=read.text("APP_VERSION") or "unknown",
        strict=read.value(_flag, "SPECWATCH_STRICT", default=environment.lower() in _STRICT_ENVIRONMENTS),
        tracing_enabled=bool(endpoint) and not off,
        otlp_endpoint=endpoint,
        otlp_protocol=read.text("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL") or "http/protobuf",
        trace_sample_ratio=_sampled(read),
        sentry_dsn=read.text("SENTRY_DSN"),
        sentry_traces_sample_rate=read.value(_ratio, "SENTRY_TRACES_SAMPLE_RATE", default=0.1),
        sentry_profiles_sample_rate=read.value(_ratio, "SENTRY_PROFILES_SAMPLE_RATE", default=0.1),
    )


class _Reader:
    """Looks a variable up under its prefixed name first; a variable that is set to nothing counts as not set."""

    def __init__(self, environ: Mapping[str, str], prefix: str) -> None:
        self._environ = environ
        self._prefixes = (f"{prefix.rstrip('_')}_", "") if prefix else ("",)

    def text(self, *names: str) -> str:
        """Return the first of the variables that is set, or an empty text."""
        return self._found(*names)[1]

    def value(self, parse: Callable[[str], _Value], *names: str, default: _Value) -> _Value:
        """Return the variable as `parse` reads it, or the default; what cannot be read is told once."""
        name, found = self._found(*names)
        if not found:
            return default
        try:
            return parse(found)
        except ValueError as error:
            _tell(f"{name} is {found!r}, expected {error}; {default!r} is used instead")
            return default

    def _found(self, *names: str) -> tuple[str, str]:
        for prefix in self._prefixes:
            for name in names:
                found = self._environ.get(prefix + name, "").strip()
                if found:
                    return prefix + name, found
        return "", ""


@functools.cache
def _tell(problem: str) -> None:
    logging.getLogger(__name__).warning("%s", problem)


def _flag(text: str) -> bool:
    word = text.lower()
    if word in _YES:
        return True
    if word in _NO:
        return False
    raise ValueError("true or false")


def _level(text: str) -> str:
    if text.upper() not in _LEVELS:
        raise ValueError("debug, info, warning, error or critical")
    return _LEVELS[text.upper()]


def _format(text: str) -> LogFormat:
    if text.lower() not in {"json", "text"}:
        raise ValueError("json or text")
    return cast(LogFormat, text.lower())


def _port(text: str) -> int:
    if not text.isdecimal() or not 0 <= int(text) <= _HIGHEST_PORT:
        raise ValueError("a port from 0 to 65535")
    return int(text)


def _ratio(text: str) -> float:
    advice = "a share from 0 to 1"
    try:
        ratio = float(text)
    except ValueError:
        raise ValueError(advice) from None
    if not 0 <= ratio <= 1:
        raise ValueError(advice)
    return ratio


def _sampled(read: _Reader) -> float:
    """The two variables are the OpenTelemetry SDK configuration's, section "General SDK Configuration"."""
    sampler = read.text("OTEL_TRACES_SAMPLER").lower().removeprefix("parentbased_")
    if sampler in {"always_off", "always_on"}:
        return float(sampler == "always_on")
    return read.value(_ratio, "OTEL_TRACES_SAMPLER_ARG", default=1.0)
