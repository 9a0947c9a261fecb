"""Floor 7: the command line. Parse, call one function, print; nothing else."""

import runtime  # noqa: F401 (first of all: what it sets is read when Polars is imported)
