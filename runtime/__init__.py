"""Floor 0: settings, errors, time, devices, tables, files, progress. Imports no other floor."""

import os

# Read by the allocator inside Polars when Polars is first imported. Its default hands memory back
# to the system at once and asks for it again for the next bucket: a fifth of an ingest's time.
os.environ.setdefault("_RJEM_MALLOC_CONF", "oversize_threshold:0,dirty_decay_ms:10000")
