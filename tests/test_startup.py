"""What uilog costs each command: a part that a command does not need is not
loaded, and nothing of uilog's keeps hg's modules alive while Python ends.

docs/floors.md has what each part costs, in instructions.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import processes
import pytest
from conftest import BARE_HGRC, Home

# Tells at the end which modules are more than a promise, and which libraries
# there are.
LOADED = """\
import atexit, os, sys

def tell():
    loaded = [
        name
        for name, module in sys.modules.items()
        if type(module).__name__ != '_LazyModule'
    ]
    with open('/proc/self/maps') as fp:
        files = {line.split()[-1] for line in fp}
    loaded += sorted(name for name in files if '.so' in name)
    with open(os.environ['LOADED'], 'w') as fp:
        fp.write('\\n'.join(loaded))

atexit.register(tell)
"""

NATIVE = {"_native", "events"}

# What hg is configured with, with uilog or without, and the parts of uilog that
# `hg id` loads then. One more costs each command 0.3 million instructions or
# more.
CONFIGURED = {
    "": set(),
    "[logtoprocess]\ncommandfinish = true\n": NATIVE,
    "[extensions]\nblackbox =\n": {*NATIVE, "blackbox"},
    "[uilog]\nsink.log = file:$OUT/log\n": {*NATIVE, "trace", "checkout"},
}


def loaded(home: Home, repository: Path, *options: str) -> set[str]:
    """The modules of ours and of Mercurial's that `hg id` has loaded, and the
    names of libraries."""
    told = home.path / "loaded"
    home.run("hg", "id", *options, cwd=repository, LOADED=str(told))
    names = [it.split("/")[-1] for it in told.read_text().splitlines()]
    is_meant = re.compile(r"(hgext3rd|mercurial)\b|.*\.so\b").match
    return {it for it in names if is_meant(it)}


def has_static_unwinding() -> bool:
    """Whether what is linked here finds these functions in no library that is
    to be loaded (rust/build/libraries.rs)."""
    command = ["cc", "-print-file-name=libgcc_eh.a"]
    try:
        found = subprocess.run(command, capture_output=True, text=True)
    except OSError:
        return False
    return found.stdout.startswith("/")


@pytest.mark.parametrize("text", CONFIGURED)
def test_a_command_loads_what_it_needs(home: Home, text: str) -> None:
    repository = home.unseen_repository()
    if not CONFIGURED[text]:
        home.hgrc.write_text(BARE_HGRC)
    home.extension("loaded", LOADED)
    home.configure(text)
    stock = loaded(home, repository, "--config", "extensions.uilog=!")
    more = loaded(home, repository) - stock
    uilog = "hgext3rd.uilog"
    expected = {"hgext3rd", uilog}
    expected |= {f"{uilog}.{name}" for name in CONFIGURED[text]}
    if CONFIGURED[text]:
        expected.add("_native.abi3.so")
        if not has_static_unwinding():
            expected.add("libgcc_s.so.1")
    if "trace" in CONFIGURED[text]:
        # Spans tell it.
        expected.add("mercurial.__version__")
    assert more == expected
    assert not processes.wait_until_gone(str(home.path))


def alive(home: Home, repository: Path, *options: str) -> set[str]:
    """The modules that Python has to take apart piece by piece when `hg id`
    ends, because something refers to them still."""
    hg = home.run("sh", "-c", "command -v hg").strip()
    done = subprocess.run(
        [Path(hg).parent / "python", "-v", hg, "id", *options],
        env=home.env,
        cwd=repository,
        capture_output=True,
        text=True,
        timeout=processes.DEADLINE,
    )
    assert done.returncode == 0, done.stderr
    found = re.findall(r"^# cleanup\[3\] wiping (\S+)$", done.stderr, re.M)
    assert found
    return {it for it in found if re.match(r"(hgext3rd|mercurial)\b", it)}


def test_no_module_outlives_the_others_because_of_us(home: Home) -> None:
    repository = home.unseen_repository()
    home.configure(
        "[extensions]\nblackbox =\n[logtoprocess]\ncommandfinish = true\n"
    )
    # The first command writes caches, which leaves much behind.
    home.hg("id", cwd=repository)
    stock = alive(home, repository, "--config", "extensions.uilog=!")
    assert alive(home, repository) == stock
    assert not processes.wait_until_gone(str(home.path))
