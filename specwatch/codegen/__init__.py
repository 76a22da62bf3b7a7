"""The spec's metrics as code: a JSON catalog that the telemetry library loads, a module that binds it, stubs for editors and type checkers.

All three are made from `Stack` as data and dumped, the Python ones as syntax trees.
"""

from specwatch.codegen.catalog import catalog
from specwatch.codegen.module import module
from specwatch.codegen.stubs import stubs
from specwatch.errors import UsageError
from specwatch.spec.explain import did_you_mean
from specwatch.stack import Metric, Stack
from specwatch.textio import dump_json

MARK = "Made by specwatch from"
"""What the first line of a generated module has, by which a file of the user's own is told from one of ours."""


def services(stack: Stack) -> tuple[str, ...]:
    """Return the services that have metrics, in the spec's order."""
    return tuple(service.name for service in stack.services if _metrics(stack, service.name))


def files(stack: Stack, service: str, stem: str) -> dict[str, str]:
    """Return the generated texts by file name: `<stem>.json`, `<stem>.py` and `<stem>.pyi`.

    Raises UsageError when the spec has no such service, or no metric belongs to it.
    """
    known = [each.name for each in stack.services]
    if service not in known:
        raise UsageError(f'{stack.spec_name}: no service is called "{service}"{did_you_mean(service, known)}')
    metrics = _metrics(stack, service)
    if not metrics:
        raise UsageError(f"{stack.spec_name}: {service} has no metrics; give it a pack (`uses:`), or declare some under `metrics:`")
    return {
        f"{stem}.json": dump_json(catalog(service, metrics)),
        f"{stem}.py": _header(stack) + module(service, metrics, f"{stem}.json"),
        f"{stem}.pyi": _header(stack) + stubs(service, metrics),
    }


def _metrics(stack: Stack, service: str) -> tuple[Metric, ...]:
    return tuple(metric for metric in stack.metrics if service in metric.jobs)


def _header(stack: Stack) -> str:
    lines = (
        f"{MARK} {stack.spec_name}: edit that file and run `specwatch codegen`, not this one.",
        "fmt: off",
        "ruff: noqa",
    )
    return "".join(f"# {line}\n" for line in lines)
