"""Indexes for pip, npm and apt with one small package, `greeting` 1.0.0."""

import base64
import hashlib
import io
import json
import subprocess
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

GREETING = b"hello from home\n"
"""Contents of `greeting.txt` in the package."""

WHEEL = "greeting-1.0.0-py3-none-any.whl"
TARBALL = "greeting-1.0.0.tgz"
DEB = "greeting_1.0.0_all.deb"


def pip_index() -> dict[str, bytes]:
    """Return the files of a package index (PEP 503) with a wheel (PEP 427)."""
    wheel = _wheel()
    digest = hashlib.sha256(wheel).hexdigest()
    link = f'<!DOCTYPE html><a href="{WHEEL}#sha256={digest}">{WHEEL}</a>'
    return {"/simple/greeting/": link.encode(), f"/simple/greeting/{WHEEL}": wheel}


def _wheel() -> bytes:
    info = "greeting-1.0.0.dist-info"
    files = {
        "greeting/greeting.txt": GREETING,
        f"{info}/METADATA": b"Metadata-Version: 2.1\nName: greeting\nVersion: 1.0.0\n",
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{name},{_record(data)}\n" for name, data in files.items())
    files[f"{info}/RECORD"] = f"{record}{info}/RECORD,,\n".encode()
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return made.getvalue()


def _record(data: bytes) -> str:
    digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode().rstrip("=")
    return f"sha256={digest},{len(data)}"


def npm_registry(base: str) -> dict[str, bytes]:
    """Return the files of a registry at the URL `base`."""
    package = {"name": "greeting", "version": "1.0.0"}
    tarball = _tarball(json.dumps(package).encode())
    integrity = base64.b64encode(hashlib.sha512(tarball).digest()).decode()
    path = f"/greeting/-/{TARBALL}"
    dist = {"tarball": f"{base}{path}", "integrity": f"sha512-{integrity}"}
    about = {
        "name": "greeting",
        "dist-tags": {"latest": "1.0.0"},
        "versions": {"1.0.0": package | {"dist": dist}},
    }
    return {"/greeting": json.dumps(about).encode(), path: tarball}


def _tarball(package: bytes) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz") as archive:
        for name, data in {"package.json": package, "greeting.txt": GREETING}.items():
            member = tarfile.TarInfo(f"package/{name}")
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return made.getvalue()


def apt_repository(folder: Path) -> dict[str, bytes]:
    """Return the files of a flat repository, `home/`; dpkg-deb builds its package in `folder`."""
    tree = folder / "tree"
    (tree / "DEBIAN").mkdir(parents=True)
    (tree / "usr/share/greeting").mkdir(parents=True)
    (tree / "usr/share/greeting/greeting.txt").write_bytes(GREETING)
    control = {
        "Package": "greeting",
        "Version": "1.0.0",
        "Architecture": "all",
        "Maintainer": "Ada <ada@home.example>",
        "Description": "a greeting",
    }
    (tree / "DEBIAN/control").write_text(_stanza(control))
    made = folder / DEB
    subprocess.run(
        ["dpkg-deb", "--root-owner-group", "--build", str(tree), str(made)],
        check=True,
        capture_output=True,
    )
    deb = made.read_bytes()
    there = {"Filename": f"home/{DEB}", "Size": str(len(deb)), "SHA256": _sha256(deb)}
    packages = _stanza(control | there).encode()
    release = _stanza({"SHA256": f"\n {_sha256(packages)} {len(packages)} Packages"}).encode()
    return {"/home/Release": release, "/home/Packages": packages, f"/home/{DEB}": deb}


def _stanza(fields: Mapping[str, str]) -> str:
    return "".join(f"{name}: {value}\n" for name, value in fields.items())


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
