"""The command line: parse, call, exit codes; no logic."""
