"""The Debian package, made of the same files as the wheel.

Responsible for where Debian wants each file, for the control data and for the
maintainer scripts in release/debian. Must not compile anything: programs and
module are taken from the wheel.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import re
import subprocess
from email import message_from_bytes
from email.utils import formatdate
from pathlib import Path

import archives

DEBIAN = Path(__file__).resolve().parent / "debian"
# Of the package. It begins again at 1 with each version of uilog.
REVISION = 1
# Where the wheel has its data, and where Debian wants them.
DATA = {
    "share/zsh/site-functions/": "usr/share/zsh/vendor-completions/",
    "share/": "usr/share/",
}
PYTHON = "usr/lib/python3/dist-packages/"
DOC = "usr/share/doc/uilog/"


def make_deb(
    tree: Path, wheel: Path, tmp: Path, epoch: int, glibc: str
) -> Path:
    files = archives.read_zip(wheel)
    package = layout(tree, files, epoch)
    meta = control(files, package, glibc)
    root = tmp / "deb"
    write(root, package, epoch)
    scripts = {
        name: archives.File((DEBIAN / name).read_bytes(), True)
        for name in ("postinst", "prerm")
    }
    sums = "".join(
        f"{hashlib.md5(file.data).hexdigest()}  {name}\n"
        for name, file in sorted(package.items())
    )
    texts = {"control": meta, "md5sums": sums}
    plain = {name: archives.File(it.encode()) for name, it in texts.items()}
    write(root / "DEBIAN", {**plain, **scripts}, epoch)
    path = tmp / f"uilog_{version_of(files)}_amd64.deb"
    subprocess.run(
        ["dpkg-deb", "--root-owner-group", "-Zxz", "--build", root, path],
        check=True,
        stdout=subprocess.DEVNULL,
        env={**os.environ, "SOURCE_DATE_EPOCH": str(epoch)},
    )
    return path


def write(root: Path, files: archives.Files, epoch: int) -> None:
    """Writes files below a directory, whatever the umask."""
    for name, file in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(file.data)
        path.chmod(file.mode)
        os.utime(path, (epoch, epoch))
    for directory, _names, _files in os.walk(root):
        os.chmod(directory, 0o755)
        os.utime(directory, (epoch, epoch))


def metadata(files: archives.Files) -> dict[str, str]:
    (name,) = (it for it in files if it.endswith(".dist-info/METADATA"))
    return dict(message_from_bytes(files[name].data).items())


def version_of(files: archives.Files) -> str:
    return f"{metadata(files)['Version']}-{REVISION}"


def layout(tree: Path, files: archives.Files, epoch: int) -> archives.Files:
    """Every file of the package, by its path below the root."""
    package = {}
    for name, file in files.items():
        path = debian_path(name)
        if path is not None:
            # Only what is executed is executable; a module is loaded.
            runs = path.startswith("usr/bin/")
            package[path] = archives.File(file.data, runs)
    # Both are README.md; the wheel has the second one.
    package[DOC + "README.md"] = archives.File(
        (tree / "README.md").read_bytes()
    )
    package[DOC + "index.md"] = archives.File(
        (tree / "docs" / "README.md").read_bytes()
    )
    package[DOC + "changelog"] = archives.File(
        (tree / "CHANGELOG.md").read_bytes()
    )
    changes = (
        f"uilog ({version_of(files)}) unstable; urgency=medium\n\n"
        "  * The package of this version; changelog.gz has what is new.\n\n"
        f" -- {maintainer()}  {formatdate(epoch)}\n"
    )
    package[DOC + "changelog.Debian"] = archives.File(changes.encode())
    (bill,) = (file for name, file in files.items() if "/sboms/" in name)
    package[DOC + "uilog.cdx.json"] = bill
    package[DOC + "copyright"] = archives.File(
        copyright_of(json.loads(bill.data)).encode()
    )
    for name, path in {
        "README.Debian": DOC + "README.Debian",
        "uilog.rc": DOC + "examples/uilog.rc",
        "lintian-overrides": "usr/share/lintian/overrides/uilog",
    }.items():
        package[path] = archives.File((DEBIAN / name).read_bytes())
    return dict(compressed(name, file) for name, file in package.items())


def debian_path(name: str) -> str | None:
    """Where a file of the wheel goes; None for what only pip reads."""
    head, _, rest = name.partition("/")
    if not head.endswith((".data", ".dist-info")):
        return PYTHON + name
    if rest.startswith("scripts/"):
        return "usr/bin/" + rest[len("scripts/") :]
    if rest.startswith("data/"):
        rest = rest[len("data/") :]
        for prefix, place in DATA.items():
            if rest.startswith(prefix):
                return place + rest[len(prefix) :]
        raise ValueError(f"{name}: no place in the Debian package")
    # So that `pip list` and importlib.metadata know it, too.
    if rest in ("METADATA", "top_level.txt"):
        return f"{PYTHON}{head[: -len('.dist-info')]}.dist-info/{rest}"
    return None


def compressed(name: str, file: archives.File) -> tuple[str, archives.File]:
    """As policy wants manual pages and changelogs."""
    is_man = name.startswith("usr/share/man/")
    if is_man or name.startswith(DOC + "changelog"):
        data = gzip.compress(file.data, 9, mtime=0)
        return name + ".gz", archives.File(data)
    return name, file


def maintainer() -> str:
    control = (DEBIAN / "control").read_text()
    found = re.search(r"^Maintainer: (.*)$", control, re.MULTILINE)
    if found is None:
        raise ValueError("release/debian/control names no maintainer")
    return found[1]


def control(files: archives.Files, package: archives.Files, glibc: str) -> str:
    size = sum(len(file.data) // 1024 + 1 for file in package.values())
    return (
        (DEBIAN / "control")
        .read_text()
        .format(version=version_of(files), glibc=glibc, size=size)
    )


def copyright_of(bill: dict[str, object]) -> str:
    """What release/debian/copyright says, and each linked crate's licence."""
    components = bill["components"]
    assert isinstance(components, list)
    by_licence: dict[str, list[str]] = {}
    for it in components:
        if it["scope"] == "required" and not it["name"].startswith("uilog"):
            (licence,) = it["licenses"]
            named = f"{it['name']} {it['version']}"
            by_licence.setdefault(licence["expression"], []).append(named)
    lines = []
    for licence, crates in sorted(by_licence.items()):
        lines.append(f"  {licence}:")
        lines += [f"   {it}" for it in sorted(crates)]
    return (
        (DEBIAN / "copyright")
        .read_text()
        .replace("@COMPONENTS@", "\n".join(lines))
    )
