"""ECS Exec: sessions, and the relay between a client and the agent of a container."""
