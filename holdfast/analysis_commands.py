"""retention, funnel, lifecycle."""
