"""A Docker Engine of one's own in a folder: its data, its socket, its containerd; nothing outside is changed.

It writes no packet filter rules (`--iptables=false`): ports are published by docker-proxy alone, which is enough for 127.0.0.1,
and containers of one network reach each other and the host. The outside they do not reach: `docker build` needs `--network host`.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_START_SECONDS = 60
_STOP_SECONDS = 60
_IP = "/sbin/ip"
_ADMIN_PATH = os.pathsep.join([os.environ.get("PATH", ""), "/usr/local/sbin", "/usr/sbin", "/sbin"])


class EngineFailed(Exception):  # noqa: N818 - named for what happened
    """The engine did not start or stop; the message says why and what to do."""


@dataclass(frozen=True)
class Engine:
    """An engine in `folder` (absolute): its data, pid, log and socket."""

    folder: Path

    @property
    def socket(self) -> Path:
        """The unix socket on which it answers."""
        return self.folder / "docker.sock"

    @property
    def log(self) -> Path:
        """What dockerd said."""
        return self.folder / "dockerd.log"

    @property
    def pid(self) -> int:
        """The process id of its dockerd, 0 when it does not run."""
        try:
            pid = int((self.folder / "dockerd.pid").read_text())
            command = Path(f"/proc/{pid}/cmdline").read_text()
        except (OSError, ValueError):
            return 0
        return pid if str(self.folder) in command else 0

    def docker(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Returns what the docker command says, whatever its exit code."""
        command = ["docker", "--host", f"unix://{self.socket}", *words]
        return subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)

    def answers(self) -> bool:
        """Returns whether the engine takes requests."""
        return self.socket.exists() and self.docker("version", "--format", "{{.Server.Version}}").returncode == 0

    def start(self) -> None:
        """Starts the engine and waits until it answers; does nothing when it does.

        Raises:
            EngineFailed: not root, dockerd is missing, or it ended or did not answer in time.
        """
        if self.answers():
            return
        dockerd = shutil.which("dockerd", path=_ADMIN_PATH)
        if os.geteuid() != 0:
            raise EngineFailed("a Docker Engine needs root: run this with sudo")
        if not dockerd or not shutil.which("docker"):
            raise EngineFailed("no dockerd or docker on PATH: run `scripts/engines/get --only docker`")
        self.folder.mkdir(parents=True, exist_ok=True)
        self._make_bridge()
        with self.log.open("w") as log:
            process = subprocess.Popen(
                self._command(dockerd),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env={**os.environ, "PATH": _ADMIN_PATH},
            )
        limit = time.monotonic() + _START_SECONDS
        while not self.answers():
            if process.poll() is not None or time.monotonic() > limit:
                self.stop()
                last = "\n".join(self.log.read_text(errors="replace").splitlines()[-20:])
                raise EngineFailed(f"dockerd {'ended' if process.returncode is not None else 'did not answer'}; {self.log} ends:\n{last}")
            time.sleep(0.1)

    @property
    def _number(self) -> int:
        """Tells the networks of several engines apart: the second part of their addresses, and the name of the bridge."""
        return 180 + zlib.crc32(str(self.folder).encode()) % 70

    @property
    def _bridge(self) -> str:
        return f"standin{self._number}"

    def _command(self, dockerd: str) -> list[str]:
        return [
            dockerd,
            *("--data-root", str(self.folder / "data"), "--exec-root", str(self.folder / "exec")),
            *("--pidfile", str(self.folder / "dockerd.pid"), "--host", f"unix://{self.socket}"),
            # A system-wide containerd would be shared with the engine that runs already: its names stay apart.
            *("--containerd-namespace", "specwatch", "--containerd-plugins-namespace", "specwatch-plugins"),
            *("--iptables=false", "--ip6tables=false", "--ip-masq=false", "--ip-forward=false"),
            # Never `none`: dockerd then deletes docker0, which belongs to the engine that runs already.
            *("--bridge", self._bridge, "--default-address-pool", f"base=10.{self._number}.0.0/16,size=24"),
        ]

    def _make_bridge(self) -> None:
        if Path(f"/sys/class/net/{self._bridge}").exists():
            if not (self.folder / "bridge").exists():
                raise EngineFailed(f"the network interface {self._bridge} is another's: use another --dir")
            return
        (self.folder / "bridge").write_text(self._bridge)
        for words in (
            ("link", "add", self._bridge, "type", "bridge"),
            ("address", "add", f"10.{self._number}.255.1/24", "dev", self._bridge),
            ("link", "set", self._bridge, "up"),
        ):
            done = subprocess.run([_IP, *words], capture_output=True, text=True, check=False)
            if done.returncode:
                raise EngineFailed(f"`ip {' '.join(words)}` left with {done.returncode}: {done.stderr.strip()}")

    def stop(self) -> list[str]:
        """Removes all its containers and networks, ends the engine, and returns what is left of it (nothing, as a rule)."""
        if self.answers():
            containers = self.docker("ps", "--all", "--quiet").stdout.split()
            if containers:
                self.docker("rm", "--force", "--volumes", *containers)
            self.docker("network", "prune", "--force")
        pid = self.pid
        if pid:
            _end(pid)
        self._end_orphans()
        self._unmount()
        bridge = self.folder / "bridge"
        if bridge.exists():
            subprocess.run([_IP, "link", "delete", bridge.read_text()], capture_output=True, check=False)
            bridge.unlink()
        return [f"mount {mount}" for mount in self._mounts()] + [f"process {pid}" for pid in self._processes()]

    def _processes(self) -> list[int]:
        """Returns the processes that were started with a path inside this engine's run-time folder: dockerd, containerd, its shims."""
        mark = str(self.folder / "exec")
        found = []
        for entry in Path("/proc").iterdir():
            with contextlib.suppress(OSError):
                command = (entry / "cmdline").read_text(errors="replace") if entry.name.isdigit() else ""
                if mark in command and Path(command.partition("\0")[0]).name.startswith(("dockerd", "containerd")):
                    found.append(int(entry.name))
        return found

    def _end_orphans(self) -> None:
        for pid in self._processes():
            _end(pid)

    def _mounts(self) -> list[str]:
        fields = [line.split() for line in Path("/proc/self/mountinfo").read_text().splitlines()]
        return [field[4] for field in reversed(fields) if Path(field[4]).is_relative_to(self.folder)]

    def _unmount(self) -> None:
        for mount in self._mounts():
            subprocess.run(["/bin/umount", "--lazy", mount], capture_output=True, check=False)


def _end(pid: int) -> None:
    """Asks a process to end, and makes it after a while."""
    for sign in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, sign)
        limit = time.monotonic() + _STOP_SECONDS
        while time.monotonic() < limit:
            if not _runs(pid):
                return
            time.sleep(0.05)


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def main(argv: Sequence[str]) -> int:
    """Runs the command; returns 0, or 3 when the engine did not start or something of it is left."""
    parser = argparse.ArgumentParser(prog="scripts/standin/docker-engine", description=__doc__)
    parser.add_argument("action", choices=("start", "stop", "status"))
    parser.add_argument("--dir", type=Path, required=True, help="the engine's folder; its socket is docker.sock in it")
    parser.add_argument("--purge", action="store_true", help="with stop: remove the folder too (images, volumes, logs)")
    arguments = parser.parse_args(argv)
    engine = Engine(arguments.dir.resolve())
    match arguments.action:
        case "start":
            try:
                engine.start()
            except EngineFailed as error:
                print(f"scripts/standin/docker-engine: {error}", file=sys.stderr)
                return 3
            print(f"unix://{engine.socket}")
        case "stop":
            left = engine.stop()
            if left:
                print(f"scripts/standin/docker-engine: still there: {', '.join(left)}", file=sys.stderr)
                return 3
            if arguments.purge:
                shutil.rmtree(engine.folder, ignore_errors=True)
        case _:
            print(f"runs, process {engine.pid}, unix://{engine.socket}" if engine.answers() else "does not run")
    return 0
