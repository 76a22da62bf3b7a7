"""The real programs: find them, start them, stop them, ask them.

`programs` finds them, `native` runs them as child processes, `compose` has Docker run them (`docker` asks it), `runtime` chooses between
the two and `effective` compares what runs with what was rendered. Nothing here prints: progress goes to a `Report`, failures are
`EngineError`.
"""
