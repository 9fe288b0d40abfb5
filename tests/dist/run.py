"""Tests what `make dist` has made, in bare systems of Debian 11, 12 and 13.

    make test-dist [ARGS='-k NAME']

Responsible for the order of the tests and for the sum; the last line is `N
passed, N failed`. What cannot be tested here is printed as LEFT OUT. Must not
build anything but the second build, which has to equal the first.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import traceback
from pathlib import Path

import archives_check
import debian_check
import wheel_check
from common import LeftOut, Test, collect

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
# Set when this process has a mount namespace of its own.
INSIDE = "UILOG_TEST_DIST_INSIDE"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "-k", dest="pattern", default="", help="a part of a name"
    )
    parser.add_argument("--dist", type=Path, default=ROOT / "dist")
    parser.add_argument(
        "--roots", type=Path, default=ROOT / ".cache" / "dist-roots"
    )
    args = parser.parse_args()
    if (
        os.geteuid() == 0
        and shutil.which("unshare")
        and INSIDE not in os.environ
    ):
        # Whatever we mount is gone when we are.
        os.environ[INSIDE] = "1"
        own = ["unshare", "--mount", "--propagation=private", sys.executable]
        os.execvp("unshare", [*own, *sys.argv])
    tests = [
        test
        for module in (archives_check, wheel_check, debian_check)
        for test in collect(module, args.dist.resolve(), args.roots.resolve())
        if args.pattern in test.name
    ]
    passed = failed = 0
    for test in tests:
        outcome, why = run(test)
        passed += outcome == "ok"
        failed += outcome == "FAILED"
        print(f"{outcome}: {test.name}{f': {why}' if why else ''}", flush=True)
    if not tests:
        print(f"FAILED: no test has {args.pattern!r} in its name")
        failed += 1
    print(f"{passed} passed, {failed} failed")
    return int(failed > 0)


def run(test: Test) -> tuple[str, str]:
    try:
        test.call()
    except LeftOut as reason:
        return "LEFT OUT", str(reason)
    except Exception:
        return "FAILED", f"\n{traceback.format_exc()}"
    return "ok", ""


if __name__ == "__main__":
    sys.exit(main())
