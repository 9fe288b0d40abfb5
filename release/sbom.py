"""The bill of materials of a wheel: every crate in its programs and its module,
and every library that is linked statically, with version, licence and hash.

Responsible for asking cargo and for the CycloneDX document. Must not know where
it is packed. It is the same for the same sources, lock file and compilers.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
import uuid
from pathlib import Path
from typing import Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

# What is linked: the name in the wheel, and the crate.
PARTS = {
    "hgext3rd/uilog/_native.abi3.so": "uilog-python",
    "uilog": "uilog-cli",
    "uilog-dispatcher": "uilog-dispatcher",
}

# A namespace of our own, for a serial number that follows from the contents.
NAMESPACE = uuid.uuid5(uuid.NAMESPACE_DNS, "uilog.sbom")

Json = dict[str, Any]


def cargo(root: Path, *args: str) -> str:
    done = subprocess.run(
        ["cargo", *args],
        cwd=root,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    return done.stdout


def crates(root: Path, target: str, package: str, edges: str) -> set[str]:
    """`NAME VERSION` of what a package depends on, and of itself."""
    told = cargo(
        root,
        "tree",
        f"--package={package}",
        f"--edges={edges}",
        f"--target={target}",
        "--prefix=none",
        "--format={p}",
        "--no-dedupe",
        "--locked",
    )
    names = (line.split()[:2] for line in told.splitlines() if line)
    return {f"{name} {version[1:]}" for name, version in names}


def sbom(root: Path, target: str, epoch: int, others: list[Json]) -> bytes:
    """The document. `others` are components that cargo does not know."""
    version = tomllib.loads((root / "Cargo.toml").read_text())["workspace"][
        "package"
    ]["version"]
    lock = tomllib.loads((root / "Cargo.lock").read_text())
    sums = {
        f"{it['name']} {it['version']}": it.get("checksum")
        for it in lock["package"]
    }
    linked: dict[str, list[str]] = {}
    built: set[str] = set()
    for part, package in PARTS.items():
        for crate in crates(root, target, package, "normal,no-proc-macro"):
            linked.setdefault(crate, []).append(part)
        built |= crates(root, target, package, "normal,build")
    told = json.loads(
        cargo(
            root,
            "metadata",
            "--locked",
            "--format-version=1",
            f"--filter-platform={target}",
        )
    )
    packages = {f"{it['name']} {it['version']}": it for it in told["packages"]}
    components = [
        component(packages[crate], sums[crate], linked.get(crate, []))
        for crate in sorted(built)
    ]
    components += others
    document: Json = {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "timestamp": time.strftime(
                "%Y-%m-%dT%H:%M:%SZ", time.gmtime(epoch)
            ),
            "component": {
                "type": "application",
                "bom-ref": f"pkg:pypi/uilog@{version}",
                "name": "uilog",
                "version": version,
                "purl": f"pkg:pypi/uilog@{version}",
                "licenses": [{"expression": "GPL-2.0-or-later"}],
            },
        },
        "components": components,
        "dependencies": dependencies(told, packages, built, version, others),
    }
    serial = uuid.uuid5(NAMESPACE, json.dumps(document, sort_keys=True))
    document["serialNumber"] = f"urn:uuid:{serial}"
    return (json.dumps(document, indent=1, sort_keys=True) + "\n").encode()


def purl(package: Json) -> str:
    return f"pkg:cargo/{package['name']}@{package['version']}"


def component(package: Json, checksum: str | None, parts: list[str]) -> Json:
    expression = package["license"]
    if not expression:
        sys.exit(f"{package['name']}: its Cargo.toml names no licence")
    made: Json = {
        "type": "library",
        "bom-ref": purl(package),
        "name": package["name"],
        "version": package["version"],
        "purl": purl(package),
        # What older crates write for OR.
        "licenses": [{"expression": expression.replace("/", " OR ")}],
        # What only runs while we build is in none of our files.
        "scope": "required" if parts else "excluded",
    }
    if checksum is not None:
        made["hashes"] = [{"alg": "SHA-256", "content": checksum}]
    if parts:
        made["properties"] = linked_into(parts)
    return made


def library(name: str, version: str, licence: str, parts: list[str]) -> Json:
    """A library that is linked statically, and is no crate."""
    return {
        "type": "library",
        "bom-ref": f"pkg:generic/{name}@{version}",
        "name": name,
        "version": version,
        "purl": f"pkg:generic/{name}@{version}",
        "licenses": [{"expression": licence}],
        "scope": "required",
        "properties": linked_into(parts),
    }


def linked_into(parts: list[str]) -> list[Json]:
    return [{"name": "uilog:linked-into", "value": part} for part in parts]


def dependencies(
    told: Json,
    packages: Json,
    built: set[str],
    version: str,
    others: list[Json],
) -> list[Json]:
    refs = {it["id"]: purl(it) for it in packages.values()}
    known = {purl(packages[crate]) for crate in built}
    roots = [
        purl(it) for it in packages.values() if it["name"] in PARTS.values()
    ]
    named = [it["bom-ref"] for it in others]
    found = [
        {"ref": f"pkg:pypi/uilog@{version}", "dependsOn": sorted(roots + named)}
    ]
    for node in sorted(told["resolve"]["nodes"], key=lambda it: refs[it["id"]]):
        if refs[node["id"]] in known:
            wanted = {
                refs[it["pkg"]]
                for it in node["deps"]
                if any(kind["kind"] != "dev" for kind in it["dep_kinds"])
            }
            found.append(
                {
                    "ref": refs[node["id"]],
                    "dependsOn": sorted(wanted & known),
                }
            )
    return found
