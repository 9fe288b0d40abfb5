"""`uilog check` if parts of the system are missing, and with other installed
programs."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from conftest import Home

# Root of a file system of one's own.
NAMESPACE = ("unshare", "--user", "--map-root-user", "--mount")


def need(program: str) -> str:
    path = shutil.which(program)
    if path is None:
        pytest.skip(f"there is no {program}")
    return path


def codes(home: Home, *argv: str, **env: str) -> list[str]:
    """The kinds of findings of `uilog check`, run by this command line."""
    done = subprocess.run(
        argv,
        env={**home.env, **env},
        cwd=home.path,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=100,
    )
    # strace and unshare pass on the status, which is 1 for an error.
    assert done.returncode in (0, 1), done.stderr
    return [it["code"] for it in json.loads(done.stdout)["findings"]]


@pytest.mark.parametrize(
    ("temporary", "expected"),
    [("", "queue-on-disk"), ("/no/such/directory", "queue-refused")],
)
def test_memory_is_refused(home: Home, temporary: str, expected: str) -> None:
    need("strace")
    env = {"TMPDIR": temporary} if temporary else {}
    check = ("uilog", "check", "-T", "json")
    assert expected not in codes(home, *check, **env)
    refuse = ("-e", "inject=memfd_create:error=ENOSYS")
    found = codes(home, "strace", "-qq", "-o/dev/null", *refuse, *check, **env)
    assert expected in found


def test_the_disk_is_full(home: Home) -> None:
    need("unshare")
    probe = "mount -t tmpfs none /mnt"
    done = subprocess.run([*NAMESPACE, "sh", "-c", probe], capture_output=True)
    if done.returncode != 0:
        pytest.skip("nothing may be mounted here")
    home.configure("blackbox =\n")
    (home.path / "small").mkdir()
    script = (
        "mount -t tmpfs -o size=1m none small && hg init small/repo && "
        "uilog check -R small/repo -T json > before; "
        "cat /dev/zero > small/fill 2> errors; "
        "uilog check -R small/repo -T json"
    )
    assert "disk-full" in codes(home, *NAMESPACE, "sh", "-c", script)
    assert "disk-full" not in (home.path / "before").read_text()


def share() -> Path:
    """Where data of this installation is."""
    return Path(need("uilog")).parent.parent / "share"


def said(*argv: str) -> str:
    done = subprocess.run(argv, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_bash_completes() -> None:
    bash = need("bash")
    script = """
        . "$1"; shift
        complete -p uilog
        COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
        _uilog uilog "${@: -1}" "${@: -2:1}"
        printf '%s\n' "${COMPREPLY[@]}"
    """
    file = str(share() / "bash-completion/completions/uilog")

    def completed(*words: str) -> list[str]:
        output = said(bash, "--norc", "-c", script, "bash", file, *words)
        head, *proposed = output.splitlines()
        assert head.endswith(" uilog")
        return proposed

    assert "check" in completed("uilog", "")
    assert completed("uilog", "stat") == ["status"]
    assert completed("uilog", "check", "--run", "commandf") == ["commandfinish"]
    assert "--color" in completed("uilog", "status", "--")
    assert "generate" not in completed("uilog", "")


def test_zsh_completes() -> None:
    zsh = need("zsh")
    script = (
        'fpath=("$1" $fpath); autoload -U compinit; compinit -u -D; '
        "print -r -- $_comps[uilog]; autoload +X _uilog && print loaded"
    )
    directory = str(share() / "zsh/site-functions")
    output = said(zsh, "-f", "-c", script, "zsh", directory)
    assert output.split() == ["_uilog", "loaded"]


def test_fish_completes() -> None:
    fish = need("fish")
    file = share() / "fish/vendor_completions.d/uilog.fish"
    script = f"source '{file}'; complete -C 'uilog stat'"
    assert said(fish, "--no-config", "-c", script).startswith("status")


@pytest.mark.parametrize("page", ["uilog", "uilog-check", "uilog-status"])
def test_man_shows_the_pages(page: str) -> None:
    man = need("man")
    file = share() / "man/man1" / f"{page}.1"
    done = subprocess.run(
        [man, "--warnings", "-l", str(file)],
        capture_output=True,
        text=True,
        env={"PATH": "/usr/bin:/bin", "MANWIDTH": "80", "LANG": "C"},
        timeout=100,
    )
    assert (done.returncode, done.stderr) == (0, "")
    for head in ("NAME", "SYNOPSIS", "EXAMPLES", "FILES"):
        assert head in done.stdout.splitlines()
