"""The names that the help needs, without anything that costs time to import."""

from __future__ import annotations

from typing import Final

PROFILES: Final = {
    "default": "the map in memory, connections seen in packets",
    "persistent": "the map on a volume",
    "sockets": "sniffers that only read tables of sockets, with fewer rights",
    "openshift": "with SecurityContextConstraints",
    "otterize": "with the names by which the Otterize command line finds a mapper",
}
"""Names of the profiles, and what they are."""
NAMESPACE: Final = "network-mapper"
"""The namespace that the profiles are rendered for, and that is used where none is named."""
