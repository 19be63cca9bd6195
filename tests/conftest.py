"""What all tests share: ``helpers`` can be imported from every folder below this one."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
