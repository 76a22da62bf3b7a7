"""The stack under Docker Compose: a few calls of `docker compose`, and its errors put into one sentence each."""

import re
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from specwatch import topology
from specwatch.components import BY_NAME
from specwatch.engines import docker as docker_cli
from specwatch.engines import effective, ports
from specwatch.engines.complaints import complaints
from specwatch.engines.docker import check
from specwatch.engines.errors import DockerError, NotRunningError, UnknownNameError
from specwatch.engines.http import Answer, ask
from specwatch.engines.native.parts import PARTS
from specwatch.engines.values import ComponentState, ComponentStatus, Outcome, Report, Started, ignore
from specwatch.stack import Stack

__all__ = ["UP_SECONDS", "check", "down", "fetch", "logs", "reload", "running", "status", "up"]

UP_SECONDS: Final = 300
_COMPLAINTS_SINCE: Final = "5s"


def up(
    stack: Stack, project: Path, report: Report = ignore, *, build: bool = False, limit_seconds: int = UP_SECONDS
) -> tuple[ComponentStatus, ...]:
    """Start the stack, wait until every container is healthy and return how each is doing; harmless when it is up.

    Raises PortError, or DockerError with what compose said and the last lines of a container that did not become healthy.
    """
    docker = check()
    up_already = {container.service for container in docker_cli.containers(docker, project) if container.state == "running"}
    services = docker_cli.config(docker, project)["services"]
    ports.check(
        (int(port["published"]), name)
        for name, body in services.items()
        for port in body.get("ports", ())
        if name not in up_already and "profiles" not in body and port.get("published")
    )
    docker_cli.remove_stale(docker, project)
    words = ["up", "--detach", "--wait", "--wait-timeout", str(limit_seconds), *(["--build"] if build else [])]
    docker_cli.run(docker, project, words, report)
    found = status(stack, project)
    for part in found:
        report(Started(part.name))
    return found


def down(project: Path, report: Report = ignore, *, volumes: bool = False) -> None:
    """Stop and remove the containers; with `volumes` the data goes, too. Raises DockerError."""
    docker = check()
    docker_cli.remove_stale(docker, project)
    docker_cli.run(docker, project, ["--profile", "*", "down", *(["--volumes"] if volumes else [])], report)


def running(project: Path) -> bool:
    """Return whether any container of the stack is up; False where Docker does not work."""
    try:
        return any(container.state == "running" for container in docker_cli.containers(check(), project))
    except DockerError:
        return False


def status(stack: Stack, project: Path) -> tuple[ComponentStatus, ...]:
    """Return how each container is doing, stopped ones included, in the compose file's order; raises DockerError."""
    docker = check()
    known = {container.service: container for container in docker_cli.containers(docker, project)}
    services = docker_cli.config(docker, project)["services"]
    # A part that waits in a profile is none of the stack's until somebody starts it.
    names = [name for name, body in services.items() if name != "secrets" and (name in known or "profiles" not in body)]
    details = docker_cli.details(docker, [container.id for container in known.values() if container.id])
    return tuple(_status(stack, name, known.get(name), details) for name in names)


def logs(project: Path, name: str, lines: int = 100, *, following: bool = False) -> Iterator[str]:
    """Return an iterator over the last lines of a container's output; `following` goes on with each new one until it is closed.

    Raises UnknownNameError for a name that the compose file does not have, or DockerError.
    """
    docker = check()
    names = docker_cli.config(docker, project)["services"]
    if name not in names:
        raise UnknownNameError(f"logs {name}", "there is no part of that name", f"there are: {', '.join(names)}")
    words = ["logs", "--no-color", "--no-log-prefix", "--tail", str(lines), *(["--follow"] if following else []), name]
    return docker_cli.lines(docker, project, words)


def fetch(project: Path, url: str) -> Answer:
    """Return what answers `url` inside the stack's network, asked from Prometheus' container; never raises."""
    try:
        return docker_cli.fetch(check(), project, "prometheus", url)
    except DockerError as error:
        return Answer(0, error.why)


def reload(stack: Stack, project: Path, files: Mapping[str, str], report: Report = ignore) -> tuple[Outcome, ...]:
    """Bring the running containers to the generated files and return what that did to each part.

    Containers whose definition changed are replaced, Prometheus and Alertmanager read their files again and are asked whether these are in
    force, the blackbox exporter gets its signal, and a component that reads its files only at its start is restarted when they are
    newer than it. `files` are the rendered ones. Raises NotRunningError or DockerError.
    """
    docker = check()
    before = {container.service: container.id for container in docker_cli.containers(docker, project) if container.state == "running"}
    if not before:
        raise NotRunningError("reload", "the stack is not up under Docker", "start it with `specwatch up`")
    old = docker_cli.details(docker, list(before.values()))
    docker_cli.remove_stale(docker, project)
    docker_cli.run(docker, project, ["up", "--detach", "--wait", "--wait-timeout", str(UP_SECONDS)], report)
    after = {container.service: container.id for container in docker_cli.containers(docker, project) if container.state == "running"}
    outcomes = {name: Outcome(name, "stopped") for name in before if name not in after}
    where = topology.compose(stack)
    for name, container in after.items():
        if before.get(name) != container:
            outcomes[name] = Outcome(name, "restarted" if name in before else "started")
        else:
            outcomes[name] = _reread(docker, project, stack, name, old[container].since if container in old else 0.0)
    _again(docker, project, outcomes)
    for name in ("prometheus", "alertmanager"):
        if name in outcomes and outcomes[name].result != "failed":
            differences = effective.differences(name, _url(stack, name), where.config[name], files)
            if differences:
                outcomes[name] = Outcome(name, "failed", "what runs is not what was rendered:\n" + "\n".join(differences))
    return tuple(outcomes.values())


def _reread(docker: docker_cli.Docker, project: Path, stack: Stack, name: str, since: float) -> Outcome:
    """Have the program in a container that stayed read its files again, if they are newer than what it has read."""
    live = PARTS[name].live if name in PARTS else ()
    paths = [path for path in (project / name).rglob("*") if path.is_file()]
    newest = max(
        (path.stat().st_mtime for path in paths if not path.relative_to(project).as_posix().startswith(live or ("\0",))), default=0.0
    )
    if name in {"prometheus", "alertmanager"}:
        if newest < _last_reload(_url(stack, name)):
            return Outcome(name, "unchanged")
        answer = ask(f"{_url(stack, name)}-/reload", method="POST")
        if answer.ok:
            return Outcome(name, "reloaded")
        log = "\n".join(docker_cli.lines(docker, project, ["logs", "--no-color", "--no-log-prefix", "--since", _COMPLAINTS_SINCE, name]))
        reasons = (answer.text.strip() or f"HTTP status {answer.status}", *complaints(log))
        return Outcome(name, "failed", "\n".join((*reasons, "it goes on with its old configuration")))
    if name not in BY_NAME or newest <= since or name == "inbox":
        return Outcome(name, "unchanged")
    words = ["kill", "--signal", "HUP", name] if name == "blackbox" else ["restart", name]
    docker_cli.run(docker, project, words, ignore)
    return Outcome(name, "reloaded" if name == "blackbox" else "restarted")


def _last_reload(url: str) -> float:
    """Return when the program last read its files and took them, in seconds since the epoch; 0 when it then refused newer ones."""
    found = dict(re.findall(r"(?m)^\w+_config_last_reload_(successful|success_timestamp_seconds) (\S+)$", ask(f"{url}metrics").text))
    return float(found.get("success_timestamp_seconds", 0)) if found.get("successful") == "1" else 0.0


def _again(docker: docker_cli.Docker, project: Path, outcomes: dict[str, Outcome]) -> None:
    """Wait for the containers that were restarted; one that does not come up is a failed outcome."""
    restarted = [name for name, outcome in outcomes.items() if outcome.result == "restarted"]
    if restarted:
        try:
            docker_cli.run(docker, project, ["up", "--detach", "--wait", "--wait-timeout", str(UP_SECONDS)], ignore)
        except DockerError as error:
            wrong = [name for name in restarted if re.search(rf"\b{re.escape(name)}\b", f"{error}")] or restarted
            outcomes.update({name: Outcome(name, "failed", str(error)) for name in wrong})


def _url(stack: Stack, name: str) -> str:
    bind = "127.0.0.1" if stack.bind in {"0.0.0.0", "::"} else stack.bind  # noqa: S104  # where it is published, not what we bind
    return f"http://{f'[{bind}]' if ':' in bind else bind}:{stack.ports[name]}/"


def _status(stack: Stack, name: str, container: docker_cli.Container | None, details: Mapping[str, docker_cli.Detail]) -> ComponentStatus:
    published = {"prometheus", "alertmanager", "loki", "jaeger", "grafana", "inbox"}
    service = next((each for each in stack.services if each.name == name and each.run), None)
    port = service.run.publish[0][0] if service and service.run and service.run.publish else 0
    url = _url(stack, name) if name in published and name in stack.ports else f"http://127.0.0.1:{port}/" if port else ""
    if container is None:
        return ComponentStatus(name=name, state="stopped", url=url)
    detail = details.get(container.id, docker_cli.Detail())
    state: ComponentState = "stopped"
    if container.state == "running":
        state = "starting" if container.health in {"starting", "unhealthy"} else "running"
    elif container.state == "restarting":
        state = "restarting"
    elif container.state == "exited" and container.exit_code == 0 and service and service.run and service.run.restart == "no":
        state = "ended"
    return ComponentStatus(
        name=name,
        state=state,
        pid=detail.pid,
        uptime_seconds=max(0.0, time.time() - detail.since) if container.state == "running" and detail.since else 0.0,
        restarts=detail.restarts,
        url=url,
        reason=container.status if state != "running" else "",
    )
