"""The agent's side of the ECS agent protocols: five operations, and the channels ACS and TCS."""
