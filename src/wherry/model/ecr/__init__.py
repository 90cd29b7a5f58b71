"""Images: repositories, what is in them, and how they are named. Pure."""
