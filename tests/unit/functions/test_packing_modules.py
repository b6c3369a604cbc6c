"""Modules that are not installed: what the kernel holds of them is what runs, wherever their files are by then."""

from __future__ import annotations

from pathlib import Path

import pytest

from cells import call_in_runner, pack_in_kernels

PRICING = "RATE = 2\n\ndef total(x):\n    return x * RATE\n\nclass Basket:\n    def total(self, x):\n        return total(x)\n"
LOCKED = "import threading\nLOCK = threading.Lock()\n\ndef total(x):\n    with LOCK:\n        return x * 2\n"
CALLS = "import pricing\ndef step(x):\n    return pricing.total(x)"
TAKES = "from pricing import total\ndef step(x):\n    return total(x)"
CLASS = "from pricing import Basket\nbasket = Basket()\ndef step(x):\n    return basket.total(x)"
WITHIN = "def step(x):\n    import pricing\n    return pricing.total(x)"
FROM_WITHIN = "def step(x):\n    from pricing import total\n    return total(x)"
WAYS = {"imported": CALLS, "taken": TAKES, "class": CLASS, "within": f"import pricing\n{WITHIN}"}


@pytest.fixture
def src(tmp_path: Path) -> Path:
    """A folder on the kernel's path that is not its own."""
    made = tmp_path / "src"
    made.mkdir()
    (tmp_path / "notebooks").mkdir()
    return made


@pytest.mark.parametrize("way", WAYS)
def test_a_module_of_another_folder_goes_along(way: str, src: Path) -> None:
    """A module that any entry of the kernel's path has runs where it cannot be found."""
    (src / "pricing.py").write_text(PRICING)
    (sent,) = pack_in_kernels([[WAYS[way]]], folder=src.parent / "notebooks", path=[src])
    assert call_in_runner(sent, x=3).result == 6


@pytest.mark.parametrize("way", WAYS)
def test_a_reloaded_module_is_the_new_one(way: str, src: Path) -> None:
    """After an edit the run computes what the kernel computes: the module as it was imported, or as it was reloaded."""
    (src / "pricing.py").write_text(PRICING)
    edit = f"import pathlib\npathlib.Path({str(src / 'pricing.py')!r}).write_text({PRICING.replace('2', '30')!r})"
    again = "import importlib, pricing\nimportlib.reload(pricing)"
    first, second = pack_in_kernels(
        [[WAYS[way], edit], [edit, WAYS[way], again, WAYS[way]]], folder=src.parent / "notebooks", path=[src]
    )
    assert call_in_runner(first, path=[src], x=3).result == 6
    assert call_in_runner(second, path=[src], x=3).result == 90


def test_a_package_goes_along_with_its_parts(src: Path) -> None:
    """Submodules, relative imports and those inside functions find the kernel's own."""
    package = src / "shop"
    package.mkdir()
    (package / "__init__.py").write_text("from .rates import RATE\n")
    (package / "rates.py").write_text("RATE = 2\n")
    (package / "late.py").write_text("MORE = 1\n")
    (package / "pricing.py").write_text(
        "from . import rates\ndef total(x):\n    from .late import MORE\n    return x * rates.RATE + MORE\n"
    )
    cells = [
        "import shop.pricing, shop.late\ndef step(x):\n    return shop.pricing.total(x)",
        "import shop.late\nfrom shop.pricing import total as step",
        "import shop.late, shop.pricing\ndef step(x):\n    from shop import pricing\n    return pricing.total(x)",
    ]
    for sent in pack_in_kernels([[cell] for cell in cells], path=[src]):
        assert call_in_runner(sent, x=3).result == 7


def test_a_namespace_package_goes_along(src: Path) -> None:
    """A folder without `__init__.py` is a package too."""
    (src / "shop").mkdir()
    (src / "shop" / "pricing.py").write_text(PRICING)
    (sent,) = pack_in_kernels([["import shop.pricing\ndef step(x):\n    return shop.pricing.total(x)"]], path=[src])
    assert call_in_runner(sent, x=3).result == 6


IN_PACKAGES = {
    "imported": "import shop.parts.pricing, shop.parts.locked\ndef step(x):\n"
    "    return shop.parts.pricing.total(x) + shop.parts.locked.total(x)",
    "within": "import shop.parts.pricing, shop.parts.locked\ndef step(x):\n"
    "    import shop.parts.pricing\n    from shop.parts.locked import total\n"
    "    return shop.parts.pricing.total(x) + total(x)",
    "within alone": "def step(x):\n    import shop.parts.pricing\n    from shop.parts.locked import total\n"
    "    return shop.parts.pricing.total(x) + total(x)",
    "of a lambda": "from shop.parts.locked import double\nfrom shop.parts import pricing\ndef step(x):\n"
    "    return double(x) + pricing.total(x)",
}


@pytest.mark.parametrize("has_init", [True, False], ids=["with __init__", "without __init__"])
@pytest.mark.parametrize("way", IN_PACKAGES)
def test_modules_of_one_package_go_either_way(way: str, has_init: bool, src: Path) -> None:
    """One by value and one by its file are both found in their package, which is a folder in a folder."""
    (src / "shop" / "parts").mkdir(parents=True)
    if has_init:
        (src / "shop" / "__init__.py").write_text("")
        (src / "shop" / "parts" / "__init__.py").write_text("")
    (src / "shop" / "parts" / "pricing.py").write_text(PRICING)
    (src / "shop" / "parts" / "locked.py").write_text(f"{LOCKED}\ndouble = lambda x: total(x)\n")
    (sent,) = pack_in_kernels([[IN_PACKAGES[way]]], path=[src])
    assert call_in_runner(sent, path=[src], x=3).result == 12


def test_a_module_that_only_the_kernel_has_goes_along() -> None:
    """A module without a file, made in a cell, travels as what it holds."""
    cell = "import sys, types\nmade = types.ModuleType('made')\nexec('def total(x): return 2 * x', made.__dict__)\n"
    taken = (
        f"{cell}sys.modules['made'] = made\nfrom made import total\ndef step(x):\n    return total(x) + made.total(x)"
    )
    (sent,) = pack_in_kernels([[taken]])
    assert call_in_runner(sent, x=3).result == 12


@pytest.mark.parametrize("way", [WITHIN, FROM_WITHIN])
def test_a_module_imported_inside_is_the_file_that_was_there(way: str, src: Path) -> None:
    """A function imports a module that the kernel has not: the runner finds its file, or says that it has changed since."""
    (src / "pricing.py").write_text(PRICING)
    (sent,) = pack_in_kernels([[way]], path=[src])
    assert call_in_runner(sent, path=[src], x=3).result == 6
    (src / "pricing.py").write_text(f'"""Prices."""\n# Words.\n{PRICING}')
    assert call_in_runner(sent, path=[src], x=3).result == 6
    (src / "pricing.py").write_text(PRICING.replace("2", "30"))
    refused = call_in_runner(sent, path=[src], x=3).refused
    assert refused is not None
    assert "the module pricing, which step() imports, is not the one" in refused
    assert "Submit the workflow again" in refused


def test_a_module_that_is_imported_if_it_is_there_may_be_missing(src: Path) -> None:
    """A function that tries an import runs where there is no such module, as in the notebook."""
    (src / "pricing.py").write_text(PRICING)
    cell = "def step(x):\n    try:\n        import pricing\n    except ImportError:\n        return 0\n    return 1"
    (sent,) = pack_in_kernels([[cell]], path=[src])
    assert call_in_runner(sent, x=3).result == 0
    assert call_in_runner(sent, path=[src], x=3).result == 1


@pytest.mark.parametrize("way", [*list(WAYS.values())[:2], WAYS["within"]])
def test_a_module_with_a_lock_is_imported(way: str, src: Path) -> None:
    """What cannot be packed is imported where it runs, if the file there is the kernel's, comments aside."""
    (src / "pricing.py").write_text(LOCKED)
    (sent,) = pack_in_kernels([[way]], path=[src])
    assert call_in_runner(sent, path=[src], x=3).result == 6
    (src / "pricing.py").write_text("# Words.\n" + LOCKED)
    assert call_in_runner(sent, path=[src], x=3).result == 6
    (src / "pricing.py").write_text(LOCKED.replace("2", "30"))
    refused = call_in_runner(sent, path=[src], x=3).refused or ""
    assert "the module pricing, which step() imports, is not the one" in refused
    missing = call_in_runner(sent, x=3)
    assert "No module named 'pricing'" in (missing.refused or missing.raised or "")


def test_a_module_that_is_too_large_is_imported(src: Path) -> None:
    """A module that holds a large table goes by its file, as one that cannot be packed."""
    (src / "pricing.py").write_text('DATA = b"x" * 11_000_000\ndef total(x):\n    return x * len(DATA)\n')
    (sent,) = pack_in_kernels([[CALLS]], path=[src])
    assert call_in_runner(sent, path=[src], x=2).result == 22_000_000


def test_only_the_module_that_cannot_be_packed_is_imported(src: Path) -> None:
    """Modules that use one with a lock go by value all the same, and those that it uses are checked with it."""
    (src / "locked.py").write_text(f"from rates import RATE\n{LOCKED.replace('* 2', '* RATE')}")
    (src / "rates.py").write_text("RATE = 2\n")
    (src / "pricing.py").write_text("import locked\nPLUS = 1\ndef total(x):\n    return locked.total(x) + PLUS\n")
    (sent,) = pack_in_kernels([[CALLS]], path=[src])
    (src / "pricing.py").write_text("broken")
    assert call_in_runner(sent, path=[src], x=3).result == 7
    (src / "rates.py").write_text("RATE = 3\n")
    assert "the module rates" in (call_in_runner(sent, path=[src], x=3).refused or "")


def test_a_module_that_must_be_imported_and_was_edited_is_refused(src: Path) -> None:
    """The kernel runs what it imported, the runner would import what is in the file now: say so before the run."""
    (src / "pricing.py").write_text(LOCKED)
    file = f"import pathlib\nfile = pathlib.Path({str(src / 'pricing.py')!r})\n"
    edit = f"{file}file.write_text({LOCKED.replace('2', '30')!r})"
    comment = f"{file}file.write_text({LOCKED!r} + '# Words.')"
    edited, commented, reloaded = pack_in_kernels(
        [[CALLS, edit], [edit, CALLS, comment], [CALLS, edit, "import importlib\nimportlib.reload(pricing)"]],
        path=[src],
    )
    assert "pricing" in (edited.refused or "")
    assert "`LOCK`, a lock" in (edited.refused or "")
    assert "importlib.reload(pricing)" in (edited.refused or "")
    assert commented.refused == edited.refused
    assert call_in_runner(reloaded, path=[src], x=3).result == 90


def test_installed_packages_are_named(src: Path) -> None:
    """Packages of site-packages and of the standard library are imported where the function runs."""
    cells = [
        "import numpy as np\ndef step(x):\n    return int(np.add(x, 3))",
        "import json\ndef step(x):\n    return len(json.dumps(x)) + 5",
    ]
    for sent in pack_in_kernels([[cell] for cell in cells]):
        assert sent.packed is not None
        assert len(sent.packed.blob) < 2_000
        assert call_in_runner(sent, x=3).result == 6


def test_what_was_registered_by_the_user_stays_so(src: Path) -> None:
    """Packing leaves cloudpickle's own list of modules as it was."""
    (src / "pricing.py").write_text(PRICING)
    cell = (
        "import cloudpickle, pricing\nfrom xtyl_engine.functions.packing import wrap\n"
        "cloudpickle.register_pickle_by_value(pricing)\nwrap(pricing.total)\n"
        "def step(x):\n    return found\nfound = sorted(cloudpickle.list_registry_pickle_by_value())"
    )
    (sent,) = pack_in_kernels([[cell]], path=[src])
    assert call_in_runner(sent, x=3).result == ["pricing"]
