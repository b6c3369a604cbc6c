"""The engine behind `xtyl_nb`: SQL is the truth, Celery carries hints, Redis carries live events."""

__version__ = "0.1.0"
