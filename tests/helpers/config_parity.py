"""Compares what `uilog config` prints with what `hg config` prints.

Responsible for creating config_trees.py's trees on disk, for running both, and
for showing differences: with a tree that is reduced to what causes them.

What is compared, of each command: standard output and exit status to the
byte, and standard error, after `words`.

`make test` compares 2,000 trees; this runs any others:

    .venv/bin/python tests/helpers/config_parity.py --seed 1 --count 50000
"""

from __future__ import annotations

import argparse
import difflib
import itertools
import os
import pickle
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Union

import config_trees
from config_trees import Directory, Entry, File, Link, Tree

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
MAIN_HG = "7.2.4"
VERSIONS = (MAIN_HG, "6.3.3")
# Trees of one seed after the other are compared by one process.
CHUNK = 100
# How many trees one child of an oracle reads.
REQUESTS = 50
# How often a tree that shows a difference is tried with less in it.
MOST_TRIES = 2000
# How much of a difference is shown, and how many of those of one process:
# each takes many more commands.
MOST_LINES = 20
MOST_SHOWN = 5

Result = tuple[int, bytes, bytes]


def venv_of(version: str) -> Path:
    return ROOT / ".venvs" / version


def versions() -> list[str]:
    """Those Mercurials that are installed."""
    return [
        version
        for version in VERSIONS
        if (venv_of(version) / "bin" / "hg").exists()
    ]


def may_give_away() -> bool:
    """Whether files can be made that belong to others."""
    return os.geteuid() == 0


def scratch() -> str | None:
    """Where many small files are best made."""
    memory = "/dev/shm"
    return memory if os.access(memory, os.W_OK) else None


class Ours:
    """`uilog`."""

    name = "uilog"

    def __init__(self, program: Path) -> None:
        self.program = program

    def ask(self, tree: Tree, root: bytes) -> list[Result]:
        return [
            ask_process([bytes(self.program), *command], tree, root)
            for command in tree.commands
        ]

    def close(self) -> None:
        """Nothing is left running."""


class RealHg:
    """A new `hg` for each command."""

    def __init__(self, version: str) -> None:
        self.name = f"a new hg {version}"
        self.python = venv_of(version) / "bin" / "python"

    def ask(self, tree: Tree, root: bytes) -> list[Result]:
        hg = root + b"/prefix/bin/hg"
        return [
            ask_process([bytes(self.python), hg, *command], tree, root)
            for command in tree.commands
        ]

    def close(self) -> None:
        """Nothing is left running."""


class Oracle:
    """hg of one version, by config_oracle.py."""

    def __init__(self, version: str, requests: int = REQUESTS) -> None:
        self.version = version
        self.name = f"hg {version}"
        python = venv_of(version) / "bin" / "python"
        # What Mercurial looks at when it is imported.
        env = {"LC_ALL": "C", "HOME": "/", "PATH": os.defpath}
        self.process = subprocess.Popen(
            [python, HERE / "config_oracle.py", str(requests)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=env,
        )

    def ask(self, tree: Tree, root: bytes) -> list[Result]:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        request = {
            "program": root + b"/prefix/bin/hg",
            "commands": [list(command) for command in tree.commands],
            "env": tree.env,
            "cwd": root + b"/" + tree.cwd,
        }
        pickle.dump(request, self.process.stdin)
        self.process.stdin.flush()
        results: list[Result] = pickle.load(self.process.stdout)
        return results

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


Reader = Union[Ours, RealHg, Oracle]


def fresh(reader: Reader) -> Reader:
    """The same, with a memory that is empty before each tree."""
    return Oracle(reader.version, 1) if isinstance(reader, Oracle) else reader


def ask_process(argv: list[bytes], tree: Tree, root: bytes) -> Result:
    """What a program of its own prints.

    Into files, since subprocess takes longer for pipes than uilog does.
    """
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        process = subprocess.Popen(
            argv,
            cwd=root + b"/" + tree.cwd,
            env=tree.env,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            close_fds=False,
        )
        status = process.wait()
        out.seek(0)
        err.seek(0)
        return status, out.read(), err.read()


def make(tree: Tree, root: bytes) -> None:
    """Makes a tree that has been placed here, instead of what is here."""
    shutil.rmtree(root, ignore_errors=True)
    os.mkdir(root)
    for path, entry in tree.entries.items():
        make_entry(root + b"/" + path, entry)
    os.makedirs(root + b"/" + tree.cwd, exist_ok=True)
    os.makedirs(root + b"/prefix/bin", exist_ok=True)
    os.symlink(bytes(venv_of(MAIN_HG) / "bin" / "hg"), root + b"/prefix/bin/hg")


def make_entry(path: bytes, entry: Entry) -> None:
    os.makedirs(os.path.dirname(path), exist_ok=True)
    if isinstance(entry, Directory):
        os.makedirs(path, exist_ok=True)
    elif isinstance(entry, Link):
        os.symlink(entry.target, path)
    else:
        with open(path, "wb") as fp:
            fp.write(entry.data)
        if entry.owner >= 0:
            os.chown(path, *owner(entry.owner))


def owner(number: int) -> tuple[int, int]:
    import grp
    import pwd

    if number == len(config_trees.OWNERS):
        return config_trees.NAMELESS
    user, group = config_trees.OWNERS[number]
    return pwd.getpwnam(user).pw_uid, grp.getgrnam(group).gr_gid


def has_crashed(result: Result) -> bool:
    """Whether hg has ended with a Python traceback."""
    return b"Traceback (most recent call last)" in result[2]


def same(hg: Result, ours: Result) -> bool:
    if has_crashed(hg):
        # Nothing to be like; but we may not do the same.
        return ours[0] in (0, 1, 10, 30, 255)
    return hg[:2] == ours[:2] and words(hg[2]) == words(ours[2])


def words(errors: bytes) -> bytes:
    """Standard error as it is compared."""
    return errors


@dataclass
class Difference:
    """A command that two readers answer differently."""

    seed: int
    tree: Tree
    first: tuple[str, Result]
    second: tuple[str, Result]

    def __str__(self) -> str:
        (command,) = self.tree.commands
        lines = [f"seed {self.seed}: {command} in {self.tree.cwd!r}"]
        for variable, value in sorted(self.tree.env.items()):
            lines.append(f"  {variable.decode()}={value!r}")
        for path, entry in self.tree.entries.items():
            if isinstance(entry, File):
                owner = f" of owner {entry.owner}" if entry.owner >= 0 else ""
                lines.append(f"  {path!r}{owner}:")
                lines += [f"    {text!r}" for text in told(entry.data)]
            else:
                lines.append(f"  {path!r}: {entry}")
        (first, hg), (second, ours) = self.first, self.second
        lines.append(f"  {first}: status {hg[0]}; {second}: {ours[0]}")
        for number, name in ((1, "stdout"), (2, "stderr")):
            diff = difflib.unified_diff(
                [repr(line) for line in told(hg[number])],
                [repr(line) for line in told(ours[number])],
                f"{name} of {first}",
                f"{name} of {second}",
                lineterm="",
                n=1,
            )
            few = list(itertools.islice(diff, MOST_LINES))
            lines += [f"    {line}" for line in few]
            if len(few) == MOST_LINES:
                lines.append("    ...")
        return "\n".join(lines)


def told(output: bytes | int) -> list[bytes]:
    assert isinstance(output, bytes)
    return output.splitlines(True)


class Comparison:
    """Readers side by side, at one directory."""

    def __init__(self, directory: Path, readers: Sequence[Reader]) -> None:
        self.root = os.fsencode(directory / "tree")
        self.readers = readers
        self.commands = 0
        # Where hg ended with a traceback.
        self.crashes = 0
        # Where the two versions of hg differ.
        self.disputes = 0

    def __enter__(self) -> Comparison:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for reader in self.readers:
            reader.close()
        shutil.rmtree(self.root, ignore_errors=True)

    def answers(
        self, tree: Tree, readers: Sequence[Reader]
    ) -> list[list[Result]]:
        placed = tree.place(self.root)
        make(placed, self.root)
        return [reader.ask(placed, self.root) for reader in readers]

    def compare(self, seed: int, shrink: bool = True) -> Difference | None:
        """The first difference that a seed's tree shows."""
        tree = config_trees.make(seed, may_give_away())
        results = self.answers(tree, self.readers)
        for at, command in enumerate(tree.commands):
            self.commands += 1
            self.crashes += has_crashed(results[0][at])
            for number in range(len(self.readers) - 1):
                if same(results[number][at], results[-1][at]):
                    continue
                if number and not same(results[number][at], results[0][at]):
                    # uilog is like the newer hg where the two differ, and in
                    # JSON are the defaults of the hg that is installed.
                    self.disputes += b"json" not in command
                    continue
                alone = replace(tree, commands=(command,))
                return self.confirm(seed, alone, number, shrink)
        return None

    def confirm(
        self, seed: int, tree: Tree, number: int, shrink: bool
    ) -> Difference:
        """The difference again, of an hg that has run nothing before."""
        first, second = self.readers[number], self.readers[-1]
        pair = (fresh(first), fresh(second))
        try:
            difference = self.differ(seed, tree, pair)
            assert difference is not None, (
                f"seed {seed}: {tree.commands}: a difference only after the "
                "commands before it"
            )
            return self.shrink(difference, pair) if shrink else difference
        finally:
            for reader in pair:
                reader.close()

    def differ(
        self, seed: int, tree: Tree, pair: tuple[Reader, Reader]
    ) -> Difference | None:
        """The difference that a tree with one command shows, if any."""
        try:
            (first,), (second,) = self.answers(tree, pair)
        except OSError:
            # With less in it, it cannot be made.
            return None
        if same(first, second):
            return None
        return Difference(
            seed, tree, (pair[0].name, first), (pair[1].name, second)
        )

    def shrink(
        self, found: Difference, pair: tuple[Reader, Reader]
    ) -> Difference:
        """The same difference, with as little as possible in the tree."""
        tries = 0
        smaller = True
        while smaller:
            smaller = False
            for tree in smaller_trees(found.tree):
                tries += 1
                if tries > MOST_TRIES:
                    return found
                less = self.differ(found.seed, tree, pair)
                if less is not None:
                    found = less
                    smaller = True
                    break
        return found


def smaller_trees(tree: Tree) -> Iterator[Tree]:
    """The tree with one thing less, the large ones first."""
    for top in {path.partition(b"/")[0] for path in tree.entries}:
        rest = {
            path: entry
            for path, entry in tree.entries.items()
            if path.partition(b"/")[0] != top
        }
        yield replace(tree, entries=rest)
    for path, entry in tree.entries.items():
        rest = {p: e for p, e in tree.entries.items() if p != path}
        if may_shrink(path):
            yield replace(tree, entries=rest)
        if isinstance(entry, File) and entry.owner >= 0:
            yield with_entry(tree, path, replace(entry, owner=-1))
    needed = (b"ROOT", b"HG", b"PATH", b"LC_ALL", b"HGRCPATH")
    for name in tree.env:
        if name not in needed:
            rest_of_env = {n: v for n, v in tree.env.items() if n != name}
            yield replace(tree, env=rest_of_env)
    (command,) = tree.commands
    at = 1
    while at < len(command):
        length = 2 if command[at] in config_trees.VALUED_OPTIONS else 1
        shorter = command[:at] + command[at + length :]
        yield replace(tree, commands=(shorter,))
        at += length
    for path, entry in tree.entries.items():
        if isinstance(entry, File) and may_shrink(path):
            lines = entry.data.splitlines(True)
            size = len(lines)
            while size:
                for at in range(0, len(lines), size):
                    data = b"".join(lines[:at] + lines[at + size :])
                    yield with_entry(tree, path, replace(entry, data=data))
                size //= 2
    for path, entry in tree.entries.items():
        if isinstance(entry, File) and may_shrink(path):
            lines = entry.data.splitlines(True)
            for at, line in enumerate(lines):
                for cut in (len(line) // 2, 4, 1):
                    for part in (line[cut:], line[: len(line) - cut]):
                        if cut and part != line:
                            some = [*lines[:at], part, *lines[at + 1 :]]
                            data = b"".join(some)
                            yield with_entry(
                                tree, path, replace(entry, data=data)
                            )


def may_shrink(path: bytes) -> bool:
    """Whether less in a file is still such a file to hg."""
    return not path.endswith((b"/requires", b"/sharedpath", b"/store"))


def with_entry(tree: Tree, path: bytes, entry: Entry) -> Tree:
    return replace(tree, entries={**tree.entries, path: entry})


@dataclass
class Sum:
    """What the comparison of some trees came to."""

    trees: int = 0
    commands: int = 0
    crashes: int = 0
    disputes: int = 0
    differences: list[str] = field(default_factory=list)

    def add(self, other: Sum) -> None:
        self.trees += other.trees
        self.commands += other.commands
        self.crashes += other.crashes
        self.disputes += other.disputes
        self.differences += other.differences

    def __str__(self) -> str:
        return (
            f"{self.trees} trees, {self.commands} commands: "
            f"{len(self.differences)} differences; {self.crashes} commands "
            f"that crash hg; {self.disputes} answers in which Mercurial "
            f"{VERSIONS[1]} and {VERSIONS[0]} differ"
        )


def compare_seeds(seeds: Sequence[int], program: Path | None) -> Sum:
    """Compares the trees of these seeds."""
    readers: list[Reader] = [Oracle(version) for version in versions()]
    if program is not None:
        readers.append(Ours(program))
    with (
        tempfile.TemporaryDirectory(
            prefix="uilog-config.", dir=scratch()
        ) as directory,
        Comparison(Path(directory).resolve(), readers) as comparison,
    ):
        differences: list[str] = []
        for seed in seeds:
            few = len(differences) < MOST_SHOWN
            if difference := comparison.compare(seed, shrink=few):
                differences.append(str(difference))
        return Sum(
            len(seeds),
            comparison.commands,
            comparison.crashes,
            comparison.disputes,
            differences,
        )


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="config_parity.py",
        description="Compares `uilog config` with `hg config` of "
        f"{' and '.join(VERSIONS)} on made-up configuration trees.",
    )
    parser.add_argument("--seed", type=int, default=1, help="the first tree")
    parser.add_argument("--count", type=int, default=2000, help="how many")
    parser.add_argument("--jobs", type=int, default=2, help="at a time")
    parser.add_argument(
        "--uilog",
        type=Path,
        default=venv_of(MAIN_HG) / "bin" / "uilog",
        help="the program to compare",
    )
    parser.add_argument(
        "--hg-only",
        action="store_true",
        help="compare the two versions of hg with each other",
    )
    parser.add_argument(
        "--most", type=int, default=10, help="differences to show"
    )
    args = parser.parse_args(argv)
    for version in VERSIONS:
        if version not in versions():
            print(f"LEFT OUT: Mercurial {version}, which is not installed")
    if not may_give_away():
        print("LEFT OUT: files of other users, because only root can make them")
    program = None if args.hg_only else args.uilog.resolve()
    seeds = range(args.seed, args.seed + args.count)
    chunks = [seeds[at : at + CHUNK] for at in range(0, len(seeds), CHUNK)]
    total = Sum()
    begin = time.monotonic()
    with ProcessPoolExecutor(args.jobs) as pool:
        parts = pool.map(compare_seeds, chunks, [program] * len(chunks))
        try:
            for part in parts:
                shown = len(total.differences)
                total.add(part)
                for difference in total.differences[shown : args.most]:
                    print(difference, flush=True)
                if sys.stderr.isatty():
                    print(f"\r{total.trees} trees", end="", file=sys.stderr)
        except KeyboardInterrupt:
            # Tells what has been compared until now.
            pool.shutdown(cancel_futures=True)
    print(f"{total}; {time.monotonic() - begin:.0f} s")
    return 1 if total.differences else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
