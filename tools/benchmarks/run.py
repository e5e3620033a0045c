"""`python tools/benchmarks/run.py --help`"""

from __future__ import annotations

import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[2]))
    from tools.benchmarks.__main__ import main

    sys.exit(main())
