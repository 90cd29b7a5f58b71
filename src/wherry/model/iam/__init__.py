"""AWS IAM: principals, policies and the decision whether a call is allowed."""
