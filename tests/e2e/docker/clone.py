"""A copy of the repository as somebody has it who just cloned it, and the one Docker Engine that all copies share."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.error import URLError
from urllib.request import ProxyHandler, Request, build_opener

import yaml

from specwatch.names import COMPOSE_FILE
from tests.e2e.project import REPOSITORY
from tests.tools import wait_for

STANDIN: Final = REPOSITORY / "scripts/standin"
_LIMIT_SECONDS: Final = 300
# What a clone does not have, and what no image and no container is made from.
_NOT_CLONED: Final = (".*", "secrets", "tests", "benchmarks", "__pycache__", "dist")
_UP: Final = ("up", "--detach", "--wait", "--wait-timeout", "120", "--pull", "never")


@dataclass(frozen=True)
class Engine:
    """A Docker Engine of the tests' own in `folder`."""

    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        """The variables with which docker, compose and specwatch find this engine and its log files, and nothing of the user's own."""
        own = {name: value for name, value in os.environ.items() if not name.startswith(("COMPOSE_", "DOCKER_", "SPECWATCH_RUNTIME"))}
        return {**own, "DOCKER_HOST": f"unix://{self.folder}/docker.sock", "DOCKER_DATA_ROOT": f"{self.folder}/data"}

    @property
    def gateway(self) -> str:
        """An address of this machine that is not 127.0.0.1: the one that containers know as host.docker.internal."""
        return self.docker("network", "inspect", "bridge", "--format", "{{(index .IPAM.Config 0).Gateway}}").strip()

    def ask(self, *words: str, folder: Path | None = None) -> "subprocess.CompletedProcess[str]":
        """Return what a program answers, whatever its exit code."""
        return subprocess.run(
            words,
            cwd=folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_LIMIT_SECONDS,
            check=False,
        )

    def must(self, *words: str, folder: Path | None = None) -> str:
        """Return what a program prints; fails with all that it said when it does not leave with 0."""
        done = self.ask(*words, folder=folder)
        assert done.returncode == 0, f"{' '.join(words)} left with {done.returncode}:\n{done.stdout}{done.stderr}"
        return done.stdout

    def docker(self, *words: str) -> str:
        """Return what `docker WORDS` prints."""
        return self.must("docker", *words)

    def start(self) -> None:
        """Start the engine; fails with what dockerd said."""
        self.must(str(STANDIN / "docker-engine"), "start", "--dir", str(self.folder))

    def make_images(self, compose_file: Path) -> list[dict[str, Any]]:
        """Make every image that the file names; returns which (`image`), and what each `holds`."""
        asked = (str(STANDIN / "images"), "--socket", f"{self.folder}/docker.sock", "--compose", str(compose_file), "--json")
        made: list[dict[str, Any]] = json.loads(self.must(*asked))
        return made

    def stop(self) -> None:
        """End the engine and all that runs in it, remove its folder, and fail when a process or a mount of it is left."""
        self.must(str(STANDIN / "docker-engine"), "stop", "--dir", str(self.folder), "--purge")


class Clone:
    """A fresh clone in `folder` (which must not be there yet), started in `engine`.

    Args:
        folder: where the clone is made.
        engine: where its containers run.
        ports: other host ports than the committed spec's, by the names of `stack.ports`; `shop` is the demo's.
    """

    def __init__(self, folder: Path, engine: Engine, ports: Mapping[str, int]) -> None:
        self.folder, self.engine, self.ports = folder, engine, ports
        shutil.copytree(REPOSITORY, folder, ignore=shutil.ignore_patterns(*_NOT_CLONED))

    def write_spec(self, spec: dict[str, Any]) -> None:
        """Replace the spec, with the clone's own name and ports in it, and make its files."""
        spec.setdefault("stack", {}).update(
            name=f"shop{self.ports['shop']}", ports={name: port for name, port in self.ports.items() if name != "shop"}
        )
        (self.folder / "spec.yaml").write_text(yaml.safe_dump(spec, sort_keys=False), encoding="utf-8")
        self.specwatch("generate")

    def edit(self, change: Callable[[dict[str, Any]], None]) -> None:
        """Change the spec as a person would in an editor, and make its files."""
        spec = yaml.safe_load((self.folder / "spec.yaml").read_text(encoding="utf-8"))
        change(spec)
        self.write_spec(spec)

    def move(self, spec: dict[str, Any]) -> None:
        """Put the clone's own port into the committed spec's shop."""
        shop, port = spec["services"]["shop"], self.ports["shop"]
        shop["metrics"]["port"] = port
        shop["run"]["publish"] = [port]
        shop["run"]["health"] = [word.replace(":8000/", f":{port}/") for word in shop["run"]["health"]]

    def specwatch(self, *words: str) -> str:
        """Return what `specwatch WORDS` prints; fails with all that it said when it does not leave with 0."""
        return self.engine.must(*self._specwatch(*words), folder=self.folder)

    def try_specwatch(self, *words: str, **environment: str) -> "subprocess.CompletedProcess[str]":
        """Return what `specwatch WORDS` answers, whatever its exit code; `environment` are further variables."""
        variables = [f"{name}={value}" for name, value in environment.items()]
        return self.engine.ask("env", *variables, *self._specwatch(*words), folder=self.folder)

    def _specwatch(self, *words: str) -> tuple[str, ...]:
        # Not the code in this folder: what was installed is what a user calls.
        return (sys.executable, "-P", "-m", "specwatch", *words)

    def compose(self, *words: str, files: tuple[str, ...] = (COMPOSE_FILE,)) -> str:
        """Return what plain `docker compose` prints."""
        return self.engine.must(*self._compose(words, files), folder=self.folder)

    def try_compose(self, *words: str, files: tuple[str, ...] = (COMPOSE_FILE,)) -> "subprocess.CompletedProcess[str]":
        """Return what plain `docker compose` answers, whatever its exit code."""
        return self.engine.ask(*self._compose(words, files), folder=self.folder)

    def _compose(self, words: tuple[str, ...], files: tuple[str, ...]) -> tuple[str, ...]:
        return ("docker", "compose", *(word for file in files for word in ("--file", file)), *words)

    def up(self, *, files: tuple[str, ...] = (COMPOSE_FILE,)) -> None:
        """Start the stack as somebody without Python does, and wait until all of it is healthy."""
        self.compose(*_UP, files=files)

    def try_up(self) -> "subprocess.CompletedProcess[str]":
        """Return what starting the stack answers, whatever its exit code."""
        return self.try_compose(*_UP)

    def remove(self) -> None:
        """Remove its containers, networks and data; what is still there afterwards goes with the engine."""
        self.compose("--profile", "*", "down", "--volumes", "--remove-orphans", "--timeout", "5")

    def containers(self) -> dict[str, dict[str, Any]]:
        """Return what `docker inspect` says of each container, those that have ended included, by service."""
        ids = self.compose("ps", "--all", "--quiet", "--no-trunc").split()
        found = json.loads(self.engine.docker("inspect", *ids)) if ids else []
        return {body["Config"]["Labels"]["com.docker.compose.service"]: body for body in found}

    def ids(self) -> dict[str, str]:
        """Return the id of each running container by service; a container that was replaced has another."""
        return {name: body["Id"] for name, body in self.containers().items() if body["State"]["Running"]}

    def url(self, name: str, path: str = "") -> str:
        """Return the URL of a component, or of the shop, on the host."""
        return f"http://127.0.0.1:{self.ports[name]}{path}"

    def get(self, name: str, path: str, **headers: str) -> Any:
        """Return the JSON at a path of a component; None while it does not answer."""
        try:
            return _exchange(Request(self.url(name, path), headers=headers))
        except (URLError, ConnectionError, TimeoutError):
            return None

    def send(self, name: str, path: str, body: object, method: str = "POST", **headers: str) -> Any:
        """Return the JSON that answers a body sent as JSON; None for an answer of another kind."""
        headers = {"Content-Type": "application/json", **headers}
        return _exchange(Request(self.url(name, path), json.dumps(body).encode(), headers, method=method))

    def messages(self, **wanted: str) -> list[dict[str, Any]]:
        """Return the messages in the inbox, the oldest first; `wanted` are values that their fields must have."""
        found = (self.get("inbox", "/api/messages?limit=1000") or {"messages": []})["messages"]
        return sorted(
            (message for message in found if all(message[key] == value for key, value in wanted.items())), key=lambda message: message["id"]
        )

    def targets(self) -> dict[str, dict[str, Any]]:
        """Return Prometheus' targets by job."""
        found = self.get("prometheus", "/api/v1/targets")
        return {target["labels"]["job"]: target for target in found["data"]["activeTargets"]} if found else {}

    def wait_up(self, *jobs: str) -> None:
        """Wait until Prometheus has scraped every target, among which those of `jobs` must be, and all are up."""

        def state() -> dict[str, str]:
            return {name: target["health"] for name, target in self.targets().items()}

        wait_for(f"the targets to be up: {', '.join(jobs)}", lambda: set(jobs) <= set(state()) and set(state().values()) == {"up"}, 45)


def _exchange(request: Request) -> Any:
    # Proxies of the environment are not for our own programs.
    with build_opener(ProxyHandler({})).open(request, timeout=10) as answer:
        text = answer.read()
        return json.loads(text) if answer.headers.get_content_type() == "application/json" else None
