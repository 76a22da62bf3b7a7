"""Prometheus' own configuration: what is scraped, which rules are read, whom alerts are sent to.

Every key is known to Prometheus 3.5 and to what `stack.versions` pins by default; retention is therefore a flag, which newer
versions still take. Reference: https://prometheus.io/docs/prometheus/latest/configuration/configuration/.
"""

from typing import Any, Final

from specwatch import names
from specwatch.render import blackbox
from specwatch.stack import Job, Probe, Stack
from specwatch.stack.traces import counted_by
from specwatch.textio import dump_yaml
from specwatch.topology import Topology

DOCKER_SOCKET: Final = "unix:///var/run/docker.sock"
_CONTAINER_LABEL: Final = "__meta_docker_container_label_"


def render(stack: Stack, topology: Topology) -> dict[str, str]:
    """Return prometheus.yml. Rule files are picked up by pattern, so a user's own lie beside ours."""
    config: dict[str, Any] = {
        "global": {
            "scrape_interval": names.duration(stack.scrape_interval_seconds),
            "evaluation_interval": names.duration(stack.evaluation_interval_seconds),
            "external_labels": {
                # Prometheus expands ${VARIABLES} of its environment here and nowhere else.
                name: text.replace("$", "$$")
                for name, text in ({"environment": stack.environment, "stack": stack.name} | dict(stack.external_labels)).items()
            },
        },
        "rule_files": ["rules/*.yml"],
    }
    if stack.has("alertmanager"):
        config["alerting"] = {"alertmanagers": [{"static_configs": [{"targets": [topology.address("alertmanager")]}]}]}
    config["scrape_configs"] = [_job(job, topology) for job in stack.jobs]
    if stack.has("blackbox"):
        config["scrape_configs"] += [_probe(probe, topology) for probe in stack.probes]
    return {"prometheus/prometheus.yml": dump_yaml(config, header=names.header(stack))}


def arguments(stack: Stack, topology: Topology) -> tuple[str, ...]:
    """Return Prometheus' command line."""
    flags = [
        f"--config.file={topology.config['prometheus']}/prometheus.yml",
        f"--storage.tsdb.path={topology.data['prometheus']}",
        f"--storage.tsdb.retention.time={names.duration(stack.retention.metrics_seconds)}",
    ]
    if stack.retention.metrics_size:
        flags.append(f"--storage.tsdb.retention.size={stack.retention.metrics_size}")
    flags += [
        f"--web.listen-address={topology.listen['prometheus']}",
        f"--web.external-url={stack.link('prometheus')}",
        "--web.enable-lifecycle",
        "--enable-feature=exemplar-storage",
    ]
    # Loki's ruler, and Tempo or the collector (from spans), push the series that they compute.
    if counted_by(stack.traces, stack.components) or (stack.has("loki") and (stack.log_alerts or stack.log_metrics)):
        flags.append("--web.enable-remote-write-receiver")
    return tuple(flags)


def probe_job(probe: Probe) -> str:
    """Return the name of the scrape job that carries out a blackbox probe."""
    return f"probe-{probe.name}"


def _job(job: Job, topology: Topology) -> dict[str, Any]:
    config: dict[str, Any] = {"job_name": job.name}
    if job.interval_seconds:
        config["scrape_interval"] = names.duration(job.interval_seconds)
    if job.timeout_seconds:
        config["scrape_timeout"] = names.duration(job.timeout_seconds)
    if job.path != "/metrics":
        config["metrics_path"] = job.path
    if job.scheme != "http":
        config["scheme"] = job.scheme
    if job.honor_labels:
        config["honor_labels"] = True
    if not job.component:
        # Prometheus 3 refuses an answer without Content-Type, which many small exporters still give.
        config["fallback_scrape_protocol"] = "PrometheusText0.0.4"
    return config | _credentials(job, topology) | _targets(job, topology)


def _credentials(job: Job, topology: Topology) -> dict[str, Any]:
    config: dict[str, Any] = {}
    if job.auth:
        path = topology.secret("prometheus", job.auth.secret)
        if job.auth.kind == "basic":
            config["basic_auth"] = {"username": job.auth.username, "password_file": path}
        else:
            config["authorization"] = {"type": "Bearer", "credentials_file": path}
    if job.tls:
        files = {"ca_file": job.tls.ca, "cert_file": job.tls.certificate, "key_file": job.tls.key}
        tls: dict[str, Any] = {key: topology.secret("prometheus", file) for key, file in files.items() if file}
        if job.tls.server_name:
            tls["server_name"] = job.tls.server_name
        if job.tls.insecure_skip_verify:
            tls["insecure_skip_verify"] = True
        config["tls_config"] = tls
    return config


def _targets(job: Job, topology: Topology) -> dict[str, Any]:
    # A component's owner may be one of its endpoints ("otelcol-metrics"); its job has its name.
    labels = {"service": job.name if job.component else job.owner, "team": job.team} | dict(job.labels)
    match job.discovery:
        case "address":
            host, _, port = topology.address(job.owner).rpartition(":")
            return {"static_configs": [{"targets": [f"{host}:{job.port or port}"], "labels": labels}]}
        case "static":
            return {"static_configs": [{"targets": list(job.targets), "labels": labels}]}
        case "files":
            return {"file_sd_configs": [{"files": list(job.files)}], "relabel_configs": _set(labels)}
        case "dns":
            records: dict[str, Any] = {"names": list(job.targets)}
            if job.port:  # without a port the names are SRV records, which bring their own
                records |= {"type": "A", "port": job.port}
            return {"dns_sd_configs": [records], "relabel_configs": _set(labels)}
        case "containers":
            filters = [{"name": "label", "values": [f"{names.SERVICE_LABEL}={job.owner}"]}]
            return {
                "docker_sd_configs": [{"host": DOCKER_SOCKET, "filters": filters}],
                "relabel_configs": [*_container(job.port), *_set(labels)],
            }


def _set(labels: dict[str, str]) -> list[dict[str, str]]:
    # A replacement is a template in which $1 is a match, so a dollar sign is doubled.
    return [{"target_label": name, "replacement": text.replace("$", "$$")} for name, text in labels.items()]


def _container(port: int) -> list[dict[str, Any]]:
    """Return the rules that leave one target a container (Docker discovery makes one for each exposed port) and name it."""
    rules: list[dict[str, Any]] = []
    if port:
        address = {"target_label": "__address__", "replacement": f"$1:{port}"}
        rules.append({"source_labels": ["__meta_docker_network_ip"], **address})
    own_port = _CONTAINER_LABEL + names.PORT_LABEL.replace(".", "_")
    rules += [
        {
            "source_labels": ["__meta_docker_network_ip", own_port],
            "regex": r"(.+);(\d+)",
            "target_label": "__address__",
            "replacement": "$1:$2",
        },
        {"source_labels": ["__meta_docker_container_name"], "regex": "/?(.+)", "target_label": "instance"},
    ]
    return rules


def _probe(probe: Probe, topology: Topology) -> dict[str, Any]:
    absolute = not probe.url.startswith("/")
    url = probe.url if absolute else topology.url(probe.owner, probe.url.removeprefix("/"))
    config: dict[str, Any] = {"job_name": probe_job(probe)}
    if probe.interval_seconds:
        config["scrape_interval"] = names.duration(probe.interval_seconds)
    return config | {
        "metrics_path": "/probe",
        "params": {"module": [blackbox.module(probe)]},
        "static_configs": [{"targets": [url], "labels": {"service": probe.owner, "team": probe.team}}],
        "relabel_configs": [
            {"source_labels": ["__address__"], "target_label": "__param_target"},
            {"source_labels": ["__param_target"], "target_label": "instance"},
            {"target_label": "__address__", "replacement": topology.address("blackbox")},
        ],
    }
