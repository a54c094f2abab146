"""`python -m network_mapper`, and where the installed programs start.

Ctrl-C is quiet from here on, also while the rest is still being imported.
"""

import sys


def start() -> int:
    """Run the program; returns the exit code."""
    try:
        from network_mapper.cli.main import main  # noqa: PLC0415  what takes time, so it can be interrupted

        return main()
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(start())
