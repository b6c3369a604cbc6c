"""Backups in a folder: which are whole, when the next is due, which goes."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from xtyl_engine.embedded.backup import Copied
from xtyl_engine.embedded.backup_folder import Backup, add, backups, keep_backups, latest, seconds_until_due

DAY = 86_400.0


def copied(target: Path, earlier: Path | None) -> Copied:
    """A backup that notes the one before it."""
    target.mkdir()
    (target / "earlier").write_text(earlier.name if earlier else "")
    return Copied(files=0, bytes=3, missing=())


def test_the_oldest_goes_when_a_new_one_is_whole(tmp_path: Path) -> None:
    """Of nine made, the last seven are left in their order, each told of the one before; other files and folders stay."""
    for name in ("xtyl-000000-20200101T000000Z", "mine"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "letter").write_text("dear")
    made = [add(tmp_path, copied, keep=7) for _ in range(9)]
    found = backups(tmp_path)
    assert found == made[2:]
    assert [each.number for each in found] == [3, 4, 5, 6, 7, 8, 9]
    assert (found[-1].path / "earlier").read_text() == found[-2].path.name
    others = {"xtyl-000000-20200101T000000Z", "mine"}
    assert {path.name for path in tmp_path.iterdir()} == {each.path.name for each in found} | others
    assert all((tmp_path / name / "letter").exists() for name in others)


def test_while_one_is_made_all_others_are_there(tmp_path: Path) -> None:
    """There is one more than are kept at most, and none goes before the new one has its name."""
    counts = []

    def counted(target: Path, earlier: Path | None) -> Copied:
        counts.append(len(backups(tmp_path)))
        return copied(target, earlier)

    for _ in range(4):
        add(tmp_path, counted, keep=2)
    assert counts == [0, 1, 2, 2]


@pytest.mark.parametrize("error", [OSError("the disk is full"), SystemExit(0), KeyboardInterrupt()])
def test_half_a_backup_is_none(tmp_path: Path, error: BaseException) -> None:
    """One that fails or is interrupted leaves nothing, and takes no earlier one along."""
    first = add(tmp_path, copied, keep=1)

    def broken(target: Path, earlier: Path | None) -> Copied:
        copied(target, earlier)
        raise error

    with pytest.raises(type(error)):
        add(tmp_path, broken, keep=1)
    assert backups(tmp_path) == [first]
    assert os.listdir(tmp_path) == [first.path.name]


def test_what_a_killed_process_leaves_is_cleared(tmp_path: Path) -> None:
    """Neither half a new backup nor half a removed one is in the way of the next, or stays."""
    for name in (".partial", ".going"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "xtyl.dump").write_text("half")
    assert backups(tmp_path) == []
    made = add(tmp_path, copied, keep=7)
    assert os.listdir(tmp_path) == [made.path.name]


def test_what_cannot_be_read_is_no_backup(tmp_path: Path) -> None:
    """A folder whose description is damaged is not counted and not removed."""
    made = add(tmp_path, copied, keep=7)
    (made.path / "backup.json").write_text("{")
    other = add(tmp_path, copied, keep=1)
    assert backups(tmp_path) == [other]
    assert made.path.exists()


def test_one_that_fails_is_tried_again_before_the_next_is_due(tmp_path: Path) -> None:
    """Whatever the error is, it is counted, and the schedule goes on from the backup that follows."""
    tries: list[Path] = []
    failures: list[int] = []

    def shaky(target: Path, earlier: Path | None) -> Copied:
        tries.append(target)
        if len(tries) == 4:
            raise SystemExit(0)
        if len(tries) < 3:
            raise (OSError("the disk is full"), ValueError("a fault of ours"))[len(tries) - 1]
        return copied(target, earlier)

    with pytest.raises(SystemExit):
        keep_backups(tmp_path, shaky, every=0.01, keep=7, failed=lambda: failures.append(len(tries)))
    assert failures == [1, 2]
    assert [each.number for each in backups(tmp_path)] == [1]


def test_an_old_one_that_stays_costs_no_new_one(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Where an old backup cannot be removed, the new one is made all the same, and the log says so."""
    first = add(tmp_path, copied, keep=1)
    # A file of this name cannot be replaced by a folder.
    (tmp_path / ".going").write_text("")
    second = add(tmp_path, copied, keep=1)
    assert backups(tmp_path) == [first, second]
    assert "an old backup was not removed" in caplog.text
    (tmp_path / ".going").unlink()
    third = add(tmp_path, copied, keep=1)
    assert backups(tmp_path) == [third]


def at(*times: float) -> list[Backup]:
    return [Backup(path=Path("/x"), number=number, made=made, bytes=1) for number, made in enumerate(times)]


@pytest.mark.parametrize(
    ("times", "now", "wait"),
    [
        ([], 10 * DAY, 0.0),
        ([10 * DAY], 10 * DAY, DAY),
        ([9 * DAY, 10 * DAY], 10.5 * DAY, DAY / 2),
        ([10 * DAY], 30 * DAY, 0.0),
        # The clock was years ahead when the second was made, and is right again.
        ([9 * DAY, 4000 * DAY], 10 * DAY, 0.0),
        ([9 * DAY, 4000 * DAY, 10 * DAY], 10.5 * DAY, DAY / 2),
        ([4000 * DAY], 10 * DAY, 0.0),
        # It went back by half a day just after one.
        ([9 * DAY, 10 * DAY], 9.5 * DAY, DAY / 2),
    ],
)
def test_the_next_is_due_a_day_after_the_last(times: list[float], now: float, wait: float) -> None:
    """It goes by when backups were made, so a new process continues; a clock that was wrong never puts it off by over a day."""
    assert seconds_until_due(at(*times), DAY, now) == wait


def test_a_wrong_clock_costs_no_backup_its_place(tmp_path: Path) -> None:
    """One that a clock of the future has stamped is the oldest by its number, and goes before those made since; it is not what
    Prometheus is told of."""
    first = add(tmp_path, copied, keep=2)
    about = json.loads((first.path / "backup.json").read_bytes())
    (first.path / "backup.json").write_text(json.dumps({**about, "made": about["made"] + 4000 * DAY}))
    second = add(tmp_path, copied, keep=2)
    assert latest(backups(tmp_path), second.made) == second
    third = add(tmp_path, copied, keep=2)
    assert backups(tmp_path) == [second, third]
