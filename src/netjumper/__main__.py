"""`python -m netjumper server|bridge ...`: the two commands without their scripts on the PATH."""

import sys

from netjumper.cli import run_module

if __name__ == "__main__":
    sys.exit(run_module())
