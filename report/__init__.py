"""Floor 6: the pages that people look at."""
