"""One new thing, one new file: every file of a folder of things is exported, found by name, and described."""

import ast
import importlib
import inspect
from pathlib import Path

import pytest

import snnlightning
from snnlightning import naming
from snnlightning.errors import UnknownNameError

ROOT = Path(snnlightning.__file__).parent
FOLDERS = (
    "distributions", "encoders", "firing", "initializers", "layers/constraints", "learning", "losses", "metrics", "neurons",
    "readouts", "recipes", "regularizers", "study/objectives",
    "study/policies", "surrogates",
)  # fmt: skip
NAMED = tuple(folder for folder in FOLDERS if folder != "metrics")


def public_names(source: str) -> list[str]:
    """What ``__all__`` of a file says."""
    for node in ast.parse(source).body:
        if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == "__all__" for t in node.targets):
            return list(ast.literal_eval(node.value))
    return []


def classes(source: str) -> list[str]:
    return [
        node.name for node in ast.parse(source).body if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
    ]


def not_exported(folder: Path) -> list[str]:
    """Public classes of a folder's files that its ``__init__`` does not re-export; helpers start with an underscore."""
    exported = set(public_names((folder / "__init__.py").read_text(encoding="utf-8")))
    missing = []
    for file in sorted(folder.glob("*.py")):
        if file.name.startswith("_") or "__" in file.stem:
            continue
        source = file.read_text(encoding="utf-8")
        names = set(public_names(source)) | set(classes(source))
        wanted = {name for name in names if name in classes(source)} or {f"a public name in {file.name}"}
        missing += [f"{file.name}: {name}" for name in sorted(wanted) if name not in exported]
    return missing


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_file_of_the_folder_is_exported(folder):
    assert not_exported(ROOT / folder) == []


def test_a_file_that_nobody_exported_would_be_noticed(tmp_path):
    (tmp_path / "__init__.py").write_text('from .one import One\n\n__all__ = ["One"]\n')
    (tmp_path / "one.py").write_text('__all__ = ["One"]\n\n\nclass One: ...\n')
    assert not_exported(tmp_path) == []
    (tmp_path / "two.py").write_text('__all__ = ["Two"]\n\n\nclass Two: ...\n')
    (tmp_path / "one__numba.py").write_text("class Kernel: ...\n")
    (tmp_path / "three.py").write_text("")
    assert not_exported(tmp_path) == ["three.py: a public name in three.py", "two.py: Two"]


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_file_has_a_docstring_and_exports_what_it_defines(folder):
    for file in (ROOT / folder).glob("*.py"):
        source = file.read_text(encoding="utf-8")
        assert ast.get_docstring(ast.parse(source)), file.name
        assert set(classes(source)) <= set(public_names(source)), file.name


@pytest.mark.parametrize("folder", NAMED)
def test_every_thing_is_found_by_its_files_and_its_classs_name(folder):
    package = importlib.import_module(f"snnlightning.{folder.replace('/', '.')}")
    things = naming.available(package)
    assert things
    for file, cls in things.items():
        for name in (file, cls.__name__, file.upper(), file.replace("_", "")):
            assert naming.named("thing", package, name) is cls
        assert inspect.getdoc(cls)
        assert not inspect.isabstract(cls)
        assert (ROOT / folder / f"{file}.py").exists()


@pytest.mark.parametrize("folder", NAMED)
def test_one_file_holds_one_concrete_thing(folder):
    package = importlib.import_module(f"snnlightning.{folder.replace('/', '.')}")
    exported = [getattr(package, name) for name in package.__all__ if not name.startswith("Abstract")]
    assert len({cls.__module__ for cls in exported}) == len(exported) == len(naming.available(package))


def test_a_misspelt_name_gets_the_nearest_one_and_the_whole_list():
    package = importlib.import_module("snnlightning.surrogates")
    with pytest.raises(
        UnknownNameError, match="no surrogate named 'superspyke'; did you mean 'superspike'\\? Available: atan, box"
    ):
        naming.named("surrogate", package, "superspyke")  # fmt: skip
    with pytest.raises(UnknownNameError, match="no surrogate named 'AbstractSurrogate'"):
        naming.named("surrogate", package, "AbstractSurrogate")
