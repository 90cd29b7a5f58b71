"""What tasks find at http://169.254.170.2: credentials, metadata, statistics, protection, and the way of their logs."""
