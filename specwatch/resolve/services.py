"""What `services:`, `targets:` and `metrics:` mean: scrape jobs, probes, log sources, the catalog of metrics."""

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Literal

from specwatch import components as parts
from specwatch import names
from specwatch.catalog import Pack
from specwatch.resolve.faults import Faults
from specwatch.resolve.logs import check_labels, service_logs
from specwatch.spec.model import Spec
from specwatch.spec.model.services import MetricSpec, MetricsSource, ProbeSpec, RunSpec
from specwatch.spec.model.services import Service as ServiceSpec
from specwatch.spec.model.values import SecretRef
from specwatch.spec.source import Path
from specwatch.stack import Auth, Build, Job, Metric, Probe, Run, SecretFile, Service, Tls

DEFAULT_PORT = 8000
_RESERVED = frozenset({*parts.BY_NAME, names.STACK_SERVICE, "secrets", "inbox-smtp"})


def services(spec: Spec, faults: Faults) -> tuple[Service, ...]:
    """Return the user's services."""
    found = tuple(_service(spec, name, service, faults) for name, service in spec.services.items())
    check_labels(found, faults)
    return found


def _service(spec: Spec, name: str, service: ServiceSpec, faults: Faults) -> Service:
    path: Path = ("services", name)
    if name in _RESERVED:
        faults.add(path, f'"{name}" is the name of a part of the stack; choose another', on_key=True)
    if service.run:
        _check_order(spec, name, service.run, (*path, "run", "depends_on"), faults)
        if not service.run.image and not service.run.build:
            faults.add((*path, "run"), '"image" or "build" is missing: compose needs one of them', on_key=True)
    source = metrics_source(service.metrics)
    return Service(
        name=name,
        team=service.team,
        port=_port(service, source),
        host=service.host or "",
        logs=service_logs(service.logs, (*path, "logs"), spec.stack.shipper, faults),
        traces=service.traces,
        run=_run(name, service.run) if service.run else None,
        packs=tuple(dict.fromkeys(service.uses)),
    )


def _check_order(spec: Spec, name: str, run: RunSpec, path: Path, faults: Faults) -> None:
    """Note the services that cannot start before this one: unknown, not started by specwatch, or waiting for this one themselves."""
    for index, other in enumerate(run.depends_on):
        if not faults.reference((*path, index), "service", other, [known for known in spec.services if known != name]):
            continue
        if not spec.services[other].run:
            faults.add((*path, index), f"{other} has no `run`: specwatch does not start it, so nothing can wait for it")
        elif name in _waits_for(spec, other):
            faults.add((*path, index), f"{other} itself waits for {name}; one of the two has to start first")


def _waits_for(spec: Spec, name: str) -> set[str]:
    """Return every service that must be healthy before `name`, directly or through others."""
    seen: set[str] = set()
    queue = [name]
    while queue:
        service = spec.services.get(queue.pop())
        new = set(service.run.depends_on if service and service.run else ()) - seen
        seen |= new
        queue += new
    return seen


def _port(service: ServiceSpec, source: MetricsSource | None) -> int:
    if source and source.port and not (source.dns or source.containers):
        return source.port
    if service.run and service.run.publish:
        return service.run.publish[0]
    return DEFAULT_PORT if service.metrics is True else 0


def _run(name: str, run: RunSpec) -> Run:
    return Run(
        command=run.command,
        image=run.image or f"specwatch/{name}:local",
        build=Build(context=run.build.context, dockerfile=run.build.dockerfile, args=run.build.args) if run.build else None,
        environment=run.environment,
        publish=tuple((port, port) for port in run.publish),
        health=run.health,
        user=run.user,
        memory=run.memory,
        volumes=run.volumes,
        depends_on=run.depends_on,
        restart=run.restart,
    )


def metrics_source(metrics: MetricsSource | bool | None) -> MetricsSource | None:
    """Return how something is scraped, or None when it is not."""
    if isinstance(metrics, bool) or metrics is None:
        return MetricsSource(port=DEFAULT_PORT) if metrics else None
    return metrics


def metrics_secrets(metrics: MetricsSource | bool | None) -> Iterator[SecretRef]:
    """Yield the secrets that a scrape reads."""
    source = metrics_source(metrics)
    if source is None:
        return
    if source.bearer:
        yield source.bearer
    if source.basic:
        yield source.basic.password
    if source.tls:
        yield from (ref for ref in (source.tls.ca, source.tls.certificate, source.tls.key) if ref)


def jobs(spec: Spec, faults: Faults) -> tuple[Job, ...]:
    """Return a scrape job for each service and target that has metrics."""
    found = []
    for section, holders in (("services", spec.services), ("targets", spec.targets)):
        for name, holder in holders.items():
            if section == "targets":
                _check_target(spec, name, faults)
            source = metrics_source(holder.metrics)
            if source:
                found.append(_job(spec, name, holder.team, source, (section, name, "metrics"), faults))
    return tuple(found)


def _check_target(spec: Spec, name: str, faults: Faults) -> None:
    target = spec.targets[name]
    if name in _RESERVED or name in spec.services:
        kind = "a service" if name in spec.services else "a part of the stack"
        faults.add(("targets", name), f'"{name}" is the name of {kind}; choose another', on_key=True)
    if not target.metrics and not target.probe:
        faults.add(("targets", name), "says neither what to scrape (`metrics`) nor what to probe (`probe`)", on_key=True)
    source = target.metrics
    if source and source.port and not source.dns:
        faults.add(("targets", name, "metrics", "port"), "a target has no address of its own: write `targets: [host:port]`", on_key=True)


def _job(spec: Spec, name: str, team: str, source: MetricsSource, path: Path, faults: Faults) -> Job:
    ways = [way for way in ("targets", "files", "dns", "containers") if getattr(source, way)]
    if len(ways) > 1:
        faults.add((*path, ways[1]), f"goes not with `{ways[0]}`; keep one of the two", on_key=True)
    if not ways and not source.port:
        faults.add(path, '"port" is missing: the port of the metrics endpoint (or targets, files, dns or containers)', on_key=True)
    if source.dns and not source.port:
        faults.add(path, '"port" is missing: `dns` gives addresses only', on_key=True)
    if source.basic and source.bearer:
        faults.add((*path, "bearer"), "goes not with `basic`; keep one of the two", on_key=True)
    interval, timeout = names.seconds(source.interval or "0s"), names.seconds(source.timeout or "0s")
    every = source.interval if interval else spec.stack.scrape_interval
    if timeout > names.seconds(every or "0s"):
        faults.add((*path, "timeout"), f"found {source.timeout}, expected at most the interval, {every}")
    way = ways[0] if ways else "address"
    return Job(
        name=name,
        owner=name,
        team=team,
        discovery="static" if way == "targets" else way,  # type: ignore[arg-type]  # the ways are the literals
        targets=source.dns or source.targets,
        files=source.files,
        port=source.port or 0,
        path=source.path,
        scheme=source.scheme,
        interval_seconds=interval,
        timeout_seconds=timeout,
        labels=source.labels,
        auth=_auth(source),
        tls=_tls(source),
        honor_labels=source.honor_labels,
    )


def _auth(source: MetricsSource) -> Auth | None:
    if source.basic:
        return Auth(kind="basic", secret=SecretFile(source.basic.password.secret), username=source.basic.username)
    return Auth(kind="bearer", secret=SecretFile(source.bearer.secret)) if source.bearer else None


def _tls(source: MetricsSource) -> Tls | None:
    if not source.tls:
        return None
    tls = source.tls
    return Tls(
        ca=SecretFile(tls.ca.secret) if tls.ca else None,
        certificate=SecretFile(tls.certificate.secret) if tls.certificate else None,
        key=SecretFile(tls.key.secret) if tls.key else None,
        server_name=tls.server_name or "",
        insecure_skip_verify=tls.insecure_skip_verify,
    )


def probes(spec: Spec, faults: Faults) -> tuple[Probe, ...]:
    """Return a blackbox probe for each service and target that has one."""
    found = []
    for section, holders in (("services", spec.services), ("targets", spec.targets)):
        for name, holder in holders.items():
            if holder.probe is None:
                continue
            path: Path = (section, name, "probe")
            probe = holder.probe if isinstance(holder.probe, ProbeSpec) else ProbeSpec(url=holder.probe, module=_module(holder.probe))
            if probe.url.startswith("/") and (
                section == "targets" or not _port(spec.services[name], metrics_source(spec.services[name].metrics))
            ):
                faults.add(path, f"found the path {probe.url}, expected a URL: {name} has no address of its own")
            if probe.module == "tcp_connect" and "/" in probe.url:
                faults.add(path, f"found {probe.url}, expected host:port for tcp_connect")
            found.append(
                Probe(
                    name=name,
                    owner=name,
                    team=holder.team,
                    url=probe.url,
                    module=probe.module,
                    interval_seconds=names.seconds(probe.interval or "0s"),
                )
            )
    return tuple(found)


def _module(url: str) -> Literal["http_2xx", "tcp_connect"]:
    return "http_2xx" if "/" in url else "tcp_connect"


def metrics(spec: Spec, known: Mapping[str, Pack], faults: Faults) -> tuple[Metric, ...]:
    """Return every metric of the catalog: the packs' for the jobs that use them, the spec's for the services that it names."""
    found = []
    for pack_name, pack in known.items():
        users = tuple(name for name, service in spec.services.items() if pack_name in service.uses)
        found += [_metric(name, metric, users) for name, metric in pack.metrics.items()]
    scraped = tuple(name for name, service in spec.services.items() if metrics_source(service.metrics))
    taken = {metric.name: metric.jobs for metric in found}
    for name, metric in spec.metrics.items():
        path: Path = ("metrics", name)
        for index, service in enumerate(metric.services):
            faults.reference((*path, "services", index), "service", service, spec.services)
        jobs_of = metric.services or scraped
        if set(taken.get(name, ())) & set(jobs_of):
            faults.add(
                path,
                f'"{name}" comes with a pack of {", ".join(sorted(set(taken[name]) & set(jobs_of)))} already; take it out',
                on_key=True,
            )
        _check_metric(name, metric, path, faults)
        found.append(_metric(name, metric, jobs_of))
    return tuple(found)


def _check_metric(name: str, metric: MetricSpec, path: Path, faults: Faults) -> None:
    if metric.type == "counter" and not name.endswith("_total"):
        faults.add(path, f'a counter\'s name ends in _total: write "{name}_total"', on_key=True)
    if metric.buckets and metric.type != "histogram":
        faults.add((*path, "buckets"), f"only a histogram has buckets, and this is a {metric.type}", on_key=True)
    if list(metric.buckets) != sorted(set(metric.buckets)):
        faults.add((*path, "buckets"), "the bounds must rise from one to the next")
    for label in ("le", "quantile", "job", "instance"):
        if label in metric.labels:
            faults.add((*path, "labels", label), f'the label "{label}" is Prometheus\' own; choose another', on_key=True)


def _metric(name: str, metric: MetricSpec, jobs_of: tuple[str, ...]) -> Metric:
    return Metric(
        name=name,
        type=metric.type,
        help=metric.help,
        unit=metric.unit,
        labels=metric.labels,
        buckets=tuple(Decimal(bound) for bound in metric.buckets),
        jobs=jobs_of,
    )
