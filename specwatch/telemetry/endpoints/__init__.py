"""`/metrics`, `/api/metrics`, statistics and `/health*`, for any web framework or none.

`Endpoints` knows the answers; `wsgi_app` and `asgi_app` serve them beside an application or alone, and the modules `flask` and `fastapi`
here make a blueprint and a router of them.
"""

from specwatch.telemetry.endpoints.asgi import asgi_app
from specwatch.telemetry.endpoints.core import Answer, Endpoints
from specwatch.telemetry.endpoints.wsgi import wsgi_app

__all__ = ["Answer", "Endpoints", "asgi_app", "wsgi_app"]
