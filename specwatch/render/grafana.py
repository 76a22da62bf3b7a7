"""Grafana: datasources that know of each other, the dashboard provider, the dashboards, and the variables Grafana starts with."""

from collections.abc import Mapping
from typing import Final

from specwatch import names
from specwatch.render._dashboard import dashboard_json, jobs_of
from specwatch.render._panels import Json
from specwatch.stack import Stack
from specwatch.stack.traces import counted_by, store
from specwatch.textio import dump_json, dump_yaml
from specwatch.topology import Topology

# How far around a span its log lines and metrics are looked for: clocks differ and lines are written late.
_AROUND: Final = {"spanStartTimeShift": "-5m", "spanEndTimeShift": "5m"}


def render(stack: Stack, topology: Topology) -> dict[str, str]:
    """Return the provisioning files and one JSON file for each of the stack's dashboards."""
    head = names.header(stack)
    jobs = jobs_of(stack)
    return {
        "grafana/provisioning/datasources/specwatch.yml": dump_yaml(_escaped(_datasources(stack, topology)), header=head),
        "grafana/provisioning/dashboards/specwatch.yml": dump_yaml(_escaped(_provider(stack, topology)), header=head),
    } | {f"grafana/dashboards/{dashboard.uid}.json": dump_json(dashboard_json(dashboard, jobs)) for dashboard in stack.dashboards}


def arguments(stack: Stack, topology: Topology) -> tuple[str, ...]:  # noqa: ARG001  # the same call for every component
    """Return the program's arguments; the image's own entry point adds them to `grafana server`."""
    return () if topology.runtime == "compose" else ("server",)


def environment(stack: Stack, topology: Topology) -> dict[str, str]:
    """Return the variables Grafana starts with; the password is read from its secret file."""
    address, _, port = topology.listen["grafana"].rpartition(":")
    data = topology.data["grafana"]
    password = topology.secret("grafana", stack.grafana.admin_password)
    home = [dashboard.uid for dashboard in stack.dashboards if dashboard.uid == names.SELF_DASHBOARD]
    return {
        "GF_SECURITY_ADMIN_USER": stack.grafana.admin_user,
        # `…__FILE` is a feature of the image's shell script; the program itself reads `$__file{…}`.
        **(
            {"GF_SECURITY_ADMIN_PASSWORD__FILE": password}
            if topology.runtime == "compose"
            else {"GF_SECURITY_ADMIN_PASSWORD": f"$__file{{{password}}}"}
        ),
        "GF_SERVER_HTTP_ADDR": address,
        "GF_SERVER_HTTP_PORT": port,
        "GF_SERVER_ROOT_URL": stack.link("grafana"),
        **({"GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH": f"{_dashboards_folder(topology)}/{home[0]}.json"} if home else {}),
        # Everything that is written lies below the data folder: the root is read-only.
        "GF_PATHS_DATA": data,
        "GF_PATHS_LOGS": f"{data}/log",
        "GF_PATHS_PLUGINS": f"{data}/plugins",
        "GF_PATHS_PROVISIONING": topology.config["grafana"],
        "GF_LOG_MODE": "console",
        **_closed_doors(secure=stack.links.startswith("https:")),
    }


def _closed_doors(*, secure: bool) -> dict[str, str]:
    return {
        "GF_AUTH_ANONYMOUS_ENABLED": "false",
        "GF_USERS_ALLOW_SIGN_UP": "false",
        "GF_USERS_ALLOW_ORG_CREATE": "false",
        "GF_SNAPSHOTS_EXTERNAL_ENABLED": "false",
        # "lax", for with "strict" a dashboard's link in a message would open the login page.
        "GF_SECURITY_COOKIE_SAMESITE": "lax",
        "GF_SECURITY_COOKIE_SECURE": "true" if secure else "false",
        "GF_SECURITY_STRICT_TRANSPORT_SECURITY": "true" if secure else "false",
        # Nothing is asked of, or told to, the internet.
        "GF_SECURITY_DISABLE_GRAVATAR": "true",
        "GF_NEWS_NEWS_FEED_ENABLED": "false",
        "GF_ANALYTICS_REPORTING_ENABLED": "false",
        "GF_ANALYTICS_CHECK_FOR_UPDATES": "false",
        "GF_ANALYTICS_CHECK_FOR_PLUGIN_UPDATES": "false",
        "GF_ANALYTICS_FEEDBACK_LINKS_ENABLED": "false",
        "GF_PLUGINS_PREINSTALL_DISABLED": "true",
        "GF_PLUGINS_PREINSTALL_AUTO_UPDATE": "false",
        "GF_PLUGINS_PUBLIC_KEY_RETRIEVAL_DISABLED": "true",
    }


def _datasources(stack: Stack, topology: Topology) -> Json:
    known = {"prometheus": _prometheus, "loki": _loki, "tempo": _tempo, "jaeger": _jaeger, "alertmanager": _alertmanager}
    return {
        "apiVersion": 1,
        # A datasource that this file no longer has is deleted.
        "prune": True,
        "datasources": [
            {
                "name": name.capitalize(),
                "uid": _UIDS[name],
                "type": name,
                "access": "proxy",
                "orgId": 1,
                "url": topology.url(name).removesuffix("/"),
                "isDefault": name == "prometheus",
                "editable": False,
                "jsonData": settings(stack),
            }
            for name, settings in known.items()
            if stack.has(name)
        ],
    }


_UIDS: Final = {
    "prometheus": names.PROMETHEUS_UID,
    "loki": names.LOKI_UID,
    "tempo": names.TEMPO_UID,
    "jaeger": names.JAEGER_UID,
    "alertmanager": names.ALERTMANAGER_UID,
}


def _prometheus(stack: Stack) -> Json:
    settings: dict[str, object] = {
        "httpMethod": "POST",
        "prometheusType": "Prometheus",
        # $__rate_interval is made of this: it must be how often is really scraped.
        "timeInterval": names.duration(stack.scrape_interval_seconds),
        **_alerts(stack),
    }
    if uid := _traces_uid(stack):
        # Our library and the collector write `trace_id`, Tempo's metrics generator `traceID`.
        settings["exemplarTraceIdDestinations"] = [
            {"name": label, "datasourceUid": uid, "urlDisplayLabel": "Open the trace"} for label in ("trace_id", "traceID")
        ]
    return settings


def _loki(stack: Stack) -> Json:
    settings: dict[str, object] = {"maxLines": 1000, **_alerts(stack)}
    if uid := _traces_uid(stack):
        settings["derivedFields"] = [
            {
                "name": "Trace",
                # Of a label or of structured metadata: the line itself need not be searched.
                "matcherType": "label",
                "matcherRegex": "trace_id",
                "url": "${__value.raw}",
                "urlDisplayLabel": "Open the trace",
                "datasourceUid": uid,
            }
        ]
    return settings


def _tempo(stack: Stack) -> Json:
    settings: dict[str, object] = {"nodeGraph": {"enabled": True}, "search": {"hide": False}}
    service = {"key": "service.name", "value": "service"}
    if stack.has("loki"):
        settings["tracesToLogsV2"] = _to_logs("{${__tags}}", service)
    if counted_by(stack.traces, stack.components):
        settings["serviceMap"] = {"datasourceUid": names.PROMETHEUS_UID}
        settings["tracesToMetrics"] = _to_metrics(service)
    return settings


def _jaeger(stack: Stack) -> Json:
    """Return the settings of Jaeger's datasource.

    Jaeger takes `service.name` out of a span's tags, and Grafana offers links nothing else: lines are looked for in all services, and
    metrics by the tag `service` that our collector adds.
    """
    settings: dict[str, object] = {"nodeGraph": {"enabled": True}}
    if stack.has("loki"):
        settings["tracesToLogsV2"] = _to_logs('{service=~".+"}')
    if counted_by(stack.traces, stack.components):
        settings["tracesToMetrics"] = _to_metrics({"key": "service"})
    return settings


def _to_logs(selector: str, *tags: Json) -> Json:
    return {
        "datasourceUid": names.LOKI_UID,
        **_AROUND,
        "tags": list(tags),
        "filterByTraceID": False,
        "filterBySpanID": False,
        "customQuery": True,
        "query": f'{selector} | trace_id="${{__trace.traceId}}"',
    }


def _to_metrics(*tags: Json) -> Json:
    calls = "traces_spanmetrics_calls_total"
    seconds = "traces_spanmetrics_latency_bucket"
    return {
        "datasourceUid": names.PROMETHEUS_UID,
        **_AROUND,
        "tags": list(tags),
        "queries": [
            {"name": "Spans a second", "query": f"sum(rate({calls}{{$__tags}}[5m]))"},
            {"name": "Failed spans a second", "query": f'sum(rate({calls}{{$__tags,status_code="STATUS_CODE_ERROR"}}[5m]))'},
            {"name": "95th percentile", "query": f"histogram_quantile(0.95, sum by (le) (rate({seconds}{{$__tags}}[5m])))"},
        ],
    }


def _traces_uid(stack: Stack) -> str:
    """Return the uid of the datasource that has the stack's traces, or an empty text when they are somebody else's."""
    return _UIDS.get(store(stack.traces, stack.components), "")


def _alertmanager(stack: Stack) -> Json:  # noqa: ARG001  # the same call for every datasource
    return {"implementation": "prometheus", "handleGrafanaManagedAlerts": False}


def _alerts(stack: Stack) -> Json:
    return {"manageAlerts": True, **({"alertmanagerUid": names.ALERTMANAGER_UID} if stack.has("alertmanager") else {})}


def _provider(stack: Stack, topology: Topology) -> Json:
    return {
        "apiVersion": 1,
        "providers": [
            {
                "name": "specwatch",
                "orgId": 1,
                # Grafana refuses a dashboard that is called like its folder, and a service may be called like the stack.
                "folder": f"{stack.name} ({stack.environment})" if stack.environment else f"{stack.name} (stack)",
                "type": "file",
                # A dashboard whose file is gone goes too.
                "disableDeletion": False,
                "updateIntervalSeconds": 10,
                "allowUiUpdates": False,
                "options": {"path": _dashboards_folder(topology), "foldersFromFilesStructure": False},
            }
        ],
    }


def _dashboards_folder(topology: Topology) -> str:
    return f"{topology.config['grafana'].removesuffix('/provisioning')}/dashboards"


def _escaped(value: object) -> object:
    """Return `value` with every `$` doubled: Grafana reads `$name` in a provisioning file as an environment variable."""
    if isinstance(value, str):
        return value.replace("$", "$$")
    if isinstance(value, Mapping):
        return {key: _escaped(item) for key, item in value.items()}
    return [_escaped(item) for item in value] if isinstance(value, list) else value
