"""As whom a component's container runs."""

from specwatch.components import BY_NAME
from specwatch.stack import Stack


def user(stack: Stack, component: str) -> str:
    """Return the numeric user[:group]: its image's own, but root for a Fluentd that reads Docker's log files."""
    return "0:0" if component == "fluentd" == stack.shipper else BY_NAME[component].user
