"""From a stack to what the native runtime runs: which programs there are, what that makes of the stack, and every command line."""

import hashlib
import shutil
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

import specwatch
from specwatch import topology
from specwatch.components import BACKEND_OTLP_PORTS, BY_NAME, OTLP_PORTS
from specwatch.engines import programs
from specwatch.engines.native import stand_ins
from specwatch.engines.native.child import search_path
from specwatch.engines.native.model import Command, RunFolder, run_folder
from specwatch.engines.native.parts import PARTS, SERVICE_WAVE
from specwatch.engines.programs import Found
from specwatch.engines.values import Off, Substituted
from specwatch.render import (
    alertmanager,
    alloy,
    blackbox,
    fluentd,
    grafana,
    inbox,
    jaeger,
    loki,
    otelcol,
    prometheus,
    promtail,
    render,
    secrets,
    tempo,
)
from specwatch.render.environment import component_environment, service_environment
from specwatch.render.secrets import SecretCopy
from specwatch.stack import Run, Service, Stack
from specwatch.stack.traces import intake, store
from specwatch.topology import Topology
from specwatch.write import compare

_ARGUMENTS: Final[Mapping[str, Callable[[Stack, Topology], tuple[str, ...]]]] = {
    "prometheus": prometheus.arguments,
    "alertmanager": alertmanager.arguments,
    "loki": loki.arguments,
    "promtail": promtail.arguments,
    "alloy": alloy.arguments,
    "otelcol": otelcol.arguments,
    "fluentd": fluentd.arguments,
    "tempo": tempo.arguments,
    "jaeger": jaeger.arguments,
    "grafana": grafana.arguments,
    "blackbox": blackbox.arguments,
    "node": lambda _stack, where: (f"--web.listen-address={where.listen['node']}",),
    "cadvisor": lambda _stack, where: tuple(
        f"--{key}={value}" for key, value in zip(("listen_ip", "port"), where.listen["cadvisor"].split(":"), strict=True)
    ),
    "inbox": inbox.arguments,
}
# Where the components listen besides their main port; the names are those of `Stack.ports`.
_PORTS: Final = {
    "loki": {"loki-grpc": 9095},
    "otelcol": {"otelcol-health": 13133, "otelcol-metrics": 8888},
    "fluentd": {"fluentd-metrics": 24231},
    "jaeger": {"jaeger-metrics": 14269},
    "inbox": {"inbox-smtp": 1025},
}
_OWN_SUFFIXES: Final = (".yml", ".yaml", ".tmpl")


class Plan(Struct, frozen=True, kw_only=True):
    """All that the native runtime needs: what runs, with which files and secrets, and what stays off.

    `project` and `folder` (the run folder) are absolute. `files` are relative to the run folder's config/,
    and so are `links`, symbolic links to folders of the user's.
    """

    project: str
    folder: str
    commands: tuple[Command, ...]
    off: tuple[Off, ...]
    substituted: tuple[Substituted, ...]
    files: Mapping[str, str]
    links: Mapping[str, str]
    secrets: tuple[SecretCopy, ...]


def plan(stack: Stack, project: Path, only: tuple[str, ...] = ()) -> Plan:
    """Return what is to run for the stack whose files and secrets lie in `project`.

    Parts without a program are off, with the reason and the cure; `only` names the components and services that are to run (all
    for none). Nothing is written and nothing is started.
    """
    folder = run_folder(project)
    stack = replace(stack, components=tuple(name for name in stack.components if name not in stack.optional))
    found = programs.find_all(dict.fromkeys((*stack.components, *stand_ins.asked(stack))))
    stack, for_shipper = stand_ins.with_shipper(stack, found)
    stack, for_traces = stand_ins.with_traces(stack, found)
    off = [each for name in stack.components if isinstance(each := found[name], Off)]
    if "promtail" in (lost := [each.name for each in off]):  # it cannot be had, but what takes its place can
        cure = "scripts/engines/get --only otelcol: the collector takes its place"
        off[lost.index("promtail")] = Off("promtail", "neither it nor the collector is here", cure)
    running = {name: program for name, program in found.items() if isinstance(program, Found) and stack.has(name)}
    if not running.keys() & {"loki"} and stack.shipper in running.keys() - {intake(stack.traces, running)}:
        del running[stack.shipper]
        off.append(
            Off(stack.shipper, "there is no Loki to ship to", next((o.cure for o in off if o.name == "loki"), "switch loki on in the spec"))
        )
    stack = _reduced(stack, running)
    where = topology.native(stack, str(folder.root))
    files = {path: text for path, text in render(stack, where).items() if path.split("/", 1)[0] in running.keys() - {"inbox"}}
    files = _own_files(project, files) | files
    commands = [_component(stack, where, folder, program, files) for program in running.values()]
    for service in stack.services:
        if service.run:
            command = _service(stack, where, project, service, service.run)
            (commands if isinstance(command, Command) else off).append(command)  # type: ignore[arg-type]  # each goes where it belongs
    return Plan(
        project=str(project.absolute()),
        folder=str(folder.root),
        commands=tuple(command for command in commands if not only or command.name in only),
        off=tuple(off),
        substituted=(*for_shipper, *for_traces),
        files=files,
        links=_links(stack, project),
        secrets=secrets.plan(stack, where),
    )


def _reduced(stack: Stack, running: Mapping[str, Found]) -> Stack:
    """Return the stack with nothing but the components that run, at their versions and with every port named."""
    extra = {name: port for ports in (*_PORTS.values(), OTLP_PORTS, BACKEND_OTLP_PORTS) for name, port in ports.items()}
    defaults = {name: component.host_port or component.port for name, component in BY_NAME.items()}
    gone = set(BY_NAME) - set(running)
    return replace(
        stack,
        components=tuple(name for name in stack.components if name in running),
        versions={**stack.versions, **{name: _tag(stack.versions.get(name, ""), program.version) for name, program in running.items()}},
        ports={**defaults, **extra, **stack.ports},
        jobs=tuple(job for job in stack.jobs if not (job.component and job.owner.removesuffix("-metrics") in gone)),
        probes=stack.probes if "blackbox" in running else (),
    )


def _tag(old: str, version: str) -> str:
    return f"v{version}" if old.startswith("v") else version


def _component(stack: Stack, where: Topology, folder: RunFolder, program: Found, files: Mapping[str, str]) -> Command:
    name, part = program.name, PARTS[program.name]
    arguments = _ARGUMENTS[name](stack, where)
    ports = {name: stack.ports[name]} | {each: stack.ports[each] for each in _PORTS.get(name, {})} | _otlp_ports(stack, name)
    if name == "otelcol":  # its main port is that of a receiver which a mere shipper does not have
        del ports["otelcol"]
    config = (
        ""
        if part.reload
        else "".join(
            f"{path}\0{text}\0"
            for path, text in sorted(files.items())
            if path.startswith(f"{name}/") and not path.startswith(part.live or ("\0",))
        )
    )
    ready = f"http://127.0.0.1:{stack.ports[part.ready_port or name]}/{part.ready}"
    return Command(
        name=name,
        argv=(program.path, *arguments),
        cwd=str(folder.root),
        env=_environment(stack, where, name),
        ports=tuple(ports.values()),
        ready=ready if part.ready or part.ready_port else f"tcp://127.0.0.1:{stack.ports[name]}",
        url=f"http://127.0.0.1:{stack.ports[name]}/" if name in ports else "",
        wave=part.wave,
        # A program that was replaced by a newer one at the same path must start anew, too.
        fingerprint=hashlib.sha256(f"{program.version}\0{config}".encode()).hexdigest(),
        verify=(program.path, *part.verify[0], *arguments, *part.verify[1]) if part.verify else (),
    )


def _otlp_ports(stack: Stack, name: str) -> dict[str, int]:
    """Return where the component takes spans, by the names of `Stack.ports`."""
    ports = topology.otlp_ports(stack)
    if name == store(stack.traces, stack.components):
        return {each: port for each, port in ports.items() if each in BACKEND_OTLP_PORTS}
    return {each: port for each, port in ports.items() if each in OTLP_PORTS} if name == intake(stack.traces, stack.components) else {}


def _environment(stack: Stack, where: Topology, name: str) -> dict[str, str]:
    if name == "inbox":
        return {"PYTHONPATH": str(Path(specwatch.__file__).parents[1])}  # it is a part of specwatch, wherever that lies
    return component_environment(stack, where, name)


def _service(stack: Stack, where: Topology, project: Path, service: Service, run: Run) -> Command | Off:
    if not run.command:
        return Off(
            service.name,
            "the spec gives it an image and no command",
            f"add services.{service.name}.run.command, or run the compose runtime",
        )
    path = (str(Path(sys.executable).parent),)
    if "/" not in run.command[0] and shutil.which(run.command[0], path=search_path(path)) is None:
        return Off(service.name, f"its command `{run.command[0]}` is not on PATH", "install it, or run the compose runtime")
    health = [probe.url for probe in stack.probes if probe.owner == service.name and probe.url.startswith("/")]
    url = f"http://127.0.0.1:{service.port}" if service.port else ""
    return Command(
        name=service.name,
        argv=run.command,
        cwd=str(project.absolute()),
        env=service_environment(stack, where, service),
        path=path,
        ports=(service.port,) if service.port else (),
        ready=f"{url}{health[0]}" if url and health else f"tcp://127.0.0.1:{service.port}" if service.port else "",
        url=f"{url}/" if url else "",
        wave=SERVICE_WAVE,
        restart="no" if run.restart == "no" else "on-failure" if run.restart.startswith("on-failure") else "always",
    )


def _own_files(project: Path, files: Mapping[str, str]) -> dict[str, str]:
    """Return the user's own rule and template files, which lie beside the generated ones."""
    generated = {change.path for change in compare({}, project)}
    own = {}
    for folder in ("prometheus/rules", "alertmanager/templates", "loki/rules"):
        for path in sorted((project / folder).rglob("*")) if folder.split("/", 1)[0] in {each.split("/", 1)[0] for each in files} else ():
            name = path.relative_to(project).as_posix()
            if path.is_file() and path.suffix in _OWN_SUFFIXES and name not in generated and not path.name.startswith("."):
                own[name] = path.read_text(encoding="utf-8", errors="surrogateescape")
    return own


def _links(stack: Stack, project: Path) -> dict[str, str]:
    """Return the folders in which the user keeps target lists: linked, so that Prometheus sees every change at once."""
    folders = {path.split("/", 1)[0] for job in stack.jobs for path in job.files if "/" in path and not path.startswith("/")}
    return {f"prometheus/{name}": str(project.absolute() / "prometheus" / name) for name in sorted(folders - {"rules"})}
