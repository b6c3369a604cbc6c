"""Celery's app, Redis and live events: notifications that there is work, and news that something happened.

A lost message does no harm; the truth is in SQL. Other rooms send with `celery_app`, publish and wait with `live_events`,
listen with `async_listener`, and ask a broker about itself with `redis_client`.
"""

__all__ = ["async_listener", "celery_app", "live_events", "redis_client"]
