"""What import-linter cannot see: the native module, the root, and doors between packages."""

import ast
from collections.abc import Iterator


def imports(module: ast.Module) -> Iterator[tuple[str, int]]:
    for node in ast.walk(module):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"line {node.lineno}: relative import"
            yield node.module, node.lineno


def breaches(tree, wrong) -> list[str]:
    found = []
    for name, module in tree.items():
        for target, line in imports(module):
            if target.split(".")[0] == "megahertz" and wrong(name, target):
                found.append(f"{name}:{line} imports {target}")
    return found


def test_only_the_native_door_imports_the_native_module(tree):
    wrong = lambda name, target: target == "megahertz._core" and name != "megahertz.engine.native"  # noqa: E731
    assert breaches(tree, wrong) == []


def test_no_module_imports_the_root(tree):
    wrong = lambda name, target: target == "megahertz"  # noqa: E731
    assert breaches(tree, wrong) == []


def test_packages_are_entered_by_their_door(tree):
    """`from megahertz.engine import X`, never `from megahertz.engine.server import X`."""

    def wrong(name: str, target: str) -> bool:
        parts, own = target.split("."), name.split(".")
        if len(parts) < 3 or name in ("megahertz", "megahertz.__main__"):
            return False
        return own[:2] != parts[:2]

    assert breaches(tree, wrong) == []
