"""The archives: what they need, what is in them, and that they are the same
when they are built again.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

from common import Dist, LeftOut

ROOT = Path(__file__).resolve().parent.parent.parent
# A release build.
BUILD_TIMEOUT = 7200


def test_wheel_needs_no_more_than_its_tag(dist: Dist) -> None:
    asked = [sys.executable, "-m", "auditwheel", "show", str(dist.wheel)]
    done = subprocess.run(asked, stdout=subprocess.PIPE, text=True, check=True)
    told = " ".join(done.stdout.split())
    assert '"manylinux_2_28_x86_64"' in told, done.stdout
    assert "cp39-abi3-manylinux_2_28_x86_64" in dist.wheel.name


def test_programs_name_no_path_of_the_machine(dist: Dist) -> None:
    home = str(Path.home()).encode()
    with zipfile.ZipFile(dist.wheel) as archive:
        for name in archive.namelist():
            data = archive.read(name)
            if data.startswith(b"\x7fELF"):
                for path in (home + b"/", str(ROOT).encode(), b"/tmp/uilog-dist."):
                    assert path not in data, f"{name}: {path!r}"


def test_bill_of_materials_has_every_crate_of_the_lock_that_is_built(
    dist: Dist,
) -> None:
    with zipfile.ZipFile(dist.wheel) as archive:
        (name,) = (it for it in archive.namelist() if "/sboms/" in it)
        assert re.fullmatch(
            r"uilog-[\d.]+\.dist-info/sboms/\w+\.cdx\.json", name
        )
        bill = json.loads(archive.read(name))
    found = {f"{it['name']} {it['version']}": it for it in bill["components"]}
    asked = [
        *("cargo", "tree", "--locked", "--workspace", "--edges=normal,build"),
        *("--target=x86_64-unknown-linux-gnu", "--prefix=none", "--format={p}"),
    ]
    done = subprocess.run(
        asked, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True
    )
    wanted = {
        "{} {}".format(*line.replace(" v", " ").split()[:2])
        for line in done.stdout.splitlines()
        if line
    }
    assert wanted <= found.keys(), wanted - found.keys()
    for it in found.values():
        assert it["licenses"][0]["expression"], it
        is_of_registry = it["purl"].startswith("pkg:cargo/") and not it[
            "name"
        ].startswith("uilog")
        assert bool(it.get("hashes")) == is_of_registry, it
    refs = {it["bom-ref"] for it in found.values()}
    for it in bill["dependencies"]:
        assert set(it["dependsOn"]) <= refs, it


def test_bill_of_materials_is_valid_cyclonedx(dist: Dist) -> None:
    try:
        from cyclonedx.schema import SchemaVersion
        from cyclonedx.validation.json import JsonStrictValidator
    except ImportError as error:
        raise LeftOut("there is no cyclonedx-python-lib") from error
    with zipfile.ZipFile(dist.wheel) as archive:
        (name,) = (it for it in archive.namelist() if "/sboms/" in it)
        bill = archive.read(name).decode()
    wrong = JsonStrictValidator(SchemaVersion.V1_6).validate_str(bill)
    assert wrong is None, wrong


def test_second_build_in_another_place_is_the_same(dist: Dist) -> None:
    """From the source archive, under another umask, name and home."""
    for program in ("cargo", "cc"):
        if shutil.which(program) is None:
            raise LeftOut(f"there is no {program}")
    made = [dist.sdist, dist.wheel, *dist.directory.glob("uilog_*.deb")]
    with tempfile.TemporaryDirectory(prefix="another place.") as tmp:
        with tarfile.open(dist.sdist) as archive:
            archive.extractall(tmp)
        (tree,) = Path(tmp).iterdir()
        out = tree / "out"
        log = Path(tmp) / "log"
        environ = {**os.environ, "LC_ALL": "C", "TZ": "Asia/Kathmandu"}
        environ.pop("SOURCE_DATE_EPOCH", None)
        with log.open("w") as told:
            done = subprocess.run(
                [
                    sys.executable,
                    "release/dist.py",
                    f"--out={out}",
                    f"--target-dir={tree / 'compiled'}",
                ],
                cwd=tree,
                env=environ,
                stdout=told,
                stderr=subprocess.STDOUT,
                preexec_fn=lambda: os.umask(0o077) and None,
                timeout=BUILD_TIMEOUT,
            )
        assert done.returncode == 0, log.read_text()[-5000:]
        for path in made:
            assert digest(out / path.name) == digest(path), path.name


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
