"""Celery's app, Redis and live events: notifications that there is work, and news that something happened.

All of it may be lost without harm; the truth is in SQL. Others send by `celery_app`, publish and wait by `live_events`,
listen by `async_listener`, and ask a broker about itself by `redis_client`.
"""

__all__ = ["async_listener", "celery_app", "live_events", "redis_client"]
