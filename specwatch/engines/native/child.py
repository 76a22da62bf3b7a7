"""One supervised process: its start, its end, and when it may start again."""

import ctypes
import os
import signal
import subprocess
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Final

from specwatch.engines.native import processes
from specwatch.engines.native.logfile import LogFile
from specwatch.engines.native.model import ChildState, Command

FIRST_DELAY_SECONDS: Final = 0.2
LAST_DELAY_SECONDS: Final = 10.0
# Who ran this long is not failing at its start: the next restart is quick again.
STEADY_SECONDS: Final = 30.0
_PR_SET_PDEATHSIG: Final = 1
# What a process gets of the environment in which `up` was called; all else it gets from its command.
_INHERITED: Final = ("HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "TZ", "TMPDIR", "SSL_CERT_FILE", "SSL_CERT_DIR")
_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class Child:
    """A command and the process that runs it just now; `pid` is 0 while there is none, `due` the time of its next start or 0."""

    def __init__(self, command: Command, log: LogFile) -> None:
        self.command = command
        self.log = log
        self.pid = 0
        self.due = 0.0
        self.reason = ""
        self._process: subprocess.Popen[bytes] | None = None
        self._started = 0
        self._since = 0.0
        self._restarts = -1
        self._delay = FIRST_DELAY_SECONDS
        self._cancelled = False
        self._libc = ctypes.CDLL(None)

    def launch(self, env: Mapping[str, str], parent: int) -> int:
        """Start the process; return the handle of its output, or -1 when it could not be started (it is due again then)."""
        command = self.command
        self.due = 0.0
        self._restarts += 1
        inherited = {name: os.environ[name] for name in _INHERITED if name in os.environ}
        try:
            self._process = subprocess.Popen(
                command.argv,
                cwd=command.cwd,
                env={**inherited, "PATH": search_path(command.path), **command.env, **env},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                bufsize=0,
                process_group=0,
                preexec_fn=lambda: die_with_parent(self._libc, signal.SIGKILL, parent),  # noqa: PLW1509  # there is one thread only
            )
        except OSError as error:
            self._retry(f"cannot be started: {error.strerror}: {error.filename}")
            return -1
        self.pid = self._process.pid
        self._started = processes.start_time(self.pid)
        self._since = time.monotonic()
        output = self._process.stdout
        if output is None:  # never with PIPE
            return -1
        handle = os.dup(output.fileno())
        output.close()
        os.set_blocking(handle, False)
        return handle

    def reap(self) -> bool:
        """Return whether the process has ended since the last call, and settle whether it is to start again."""
        if self._process is None or os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
            return False
        # Until the leader is reaped nobody else can have its group's number. What it left would keep its port.
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        code = self._process.wait()
        self._process, self.pid = None, 0
        if time.monotonic() - self._since > STEADY_SECONDS:
            self._delay = FIRST_DELAY_SECONDS
        reason = f"ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        if self._cancelled or self.command.restart == "no" or (self.command.restart == "on-failure" and code == 0):
            self.reason = reason
        else:
            self._retry(reason)
        return True

    def cancel(self) -> None:
        """Do not start it again."""
        self._cancelled = True
        self.due = 0.0

    def end(self, number: int) -> None:
        """Send the process a signal; SIGKILL goes to all of its group."""
        if not self.pid:
            return
        with suppress(ProcessLookupError):
            if number == signal.SIGKILL:
                os.killpg(self.pid, number)
            else:
                os.kill(self.pid, number)

    def state(self) -> ChildState:
        """Return what `status` shows."""
        return ChildState(
            name=self.command.name,
            state="running" if self.pid else "restarting" if self.due else "stopped",
            pid=self.pid,
            start=self._started if self.pid else 0,
            since=self._since if self.pid else 0.0,
            restarts=max(self._restarts, 0),
            reason=self.reason,
        )

    def _retry(self, reason: str) -> None:
        self.reason = reason
        self.due = time.monotonic() + self._delay
        self._delay = min(self._delay * 2, LAST_DELAY_SECONDS)


def search_path(first: tuple[str, ...]) -> str:
    """Return the PATH of a command whose own folders come `first`."""
    return os.pathsep.join([*first, os.environ.get("PATH", _PATH)])


def die_with_parent(libc: ctypes.CDLL, number: int, parent: int) -> None:
    """Ask the kernel to send this process a signal when its parent ends, however that ends."""
    libc.prctl(_PR_SET_PDEATHSIG, number)
    if os.getppid() != parent:  # it ended before the kernel was asked
        os.kill(os.getpid(), number)
