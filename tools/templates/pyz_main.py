"""Where `network-mapper.pyz` starts. Python 2 understands this file too, so that everybody gets a sentence."""

import sys

if sys.version_info < (3, 11):  # noqa: UP036  whoever starts the file chose the Python
    sys.exit(
        "Error: network-mapper needs Python 3.11 or newer, and this is "
        + sys.version.split()[0]
        + ". Install one, and start it with: python3.11 "
        + sys.argv[0]
    )

try:
    import pyz_start

    sys.exit(pyz_start.run())
except KeyboardInterrupt:
    sys.exit(130)
