"""Tasks as containers of a Docker Engine on this host."""
