"""`iuserver licences`: everything that this program is made of, with its licence."""

from __future__ import annotations

import argparse
import json
import platform
import re
import sys
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

BUNDLED = "licences.json"
"""What the binary has in place of the packages' own files."""
LIBRARIES = {
    "glibc's loader is the system's; libgcc and libstdc++": "GPL-3.0 with the GCC runtime library exception",
    "OpenSSL": "Apache-2.0",
    "zlib": "Zlib",
    "bzip2": "bzip2-1.0.6",
    "liblzma": "0BSD",
    "libffi": "MIT",
    "libuuid": "BSD-3-Clause",
    "readline": "GPL-3.0",
    "ncurses": "X11",
}
"""Libraries that come with Python where the binary is built."""


def configure(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument("--texts", action="store_true", help="print the texts of the licences as well")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print a line for each part: name, version, licence."""
    for part in parts():
        print(f"{part['name']} {part['version']}: {part['licence']}")
        for text in part["texts"] if options.texts else []:
            print(f"\n{text.rstrip()}\n")
    return 0


def parts() -> list[dict[str, Any]]:
    """Every part, with `name`, `version`, `licence` and `texts`."""
    folder = getattr(sys, "_MEIPASS", None)
    if folder:
        bundled: list[dict[str, Any]] = json.loads((Path(folder) / BUNDLED).read_text("utf-8"))
        return bundled
    return found()


def found() -> list[dict[str, Any]]:
    """The same of the packages that are installed: this one, and what it requires."""
    packages: dict[str, Distribution] = {}
    _collect("iuserver", packages)
    listed = [_described(packages[name]) for name in sorted(packages)]
    own = {"name": "Python", "version": platform.python_version(), "licence": "PSF-2.0", "texts": []}
    libraries = [{"name": name, "version": "-", "licence": licence, "texts": []} for name, licence in LIBRARIES.items()]
    return [*listed, own, *libraries]


def _collect(name: str, packages: dict[str, Distribution]) -> None:
    key = re.sub(r"[-_.]+", "-", name).lower()
    if key in packages:
        return
    try:
        packages[key] = distribution(name)
    except PackageNotFoundError:  # it is required elsewhere: on Windows, by an older Python
        return
    for requirement in packages[key].requires or []:
        if not re.search(r";.*\bextra\b", requirement):
            _collect(re.split(r"[^A-Za-z0-9_.-]", requirement, maxsplit=1)[0], packages)


def _described(package: Distribution) -> dict[str, Any]:
    told = package.metadata
    classifiers = [line.rpartition(" :: ")[2] for line in told.get_all("Classifier") or [] if "License ::" in line]
    licence = told["License-Expression"] or ", ".join(classifiers) or (told["License"] or "see its text").split("\n")[0]
    files = [file for file in package.files or [] if re.search(r"(?i)(licen[cs]e|copying|notice)[^/]*$", str(file))]
    texts = [
        Path(str(file.locate())).read_text("utf-8", "replace") for file in files if Path(str(file.locate())).is_file()
    ]
    return {"name": told["Name"], "version": told["Version"], "licence": licence, "texts": texts}
