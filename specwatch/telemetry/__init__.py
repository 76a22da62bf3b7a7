"""What an application imports: logs, request metrics, trace ids, health.

The core needs prometheus-client and python-json-logger only. `specwatch.telemetry.flask` needs Flask and
`specwatch.telemetry.gunicorn` needs gunicorn; nothing here needs any other part of specwatch.

prometheus-client decides when it is imported whether it counts over several processes, so importing this package
does not import it: a gunicorn config can set `PROMETHEUS_MULTIPROC_DIR` first.
"""

from specwatch.telemetry.context import RequestContext, bind, current
from specwatch.telemetry.logs import JsonFormatter, configure_logging

__all__ = ["JsonFormatter", "RequestContext", "bind", "configure_logging", "current"]
