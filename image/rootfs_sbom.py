"""The list of what is in the image, as SPDX 2.3, the form that scanners and auditors read.

Made of nothing but what went in, so the same image has the same list, byte for byte.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from typing import TYPE_CHECKING
from urllib.parse import quote

if TYPE_CHECKING:
    from rootfs_packages import Package

HOMEPAGE = "https://github.com/network-mapper/network-mapper"


def _url(package: Package) -> str:
    version = quote(package.version, safe=".")
    if package.kind == "deb":
        return f"pkg:deb/debian/{quote(package.name, safe='.')}@{version}?arch={package.architecture}&distro=debian-12"
    return f"pkg:pypi/{package.name}@{version}"


def _entry(number: int, package: Package) -> dict[str, object]:
    return {
        "SPDXID": f"SPDXRef-Package-{number}",
        "name": package.name,
        "versionInfo": package.version,
        "packageFileName": package.file,
        "downloadLocation": "NOASSERTION",
        "filesAnalyzed": False,
        "checksums": [{"algorithm": "SHA256", "checksumValue": package.sha256}],
        "externalRefs": [
            {"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl", "referenceLocator": _url(package)}
        ],
    }


def _relation(one: str, kind: str, other: str) -> dict[str, str]:
    return {"spdxElementId": one, "relationshipType": kind, "relatedSpdxElement": other}


def document(version: str, architecture: str, packages: list[Package], moment: int) -> str:
    """The list as JSON.

    Args:
        version: This project's version.
        architecture: The image's.
        packages: What else is in it.
        moment: The time that the list says it was made at, seconds.
    """
    entries = [_entry(number, package) for number, package in enumerate(packages, 1)]
    digest = hashlib.sha256(json.dumps([version, entries]).encode()).hexdigest()[:16]
    image = {
        "SPDXID": "SPDXRef-Image",
        "name": "network-mapper",
        "versionInfo": version,
        "downloadLocation": HOMEPAGE,
        "filesAnalyzed": False,
        "licenseDeclared": "Apache-2.0",
        "primaryPackagePurpose": "CONTAINER",
    }
    return json.dumps({
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": f"network-mapper-{version}-{architecture}",
        "documentNamespace": f"{HOMEPAGE}/sbom/{version}-{architecture}-{digest}",
        "creationInfo": {
            "created": dt.datetime.fromtimestamp(moment, dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "creators": ["Tool: network-mapper-image"],
        },
        "packages": [image, *entries],
        "relationships": [
            _relation("SPDXRef-DOCUMENT", "DESCRIBES", "SPDXRef-Image"),
            *(_relation("SPDXRef-Image", "CONTAINS", str(entry["SPDXID"])) for entry in entries),
        ],
    }, indent=1) + "\n"  # fmt: skip
