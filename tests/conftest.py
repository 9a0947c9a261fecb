"""What holds for every test.

No test fails for being slow: a machine that is busy is no fault of the code. Models are fitted on
one thread: of their few rows two make nothing faster, and the suite is run by one process a core.
"""

from __future__ import annotations

import os

from hypothesis import settings

os.environ.setdefault("OMP_NUM_THREADS", "1")

settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")
