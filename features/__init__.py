"""Floor 2: cutoffs and windows, feature plans, labels, snapshots."""
