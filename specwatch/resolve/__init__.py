"""A spec to the `Stack` that it means: every default, pack and name filled in, every reference checked."""

from collections.abc import Mapping
from pathlib import Path, PurePath

from msgspec.structs import replace

from specwatch.catalog import PACK_NAMES, Pack, packs
from specwatch.catalog.stack_dashboard import stack_dashboard
from specwatch.resolve import alerting, dashboards, logs, services, settings
from specwatch.resolve.faults import Faults
from specwatch.resolve.receivers import Receivers
from specwatch.resolve.secrets import secrets
from specwatch.resolve.traces import traces
from specwatch.spec.loader import examine
from specwatch.spec.model import Spec
from specwatch.spec.source import Source, read
from specwatch.stack import Stack


def understand(file: Path) -> tuple[Stack, Source]:
    """Return what the spec in `file` means, and its source; raises SpecError with everything that is wrong with form and meaning."""
    source = read(file, str(file))
    reading = examine(source)
    if not reading.faults:
        return resolve(reading.spec, source), source
    faults = Faults()
    _stack(reading.spec, source.name, _packs(reading.spec, faults), faults)
    raise source.error((*reading.faults, *(fault for fault in faults.all if fault.refers_to not in reading.left_out)))


def resolve(spec: Spec, source: Source) -> Stack:
    """Return what `spec` means; raises SpecError with every dangling reference, clash and expression that does not parse."""
    faults = Faults()
    known = _packs(spec, faults)
    stack = _stack(spec, PurePath(source.name).name, known, faults)
    if faults.all:
        raise source.error(faults.all)
    return stack


def _packs(spec: Spec, faults: Faults) -> Mapping[str, Pack]:
    wanted: dict[str, None] = {}
    for name, service in spec.services.items():
        for index, pack in enumerate(service.uses):
            if faults.reference(("services", name, "uses", index), "pack", pack, PACK_NAMES):
                wanted[pack] = None
    return packs(tuple(wanted))


def _stack(spec: Spec, spec_name: str, known: Mapping[str, Pack], faults: Faults) -> Stack:
    components, optional = settings.components(spec, faults)
    spans = traces(spec, faults)
    ports = settings.ports(spec, components, spans, faults)
    all_services = services.services(spec, faults)
    jobs = (*services.jobs(spec, faults), *settings.component_jobs(components, optional))
    probes = services.probes(spec, faults)
    link = settings.link(spec.stack, ports)
    logs.check_needs(spec, components, faults)
    receivers = Receivers(spec, has_inbox="inbox" in components, faults=faults)
    stack = Stack(
        name=spec.stack.name,
        environment=spec.stack.environment,
        spec_name=spec_name,
        bind=settings.bind(spec.stack, faults),
        links=spec.stack.links.rstrip("/"),
        components=components,
        optional=optional,
        shipper=spec.stack.shipper,
        versions=settings.versions(spec.stack),
        ports=ports,
        memory=settings.memory(spec.stack),
        retention=settings.retention(spec.stack, faults),
        scrape_interval_seconds=faults.positive(spec.stack.scrape_interval, ("stack", "scrape_interval")),
        evaluation_interval_seconds=faults.positive(spec.stack.evaluation_interval, ("stack", "evaluation_interval")),
        external_network=spec.stack.network or "",
        external_labels=spec.stack.external_labels,
        grafana=settings.grafana(spec.stack),
        services=all_services,
        jobs=jobs,
        probes=probes,
        metrics=services.metrics(spec, known, faults),
        recording_rules=alerting.recording_rules(spec, faults),
        alerts=alerting.alerts(spec, known, link, has_probes=bool(probes), faults=faults),
        log_alerts=alerting.log_alerts(spec, link, faults),
        log_metrics=logs.log_metrics(spec, faults),
        log_limits=logs.limits(spec, faults),
        stream_retention=logs.stream_retention(spec, faults),
        sinks=logs.sinks(spec, components, faults),
        traces=spans,
        slos=alerting.slos(spec, faults),
        receivers=receivers.all(),
        routing=receivers.routing(),
        inhibitions=alerting.inhibitions(spec),
        mute_times=alerting.mute_times(spec, faults),
        dashboards=dashboards.dashboards(spec, known, jobs, probes, all_services, faults),
        secrets=secrets(spec, components),
        overrides=spec.overrides,
    )
    return replace(stack, dashboards=(stack_dashboard(stack), *stack.dashboards))
