"""The stack under Docker Compose: a few calls of `docker compose`, and its errors put into one sentence each."""

import re
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import Struct

from specwatch import topology
from specwatch.components import BY_NAME
from specwatch.engines import effective
from specwatch.engines.errors import (
    DockerError,
    NoClientError,
    NoComposeError,
    NoDaemonError,
    NoImageError,
    NoPermissionError,
    NotRunningError,
    UnknownNameError,
)
from specwatch.engines.http import ask
from specwatch.engines.native.parts import PARTS
from specwatch.engines.values import ComponentState, ComponentStatus, Outcome, Report, Started, Step, ignore
from specwatch.names import COMPOSE_FILE
from specwatch.stack import Stack

OLDEST: Final = (2, 20)
UP_SECONDS: Final = 300
_ASK_SECONDS: Final = 15.0
_PULL_SECONDS: Final = 20.0
# Which of compose's words mean which error; the first that is found counts.
_CAUSES: Final[tuple[tuple[str, type[DockerError], str], ...]] = (
    (r"permission denied .*socket", NoPermissionError, "add this user to the group `docker` and log in again, or use `--runtime native`"),
    (
        r"cannot connect to the docker daemon|error during connect|docker daemon is not running",
        NoDaemonError,
        "start Docker, or use `--runtime native`",
    ),
    (
        r"unable to get image|failed to resolve|pull access denied|manifest unknown|no such image|lookup \S+.*: |request canceled|i/o timeout",
        NoImageError,
        "look at the network and the name, load the image by hand (`docker load`), or use `--runtime native`",
    ),
    (
        r"port is already allocated|address already in use",
        DockerError,
        "end what uses the port, or choose another in the spec (stack.ports)",
    ),
    (r"no space left", DockerError, "make room where Docker keeps its data"),
)


class Docker(Struct, frozen=True):
    """A Docker that works: the client's path and Compose's version."""

    client: str
    compose: str


class _Container(Struct, frozen=True, rename="pascal"):
    """What `docker compose ps` says of one container."""

    service: str
    state: str
    health: str = ""
    status: str = ""
    exit_code: int = 0
    id: str = msgspec.field(name="ID", default="")


class _Detail(Struct, frozen=True):
    """What `docker inspect` says of one container; `since` is its start in seconds since the epoch."""

    since: float = 0.0
    restarts: int = 0
    pid: int = 0


def check() -> Docker:
    """Return the Docker that works here, DOCKER_HOST honoured.

    Raises NoClientError, NoComposeError, NoDaemonError or NoPermissionError.
    """
    client = shutil.which("docker")
    if not client:
        raise NoClientError("docker", "there is no `docker` on PATH", "install Docker, or use `--runtime native`")
    done = _ask(client, "compose", "version", "--short")
    seen = re.match(r"v?(\d+)\.(\d+)\S*", done.stdout)
    if done.returncode or not seen:
        raise NoComposeError(
            "docker compose",
            "the Compose plugin is not installed",
            "install docker-compose v2.20 or newer (scripts/engines/get --only docker)",
        )
    if (int(seen[1]), int(seen[2])) < OLDEST:
        raise NoComposeError(
            "docker compose", f"found {seen[0]}, expected {OLDEST[0]}.{OLDEST[1]} or newer", "install a newer docker-compose"
        )
    done = _ask(client, "version", "--format", "{{.Server.Version}}")
    if done.returncode:
        raise _explained("docker", done.stderr)
    return Docker(client, seen[0])


def missing_images(docker: Docker, project: Path) -> tuple[str, ...]:
    """Return the images that are not here and would have to be pulled: those of the stack, and the bases of those that compose builds.

    Raises DockerError.
    """
    services = [body for body in _config(docker, project)["services"].values() if "profiles" not in body]
    built = {body["image"]: body["build"] for body in services if "build" in body and "image" in body}
    pulled = {body["image"] for body in services if "image" in body and body["image"] not in built}
    bases = {base for image, build in built.items() if not _is_here(docker, image) for base in _bases(build)}
    return tuple(sorted(image for image in pulled | bases if not _is_here(docker, image)))


def _is_here(docker: Docker, image: str) -> bool:
    return _ask(docker.client, "image", "inspect", "--format", "{{.Id}}", image).returncode == 0


def _bases(build: Mapping[str, Any]) -> set[str]:
    """Return the images that a Dockerfile begins from, its build arguments filled in."""
    path = Path(build["context"]) / build.get("dockerfile", "Dockerfile")
    text = path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
    arguments = dict(re.findall(r"(?im)^ARG\s+(\w+)=(\S+)", text)) | dict(build.get("args") or {})
    stages = set(re.findall(r"(?im)^FROM\s.*\sAS\s+(\S+)", text))
    bases = re.findall(r"(?im)^FROM\s+(?:--\S+\s+)*(\S+)", text)
    filled = {re.sub(r"\$\{?(\w+)\}?", lambda seen: arguments.get(seen[1], ""), base) for base in bases}
    return filled - stages - {"", "scratch"}


def pullable(docker: Docker, image: str) -> str:
    """Return nothing when the image's registry has it, otherwise why not; nothing is downloaded, and the question has a time limit."""
    done = _ask(docker.client, "manifest", "inspect", image, limit_seconds=_PULL_SECONDS)
    return (_last(done.stderr) or "the registry does not answer") if done.returncode else ""


def up(
    stack: Stack, project: Path, report: Report = ignore, *, build: bool = False, limit_seconds: int = UP_SECONDS
) -> tuple[ComponentStatus, ...]:
    """Start the stack, wait until every container is healthy and return how each is doing; harmless when it is up.

    Raises DockerError, with what compose said and the last lines of a container that did not become healthy.
    """
    docker = check()
    words = ["up", "--detach", "--wait", "--wait-timeout", str(limit_seconds), "--remove-orphans", *(["--build"] if build else [])]
    _run(docker, project, words, report)
    found = status(stack, project)
    for part in found:
        report(Started(part.name))
    return found


def down(project: Path, report: Report = ignore, *, volumes: bool = False) -> None:
    """Stop and remove the containers; with `volumes` the data goes, too. Raises DockerError."""
    _run(check(), project, ["--profile", "*", "down", "--remove-orphans", *(["--volumes"] if volumes else [])], report)


def running(project: Path) -> bool:
    """Return whether any container of the stack is up; False where Docker does not work."""
    try:
        return any(container.state == "running" for container in _containers(check(), project))
    except DockerError:
        return False


def status(stack: Stack, project: Path) -> tuple[ComponentStatus, ...]:
    """Return how each container is doing, stopped ones included, in the compose file's order; raises DockerError."""
    docker = check()
    known = {container.service: container for container in _containers(docker, project)}
    names = [name for name, body in _config(docker, project)["services"].items() if name != "secrets" or known]
    details = _details(docker, [container.id for container in known.values() if container.id])
    return tuple(_status(stack, name, known.get(name), details) for name in names if name != "secrets")


def logs(project: Path, name: str, lines: int = 100, *, following: bool = False) -> Iterator[str]:
    """Return an iterator over the last lines of a container's output; `following` goes on with each new one until it is closed.

    Raises UnknownNameError for a name that the compose file does not have, or DockerError.
    """
    docker = check()
    names = _config(docker, project)["services"]
    if name not in names:
        raise UnknownNameError(f"logs {name}", "there is no part of that name", f"there are: {', '.join(names)}")
    words = ["logs", "--no-color", "--no-log-prefix", "--tail", str(lines), *(["--follow"] if following else []), name]
    return _lines(_command(docker, project, words))


def reload(stack: Stack, project: Path, files: Mapping[str, str], report: Report = ignore) -> tuple[Outcome, ...]:
    """Bring the running containers to the generated files and return what that did to each part.

    Containers whose definition changed are replaced, Prometheus and Alertmanager read their files again and are asked whether these are in
    force, the blackbox exporter gets its signal, and a component that reads its files only at its start is restarted when they are
    newer than it. `files` are the rendered ones. Raises NotRunningError or DockerError.
    """
    docker = check()
    before = {container.service: container.id for container in _containers(docker, project) if container.state == "running"}
    if not before:
        raise NotRunningError("reload", "the stack is not up under Docker", "start it with `specwatch up`")
    old = _details(docker, list(before.values()))
    _run(docker, project, ["up", "--detach", "--wait", "--wait-timeout", str(UP_SECONDS), "--remove-orphans"], report)
    after = {container.service: container.id for container in _containers(docker, project) if container.state == "running"}
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


def _reread(docker: Docker, project: Path, stack: Stack, name: str, since: float) -> Outcome:
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
        said = answer.text.strip() or f"HTTP status {answer.status}"
        return Outcome(name, "reloaded") if answer.ok else Outcome(name, "failed", f"{said}\nit goes on with its old configuration")
    if name not in BY_NAME or newest <= since or name == "inbox":
        return Outcome(name, "unchanged")
    words = ["kill", "--signal", "HUP", name] if name == "blackbox" else ["restart", name]
    _run(docker, project, words, ignore)
    return Outcome(name, "reloaded" if name == "blackbox" else "restarted")


def _last_reload(url: str) -> float:
    """Return when the program last read its files and took them, in seconds since the epoch; 0 when it then refused newer ones."""
    found = dict(re.findall(r"(?m)^\w+_config_last_reload_(successful|success_timestamp_seconds) (\S+)$", ask(f"{url}metrics").text))
    return float(found.get("success_timestamp_seconds", 0)) if found.get("successful") == "1" else 0.0


def _again(docker: Docker, project: Path, outcomes: dict[str, Outcome]) -> None:
    """Wait for the containers that were restarted; one that does not come up is a failed outcome."""
    restarted = [name for name, outcome in outcomes.items() if outcome.result == "restarted"]
    if restarted:
        try:
            _run(docker, project, ["up", "--detach", "--wait", "--wait-timeout", str(UP_SECONDS)], ignore)
        except DockerError as error:
            wrong = [name for name in restarted if re.search(rf"\b{re.escape(name)}\b", f"{error}")] or restarted
            outcomes.update({name: Outcome(name, "failed", str(error)) for name in wrong})


def _url(stack: Stack, name: str) -> str:
    bind = "127.0.0.1" if stack.bind in {"0.0.0.0", "::"} else stack.bind  # noqa: S104  # where it is published, not what we bind
    return f"http://{f'[{bind}]' if ':' in bind else bind}:{stack.ports[name]}/"


def _status(stack: Stack, name: str, container: _Container | None, details: Mapping[str, _Detail]) -> ComponentStatus:
    published = {"prometheus", "alertmanager", "loki", "grafana", "inbox"}
    service = next((each for each in stack.services if each.name == name and each.run), None)
    port = service.run.publish[0][0] if service and service.run and service.run.publish else 0
    url = _url(stack, name) if name in published and name in stack.ports else f"http://127.0.0.1:{port}/" if port else ""
    if container is None:
        return ComponentStatus(name=name, state="stopped", url=url)
    detail = details.get(container.id, _Detail())
    state: ComponentState = "stopped"
    if container.state == "running":
        state = "starting" if container.health in {"starting", "unhealthy"} else "running"
    elif container.state == "restarting":
        state = "restarting"
    return ComponentStatus(
        name=name,
        state=state,
        pid=detail.pid,
        uptime_seconds=max(0.0, time.time() - detail.since) if container.state == "running" and detail.since else 0.0,
        restarts=detail.restarts,
        url=url,
        reason=container.status if state != "running" else "",
    )


def _run(docker: Docker, project: Path, words: list[str], report: Report) -> None:
    """Run a compose command, reporting its progress line by line; raises DockerError."""
    said: list[str] = []
    with subprocess.Popen(
        _command(docker, project, ["--progress", "plain", *words]),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
    ) as process:
        for line in process.stderr or ():
            if line.strip():
                said.append(line.strip())
                report(Step(line.strip()))
    if process.returncode:
        raise _explained(f"docker compose {next(word for word in words if word in _VERBS)}", "\n".join(said), _unwell(docker, project))


_VERBS: Final = ("up", "down", "restart", "kill")


def _unwell(docker: Docker, project: Path) -> str:
    """Return the last lines of each container that has ended or is not healthy."""
    found = []
    try:
        containers = _containers(docker, project)
    except DockerError:
        return ""
    for each in containers:
        if each.health == "unhealthy" or (each.state not in {"running", "created"} and each.exit_code):
            done = _ask(docker.client, "logs", "--tail", "10", each.id)
            last = (done.stdout + done.stderr).strip().splitlines()
            found.append("\n    ".join([f"{each.service} ({each.status}) said last:", *last]))
    return "\n".join(found)


def _explained(what: str, stderr: str, more: str = "") -> DockerError:
    for pattern, kind, remedy in _CAUSES:
        seen = re.search(f"^.*(?:{pattern}).*$", stderr, re.IGNORECASE | re.MULTILINE)
        if seen:
            return kind(what, seen[0].strip(), "\n".join(filter(None, (remedy, more))))
    return DockerError(what, _last(stderr) or "it failed without a word", more)


def _last(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1].strip() if lines else ""


def _ask(client: str, *words: str, limit_seconds: float = _ASK_SECONDS) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            [client, *words], stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", timeout=limit_seconds, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        said = (
            f"error during connect: no answer within {limit_seconds:.0f} s" if isinstance(error, subprocess.TimeoutExpired) else str(error)
        )
        return subprocess.CompletedProcess([client, *words], 1, "", said)


def _command(docker: Docker, project: Path, words: list[str]) -> list[str]:
    return [docker.client, "compose", "--file", str(project.absolute() / COMPOSE_FILE), *words]


def _config(docker: Docker, project: Path) -> Any:
    if not (project / COMPOSE_FILE).exists():
        raise DockerError("docker compose", f"there is no {project / COMPOSE_FILE}", "make it with `specwatch generate`")
    done = _ask(*_command(docker, project, ["--profile", "*", "config", "--format", "json"]))
    if done.returncode:
        raise _explained("docker compose config", done.stderr)
    return msgspec.json.decode(done.stdout)


def _containers(docker: Docker, project: Path) -> list[_Container]:
    done = _ask(*_command(docker, project, ["ps", "--all", "--no-trunc", "--format", "json"]))
    if done.returncode:
        raise _explained("docker compose ps", done.stderr)
    # One object on each line, or one list of all in older versions.
    text = done.stdout.strip()
    return (
        msgspec.json.decode(text, type=list[_Container])
        if text.startswith("[")
        else [msgspec.json.decode(line, type=_Container) for line in text.splitlines()]
        if text
        else []
    )


def _details(docker: Docker, ids: list[str]) -> dict[str, _Detail]:
    if not ids:
        return {}
    done = _ask(docker.client, "inspect", "--format", "{{.Id}} {{.State.StartedAt}} {{.RestartCount}} {{.State.Pid}}", *ids)
    found = {}
    for line in done.stdout.splitlines():
        container, began, restarts, pid = line.split()
        found[container] = _Detail(_epoch(began), int(restarts), int(pid))
    return found


def _epoch(text: str) -> float:
    # Go writes nanoseconds, which Python's reader refuses.
    return datetime.fromisoformat(re.sub(r"(\.\d{6})\d*", r"\1", text)).timestamp() if not text.startswith("0001") else 0.0


def _lines(command: list[str]) -> Iterator[str]:
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    ) as process:
        try:
            for line in process.stdout or ():
                yield line.rstrip("\n")
        finally:
            process.terminate()
