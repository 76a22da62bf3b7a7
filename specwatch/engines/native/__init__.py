"""The stack as child processes on 127.0.0.1: planned, started and kept alive by one supervisor, stopped without a trace.

All files are below <project>/.specwatch/native: config/, data/, secrets/, logs/ and run/ (what the supervisor and the commands
tell each other), for this user alone.
"""

from specwatch.engines.native.control import down, hold, reload, status, up
from specwatch.engines.native.logs import logs
from specwatch.engines.native.plan import plan

__all__ = ["down", "hold", "logs", "plan", "reload", "status", "up"]
