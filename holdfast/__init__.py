"""Floor 6: the command line. Parse, call one function, print; nothing else."""
