"""The expected state of an execution after any sequence of transitions, by the rules alone: plain dictionaries, no SQL.
One row's jobs: a, then b and c, a review after b, and a join of the review and c.
"""

from __future__ import annotations

from dataclasses import dataclass, field

PARENTS = {"a": (), "b": ("a",), "c": ("a",), "look": ("b",), "join": ("look", "c")}
OVER = {"completed", "failed", "skipped", "stopped", "quarantined"}
CLAIMABLE = {"pending", "running"}
ENDED = {"completed", "failed", "stopped"}
SUSPECT, POISON = 2, 3


@dataclass
class Attempt:
    """One start of a job."""

    because: str
    outcome: str | None = None


@dataclass
class Expected:
    """One job. `attempts` are its starts, `owner` made the last one; `kept` says that a late result is stored."""

    state: str = "blocked"
    because: str = "first"
    owner: str = ""
    lost: int = 0
    kept: bool = False
    attempts: list[Attempt] = field(default_factory=list)


@dataclass
class Oracle:
    """One execution over `rows` rows."""

    rows: int
    state: str = "pending"
    epoch: int = 0
    jobs: dict[tuple[str, str], Expected] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.jobs = {(node, str(row)): Expected() for row in range(self.rows) for node in PARENTS}
        self._settle()

    @property
    def done(self) -> int:
        return sum(job.state in OVER for job in self.jobs.values())

    @property
    def failed(self) -> int:
        return sum(job.state in ("failed", "quarantined") for job in self.jobs.values())

    def claimable(self, owner: str, order: list[tuple[str, str]]) -> tuple[str, str] | None:
        """The next job for a worker: the first ready one, but a suspect runs alone, and before all others."""
        ready = [key for key in order if self.jobs[key].state == "ready"] if self.state in CLAIMABLE else []
        held = [job for job in self.jobs.values() if job.state == "running" and job.owner == owner]
        suspects = [key for key in ready if self.jobs[key].lost >= SUSPECT]
        if any(job.lost >= SUSPECT for job in held) or (suspects and held):
            return None
        return next(iter(suspects or ready), None)

    def claim(self, key: tuple[str, str], owner: str) -> None:
        job = self.jobs[key]
        self.state = "running"
        job.state, job.owner = "running", owner
        job.attempts.append(Attempt("alone" if job.lost >= SUSPECT else job.because))

    def complete(self, key: tuple[str, str], number: int) -> None:
        """The first commit wins, whichever worker made it, and in whichever epoch; of a job that is over without a
        result one late result is kept."""
        job = self.jobs[key]
        attempt = job.attempts[number - 1]
        if job.state in ("running", "ready"):
            job.state, attempt.outcome = "completed", "completed"
        elif attempt.outcome != "completed":
            kept = job.state not in ("completed", "waiting") and not job.kept
            job.kept = job.kept or kept
            attempt.outcome = "late" if kept else "duplicate"
        self._settle()

    def is_mine(self, key: tuple[str, str], number: int) -> bool:
        """Every outcome but success is fenced on the attempt, and an attempt has one owner."""
        job = self.jobs[key]
        return job.state == "running" and len(job.attempts) == number

    def end(self, key: tuple[str, str], number: int, state: str, outcome: str, because: str | None = None) -> None:
        """End an attempt in any way other than success. If its job is over, only the attempt is ended."""
        job = self.jobs[key]
        attempt = job.attempts[number - 1]
        if self.is_mine(key, number):
            job.state, job.because = state, because or job.because
            attempt.outcome = outcome
            if outcome == "partial" and self.state in CLAIMABLE:
                self.state = "paused"
        elif attempt.outcome is None:
            attempt.outcome = outcome
        self._settle()

    def lose(self, owner: str) -> None:
        """Let a worker die with all its jobs."""
        for job in self.jobs.values():
            if job.state == "running" and job.owner == owner:
                job.lost += 1
                job.attempts[-1].outcome = "lost"
                job.state, job.because = ("quarantined", job.because) if job.lost >= POISON else ("ready", "lost")
        self._settle()

    def may_decide(self, key: tuple[str, str]) -> bool:
        return self.jobs[key].state == "waiting" and self.state not in ENDED

    def decide(self, key: tuple[str, str], *, reject: bool) -> None:
        self.jobs[key].state = "completed"
        self.jobs[key].because = "rejected" if reject else "first"
        self._settle()

    def pause(self) -> bool:
        """Whether it is allowed."""
        if self.state in CLAIMABLE:
            self.state = "paused"
        return self.state == "paused"

    def stop(self) -> bool:
        if self.state in ("completed", "failed"):
            return False
        if self.state != "stopped":
            self.state = "stopped"
            for job in self.jobs.values():
                job.state = job.state if job.state in OVER else "stopped"
        return True

    def resume(self) -> bool:
        if self.state == "paused":
            self.state = "running"
        elif self.state in ("failed", "stopped"):
            self._reopen()
        return self.state != "completed"

    def retry(self) -> bool:
        if self.state == "completed" or not self.failed:
            return False
        self._reopen()
        return True

    def _reopen(self) -> None:
        if self.state in ("failed", "stopped"):
            self.state, self.epoch = "running", self.epoch + 1
        for job in self.jobs.values():
            if job.state == "stopped" and job.attempts and job.attempts[-1].outcome is None:
                # It is still being executed, as far as the record goes: the sweep finds those whose worker has died.
                job.state = "running"
            elif job.state in ("failed", "quarantined", "stopped") or (
                job.state == "skipped" and job.because != "rejected"
            ):
                job.state, job.because, job.lost = "blocked", "reopened", 0
        self._settle()

    def _settle(self) -> None:
        """Apply the consequences; `PARENTS` is in their order."""
        for (node, item), job in self.jobs.items():
            if job.state == "blocked":
                parents = [self.jobs[parent, item] for parent in PARENTS[node]]
                bad = [self._end(parent) for parent in parents if self._end(parent)]
                if bad:
                    job.state, job.because = "skipped", bad[0]
                elif all(parent.state == "completed" for parent in parents):
                    job.state = "ready"
        if self.done == len(self.jobs) and self.state not in ENDED:
            self.state = "failed" if self.failed else "completed"

    def _end(self, parent: Expected) -> str:
        """Apply a parent's bad end to the jobs below it."""
        if parent.state == "completed":
            return "rejected" if parent.because == "rejected" else ""
        if parent.state in ("failed", "quarantined"):
            return "failure"
        return parent.because if parent.state == "skipped" else ""
