"""Floor 1: the event contract, readers, ingest, the store, data quality, the synthetic world."""
