"""Floor 0: settings, errors, time, devices, tables, files, progress. Imports no other floor."""
