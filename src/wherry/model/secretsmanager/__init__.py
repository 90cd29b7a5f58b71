"""Secrets Manager: secrets, their versions, and the staging labels that tell versions apart."""
