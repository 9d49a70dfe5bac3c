"""`python tools/structure.py`: check limits for modules, imports, files and functions.

It reads `src/netjumper` and prints a line for each limit.
"""

import ast
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent.parent / "src" / "netjumper"
Graph = Mapping[str, set[str]]
"""The modules that each module imports, by their full names."""


@dataclass(frozen=True, slots=True)
class Count:
    """One count of the package.

    Attributes:
        what: what is counted.
        value: the count.
        limit: the maximum value.
        where: the file or function with this value.
    """

    what: str
    value: int
    limit: int
    where: str = ""

    def __str__(self) -> str:
        verdict = "ok" if self.value <= self.limit else "TOO MANY"
        place = f"  {self.where}" if self.where else ""
        return f"{self.what:34} {self.value:4} of at most {self.limit:4}  {verdict}{place}"


def main() -> int:
    """Print each count; return 1 if one is above its limit."""
    counts = list(counts_of(PACKAGE))
    sys.stdout.writelines(f"{it}\n" for it in counts)
    return int(any(it.value > it.limit for it in counts))


def counts_of(package: Path) -> Iterator[Count]:
    """Yield each count of a package.

    Args:
        package: its folder.
    """
    files = sorted(package.rglob("*.py"))
    yield Count("modules in the package's own folder", len(list(package.glob("*.py"))), 8)
    folders = [package, *(it for it in package.rglob("*") if it.is_dir())]
    sizes = {it: sum(inner.is_file() for inner in _entries(it)) for it in folders}
    fullest = max(folders, key=lambda it: sizes[it])
    yield Count("files in a folder", sizes[fullest], 20, str(fullest.relative_to(package)))
    trees = module_trees(package)
    graph = {name: imports(name, trees) for name in trees}
    try:
        chain = longest_chain(graph)
    except CycleError as error:
        yield Count("circles of imports", 1, 0, " -> ".join(error.args[1]))
    else:
        yield Count("circles of imports", 0, 0)
        yield Count("files in a chain of imports", len(chain), 12, " -> ".join(chain))
    lines = {it: len(it.read_text(encoding="utf-8").splitlines()) for it in files}
    longest = max(files, key=lambda it: lines[it])
    yield Count("lines in a file", lines[longest], 320, str(longest.relative_to(package)))
    length, function = max(_functions(trees))
    yield Count("lines in a function", length, 50, function)


def _entries(folder: Path) -> Iterator[Path]:
    return (it for it in folder.iterdir() if it.suffix != ".pyc")


def module_trees(package: Path) -> dict[str, ast.Module]:
    """Return the syntax trees of all modules of a package, by their full names."""
    trees = {}
    for path in sorted(package.rglob("*.py")):
        parts = path.relative_to(package.parent).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        trees[name] = ast.parse(path.read_text(encoding="utf-8"))
    return trees


def imports(module: str, trees: Mapping[str, ast.Module]) -> set[str]:
    """Return the modules of the package that one of them imports.

    Imports inside functions and for a type checker alone count as well: a reader follows them.

    Args:
        module: its full name.
        trees: all modules of the package.
    """
    return {name for name in all_imports(trees[module], trees) if name in trees} - {module}


def all_imports(tree: ast.AST, trees: Mapping[str, ast.Module]) -> set[str]:
    """Return what the statements below `tree` import, modules by their full names."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            origin = "." * node.level + (node.module or "")
            inner = (f"{origin}.{alias.name}" for alias in node.names)
            found |= {name if name in trees else origin for name in inner}
    return found


def longest_chain(graph: Graph) -> list[str]:
    """Return the longest chain in which each module imports the next.

    Raises:
        CycleError: imports form a circle.
    """
    chains: dict[str, list[str]] = {}
    for module in TopologicalSorter(graph).static_order():
        below = max((chains[it] for it in sorted(graph[module])), key=len, default=[])
        chains[module] = [module, *below]
    return max(chains.values(), key=len)


def _functions(trees: Mapping[str, ast.Module]) -> Iterator[tuple[int, str]]:
    """Yield the length in lines and the name of each function."""
    for module, tree in trees.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield (node.end_lineno or 0) - node.lineno + 1, f"{module}.{node.name}"


if __name__ == "__main__":
    sys.exit(main())
