"""AWS Systems Manager: its Parameter Store."""
