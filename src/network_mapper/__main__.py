"""`python -m network_mapper`, and where the installed programs start.

Ctrl-C is quiet from here on, also while the rest is still being imported. SIGTERM ends the process from here on also
where it is the first of a container: such a one is not ended by a signal that it does not handle, and would be killed
half a minute later.
"""

import os
import signal
import sys


def start() -> int:
    """Run the program; returns the exit code."""
    try:
        if os.getpid() == 1:
            signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        from network_mapper.cli.main import main  # noqa: PLC0415  what takes time, so it can be interrupted

        return main()
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(start())
