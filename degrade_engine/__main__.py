"""`python -m degrade_engine` is the same front door as the `degrade-engine` script."""

import sys

from degrade_engine.cli import main

if __name__ == "__main__":
    sys.exit(main())
