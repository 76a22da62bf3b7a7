"""A project folder with the repository's own spec on ports of its own, and the real command line in it: what a user has before them."""

import json
import os
import random
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final
from urllib.error import HTTPError
from urllib.request import ProxyHandler, Request, build_opener

import yaml

REPOSITORY: Final = Path(__file__).parents[2]
LIMIT_SECONDS: Final = 120
# Everything that the native runtime listens on, by the names of `stack.ports`.
_ENDPOINTS: Final = (
    "prometheus",
    "alertmanager",
    "loki",
    "loki-grpc",
    "tempo",
    "jaeger",
    "jaeger-metrics",
    "otlp-grpc",
    "otlp-http",
    "backend-otlp-grpc",
    "backend-otlp-http",
    "grafana",
    "blackbox",
    "node",
    "inbox",
    "inbox-smtp",
    "promtail",
    "otelcol-health",
    "otelcol-metrics",
)
_LOWEST_PORT: Final = 10_000
_EPHEMERAL: Final = Path("/proc/sys/net/ipv4/ip_local_port_range")


class Project:
    """A folder with a spec; every call of the command line runs in it, as a process of its own.

    Args:
        folder: where the project is made; it must be there and empty.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        shop, *rest = free_ports(len(_ENDPOINTS) + 1)
        self.ports: Mapping[str, int] = dict(zip(_ENDPOINTS, rest, strict=True)) | {"shop": shop}
        (folder / "exporter").symlink_to(REPOSITORY / "exporter")
        self.edit(self._moved, REPOSITORY / "spec.yaml")

    def _moved(self, spec: dict[str, Any]) -> None:
        spec["stack"]["ports"] = {name: port for name, port in self.ports.items() if name != "shop"}
        # The demo's critical alerts alone go out as e-mail.
        spec["log_alerts"]["ErrorsLogged"]["severity"] = "critical"
        shop = spec["services"]["shop"]
        shop["metrics"]["port"] = self.ports["shop"]
        shop["run"]["publish"] = [self.ports["shop"]]
        # Without it, every shop of this user would share one fault switch.
        shop["run"]["environment"] = {"SHOP_STATE_DIR": str(self.folder / "state")}

    def edit(self, change: Callable[[dict[str, Any]], None], source: Path | None = None) -> None:
        """Change the spec as a person would in an editor: read from `source` (the project's own by default), changed, written."""
        spec = yaml.safe_load((source or self.folder / "spec.yaml").read_text(encoding="utf-8"))
        change(spec)
        (self.folder / "spec.yaml").write_text(yaml.safe_dump(spec, sort_keys=False), encoding="utf-8")

    def run(self, *words: str) -> "subprocess.CompletedProcess[str]":
        """Return what `specwatch WORDS` answered, whatever its exit code."""
        return self.python("-m", "specwatch", *words)

    def python(self, *words: str) -> "subprocess.CompletedProcess[str]":
        """Return what this Python answered when called with the words in the project's folder."""
        return subprocess.run(
            [sys.executable, *words],
            cwd=self.folder,
            env={**os.environ, "SPECWATCH_RUNTIME": "native"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=LIMIT_SECONDS,
            check=False,
        )

    def must(self, *words: str) -> str:
        """Return what `specwatch WORDS` printed; fails with all that it said when it does not leave with 0."""
        done = self.run(*words)
        assert done.returncode == 0, f"specwatch {' '.join(words)} left with {done.returncode}:\n{done.stdout}{done.stderr}"
        return done.stdout

    def faults(self, command: str) -> None:
        """Break or mend the shop, as `make break` and `make mend` do."""
        done = self.python("-m", "exporter.faults", command, "--url", self.url("shop"))
        assert done.returncode == 0, done.stderr

    def status(self) -> dict[str, dict[str, Any]]:
        """Return how each part is doing, by name."""
        return {part["name"]: part for part in json.loads(self.run("status", "--json").stdout)["components"]}

    def url(self, name: str, path: str = "") -> str:
        """Return the URL of a component, or of the shop."""
        return f"http://127.0.0.1:{self.ports[name]}{path}"

    def get(self, name: str, path: str, **headers: str) -> Any:
        """Return the JSON at a path of a component."""
        with _open(Request(self.url(name, path), headers=headers)) as answer:
            return json.load(answer)

    def messages(self, **wanted: str) -> list[dict[str, Any]]:
        """Return the messages in the inbox, the oldest first; `wanted` are values that their fields must have."""
        found = self.get("inbox", "/api/messages?limit=1000")["messages"]
        return sorted(
            (message for message in found if all(message[key] == value for key, value in wanted.items())), key=lambda message: message["id"]
        )

    def remove(self) -> None:
        """Stop whatever runs, and end what would not stop."""
        done = self.run("down", "--volumes")
        for pid in self.processes():
            os.kill(pid, signal.SIGKILL)
        assert done.returncode == 0, done.stderr

    def processes(self) -> list[int]:
        """Return the pids of all processes that work in this folder, found by what the kernel says of each."""
        here = str(self.folder)
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and int(entry.name) != os.getpid():
                try:
                    words = (entry / "cmdline").read_bytes().decode(errors="replace")
                    cwd = str((entry / "cwd").readlink())
                except OSError:
                    continue  # it has ended, or is another user's
                if here in words or cwd == here or cwd.startswith(f"{here}/"):
                    found.append(int(entry.name))
        return found


def free_ports(count: int) -> list[int]:
    """Return ports of 127.0.0.1 that nobody listens on, below the range that outgoing connections take theirs from."""
    highest = int(_EPHEMERAL.read_text().split()[0])
    found: list[int] = []
    for port in random.sample(range(_LOWEST_PORT, highest), highest - _LOWEST_PORT):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        found.append(port)
        if len(found) == count:
            break
    return found


def _open(request: Request) -> Any:
    # Proxies of the environment are not for our own programs.
    return build_opener(ProxyHandler({})).open(request, timeout=10)


def post(url: str, body: object) -> tuple[int, str]:
    """Return the status and the text that answer a body sent as JSON; a status of 400 and above is an answer, too."""
    request = Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"}, method="POST")
    try:
        with _open(request) as answer:
            return answer.status, answer.read().decode()
    except HTTPError as error:
        with error:
            return error.code, error.read().decode()
