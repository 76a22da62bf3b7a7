"""The switches of the environment."""

import logging

import pytest

from specwatch.telemetry.settings import Settings, settings


def test_an_empty_environment_gives_the_defaults() -> None:
    """Ensure nothing has to be set: metrics on, INFO as JSON, 004's defaults, and nothing is sent anywhere."""
    found = settings(environ={})
    assert found == Settings()
    assert (found.metrics_enabled, found.log_level, found.log_format) == (True, "INFO", "json")
    assert (found.environment, found.version) == ("development", "unknown")
    assert (found.tracing_enabled, found.sentry_dsn, found.sentry_traces_sample_rate) == (False, "", 0.1)


@pytest.mark.parametrize(
    ("variable", "text", "field", "value"),
    [
        ("METRICS_ENABLED", "false", "metrics_enabled", False),
        ("METRICS_ENABLED", " 0 ", "metrics_enabled", False),
        ("METRICS_ENABLED", "Yes", "metrics_enabled", True),
        ("METRICS_CREATED", "true", "metrics_created", True),
        ("METRICS_PORT", "9090", "metrics_port", 9090),
        ("LOG_LEVEL", "warn", "log_level", "WARNING"),
        ("LOG_LEVEL", "debug", "log_level", "DEBUG"),
        ("LOG_FORMAT", "TEXT", "log_format", "text"),
        ("SERVICE_NAME", "shop", "service", "shop"),
        ("OTEL_SERVICE_NAME", "shop", "service", "shop"),
        ("ENVIRONMENT", "production", "environment", "production"),
        ("APP_VERSION", "1.2", "version", "1.2"),
        ("OTEL_TRACES_SAMPLER_ARG", "0.25", "trace_sample_ratio", 0.25),
        ("OTEL_TRACES_SAMPLER", "parentbased_always_off", "trace_sample_ratio", 0.0),
        ("SENTRY_DSN", "http://key@127.0.0.1/1", "sentry_dsn", "http://key@127.0.0.1/1"),
        ("SENTRY_TRACES_SAMPLE_RATE", "0", "sentry_traces_sample_rate", 0.0),
        ("PROMETHEUS_MULTIPROC_DIR", "/run/shop", "multiproc_dir", "/run/shop"),
    ],
)
def test_each_variable_is_read(variable: str, text: str, field: str, value: object) -> None:
    """Ensure every documented variable reaches its field, in any case and with blanks around it."""
    assert getattr(settings(environ={variable: text}), field) == value


def test_an_applications_prefix_wins_over_the_plain_name() -> None:
    """Ensure SKILLMEAT_LOG_LEVEL beats LOG_LEVEL, and that what has no prefix still counts."""
    environ = {"LOG_LEVEL": "INFO", "SKILLMEAT_LOG_LEVEL": "DEBUG", "LOG_FORMAT": "text"}
    for prefix in ("SKILLMEAT_", "SKILLMEAT"):
        found = settings(prefix, environ)
        assert (found.log_level, found.log_format) == ("DEBUG", "text")
    assert settings(environ=environ).log_level == "INFO"


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        ("METRICS_ENABLED", "perhaps"),
        ("METRICS_PORT", "99999"),
        ("LOG_LEVEL", "loud"),
        ("LOG_FORMAT", "xml"),
        ("OTEL_TRACES_SAMPLER_ARG", "nan"),
        ("SENTRY_TRACES_SAMPLE_RATE", "-1"),
    ],
)
def test_what_cannot_be_read_leaves_the_default_and_is_told_once(variable: str, text: str, caplog: pytest.LogCaptureFixture) -> None:
    """Ensure a slip in the environment never stops a program, and that it says what was found and what is expected, once."""
    with caplog.at_level(logging.WARNING):
        assert settings("ONCE_" + variable, {f"ONCE_{variable}_{variable}": text}) == Settings()
        settings("ONCE_" + variable, {f"ONCE_{variable}_{variable}": text})
    [told] = [record.getMessage() for record in caplog.records]
    assert f"{variable} is '{text}', expected" in told


@pytest.mark.parametrize(
    ("environ", "strict"),
    [
        ({}, False),
        ({"ENVIRONMENT": "development"}, True),
        ({"ENVIRONMENT": "test"}, True),
        ({"ENVIRONMENT": "production"}, False),
        ({"ENVIRONMENT": "production", "SPECWATCH_STRICT": "true"}, True),
        ({"ENVIRONMENT": "development", "SPECWATCH_STRICT": "false"}, False),
    ],
)
def test_mistakes_are_errors_only_where_somebody_develops(environ: dict[str, str], strict: bool) -> None:
    """Ensure a program that nobody told where it runs is taken for production."""
    assert settings(environ=environ).strict is strict


@pytest.mark.parametrize(
    ("environ", "enabled"),
    [
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4317"}, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:4318/v1/traces"}, True),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4317", "OTEL_SDK_DISABLED": "true"}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4317", "OTEL_TRACES_EXPORTER": "none"}, False),
    ],
)
def test_spans_leave_the_process_only_where_there_is_somewhere_to_go(environ: dict[str, str], enabled: bool) -> None:
    """Ensure OpenTelemetry's own switches hold."""
    assert settings(environ=environ).tracing_enabled is enabled
