"""From the payload of ACS to what this host understands: strict, and never a crash. Pure."""
