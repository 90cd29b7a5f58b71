"""FireLens: a task's own log router, configured and wired by the agent (reference 3.6)."""
