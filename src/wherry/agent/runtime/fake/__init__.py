"""Tasks without containers: scripted, in virtual time if the clock is, and held to the same contract as Docker."""
