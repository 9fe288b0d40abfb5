"""The imports between the modules of a crate, and circles among them.

Reads tokens only: macros are not expanded. A re-exported name
(`pub use`) counts as that of its original module. Code for tests is ignored.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

# Comments, strings and characters: whatever may hold a word that is no code.
NO_CODE = re.compile(
    r"""//[^\n]* | /\*.*?\*/ | b?r(\#*)".*?"\1 | b?"(?:\\.|[^"\\])*"
    | b?'(?:\\.[^']*|[^'\\])'""",
    re.VERBOSE | re.DOTALL,
)
TOKEN = re.compile(r"(?:r#)?[A-Za-z_]\w*|::|[^\s\w]")
CLOSING = {"{": "}", "(": ")", "[": "]"}
# Through how many `pub use` a name is followed.
MAX_HANDS = 8

Names = tuple[str, ...]


@dataclass
class Module:
    """One file: its path in the crate, and the paths that it names."""

    children: set[str] = field(default_factory=set)
    # By the name that they have here: where they come from.
    imports: dict[str, Names] = field(default_factory=dict)
    globs: list[Names] = field(default_factory=list)
    named: list[Names] = field(default_factory=list)


def end_of(tokens: list[str], at: int) -> int:
    """The position behind the group that opens at `at`."""
    depth = 0
    for position in range(at, len(tokens)):
        if tokens[position] in CLOSING:
            depth += 1
        elif tokens[position] in CLOSING.values():
            depth -= 1
            if depth == 0:
                return position + 1
    return len(tokens)


def without_tests(tokens: list[str]) -> list[str]:
    """Drops each item behind `#[cfg(test)]` or `#[test]`."""
    kept: list[str] = []
    at = 0
    while at < len(tokens):
        if tokens[at : at + 2] == ["#", "["]:
            end = end_of(tokens, at + 1)
            words = tokens[at + 2 : end - 1]
            if words[:3] == ["cfg", "(", "test"] or words == ["test"]:
                # What is left of the item: up to `;` or behind its braces.
                while end < len(tokens) and tokens[end] not in ";{":
                    is_group = tokens[end] in "(["
                    end = end_of(tokens, end) if is_group else end + 1
                at = (
                    end_of(tokens, end)
                    if tokens[end : end + 1] == ["{"]
                    else end + 1
                )
                continue
        kept.append(tokens[at])
        at += 1
    return kept


def use_tree(
    tokens: list[str], at: int, prefix: Names
) -> tuple[list[tuple[str, Names]], int]:
    """The (name here, path) of each leaf of a `use`; `*` is a name."""
    path = prefix
    while at < len(tokens):
        token = tokens[at]
        if token == "{":
            leaves = []
            at += 1
            while tokens[at] not in ("}", ";"):
                more, at = use_tree(tokens, at, path)
                leaves += more
                at += tokens[at] == ","
            return leaves, at + 1
        if token == "*":
            return [("*", path)], at + 1
        if token in (",", "}", ";"):
            break
        if token == "as":
            return [(tokens[at + 1], path)], at + 2
        if token != "::":
            path = path if token == "self" and path else (*path, token)
        at += 1
    return [(path[-1], path)], at


def absolute(path: Names, here: Names, module: Module) -> Names | None:
    """From the crate's root, or None if it is another crate's."""
    if path[0] == "crate":
        return path[1:]
    if path[0] in ("self", "super"):
        while path and path[0] in ("self", "super"):
            here = here[:-1] if path[0] == "super" else here
            path = path[1:]
        return here + path
    return here + path if path[0] in module.children else None


def read(source: str, here: Names) -> Module:
    module = Module()
    tokens = without_tests(TOKEN.findall(NO_CODE.sub(" 0 ", source)))
    uses: list[tuple[str, Names]] = []
    depth: list[int] = []  # Where the braces of modules in this file end.
    paths: list[Names] = []
    at = 0
    while at < len(tokens):
        token = tokens[at]
        depth = [end for end in depth if end > at]
        if token == "mod" and tokens[at + 2 : at + 3] == [";"]:
            module.children.add(tokens[at + 1])
            at += 3
        elif token == "mod" and tokens[at + 2 : at + 3] == ["{"]:
            depth.append(end_of(tokens, at + 2))
            at += 3
        elif token == "use" and tokens[at + 1 : at + 2] != ["<"]:
            leaves, at = use_tree(tokens, at + 1, ())
            uses += [(name, outside(path, len(depth))) for name, path in leaves]
        elif tokens[at + 1 : at + 2] == ["::"] and tokens[at - 1 : at] != [
            "::"
        ]:
            words = [token]
            while tokens[at + 1 : at + 2] == ["::"] and re.match(
                r"\w", tokens[at + 2]
            ):
                words.append(tokens[at + 2])
                at += 2
            paths.append(outside(tuple(words), len(depth)))
            at += 1
        else:
            at += 1
    for name, path in uses:
        found = absolute(path, here, module)
        if found is None:
            continue
        if name == "*":
            module.globs.append(found)
        else:
            module.imports[name] = found
        module.named.append(found)
    for path in paths:
        found = absolute(path, here, module)
        if found is None and path[0] in module.imports:
            found = module.imports[path[0]] + path[1:]
        if found is not None:
            module.named.append(found)
    return module


def outside(path: Names, depth: int) -> Names:
    """A path in a module within the file, as the file would say it."""
    while depth and path and path[0] == "super":
        path, depth = path[1:], depth - 1
    return path or ("self",)


def modules(root: Path) -> dict[Names, Module]:
    """Those that `root` (lib.rs or main.rs) leads to."""
    found: dict[Names, Module] = {}
    waiting: list[tuple[Names, Path, Path]] = [((), root, root.parent)]
    while waiting:
        here, path, below = waiting.pop()
        found[here] = module = read(path.read_text(), here)
        for child in module.children:
            file = below / f"{child}.rs"
            if not file.exists():
                file = below / child / "mod.rs"
            waiting.append(((*here, child), file, below / child))
    return found


def owner(path: Names, crate: dict[Names, Module]) -> Names:
    """The module that defines what `path` names."""
    at: Names = ()
    for _ in range(MAX_HANDS):
        for depth in range(len(path) + 1):
            if path[:depth] in crate:
                at = path[:depth]
        if at == path:
            return at
        name, rest = path[len(at)], path[len(at) + 1 :]
        if name in crate[at].imports:
            path = crate[at].imports[name] + rest
    return at


def arrows(root: Path) -> dict[str, set[str]]:
    """Which module imports which, by their names within the crate."""
    crate = modules(root)
    result: dict[str, set[str]] = {}
    for here, module in crate.items():
        to = {owner(path, crate) for path in module.named} - {here}
        result["::".join(here) or "crate"] = {
            "::".join(it) or "crate" for it in to
        }
    return result


def circles(graph: dict[str, set[str]]) -> list[list[str]]:
    """The sets of modules of which each leads to each other one."""

    def reached(start: str) -> set[str]:
        modules: set[str] = set()
        waiting = [start]
        while waiting:
            for it in graph[waiting.pop()] - modules:
                modules.add(it)
                waiting.append(it)
        return modules

    all_reached = {it: reached(it) for it in graph}
    circles = {
        tuple(
            sorted(it for it in all_reached[start] if start in all_reached[it])
        )
        for start in graph
        if start in all_reached[start]
    }
    return sorted(list(it) for it in circles)
