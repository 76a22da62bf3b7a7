"""The stack as child processes on 127.0.0.1: planned, started and kept alive by one supervisor, stopped without a trace.

`plan.plan` says what is to run; `control` has up, hold, down, reload and status; `logs.logs` reads what the processes say. All files
are below <project>/.specwatch/native: config/, data/, secrets/, logs/ and run/ (what the supervisor and the commands tell each
other), for this user alone.
"""
