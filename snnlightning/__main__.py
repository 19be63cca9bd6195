"""``python -m snnlightning`` is the command ``snnlightning``."""

import sys

from .cli import main

if __name__ == "__main__":
    sys.exit(main())
