"""Ask Docker and its Compose plugin, and put what they say when they fail into one clear error."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import Struct

from specwatch.engines.errors import DockerError, NoClientError, NoComposeError, NoDaemonError, NoImageError, NoPermissionError
from specwatch.engines.http import Answer
from specwatch.engines.values import Report, Step
from specwatch.names import COMPOSE_FILE

OLDEST: Final = (2, 20)
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
        r"unable to get image|failed to resolve|pull access denied|manifest unknown|no such image|lookup \S+.*: |request canceled",
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
_VERBS: Final = ("up", "down", "restart", "kill")


class Docker(Struct, frozen=True):
    """A Docker that works: the client's path and Compose's version."""

    client: str
    compose: str


class Container(Struct, frozen=True, rename="pascal"):
    """What `docker compose ps` says of one container."""

    service: str
    state: str
    health: str = ""
    status: str = ""
    exit_code: int = 0
    id: str = msgspec.field(name="ID", default="")


class Detail(Struct, frozen=True):
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
    services = [body for body in config(docker, project)["services"].values() if "profiles" not in body]
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


def run(docker: Docker, project: Path, words: list[str], report: Report) -> None:
    """Run a compose command, reporting its progress line by line; raises DockerError."""
    said: list[str] = []
    with subprocess.Popen(
        _command(docker, project, ["--progress", "plain", *words]),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        # Containers that this file does not name belong to the user's own files: no advice to remove them.
        env={**os.environ, "COMPOSE_IGNORE_ORPHANS": "true"},
    ) as process:
        for line in process.stderr or ():
            if line.strip():
                said.append(line.strip())
                report(Step(line.strip()))
    if process.returncode:
        raise _explained(f"docker compose {next(word for word in words if word in _VERBS)}", "\n".join(said), _unwell(docker, project))


def _unwell(docker: Docker, project: Path) -> str:
    """Return the last lines of each container that has ended or is not healthy."""
    found = []
    try:
        unwell = containers(docker, project)
    except DockerError:
        return ""
    for each in unwell:
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


def config(docker: Docker, project: Path) -> Any:
    """Return the compose file as Compose itself reads it, every profile on; raises DockerError."""
    if not (project / COMPOSE_FILE).exists():
        raise DockerError("docker compose", f"there is no {project / COMPOSE_FILE}", "make it with `specwatch generate`")
    done = _ask(*_command(docker, project, ["--profile", "*", "config", "--format", "json"]))
    if done.returncode:
        raise _explained("docker compose config", done.stderr)
    return msgspec.json.decode(done.stdout)


def containers(docker: Docker, project: Path) -> list[Container]:
    """Return the stack's containers, those that have ended included; raises DockerError."""
    done = _ask(*_command(docker, project, ["ps", "--all", "--no-trunc", "--format", "json"]))
    if done.returncode:
        raise _explained("docker compose ps", done.stderr)
    # One object on each line, or one list of all in older versions.
    text = done.stdout.strip()
    return (
        msgspec.json.decode(text, type=list[Container])
        if text.startswith("[")
        else [msgspec.json.decode(line, type=Container) for line in text.splitlines()]
        if text
        else []
    )


def remove_stale(docker: Docker, project: Path) -> None:
    """Remove the containers that this compose file made and no longer names; raises DockerError.

    Those that came from the user's own compose files stay: compose counts them among the orphans of the same project.
    """
    whole = config(docker, project)
    labels = {"project": whole["name"], "project.config_files": project.absolute() / COMPOSE_FILE}
    filters = [f"--filter=label=com.docker.compose.{key}={value}" for key, value in labels.items()]
    done = _ask(docker.client, "ps", "--all", *filters, "--format", '{{.ID}} {{.Label "com.docker.compose.service"}}')
    made = [line.split() for line in done.stdout.splitlines()]
    stale = [container for container, service in made if service not in whole["services"]]
    if stale:
        done = _ask(docker.client, "rm", "--force", *stale)
    if done.returncode:
        raise _explained("docker rm", done.stderr)


def details(docker: Docker, ids: list[str]) -> dict[str, Detail]:
    """Return by id what `docker inspect` says of each container."""
    if not ids:
        return {}
    done = _ask(docker.client, "inspect", "--format", "{{.Id}} {{.State.StartedAt}} {{.RestartCount}} {{.State.Pid}}", *ids)
    found = {}
    for line in done.stdout.splitlines():
        container, began, restarts, pid = line.split()
        found[container] = Detail(_epoch(began), int(restarts), int(pid))
    return found


def _epoch(text: str) -> float:
    # Go writes nanoseconds, which Python's reader refuses.
    return datetime.fromisoformat(re.sub(r"(\.\d{6})\d*", r"\1", text)).timestamp() if not text.startswith("0001") else 0.0


def fetch(docker: Docker, project: Path, service: str, url: str) -> Answer:
    """Return what answers `url` when it is asked by wget in the container of `service`; the status is 200 or what wget says it is."""
    # Some builds of busybox crash when wget gets more options than these.
    done = _ask(*_command(docker, project, ["exec", "-T", service, "wget", "-q", "-O", "-", url]))
    if not done.returncode:
        return Answer(200, done.stdout)
    refused = re.search(r"HTTP/\S+ (\d{3})", done.stderr)
    return Answer(int(refused[1]) if refused else 0, _last(done.stderr) or "it failed without a word")


def lines(docker: Docker, project: Path, words: list[str]) -> Iterator[str]:
    """Yield what a compose command prints, line by line; it ends when the iterator is closed."""
    command = _command(docker, project, words)
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    ) as process:
        try:
            for line in process.stdout or ():
                yield line.rstrip("\n")
        finally:
            process.terminate()
