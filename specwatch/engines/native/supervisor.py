"""The one process that owns the stack's processes: starts them, relays their output, restarts what dies, stops them in order.

Run as `python -m specwatch.engines.native.supervisor RUNFOLDER [--attached]`. It reads run/plan.json, keeps run/state.json, and takes
orders by signal: SIGHUP means "read the plan again and converge", SIGTERM and SIGINT "stop everything". Attached, it stops when its
parent ends, whatever ends it; otherwise it detaches itself. It holds run/supervisor.lock for as long as it lives.
"""

import ctypes
import fcntl
import os
import selectors
import signal
import sys
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final, cast

import msgspec

from specwatch.engines.native import processes
from specwatch.engines.native.child import Child, die_with_parent
from specwatch.engines.native.logfile import LogFile
from specwatch.engines.native.model import MARK, Command, RunFolder, Saved, State, read, replace

STOP_SECONDS: Final = 10.0
_CHUNK_BYTES: Final = 1 << 16
_LOCK_SECONDS: Final = 3.0
_IDLE_SECONDS: Final = 60.0
_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD)


class Supervisor:
    """The event loop: one thread, woken by signals, by output, and by the next restart that is due."""

    def __init__(self, folder: RunFolder) -> None:
        self._folder = folder
        self._pid = os.getpid()
        self._start = processes.start_time(self._pid)
        self._log = LogFile(folder.log("supervisor"))
        self._selector = selectors.DefaultSelector()
        self._children: dict[str, Child] = {}
        self._generation = 0
        self._orders: list[int] = []
        self._stopping = False

    def run(self) -> None:
        """Serve until told to stop."""
        reader, writer = os.pipe()
        os.set_blocking(reader, False)
        os.set_blocking(writer, False)
        signal.set_wakeup_fd(writer)
        for number in _SIGNALS:
            signal.signal(number, lambda *_: None)
        self._selector.register(reader, selectors.EVENT_READ, self._take_orders)
        self._guard()
        self._say("began")
        self._converge()
        while not self._stopping:
            self._tick()
            orders, self._orders = self._orders, []
            if signal.SIGTERM in orders or signal.SIGINT in orders:
                self._stopping = True
            elif signal.SIGHUP in orders:
                self._converge()
        self._stop(self._children.values())
        self._children.clear()
        self._save()
        self._say("ended")

    def _tick(self, limit_seconds: float = _IDLE_SECONDS) -> None:
        due = [child.due for child in self._children.values() if child.due]
        wait = max(0.0, min([limit_seconds, *(at - time.monotonic() for at in due)]))
        for key, _ in self._selector.select(wait):
            cast("Callable[[int], None]", key.data)(key.fd)
        changed = False
        for child in self._children.values():
            if child.reap():
                self._say(f"{child.command.name}: {child.reason}")
                changed = True
            if not self._stopping and child.due and child.due <= time.monotonic():
                self._launch(child)
                changed = True
        if changed:
            self._save()

    def _take_orders(self, handle: int) -> None:
        with suppress(BlockingIOError):
            self._orders.extend(os.read(handle, _CHUNK_BYTES))

    def _converge(self) -> None:
        saved = read(self._folder.plan, Saved)
        if saved is None:
            self._say("run/plan.json cannot be read: nothing changed")
            return
        wanted = {command.name: command for command in saved.commands}
        gone = [c for name, c in self._children.items() if name not in wanted or not c.command.same_process(wanted[name])]
        self._stop(gone)
        for child in gone:
            del self._children[child.command.name]
        for command in sorted(saved.commands, key=lambda command: command.wave):
            if command.name in self._children:
                self._children[command.name].command = command
            else:
                self._children[command.name] = self._child(command)
        self._generation = saved.generation
        self._save()

    def _child(self, command: Command) -> Child:
        child = Child(command, LogFile(self._folder.log(command.name)))
        self._launch(child)
        return child

    def _launch(self, child: Child) -> None:
        run = processes.mark(self._folder.root, self._pid, self._start)
        output = child.launch({MARK: run}, self._pid)
        if output >= 0:
            self._selector.register(output, selectors.EVENT_READ, self._relay(child.log))
        self._say(f"{child.command.name}: {f'pid {child.pid}' if child.pid else child.reason}")

    def _relay(self, log: LogFile) -> Callable[[int], None]:
        def relay(handle: int) -> None:
            try:
                chunk = os.read(handle, _CHUNK_BYTES)
            except BlockingIOError:
                return
            if chunk:
                log.write(chunk)
            else:
                self._selector.unregister(handle)
                os.close(handle)

        return relay

    def _stop(self, children: Iterable[Child]) -> None:
        waves: dict[int, list[Child]] = {}
        for child in children:
            child.cancel()
            waves.setdefault(child.command.wave, []).append(child)
        for wave in sorted(waves, reverse=True):
            for child in waves[wave]:
                child.end(signal.SIGTERM)
            limit = time.monotonic() + STOP_SECONDS
            while any(child.pid for child in waves[wave]):
                left = limit - time.monotonic()
                if left <= 0:
                    for child in waves[wave]:
                        child.end(signal.SIGKILL)
                self._tick(max(left, 0.05))

    def _save(self) -> None:
        state = State(
            pid=self._pid, start=self._start, generation=self._generation, children=tuple(c.state() for c in self._children.values())
        )
        # A full disk must not end the stack; the next change writes it again.
        with suppress(OSError):
            replace(self._folder.state, msgspec.json.encode(state))

    def _say(self, text: str) -> None:
        self._log.write(f"{time.strftime('%Y-%m-%dT%H:%M:%S%z')} {text}\n".encode())

    def _guard(self) -> None:
        """Leave a process behind that ends what a killed supervisor's children left: their own children outlive them."""
        reader, _writer = os.pipe()
        if os.fork():
            os.close(reader)  # the write end stays open, in this process alone, until it ends
            return
        for number in _SIGNALS:
            signal.signal(number, signal.SIG_IGN)
        signal.set_wakeup_fd(-1)
        os.closerange(3, reader)
        os.closerange(reader + 1, 256)
        os.read(reader, 1)
        run = processes.mark(self._folder.root, self._pid, self._start)
        while left := processes.marked(self._folder.root, run):
            processes.kill(left, signal.SIGKILL)
            time.sleep(0.05)
        os._exit(0)


def main(arguments: list[str]) -> int:
    """Run the supervisor; returns 0 when it has stopped everything, 3 when another one holds the run folder."""
    folder = RunFolder(Path(arguments[0]))
    if "--attached" in arguments:
        die_with_parent(ctypes.CDLL(None), signal.SIGTERM, int(arguments[arguments.index("--attached") + 1]))
    elif os.fork():
        os._exit(0)
    else:
        os.setsid()
    with folder.lock.open("a") as lock:
        if not _locked(lock.fileno()):
            return 3
        lock.truncate(0)
        lock.write(f"{os.getpid()} {processes.start_time(os.getpid())}")
        lock.flush()
        Supervisor(folder).run()
    return 0


def _locked(handle: int) -> bool:
    # Whoever asks whether a supervisor is there holds the lock for a moment, too.
    limit = time.monotonic() + _LOCK_SECONDS
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > limit:
                return False
            time.sleep(0.01)
        else:
            return True


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
