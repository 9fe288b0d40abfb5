"""What `make dist` packs, as far as it can be seen without a release build: the
source archive, the files and metadata of the wheel, the layout and the control
data of the Debian package. `make test-dist` installs the real ones.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tools.common import CACHE, ROOT

sys.path.insert(0, str(ROOT / "release"))

import archives
import deb
import dist
import sbom

EPOCH = 1780000000


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> archives.Files:
    """The wheel of the tests, as `make dist` would finish its own; the programs
    are cut, because nothing here looks into them."""
    (made,) = (CACHE / "wheel-test").glob("*.whl")
    tmp = tmp_path_factory.mktemp("wheel")
    small = tmp / made.name
    files = {
        name: archives.File(it.data[:64], it.is_executable)
        if it.data.startswith(b"\x7fELF")
        else it
        for name, it in archives.read_zip(made).items()
    }
    archives.write_zip(small, files, EPOCH)
    others = [sbom.library("glibc", "2.36", "LGPL", ["uilog-dispatcher"])]
    bill = sbom.sbom(ROOT, dist.TARGET, EPOCH, others)
    finished = dist.finish_wheel(small, bill, tmp, EPOCH)
    assert finished.name.endswith("-cp39-abi3-manylinux_2_28_x86_64.whl")
    return archives.read_zip(finished)


def in_dist_info(files: archives.Files, name: str) -> bytes:
    (found,) = (it for it in files if it.endswith(f".dist-info/{name}"))
    return files[found].data


def test_the_source_archive_has_every_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("there is no git, or this is no checkout")
    files = archives.read_tar(dist.make_sdist(tmp_path, EPOCH))
    asked = ["git", "ls-files"]
    done = subprocess.run(
        asked, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True
    )
    there = {it for it in done.stdout.splitlines() if (ROOT / it).is_file()}
    packed = {name.partition("/")[2] for name in files}
    assert there - packed == set()
    assert packed - there == {"PKG-INFO"}
    assert files["uilog-0.1.0/release/cargo-for-wheel"].is_executable
    # The same again from what is packed.
    packed_tree = dist.unpack(
        tmp_path / "uilog-0.1.0.tar.gz", tmp_path / "tree"
    )
    monkeypatch.setattr(dist, "ROOT", packed_tree)
    (tmp_path / "again").mkdir()
    again = dist.make_sdist(tmp_path / "again", EPOCH)
    assert again.read_bytes() == (tmp_path / again.name).read_bytes()


def test_the_wheel_names_its_platform_and_its_files(
    wheel: archives.Files,
) -> None:
    tags = re.findall(rb"^Tag: (.*)$", in_dist_info(wheel, "WHEEL"), re.M)
    assert tags == [b"cp39-abi3-manylinux_2_28_x86_64"]
    listed = in_dist_info(wheel, "RECORD").decode().splitlines()
    assert {it.split(",")[0] for it in listed} == set(wheel)
    meta = in_dist_info(wheel, "METADATA").decode()
    assert "\nRequires-Python: >=3.9\n" in meta
    assert "\nRequires-Dist:" not in meta


def test_the_bill_of_materials_covers_the_lock(wheel: archives.Files) -> None:
    bill = json.loads(in_dist_info(wheel, "sboms/uilog.cdx.json"))
    components = bill["components"]
    assert all(it["licenses"][0]["expression"] for it in components)
    linked = {
        it["name"]: {prop["value"] for prop in it["properties"]}
        for it in components
        if it["scope"] == "required"
    }
    # Of each file something that the others do without, and what cargo does not
    # know.
    assert linked["pyo3"] == {"hgext3rd/uilog/_native.abi3.so"}
    assert linked["clap"] == {"uilog"}
    assert linked["glibc"] == {"uilog-dispatcher"}
    assert linked["libc"] == set(sbom.PARTS)
    hashes = {it["name"] for it in components if "hashes" in it}
    lock = (ROOT / "Cargo.lock").read_text()
    named = {
        it["name"]
        for it in components
        if f'name = "{it["name"]}"' in lock
        and not it["name"].startswith("uilog")
    }
    assert hashes == named


def test_the_package_has_every_file_of_the_wheel(wheel: archives.Files) -> None:
    package = deb.layout(ROOT, wheel, EPOCH)
    left = {name for name in wheel if deb.debian_path(name) is None}
    # What only pip reads.
    assert {it.partition(".dist-info/")[2] for it in left} == {
        "RECORD",
        "WHEEL",
        "licenses/COPYING",
        "sboms/uilog.cdx.json",
    }
    assert {it for it in package if package[it].is_executable} == {
        "usr/bin/uilog",
        "usr/bin/uilog-dispatcher",
    }
    pages = {it.name for it in (ROOT / "docs" / "man").iterdir()}
    manual = "usr/share/man/man"
    packed = {it for it in package if it.startswith(manual)}
    assert {Path(it).name for it in packed} == {f"{it}.gz" for it in pages}
    for name in ("README.Debian", "copyright", "configuration.md", "index.md"):
        assert f"usr/share/doc/uilog/{name}" in package
    # Enabling it is the administrator's choice: nothing is below /etc.
    assert {it.split("/")[0] for it in package} == {"usr"}
    text = package["usr/share/doc/uilog/copyright"].data.decode()
    assert re.search(r"^   pyo3 [\d.]+$", text, re.M)
    assert "@" not in text


def test_the_control_data_are_those_of_the_project(
    wheel: archives.Files,
) -> None:
    package = deb.layout(ROOT, wheel, EPOCH)
    fields = dict(
        re.findall(
            r"^([\w-]+): (.*)$", deb.control(wheel, package, "2.28"), re.M
        )
    )
    assert fields["Version"] == "0.1.0-1"
    assert fields["Depends"] == (
        "libc6 (>= 2.28), mercurial (>= 6.3), python3 (>= 3.9)"
    )
    extension = (ROOT / "hgext/uilog/__init__.py").read_text()
    assert "minimumhgversion = b'6.3'" in extension
    assert int(fields["Installed-Size"]) > 0
    for script in ("postinst", "prerm"):
        subprocess.run(["sh", "-n", deb.DEBIAN / script], check=True)


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_an_archive_depends_on_its_contents_alone(
    tmp_path: Path, kind: str
) -> None:
    files = {
        name: archives.File(name.encode(), name == "run")
        for name in ("b", "run", "x-1.dist-info/RECORD", "a")
    }
    read, write = {
        "zip": (archives.read_zip, archives.write_zip),
        "tar": (archives.read_tar, archives.write_tar),
    }[kind]
    write(tmp_path / "one", files, EPOCH)
    umask = os.umask(0o077)
    try:
        write(tmp_path / "two", dict(reversed(files.items())), EPOCH)
    finally:
        os.umask(umask)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    assert read(tmp_path / "one") == files


def test_a_symbol_that_an_old_c_library_lacks_is_found() -> None:
    """auditwheel looks at versions only, and zig gives such a symbol none."""
    needed = {"memfd_create": "STB_GLOBAL", "statx": "STB_WEAK"}
    python = {"PyList_New": "STB_GLOBAL", "_Py_Dealloc": "STB_GLOBAL"}
    assert dist.unknown({**needed, **python}) == ["memfd_create"]
