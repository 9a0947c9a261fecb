"""Floor 4: splits, models, calibration, metrics, tracking."""
