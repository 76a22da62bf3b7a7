"""Parts of a stack with sensible values: one function for each, any field of which a test may change."""

from typing import Any

import msgspec

from specwatch.components import BACKEND_OTLP_PORTS, COMPONENTS, INBOX_SMTP_PORT, JAEGER_METRICS_PORT, OTLP_PORTS
from specwatch.stack import (
    Alert,
    Auth,
    Build,
    Email,
    Integration,
    Job,
    Logs,
    PagerDuty,
    Probe,
    Receiver,
    RecordingRule,
    Route,
    Routing,
    Run,
    SecretFile,
    Service,
    Slack,
    Tls,
    Webhook,
)


def literal(text: str) -> str:
    """Return the Prometheus template that stands for exactly `text`."""
    return text.replace("{{", "{{ `{{` }}")


def component_jobs(*names: str) -> tuple[Job, ...]:
    """Return a self-scrape job for each component."""
    endpoints = {name: f"{name}-metrics" for name in ("otelcol", "fluentd", "jaeger")}
    return tuple(Job(name=name, owner=endpoints.get(name, name), team="ops", discovery="address", component=True) for name in names)


def full_jobs() -> tuple[Job, ...]:
    """Return one scrape job for each way to find targets, with authentication and TLS."""
    return (
        Job(name="shop", owner="shop", team="web", discovery="address", labels={"tier": "front"}),
        Job(
            name="legacy",
            owner="legacy",
            team="core",
            discovery="static",
            targets=("10.0.0.7:9100", "legacy.example.com:443"),
            scheme="https",
            path="/internal/metrics",
            interval_seconds=60,
            timeout_seconds=20,
            auth=Auth(kind="basic", username="scraper", secret=SecretFile("legacy_password")),
            tls=Tls(
                ca=SecretFile("legacy_ca"),
                certificate=SecretFile("legacy_cert"),
                key=SecretFile("legacy_key"),
                server_name="legacy.internal",
            ),
        ),
        Job(
            name="batch",
            owner="batch",
            team="data",
            discovery="files",
            files=("targets/batch-*.yml",),
            auth=Auth(kind="bearer", secret=SecretFile("batch_token")),
            honor_labels=True,
        ),
        Job(
            name="workers",
            owner="workers",
            team="data",
            discovery="dns",
            targets=("tasks.workers.example.com",),
            port=9102,
            scheme="https",
            tls=Tls(insecure_skip_verify=True),
        ),
        Job(name="jobs", owner="jobs", team="data", discovery="containers", port=9000),
    )


def probe(name: str, **changes: Any) -> Probe:
    """Return a blackbox probe of the shop."""
    return msgspec.structs.replace(Probe(name=name, owner="shop", team="web", url="/health", module="http_2xx"), **changes)


def alert(name: str, **changes: Any) -> Alert:
    """Return a critical alert of the shop, complete with all that an alert carries."""
    return msgspec.structs.replace(
        Alert(
            name=name,
            group="shop",
            service="shop",
            team="web",
            severity="critical",
            expr="sum(rate(orders_total{status='failed'}[5m])) / sum(rate(orders_total[5m])) > 0.05",
            for_seconds=120,
            keep_firing_for_seconds=0,
            labels={},
            summary="Payments fail on {{ $labels.instance }}",
            description="{{ $value | humanizePercentage }} of the orders of the last five minutes failed.",
            runbook_url="https://runbooks.example.com/payments",
            dashboard_url="http://127.0.0.1:3001/d/shop",
        ),
        **changes,
    )


def recording_rule(record: str, **changes: Any) -> RecordingRule:
    """Return a recording rule over the shop's orders."""
    return msgspec.structs.replace(RecordingRule(record=record, group="shop", expr="sum(rate(orders_total[5m]))", labels={}), **changes)


def receiver(name: str, *integrations: Integration) -> Receiver:
    """Return a receiver."""
    return Receiver(name=name, integrations=integrations)


def slack(**changes: Any) -> Slack:
    """Return a Slack integration."""
    return msgspec.structs.replace(Slack(webhook=SecretFile("slack_webhook"), channel="", username="specwatch"), **changes)


def email(**changes: Any) -> Email:
    """Return an e-mail integration that goes to the inbox."""
    return msgspec.structs.replace(
        Email(
            to=("oncall@example.com",),
            from_="specwatch@example.com",
            smarthost="",
            username="",
            password=SecretFile("smtp_password") if changes.get("username") else None,
            require_tls=False,
        ),
        **changes,
    )


def pagerduty(**changes: Any) -> PagerDuty:
    """Return a PagerDuty integration."""
    return msgspec.structs.replace(PagerDuty(key=SecretFile("pagerduty_key"), url=""), **changes)


def webhook(**changes: Any) -> Webhook:
    """Return a webhook that goes to the inbox."""
    return msgspec.structs.replace(Webhook(name="hook", url="", secret=None, bearer=None, max_alerts=0), **changes)


def routing(*routes: Route, **changes: Any) -> Routing:
    """Return the default routing with `routes` below the root."""
    return msgspec.structs.replace(
        Routing(
            receiver="inbox",
            group_by=("alertname", "service"),
            group_wait_seconds=10,
            group_interval_seconds=60,
            repeat_interval_seconds=4 * 3600,
            routes=routes,
        ),
        **changes,
    )


def service(name: str, **changes: Any) -> Service:
    """Return a service that specwatch runs and whose container writes JSON lines."""
    return msgspec.structs.replace(
        Service(
            name=name,
            team="web",
            port=8000,
            host=name,
            logs=Logs(format="json", source="container"),
            traces=True,
            run=Run(
                command=("gunicorn", "--config", "gunicorn.conf.py", "shop:app"),
                image=f"specwatch/{name}:0.1.0",
                build=Build(context=".", dockerfile="exporter/Dockerfile"),
                environment={"LOG_LEVEL": "info"},
                publish=((8000, 8000),),
                health=("python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8000/health')"),
                user="10001:10001",
                memory="256m",
                volumes=(),
                depends_on=(),
                restart="unless-stopped",
            ),
            packs=("http",),
        ),
        **changes,
    )


def ports() -> dict[str, int]:
    """Return every component's default port on the host."""
    return {component.name: component.host_port or component.port for component in COMPONENTS} | {
        "inbox-smtp": INBOX_SMTP_PORT,
        **OTLP_PORTS,
        **BACKEND_OTLP_PORTS,
        "jaeger-metrics": JAEGER_METRICS_PORT,
        "otelcol-metrics": 8888,
        "fluentd-metrics": 24231,
    }
