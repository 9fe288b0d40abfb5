"""What lnav makes of records with the format file of share/lnav."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from tools.common import ROOT

FORMATS = ROOT / "share" / "lnav"


def record(number: int, event: str, **more: object) -> str:
    process = {"pid": 7, "user": "ci", "command": "pull", "exit_code": 255}
    fields = {
        "schema": 1,
        "id": f"8c1f-{number}",
        "event": event,
        "time": f"2026-03-01T09:12:4{number}.120733+01:00",
        **more,
        "session": "8c1f",
        "seq": number,
        "message": "pull exited 255 after 3.41 seconds",
        "options": {"error": "no such host", "error_type": "Abort"},
        "process": process,
        "host": {"name": "build-7"},
        "repository": {"root": "/src/main", "name": "main"},
    }
    return json.dumps(fields, separators=(",", ":"))


def lnav(directory: Path, *arguments: str) -> str:
    if shutil.which("lnav") is None:
        pytest.skip("lnav is not installed")
    done = subprocess.run(
        ["lnav", "-I", str(FORMATS), *arguments],
        env={"PATH": os.environ["PATH"], "HOME": str(directory), "TZ": "UTC0"},
        cwd=directory,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    return done.stdout


def test_lnav_knows_the_format(tmp_path: Path) -> None:
    lines = [
        record(1, "command"),
        record(2, "commandfinish", duration=3.41),
        record(3, "commandexception"),
    ]
    (tmp_path / "a.jsonl").write_text("\n".join(lines) + "\n")
    assert lnav(tmp_path, "-C") == ""
    query = (
        ';SELECT event, log_level, duration, "process/exit_code" AS code,'
        ' "repository/name" AS repository, "options/error" AS error'
        " FROM uilog_log"
    )
    rows = lnav(
        tmp_path, "-n", "-c", query, "-c", ":write-json-to -", "a.jsonl"
    )
    # lnav writes such numbers as texts.
    common = {"code": 255, "repository": "main", "error": "no such host"}
    none = {"duration": None, **common}
    assert json.loads(rows) == [
        {"event": "command", "log_level": "debug", **none},
        {
            "event": "commandfinish",
            "log_level": "info",
            "duration": "3.41",
            **common,
        },
        {"event": "commandexception", "log_level": "error", **none},
    ]
    shown = lnav(tmp_path, "-n", "a.jsonl").splitlines()
    assert "ci       build-7 main commandfinish" in shown[2]
    assert shown[3] == "  options/error: no such host"
