"""`specwatch trace ID`."""

import click
import msgspec

from specwatch import names
from specwatch.cli import _request, _screen
from specwatch.cli._project import Project, json_option, project_options
from specwatch.cli._text import short
from specwatch.engines.trace import gather, parse_id, parts
from specwatch.errors import UsageError
from specwatch.spec.model.values import Duration

NOTHING, UNANSWERED = 1, 3


def _seconds(_ctx: click.Context, _option: click.Parameter, text: str) -> int:
    try:
        seconds = names.seconds(msgspec.convert(text, Duration))
    except msgspec.ValidationError:
        seconds = 0
    if not seconds:
        raise click.BadParameter(f"found {short(text)}, expected a duration such as 30m, 24h or 7d")
    return seconds


@click.command("trace")
@click.argument("trace_id", metavar="ID")
@project_options
@click.option("--since", callback=_seconds, default="24h", metavar="DURATION", show_default=True, help="How far back to look.")
@json_option
@click.pass_context
def command(ctx: click.Context, project: Project, *, trace_id: str, since: int, as_json: bool) -> None:
    """Show all that the running stack knows of one request: its spans, its log lines and its metrics' samples, in one view.

    ID is the trace id: 32 hex digits as in log lines, or the UUID of an X-Trace-ID header. Leaves with 1 when nothing is known of it,
    and with 3 when nothing answers that could know.
    """
    known = parse_id(trace_id)
    if not known:
        raise UsageError(f"{short(trace_id)} is no trace id: expected 32 hex digits, such as 0af7651916cd43dd8448eb211c80319c, or a UUID")
    stack = project.stack()
    trace = gather(stack, parts(stack, project.folder), known, since)
    for each in trace.missing:
        click.echo(f"No {each.what}: {short(each.why)}", err=True)
    if as_json:
        _screen.as_json(**_request.as_data(trace))
    elif trace.found:
        click.echo(_request.as_text(trace))
    elif trace.answered:
        click.echo(f"Nothing is known of {known} within the time that was looked at; --since looks further back.", err=True)
    ctx.exit(0 if trace.found else NOTHING if trace.answered else UNANSWERED)
