"""One function per AWS operation: check the meaning, commit desired state, answer."""
