from tests.telemetry.services import database_file, neighbour, redis_port

__all__ = ["database_file", "neighbour", "redis_port"]
