"""Names, sizes and doors of the house."""

import ast
import importlib
import re
import subprocess

import pytest

from .conftest import ROOT, SOURCE, modules

CAPS = {"src/**/*.py": 600, "rust/**/*.rs": 700, "tests/**/*.py": 800, "benchmarks/**/*.py": 600}
BAD_FILE = re.compile(r"^(utils?|helpers?|common|base|manager|misc)(_|\.|$)")
BAD_CLASS = re.compile(r"(Manager|Helper|Impl|Util|Utils)$|^Base[A-Z]")


@pytest.mark.parametrize("pattern", CAPS)
def test_no_file_outgrows_its_idea(pattern):
    long = {
        str(path.relative_to(ROOT)): size
        for path in ROOT.glob(pattern)
        if not {"target", ".cache"} & set(path.parts)
        and (size := len(path.read_text().splitlines())) > CAPS[pattern]
    }
    assert long == {}


def test_files_and_classes_are_named_for_what_they_are(tree):
    bad = [str(path) for path in SOURCE.rglob("*.py") if BAD_FILE.match(path.name)]
    for name, module in tree.items():
        classes = [node for node in ast.walk(module) if isinstance(node, ast.ClassDef)]
        bad += [f"{name}.{node.name}" for node in classes if BAD_CLASS.search(node.name)]
    assert bad == []


def test_every_module_says_what_it_is(tree):
    assert [name for name, module in tree.items() if not ast.get_docstring(module)] == []


def public(body: list[ast.stmt]) -> list[ast.stmt]:
    """Without overloads: what they are of has the words for all of them."""
    kinds = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
    named = [node for node in body if isinstance(node, kinds) and not node.name.startswith("_")]
    return [node for node in named if "overload" not in map(ast.unparse, node.decorator_list)]


def test_public_classes_and_functions_have_docstrings(tree):
    missing = []
    for name, module in tree.items():
        silent = [node for node in public(module.body) if not ast.get_docstring(node)]
        missing += [f"{name}.{node.name}" for node in silent]
    assert missing == []


PACKAGES = [name for name in modules() if (SOURCE / "/".join(name.split(".")[1:])).is_dir()]


@pytest.mark.parametrize("name", PACKAGES)
def test_a_packages_door_lists_exactly_what_it_gives(name):
    package = importlib.import_module(name)
    listed = list(package.__all__)
    assert len(set(listed)) == len(listed), "ruff (RUF022) keeps it sorted"
    assert all(hasattr(package, item) for item in listed)
    public = {item for item in given(door_of(name)) if not item.startswith("_")}
    assert public - {"TYPE_CHECKING", "door"} <= set(listed)


def door_of(name: str) -> ast.Module:
    return ast.parse((SOURCE / "/".join(name.split(".")[1:]) / "__init__.py").read_text())


def given(module: ast.AST) -> set[str]:
    nodes = [node for node in ast.walk(module) if isinstance(node, ast.ImportFrom)]
    return {alias.asname or alias.name for node in nodes for alias in node.names}


LATE = [name for name in PACKAGES if "door" in given(door_of(name))]


@pytest.mark.parametrize("name", LATE)
def test_a_door_that_gives_late_tells_what_it_has_and_has_not(name):
    package = importlib.import_module(name)
    assert set(package.__all__) <= set(dir(package))
    with pytest.raises(AttributeError, match=f"'{name}' has no attribute 'nothing'"):
        package.nothing  # noqa: B018


@pytest.mark.parametrize("name", LATE)
def test_what_is_given_late_has_no_module_of_its_name(name):
    """Whoever imports that module would find it in the name's place."""
    late = {item for node in door_of(name).body if isinstance(node, ast.If) for item in given(node)}
    modules = {path.stem for path in (SOURCE / "/".join(name.split(".")[1:])).iterdir()}
    assert late & modules == set()


@pytest.mark.parametrize("name", PACKAGES)
def test_a_door_holds_nothing_but_imports_and_its_list(name):
    source = ast.parse((SOURCE / "/".join(name.split(".")[1:]) / "__init__.py").read_text())
    allowed = ast.Import | ast.ImportFrom | ast.Assign | ast.AnnAssign | ast.Expr | ast.If
    odd = [node for node in source.body if not isinstance(node, allowed)]
    assert [ast.unparse(node)[:60] for node in odd] == []


def test_every_unsafe_has_its_reason():
    bare = []
    for path in (ROOT / "rust").glob("*/src/**/*.rs"):
        lines = path.read_text().splitlines()
        for number, line in enumerate(lines):
            if not re.search(r"\bunsafe\s*(\{|impl|fn)", line):
                continue
            if not any("SAFETY:" in before for before in lines[max(0, number - 4) : number + 1]):
                bare.append(f"{path.relative_to(ROOT)}:{number + 1}")
    assert bare == []


def test_crates_see_only_those_before_them():
    """wire, plane, journal, poll, load, bind: the order of ARCHITECTURE.md."""
    order = ["wire", "plane", "journal", "poll", "load", "bind"]
    for index, crate in enumerate(order):
        manifest = ROOT / "rust" / crate / "Cargo.toml"
        if not manifest.exists():
            continue
        text = manifest.read_text()
        assert ("pyo3" in text) == (crate == "bind")
        for later in order[index:]:
            assert not re.search(rf"^{later}\b.*(workspace|path)", text, re.MULTILINE), crate


def test_nothing_committed_names_this_machine():
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    wrong = re.compile(r"/root/|/work/(main|shared|http|load|journal)\b|artifactory")
    me = str(__file__).rsplit("/", 1)[-1]
    named = []
    for name in listed.stdout.split():
        path = ROOT / name
        if path.is_file() and path.name != me and wrong.search(path.read_text(errors="ignore")):
            named.append(name)
    assert named == []
