"""The programs under docs/ are scripts: tests import them as the builder does, from their folder."""

import sys
from pathlib import Path

DOCS = Path(__file__).parent.parent.parent / "docs"
sys.path.insert(0, str(DOCS))
