"""Steps that take long: what they print, how they run outside commands, and what is shown when one fails."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

_SHOWN_LINES = 20


class StepFailed(Exception):  # noqa: N818 - named for what happened, as the steps are
    """A step could not be done; its message says what failed and what to do."""


def _clock(seconds: float) -> str:
    whole = round(seconds)
    return f"{whole // 60}:{whole % 60:02d}"


class Reporter:
    """Prints one line when a step begins and one when it ends, and on a terminal a ticking line of what is under way."""

    def __init__(self, *, quiet: bool = False) -> None:
        self.out = sys.stderr if quiet else sys.stdout
        self._ticks = self.out.isatty()
        self._running: dict[str, float] = {}
        self._lock = threading.Lock()

    def _clear(self) -> None:
        if self._ticks:
            self.out.write("\r\033[K")

    def say(self, line: str) -> None:
        """Prints one line above the ticking one."""
        with self._lock:
            self._clear()
            print(line, file=self.out, flush=True)

    @contextmanager
    def step(self, name: str, what: str, usual: str) -> Iterator[None]:
        """Announces `what`, with how long it usually takes, and says how long it took."""
        self.say(f"  {name}: {what} (usually {usual}) …")
        began = time.monotonic()
        with self._lock:
            self._running[name] = began
        try:
            yield
        except BaseException:
            self._finish(name, f"  {name}: FAILED after {_clock(time.monotonic() - began)}")
            raise
        self._finish(name, f"  {name}: done in {_clock(time.monotonic() - began)}")

    def _finish(self, name: str, line: str) -> None:
        with self._lock:
            del self._running[name]
        self.say(line)

    @contextmanager
    def ticking(self) -> Iterator[None]:
        """Keeps the ticking line up to date while inside; does nothing where the output is not a terminal."""
        stop = threading.Event()

        def tick() -> None:
            while not stop.wait(1):
                with self._lock:
                    now = time.monotonic()
                    line = "  …  ".join(f"{name} {_clock(now - began)}" for name, began in self._running.items())
                    self._clear()
                    self.out.write(f"    {line}"[:100])
                    self.out.flush()

        thread = threading.Thread(target=tick, daemon=True)
        if self._ticks:
            thread.start()
        try:
            yield
        finally:
            stop.set()
            if self._ticks:
                thread.join()
                with self._lock:
                    self._clear()
                    self.out.flush()


def run(command: Sequence[str], log: Path, *, env: Mapping[str, str] | None = None, cwd: Path | None = None) -> None:
    """Runs a command with its output added to `log`.

    Raises:
        StepFailed: it cannot be started or leaves with another code than 0; the message ends with the log's last lines.
    """
    with log.open("a") as out:
        print("$", *command, file=out, flush=True)
        try:
            done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=env, cwd=cwd, check=False)
        except OSError as error:
            raise StepFailed(f"{command[0]}: {error.strerror}") from error
    if done.returncode:
        last = "\n".join(f"      {line}" for line in log.read_text(errors="replace").splitlines()[-_SHOWN_LINES:])
        raise StepFailed(f"a command left with {done.returncode}, see {log}\n{last}")
