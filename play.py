"""Watch agents solve gridworlds: ``python play.py --help``."""

import os
import sys
from contextlib import suppress

from rlgrid.window import play

if __name__ == "__main__":
    status = play()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):  # nobody may read it any more
            stream.flush()
    os._exit(status)  # all is closed and kept: taking compiled code apart would hold the prompt up for seconds
