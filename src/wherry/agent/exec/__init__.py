"""ECS Exec on a host: commands executed in containers, and their sessions' data channels."""
