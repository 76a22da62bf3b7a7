"""What takes the place of a component whose program is not to be had: see docs/decisions/0005 and 0007."""

from collections.abc import Mapping

from msgspec.structs import replace

from specwatch.engines.programs import Found
from specwatch.engines.values import Off, Substituted
from specwatch.logs.defaults import stages_of
from specwatch.logs.shippers import unsupported
from specwatch.stack import Job, Service, Stack
from specwatch.stack.traces import counted_by


def asked(stack: Stack) -> tuple[str, ...]:
    """Return the components that may be needed instead of others."""
    return (*(("otelcol",) if stack.has("promtail") else ()), *(("jaeger", "otelcol") if stack.has("tempo") else ()))


def with_shipper(stack: Stack, found: Mapping[str, Found | Off]) -> tuple[Stack, tuple[Substituted, ...]]:
    """Return the stack with the collector in Promtail's place when only the collector's program is there."""
    if not isinstance(found.get("promtail"), Off) or not isinstance(found.get("otelcol"), Found):
        return stack, ()
    changed = _exchanged(replace(stack, shipper="otelcol"), "promtail", "otelcol")
    why = "there is no `promtail` here; the collector reads the same logs in the same way"
    missing = [f"{service.name}: {each}" for service in stack.services for each in _missing(service)]
    return changed, (Substituted("promtail", "otelcol", f"{why}, but not all of it ({'; '.join(missing)})" if missing else why),)


def _missing(service: Service) -> tuple[str, ...]:
    """Return what the collector does not do with the service's lines."""
    if service.logs is None or service.logs.source not in {"container", "files"}:
        return ()
    return tuple(why for stage in stages_of(service.logs) if (why := unsupported("otelcol", stage)))


def with_traces(stack: Stack, found: Mapping[str, Found | Off]) -> tuple[Stack, tuple[Substituted, ...]]:
    """Return the stack with Jaeger in Tempo's place when only Jaeger's program is there.

    The metrics that Tempo would compute from spans are then the collector's, where its program is there.
    """
    if not isinstance(found.get("tempo"), Off) or not isinstance(found.get("jaeger"), Found):
        return stack, ()
    counts = counted_by(stack.traces, stack.components) == "tempo"
    changed = _exchanged(replace(stack, traces=replace(stack.traces, backend="jaeger")), "tempo", "jaeger")
    why = "there is no `tempo` here; Jaeger keeps the traces"
    if counts and isinstance(found.get("otelcol"), Found) and any(service.traces for service in stack.services):
        why += ", and the collector computes the metrics from spans"
        changed = _with(replace(changed, traces=replace(changed.traces, through_collector=True)), "otelcol")
    return changed, (Substituted("tempo", "jaeger", why),)


def _exchanged(stack: Stack, old: str, new: str) -> Stack:
    jobs = tuple(job for job in stack.jobs if not (job.component and job.name == old))
    components = tuple(dict.fromkeys(new if name == old else name for name in stack.components))
    return _scraped(replace(stack, components=components, jobs=jobs), new, watched=len(jobs) < len(stack.jobs))


def _with(stack: Stack, name: str) -> Stack:
    watched = any(job.component for job in stack.jobs)
    return _scraped(replace(stack, components=tuple(dict.fromkeys((*stack.components, name)))), name, watched=watched)


def _scraped(stack: Stack, name: str, *, watched: bool) -> Stack:
    """Return the stack with a scrape job for the component, unless it has one or the component that it stands for had none."""
    if not watched or any(job.component and job.name == name for job in stack.jobs):
        return stack
    return replace(stack, jobs=(*stack.jobs, Job(name=name, owner=f"{name}-metrics", team="ops", discovery="address", component=True)))
