"""`python -m network_mapper`: the same as the command `network-mapper`."""

import sys

from network_mapper.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
