"""A real load on real containers while things break at random moments; what must hold all the same."""
