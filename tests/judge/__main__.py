"""`python -m tests.judge`: see `simulation.py`."""

import sys

from tests.judge.simulation import main

if __name__ == "__main__":
    sys.exit(main())
