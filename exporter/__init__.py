"""The demo shop: a small instrumented Flask application that can be broken and mended on purpose."""
