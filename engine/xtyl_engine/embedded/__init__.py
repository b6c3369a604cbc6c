"""The back end of one user on one machine: a supervisor that owns a Redis server, a worker and a SQLite file.

Other rooms use `client` (find it, start it, stop it), `attendance` (look whether its worker is there), `status`, what it says
in `state_file`, `doctor`, and `backup` and `backup_folder`, which copy a shared back end too. The client starts `supervisor`, a
process of its own, which the rest serves.
"""

__all__ = ["attendance", "backup", "backup_folder", "client", "doctor", "state_file", "status"]
