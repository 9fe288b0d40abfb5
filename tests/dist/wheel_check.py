"""The wheel, installed by each release's own pip beside its own Mercurial."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

from common import SUITES, TOO_OLD, Dist, LeftOut, only, succeed
from roots import USER, Root

ROOT = Path(__file__).resolve().parent.parent.parent
SUPPORTED = tuple(it for it in SUITES if it != TOO_OLD)
# What pip is told on Debian 12 and later: install beside apt's packages.
BESIDE_APT = {"PIP_BREAK_SYSTEM_PACKAGES": "1", "PIP_NO_INDEX": "1"}
# A Mercurial that runs on the oldest release's Python.
NEWER_HG = "6.9.5"

HGRC = """\
[extensions]
uilog =
[logtoprocess]
commandfinish = echo "$OPT_CANONICAL_COMMAND $OPT_RETURN_CODE" >> ~/scripts.log
[uilog]
sink.audit = file:~/audit.jsonl
sink.audit:track = commandfinish
"""

# Waits for both with a deadline, because hg does not.
USE = """\
hg version -v
hg init repository
for second in $(seq 200); do
    test -s ~/scripts.log && grep -q '"init' ~/audit.jsonl && break
    sleep 0.1
done
uilog check
"""


def assert_works(root: Root) -> None:
    """A user's events reach a script and a file, and nothing is wrong."""
    (root.home / ".hgrc").write_text(HGRC)
    told = succeed(root, USE, USER)
    assert re.search(r"^\s*uilog\s+external", told, re.MULTILINE), told
    assert "0 errors, 0 warnings" in told, told
    assert "init 0" in (root.home / "scripts.log").read_text().splitlines()
    lines = (root.home / "audit.jsonl").read_text().splitlines()
    records = [json.loads(line)["process"] for line in lines]
    assert {"command_line": "init repository", "exit_code": 0}.items() <= next(
        it.items() for it in records if it["command_line"].startswith("init")
    ), lines


def test_readme_installs_and_shows_an_event_in_two_commands(
    dist: Dist, root: Root
) -> None:
    readme = (ROOT / "README.md").read_text()
    block = re.search(
        r"```sh\n(pip install uilog\S+\n.*?)```", readme, re.DOTALL
    )
    assert block is not None
    commands = block[1].splitlines()
    assert len(commands) == 2, commands
    wheel = root.give(dist.wheel)
    name = dist.wheel.name
    assert name in commands[0], commands
    script = block[1].replace(name, wheel)
    done = root.run(script, "root", **BESIDE_APT)
    if "bullseye" in (root.path / "etc/os-release").read_text():
        assert "requires version 6.3 or newer of Mercurial" in done.output
        return
    assert done.status == 0, done.output
    assert "init try" in done.output, done.output


@only(*SUPPORTED)
def test_administrator_installs_and_uninstalls(dist: Dist, root: Root) -> None:
    before = root.files()
    wheel = root.give(dist.wheel)
    succeed(root, f"pip3 install {wheel}", **BESIDE_APT)
    assert_works(root)
    assert root.files() > before
    succeed(root, "pip3 uninstall --yes uilog", **BESIDE_APT)
    assert_left_behind(root, before, set())
    (root.home / ".hgrc").unlink()
    assert succeed(root, "hg version -q", USER).startswith("Mercurial")


@only(*SUPPORTED)
def test_user_installs_and_uninstalls(dist: Dist, root: Root) -> None:
    wheel = root.give(dist.wheel)
    path = f"/home/{USER}/.local/bin:/usr/bin:/bin"
    env = {**BESIDE_APT, "PATH": path}
    succeed(root, f"pip3 install --user {wheel}", USER, **env)
    (root.home / ".hgrc").write_text(HGRC)
    assert "0 errors, 0 warnings" in succeed(root, USE, USER, **env)
    succeed(root, "pip3 uninstall --yes uilog", USER, **env)
    left = {
        str(it)
        for it in (root.home / ".local").rglob("*uilog*")
        if ".local/state" not in str(it)
    }
    assert left == set(), left


@only(TOO_OLD)
def test_old_mercurial_refuses_and_works(dist: Dist, root: Root) -> None:
    """Its hg says why it does not load uilog, and does what it was asked."""
    wheel = root.give(dist.wheel)
    succeed(root, f"pip3 install {wheel}", **BESIDE_APT)
    (root.home / ".hgrc").write_text("[extensions]\nuilog =\n")
    told = succeed(root, "hg init repository && hg -R repository root", USER)
    assert f"/home/{USER}/repository" in told.splitlines(), told
    refusal = "third party extension uilog requires version 6.3 or newer"
    assert refusal in told, told
    assert "Traceback" not in told, told
    # The program says so as well, and does not say that all is well.
    check = root.run("uilog check", USER)
    assert check.status != 0 and "6.3" in check.output, check.output


@only(TOO_OLD)
def test_old_system_with_a_newer_mercurial(dist: Dist, root: Root) -> None:
    """glibc 2.31 and Python 3.9 are enough."""
    asked = [
        *(sys.executable, "-m", "pip", "--quiet", "download", "--no-deps"),
        *("--only-binary=:all:", "--python-version=3.9", "--implementation=cp"),
        *(
            "--platform=manylinux_2_17_x86_64",
            "--platform=manylinux_2_28_x86_64",
        ),
        *("--dest", str(root.path / "tmp"), f"mercurial=={NEWER_HG}"),
    ]
    done = subprocess.run(
        asked, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    if done.returncode != 0:
        raise LeftOut(f"no Mercurial {NEWER_HG} to download: {done.stdout}")
    wheel = root.give(dist.wheel)
    succeed(root, f"pip3 install /tmp/mercurial-*.whl {wheel}", **BESIDE_APT)
    assert_works(root)


def assert_left_behind(root: Root, before: set[str], wanted: set[str]) -> None:
    """Nothing else is there that was not before; of directories, only ours."""
    left = {
        it
        for it in root.files() - before
        if "uilog" in it or not (root.path / it).is_dir()
    }
    assert left == wanted, left
