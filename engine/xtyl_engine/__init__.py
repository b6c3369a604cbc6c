"""The engine behind `xtyl_nb`: SQL holds the state, Celery carries notifications, Redis carries live events."""

__version__ = "0.1.0"
