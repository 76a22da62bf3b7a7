"""The command line: the only place that prints, reads arguments or picks exit codes."""

import sys

MISSING = """\
specwatch: the command line needs more than the light core that applications import.
Install it with:  pip install 'specwatch[generator,inbox]'   (missing: {name})"""


def main() -> None:
    """Run the command line."""
    try:
        from specwatch.cli.commands import run  # noqa: PLC0415  # so that a missing extra gets a sentence, not a traceback

        run()
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("specwatch"):
            raise
        print(MISSING.format(name=error.name), file=sys.stderr)
        sys.exit(3)
    except KeyboardInterrupt:  # while the command line itself was being imported
        sys.exit(130)
