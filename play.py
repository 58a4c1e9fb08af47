"""Watch agents solve gridworlds: ``python play.py --help``."""

import sys

from rlgrid.window import play

if __name__ == "__main__":
    sys.exit(play())
