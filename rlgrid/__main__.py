"""``python -m rlgrid``: the command line."""

import sys

from rlgrid.cli import main

if __name__ == "__main__":
    sys.exit(main())
