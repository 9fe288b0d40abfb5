"""Archives that depend on their contents alone.

Responsible for reading wheels and source archives as setuptools writes them,
and for writing them so that two builds of the same sources are the same bytes:
sorted, with one time for all files, and with modes that do not depend on a
umask. Must not know what is in them.
"""

from __future__ import annotations

import base64
import csv
import gzip
import hashlib
import io
import tarfile
import time
import zipfile
from dataclasses import dataclass
from pathlib import Path

# The first time that a zip file can have.
ZIP_EPOCH = 315532800


@dataclass(frozen=True)
class File:
    """A regular file in an archive."""

    data: bytes
    is_executable: bool = False

    @property
    def mode(self) -> int:
        return 0o755 if self.is_executable else 0o644


Files = dict[str, File]


def read_zip(path: Path) -> Files:
    with zipfile.ZipFile(path) as archive:
        return {
            info.filename: File(
                archive.read(info), bool(info.external_attr >> 16 & 0o100)
            )
            for info in archive.infolist()
            if not info.is_dir()
        }


def write_zip(path: Path, files: Files, epoch: int) -> None:
    moment = time.gmtime(max(epoch, ZIP_EPOCH))[:6]
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in sorted(files, key=zip_order):
            info = zipfile.ZipInfo(name, moment)
            info.compress_type = zipfile.ZIP_DEFLATED
            info.create_system = 3
            info.external_attr = (0o100000 | files[name].mode) << 16
            archive.writestr(info, files[name].data, compresslevel=9)


def zip_order(name: str) -> tuple[bool, str]:
    """Metadata comes last, so that installers need not read the whole file."""
    return ".dist-info/" in name, name


def read_tar(path: Path) -> Files:
    files = {}
    with tarfile.open(path) as archive:
        for info in archive:
            data = archive.extractfile(info)
            if data is not None:
                files[info.name] = File(data.read(), bool(info.mode & 0o100))
    return files


def write_tar(path: Path, files: Files, epoch: int) -> None:
    with (
        path.open("wb") as raw,
        # The name of the file would be in it, too.
        gzip.GzipFile("", "wb", 9, raw, mtime=epoch) as packed,
        tarfile.open(
            fileobj=packed, mode="w", format=tarfile.PAX_FORMAT
        ) as tar,
    ):
        for name in sorted(files):
            info = tarfile.TarInfo(name)
            info.size = len(files[name].data)
            info.mode = files[name].mode
            info.mtime = epoch
            tar.addfile(info, io.BytesIO(files[name].data))


def record(files: Files, name: str) -> File:
    """The file `name` of a wheel, which lists all others and itself."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    for other in sorted(files, key=zip_order):
        if other != name:
            data = files[other].data
            digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest())
            hashed = "sha256=" + digest.decode().rstrip("=")
            writer.writerow([other, hashed, len(data)])
    writer.writerow([name, "", ""])
    return File(text.getvalue().encode())
