"""AWS IAM: roles, users, groups and policies; and the question whether a call may be carried out."""
