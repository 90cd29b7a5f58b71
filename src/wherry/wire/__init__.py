"""AWS protocols, driven by botocore's service models; knows no service."""
