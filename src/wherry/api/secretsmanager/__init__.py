"""AWS Secrets Manager: secrets with versions, sealed before they are stored."""
