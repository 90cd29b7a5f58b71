"""The composition root: what a control plane, an agent and a machine with both consist of."""
