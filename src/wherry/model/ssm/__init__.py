"""SSM Parameter Store: parameters, their versions and labels."""
