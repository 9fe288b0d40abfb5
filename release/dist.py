"""Makes what users install: source archive, wheel and Debian package.

    python release/dist.py [--out DIR]

Responsible for the order of the steps: setuptools packs the sources, builds the
wheel from them in a directory of its own, and what it has made is written again
so that the same sources give the same bytes. Must not know how a test looks at
the result. Needs Rust, a C compiler with a static glibc, and what
tests/requirements/build.txt and dist.txt install.

The glibc that is needed to run the result is GLIBC: earlier ones lack
memfd_create, statx and renameat2. The time of all files is SOURCE_DATE_EPOCH,
or that of the last commit.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import archives
import deb
import sbom

ROOT = Path(__file__).resolve().parent.parent
TARGET = "x86_64-unknown-linux-gnu"
GLIBC = "2.28"
PLATFORM = "manylinux_2_28_x86_64"

# By the back end of pyproject.toml, with the tools that are installed.
BACK_END = """\
import sys
from setuptools import build_meta
print(getattr(build_meta, sys.argv[1])(sys.argv[2]))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=ROOT / "dist")
    parser.add_argument(
        "--target-dir",
        type=Path,
        default=ROOT / "target" / "dist",
        help="where cargo compiles",
    )
    args = parser.parse_args()
    out, target_dir = args.out.resolve(), args.target_dir.resolve()
    epoch = source_date(ROOT)
    out.mkdir(parents=True, exist_ok=True)
    for old in (*out.glob("uilog-*"), *out.glob("uilog_*")):
        old.unlink()
    with tempfile.TemporaryDirectory(prefix="uilog-dist.") as tmp:
        source = make_sdist(Path(tmp), epoch)
        tree = unpack(source, Path(tmp) / "tree")
        wheel = make_wheel(tree, Path(tmp), target_dir, epoch)
        audit(wheel)
        made = [source, wheel]
        if shutil.which("dpkg-deb") is None:
            print("LEFT OUT: the Debian package because there is no dpkg-deb")
        else:
            made.append(deb.make_deb(tree, wheel, Path(tmp), epoch, GLIBC))
        for path in made:
            shutil.copyfile(path, out / path.name)
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            print(f"{digest}  {path.name}")


def source_date(root: Path) -> int:
    """The time of all files: seconds."""
    given = os.environ.get("SOURCE_DATE_EPOCH")
    if given:
        return int(given)
    # A source archive, whose files have it.
    packed = root / "PKG-INFO"
    if packed.exists():
        return int(packed.stat().st_mtime)
    asked = ["git", "log", "-1", "--format=%ct"]
    done = subprocess.run(asked, cwd=root, check=True, stdout=subprocess.PIPE)
    return int(done.stdout)


def build(command: str, tree: Path, out: Path, env: dict[str, str]) -> Path:
    out.mkdir()
    done = subprocess.run(
        [sys.executable, "-c", BACK_END, command, str(out)],
        cwd=tree,
        env={**os.environ, **env},
        stdout=subprocess.PIPE,
        text=True,
    )
    if done.returncode != 0:
        sys.exit(f"{done.stdout}\n{command} failed")
    return out / done.stdout.splitlines()[-1]


def make_sdist(tmp: Path, epoch: int) -> Path:
    # It packs what is in the tree, so a file that git does not know would be
    # packed, too: copy what git knows.
    tree = ROOT
    if (ROOT / ".git").exists():
        tree = tmp / "checkout"
        asked = ["git", "ls-files", "-z"]
        done = subprocess.run(
            asked, cwd=ROOT, check=True, stdout=subprocess.PIPE
        )
        for name in done.stdout.decode().split("\0"):
            source = ROOT / name
            if name and source.is_file():
                (tree / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(source, tree / name)
    made = build("build_sdist", tree, tmp / "sdist", {})
    files = archives.read_tar(made)
    path = tmp / made.name
    archives.write_tar(path, files, epoch)
    return path


def unpack(source: Path, tree: Path) -> Path:
    shutil.unpack_archive(source, tree)
    (inner,) = tree.iterdir()
    return inner


def make_wheel(tree: Path, tmp: Path, target_dir: Path, epoch: int) -> Path:
    environ = wheel_environ(tree, target_dir, epoch)
    made = build("build_wheel", tree, tmp / "wheel", environ)
    bill = sbom.sbom(tree, TARGET, epoch, static_libraries())
    return finish_wheel(made, bill, tmp, epoch)


def finish_wheel(made: Path, bill: bytes, tmp: Path, epoch: int) -> Path:
    """The wheel with its tag and its bill of materials."""
    files = archives.read_zip(made)
    (wheel,) = (name for name in files if name.endswith(".dist-info/WHEEL"))
    info = wheel[: -len("WHEEL")]
    text = files[wheel].data.decode()
    (tag,) = re.findall(r"^Tag: (\S+-)\S+$", text, re.MULTILINE)
    text = re.sub(
        r"^(Tag: \S+-)\S+$", rf"\1{PLATFORM}", text, flags=re.MULTILINE
    )
    files[wheel] = archives.File(text.encode())
    files[info + "sboms/uilog.cdx.json"] = archives.File(bill)
    files[info + "RECORD"] = archives.record(files, info + "RECORD")
    name = info[: -len(".dist-info/")]
    path = tmp / f"{name}-{tag}{PLATFORM}.whl"
    archives.write_zip(path, files, epoch)
    return path


def wheel_environ(tree: Path, target_dir: Path, epoch: int) -> dict[str, str]:
    cargo_home = os.environ.get("CARGO_HOME", Path.home() / ".cargo")
    # No path of this machine is in the result.
    flags = [
        f"--remap-path-prefix={tree}=/uilog",
        f"--remap-path-prefix={target_dir}=/target",
        f"--remap-path-prefix={cargo_home}=/cargo",
    ]
    return {
        "CARGO": str(tree / "release" / "cargo-for-wheel"),
        "CARGO_ENCODED_RUSTFLAGS": "\x1f".join(flags),
        "CARGO_INCREMENTAL": "0",
        "CARGO_TARGET_DIR": str(target_dir),
        "SETUPTOOLS_RUST_CARGO_PROFILE": "release",
        "SOURCE_DATE_EPOCH": str(epoch),
        "UILOG_GLIBC": GLIBC,
        "UILOG_TARGET": TARGET,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }


def static_libraries() -> list[sbom.Json]:
    """What is linked statically, and is no crate."""
    told = {
        "rustc": output("rustc", "--version").split()[1],
        "gcc": output("cc", "-dumpfullversion"),
        "glibc": output("getconf", "GNU_LIBC_VERSION").split()[1],
        "zig": output(sys.executable, "-m", "ziglang", "version"),
    }
    parts = list(sbom.PARTS)
    return [
        sbom.library("rust-std", told["rustc"], "MIT OR Apache-2.0", parts),
        sbom.library(
            "libgcc",
            told["gcc"],
            "GPL-3.0-or-later WITH GCC-exception-3.1",
            parts,
        ),
        sbom.library(
            "glibc", told["glibc"], "LGPL-2.1-or-later", ["uilog-dispatcher"]
        ),
        sbom.library(
            "zig-compiler-rt", told["zig"], "MIT", [parts[0], parts[1]]
        ),
    ]


def output(*argv: str) -> str:
    done = subprocess.run(argv, check=True, stdout=subprocess.PIPE, text=True)
    return done.stdout.strip()


def audit(wheel: Path) -> None:
    """Exits if the wheel needs more than its name says."""
    for name, file in archives.read_zip(wheel).items():
        if file.data.startswith(b"\x7fELF"):
            lacking = unknown(unversioned(file.data))
            if lacking:
                sys.exit(f"{name}: glibc {GLIBC} lacks {', '.join(lacking)}")
    told = output(sys.executable, "-m", "auditwheel", "show", str(wheel))
    if f'"{PLATFORM}"' not in " ".join(told.split()):
        sys.exit(f"{told}\n{wheel.name}: it needs more than its name says")


def unversioned(program: bytes) -> dict[str, str]:
    """The symbols that are needed in no certain version, and their binding."""
    # Tests of what is packed do without it.
    from elftools.elf.elffile import ELFFile

    file = ELFFile(io.BytesIO(program))
    symbols = file.get_section_by_name(".dynsym")
    versions = file.get_section_by_name(".gnu.version")
    if symbols is None or versions is None:
        return {}
    return {
        symbol.name: symbol["st_info"]["bind"]
        for index, symbol in enumerate(symbols.iter_symbols())
        if symbol["st_shndx"] == "SHN_UNDEF"
        and symbol.name
        and versions.get_symbol(index)["ndx"]
        in ("VER_NDX_LOCAL", "VER_NDX_GLOBAL")
    }


def unknown(symbols: dict[str, str]) -> list[str]:
    """Those that neither this glibc nor Python has.

    auditwheel does not see them: it looks at versions.
    """
    return sorted(
        name
        for name, binding in symbols.items()
        if binding != "STB_WEAK" and not name.startswith(("Py", "_Py"))
    )


if __name__ == "__main__":
    main()
