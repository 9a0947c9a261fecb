"""Floor 3: retention and cohort tables."""
