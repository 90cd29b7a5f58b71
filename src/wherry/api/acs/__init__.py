"""ACS: the channel that carries assignments to agents."""
