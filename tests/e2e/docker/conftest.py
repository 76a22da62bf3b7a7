"""One Docker Engine with every image for all tests here; it is gone afterwards, whatever happened."""

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import pytest

from specwatch.names import COMPOSE_FILE
from tests.e2e.conftest import Need
from tests.e2e.docker.clone import Clone, Engine
from tests.e2e.project import free_ports

IMAGES: Final = pytest.StashKey[list[dict[str, Any]]]()
# What the committed spec publishes on the host.
DEFAULT_PORTS: Final = {
    "prometheus": 9090,
    "alertmanager": 9093,
    "loki": 3100,
    "otlp-grpc": 4317,
    "otlp-http": 4318,
    "grafana": 3001,
    "inbox": 8025,
    "inbox-smtp": 1025,
    "shop": 8000,
}
_PROGRAMS: Final = ("docker", "dockerd", "mmdebstrap", "busybox")
_PATH: Final = os.pathsep.join([os.environ.get("PATH", ""), "/usr/local/sbin", "/usr/sbin", "/sbin"])

MakeClone = Callable[..., Clone]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say which images the containers were made from: none of them is the official one."""
    images = config.stash.get(IMAGES, [])
    if images:
        terminalreporter.section("Docker images that stood in for the official ones")
        width = max(len(each["image"]) for each in images)
        for each in images:
            terminalreporter.write_line(f"{each['image']:{width}}  {each['holds']}")


def _why_not() -> str:
    if os.geteuid() != 0:
        return "a Docker Engine needs root"
    missing = [name for name in _PROGRAMS if not shutil.which(name, path=_PATH)]
    if missing:
        return f"not on PATH: {', '.join(missing)}; run `scripts/engines/get`"
    for plugin in ("compose", "buildx"):
        if subprocess.run([shutil.which("docker") or "docker", plugin, "version"], capture_output=True, check=False).returncode:
            return f"docker has no {plugin} plugin; run `scripts/engines/get --only docker`"
    return ""


@pytest.fixture(scope="session")
def engine(need: Need, pytestconfig: pytest.Config) -> Iterator[Engine]:
    """Give a Docker Engine that has every image of the committed compose file, and the collector's."""
    why_not = _why_not()
    if why_not:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(why_not)
    need("prometheus", "alertmanager", "loki", "otelcol", "blackbox", "node")
    folder = Path(tempfile.mkdtemp(prefix="specwatch-docker-"))
    made = Engine(folder / "engine")
    try:
        made.start()
        pytestconfig.stash[IMAGES] = _images(made, folder / "clone")
        yield made
    finally:
        made.stop()
        shutil.rmtree(folder)


def _images(engine: Engine, folder: Path) -> list[dict[str, Any]]:
    clone = Clone(folder, engine, DEFAULT_PORTS)
    # As under umask 077: what is built must not need more than its owner's rights.
    for path in (path for part in ("exporter", "specwatch", "inbox") for path in (clone.folder / part).rglob("*")):
        path.chmod(path.stat().st_mode & 0o700)
    found = engine.make_images(clone.folder / COMPOSE_FILE)
    clone.edit(lambda spec: spec["stack"].update(shipper="otelcol"))
    have = {each["image"] for each in found}
    return found + [each for each in engine.make_images(clone.folder / COMPOSE_FILE) if each["image"] not in have]


@pytest.fixture(scope="module")
def make_clone(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[MakeClone]:
    """Give a function that makes a clone, with the committed spec on ports of its own unless `committed`; all are removed afterwards."""
    made: list[Clone] = []

    def make(*, committed: bool = False) -> Clone:
        ports = DEFAULT_PORTS if committed else dict(zip(DEFAULT_PORTS, free_ports(len(DEFAULT_PORTS)), strict=True))
        clone = Clone(tmp_path_factory.mktemp("clone") / "shop", engine, ports)
        made.append(clone)
        if not committed:
            clone.edit(clone.move)
        return clone

    try:
        yield make
    finally:
        for clone in made:
            clone.remove()


def default_ports_are_free() -> bool:
    """Return whether this machine has the ports that the committed compose file publishes."""
    for port in DEFAULT_PORTS.values():
        with closing(socket.socket()) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                return False
    return True
