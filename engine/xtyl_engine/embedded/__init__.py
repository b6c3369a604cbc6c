"""The back end of one user on one machine: a supervisor that owns a Redis server, a worker and a SQLite file.

Other rooms use `client` (find it, start it, stop it), `status`, `doctor`, `backup` and `log_files`; the rest serves the
supervisor.
"""

__all__ = ["backup", "client", "doctor", "log_files", "status", "supervisor"]
