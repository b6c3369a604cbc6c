"""Copies of a back end: what they take again, what they refuse, what they leave alone."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from servers import postgres_program
from workbench import workbench
from xtyl_engine.database.retention.files import files_in
from xtyl_engine.embedded.backup import BackupError, back_up, restore
from xtyl_engine.functions.packed_function import load_key
from xtyl_engine.settings import Settings, load_settings, prepare_home
from xtyl_engine.values.artifacts import ArtifactStore


def home(folder: Path) -> Settings:
    settings = load_settings({"XTYL_HOME": str(folder)})
    prepare_home(settings)
    return settings


def test_a_home_that_was_never_used_is_copied_and_restored(tmp_path: Path) -> None:
    """A database without tables is a backup as any other."""
    done = back_up(home(tmp_path / "one"), tmp_path / "copy")
    assert (done.files, done.missing) == (0, ())
    done = restore(load_settings({"XTYL_HOME": str(tmp_path / "two")}), tmp_path / "copy")
    assert (done.files, done.missing) == (0, ())
    assert (tmp_path / "two" / "xtyl.db").is_file()


def test_copies_are_private_under_any_umask(tmp_path: Path) -> None:
    """Every file and folder of a home, of its backup and of what is restored, with the folders on the way there."""
    before = os.umask(0)
    try:
        settings = home(tmp_path / "deep" / "one")
        ArtifactStore(settings.artifacts_folder).save(b"x", "text/plain")
        load_key(settings.key_file)
        back_up(settings, tmp_path / "far" / "copy")
        restore(load_settings({"XTYL_HOME": str(tmp_path / "other" / "two")}), tmp_path / "far" / "copy")
    finally:
        os.umask(before)
    found = {path: path.stat().st_mode & 0o077 for path in tmp_path.rglob("*")}
    assert {path.name for path in found} >= {"xtyl.db", "key", "artifacts"}
    assert [path for path, mode in found.items() if mode] == []


def test_a_file_that_stays_takes_no_room_again(tmp_path: Path) -> None:
    """The second backup shares the files of the first, though those of the back end are others by now."""
    with workbench(tmp_path) as bench:
        store = bench.settings.artifacts_folder
        (store / "ab" / "cd").mkdir(parents=True)
        name = Path("ab") / "cd" / f"abcd{'0' * 60}.png"
        (store / name).write_bytes(b"picture")
        back_up(bench.settings, tmp_path / "first")
        (store / name).unlink()
        (store / name).write_bytes(b"picture")
        back_up(bench.settings, tmp_path / "second", tmp_path / "first")
        copies = [tmp_path / each / "artifacts" / name for each in ("first", "second")]
        assert os.path.samefile(*copies)
        assert not os.path.samefile(copies[0], store / name)
        (store / name).write_bytes(b"a longer one")
        back_up(bench.settings, tmp_path / "third", tmp_path / "second")
        assert (tmp_path / "third" / "artifacts" / name).read_bytes() == b"a longer one"


def test_what_does_not_fit_is_not_begun(tmp_path: Path) -> None:
    """The error names what is needed and what is free, and no database is copied."""
    settings = home(tmp_path / "one")
    # It takes no room: nothing is written to it.
    os.truncate(settings.home / "xtyl.db", 2**43)
    with pytest.raises(BackupError, match=r"needs 8,796,093\.\d MB more, and its disk has [\d,.]+ MB free"):
        back_up(settings, tmp_path / "copy")
    assert list((tmp_path / "copy").glob("xtyl*")) == []


def test_retention_may_be_at_work_meanwhile(postgres_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that goes, and one that comes, while the database is copied are both in the backup: the copy may refer to either."""
    settings = load_settings({"XTYL_HOME": str(tmp_path / "one"), "XTYL_DATABASE_URL": postgres_url})
    prepare_home(settings)
    folder, program = settings.artifacts_folder / "ab" / "cd", tmp_path / "bin" / "pg_dump"
    folder.mkdir(parents=True)
    program.parent.mkdir()
    old, new = (folder / f"abcd{digit * 60}.png" for digit in "01")
    old.write_bytes(b"old")
    program.write_text(f"""#!/bin/sh\nrm {old}; printf new > {new}; exec {postgres_program("pg_dump")} "$@"\n""")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    assert back_up(settings, tmp_path / "copy").files == 2
    kept = tmp_path / "copy" / "artifacts" / "ab" / "cd"
    assert [(kept / path.name).read_bytes() for path in (old, new)] == [b"old", b"new"]


def test_half_a_file_is_not_taken_for_a_whole_one(tmp_path: Path) -> None:
    """What a process that was killed has copied in part has a name that no backup takes along."""
    settings = home(tmp_path / "one")
    folder = settings.artifacts_folder / "ab" / "cd"
    folder.mkdir(parents=True)
    (folder / f".abcd{'0' * 60}.png.partial").write_bytes(b"half")
    assert back_up(settings, tmp_path / "copy").files == 0
    assert list(files_in(tmp_path / "copy" / "artifacts")) == []


def test_a_damaged_database_is_named(tmp_path: Path) -> None:
    """The error says what SQLite found, instead of being SQLite's own."""
    settings = home(tmp_path / "one")
    (settings.home / "xtyl.db").write_bytes(b"no database at all" * 100)
    with pytest.raises(BackupError, match=r"xtyl\.db cannot be copied: file is not a database"):
        back_up(settings, tmp_path / "copy")


def test_no_key_is_replaced(tmp_path: Path) -> None:
    """A home with another key is refused before anything is written; with the same one it is restored."""
    one, two = home(tmp_path / "one"), home(tmp_path / "two")
    one.key_file.write_bytes(b"k" * 32)
    two.key_file.write_bytes(b"o" * 32)
    back_up(one, tmp_path / "copy")
    with pytest.raises(BackupError, match="another key"):
        restore(two, tmp_path / "copy")
    assert two.key_file.read_bytes() == b"o" * 32
    two.key_file.write_bytes(b"k" * 32)
    assert restore(two, tmp_path / "copy").files == 0


def test_a_backup_of_another_kind_of_database_is_named(tmp_path: Path) -> None:
    """A dump of PostgreSQL cannot be restored to SQLite, and the error says what it is."""
    (tmp_path / "copy").mkdir()
    (tmp_path / "copy" / "xtyl.dump").write_bytes(b"PGDMP")
    with pytest.raises(BackupError, match="holds a backup of PostgreSQL"):
        restore(home(tmp_path / "one"), tmp_path / "copy")
