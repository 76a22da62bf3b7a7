from tests.telemetry.services import redis_port

__all__ = ["redis_port"]
