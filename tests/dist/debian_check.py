"""The Debian package: installed, upgraded, removed and purged."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from common import TOO_OLD, Dist, LeftOut, only, succeed
from roots import USER, Root
from wheel_check import SUPPORTED, assert_left_behind, assert_works

ENABLED = "/etc/mercurial/hgrc.d/uilog.rc"


def next_version(deb: Path, out: Path) -> Path:
    """The same package, as its next version."""
    with tempfile.TemporaryDirectory(prefix="uilog-deb.") as tmp:
        tree = Path(tmp) / "tree"
        subprocess.run(["dpkg-deb", "-R", str(deb), str(tree)], check=True)
        control = tree / "DEBIAN" / "control"
        text = re.sub(
            r"(?m)^Version: (.*)$", r"Version: \1+1", control.read_text()
        )
        control.write_text(text)
        subprocess.run(
            [
                "dpkg-deb",
                "--root-owner-group",
                "-Zgzip",
                "-b",
                str(tree),
                str(out),
            ],
            check=True,
            stdout=subprocess.DEVNULL,
        )
    return out


def test_lintian_finds_nothing(dist: Dist) -> None:
    if shutil.which("lintian") is None:
        raise LeftOut("there is no lintian")
    done = subprocess.run(
        ["lintian", "--allow-root", "--fail-on=error,warning", str(dist.deb)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert done.returncode == 0, done.stdout


@only(*SUPPORTED)
def test_package_installs_upgrades_and_goes(dist: Dist, root: Root) -> None:
    deb = root.give(dist.deb)
    newer = next_version(dist.deb, root.path / "tmp" / "newer.deb")
    before = root.files()
    succeed(root, f"dpkg -i {deb}")
    # Nothing is enabled by installing it.
    assert "uilog" not in succeed(root, "hg version -v", USER)
    assert_works(root)
    assert_parts_are_in_place(root)
    # Whoever wants it for all users copies the example, which stays theirs.
    (root.home / ".hgrc").unlink()
    succeed(root, f"cp /usr/share/doc/uilog/examples/uilog.rc {ENABLED}")
    assert "uilog" in succeed(root, "hg version -v", USER)
    succeed(root, f"echo '# edited' >> {ENABLED}; dpkg -i /tmp/{newer.name}")
    assert "+1" in succeed(root, "dpkg-query -W -f '${Version}' uilog")
    assert "uilog" in succeed(root, "hg version -v", USER)
    told = succeed(root, "dpkg --remove uilog")
    assert f"{ENABLED} still enables the extension" in told, told
    assert_left_behind(root, before, {ENABLED.lstrip("/")})
    # hg warns, and works.
    told = succeed(root, "hg init another", USER)
    assert "failed to import extension" in told, told
    succeed(root, f"rm {ENABLED}")
    succeed(root, "dpkg --purge uilog")
    assert "uilog" not in succeed(root, "hg version -v", USER)
    assert_left_behind(root, before, set())
    assert root.run("dpkg-query -s uilog").status != 0


def assert_parts_are_in_place(root: Root) -> None:
    for path in (
        "usr/bin/uilog",
        "usr/bin/uilog-dispatcher",
        "usr/lib/python3/dist-packages/hgext3rd/uilog/_native.abi3.so",
        "usr/share/bash-completion/completions/uilog",
        "usr/share/doc/uilog/copyright",
        "usr/share/doc/uilog/configuration.md",
        "usr/share/doc/uilog/uilog.cdx.json",
        "usr/share/fish/vendor_completions.d/uilog.fish",
        "usr/share/man/man1/uilog.1.gz",
        "usr/share/man/man1/uilog-check.1.gz",
        "usr/share/zsh/vendor-completions/_uilog",
    ):
        assert (root.path / path).is_file(), path
    told = succeed(root, "dpkg --verify uilog; uilog --version")
    assert told.startswith("uilog "), told
    # postinst has compiled it.
    cache = (
        root.path / "usr/lib/python3/dist-packages/hgext3rd/uilog/__pycache__"
    )
    assert list(cache.glob("*.pyc"))


@only(TOO_OLD)
def test_old_mercurial_refuses_the_package(dist: Dist, root: Root) -> None:
    before = root.files()
    done = root.run(f"apt-get install -y --no-download {root.give(dist.deb)}")
    assert done.status != 0
    assert "Depends: mercurial (>= 6.3)" in done.output, done.output
    assert_left_behind(root, before, set())
    assert "uilog" not in succeed(root, "hg version -v", USER)
