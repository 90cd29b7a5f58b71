"""What runs containers on this host: one protocol, the Docker Engine and a scripted fake behind it."""
