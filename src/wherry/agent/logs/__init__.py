"""The way of containers' logs: from the engine's awslogs driver over a spool on disk to CloudWatch Logs.

`options` tells the driver where to send, `relay` answers it, `spool` keeps what it sent, `forward` takes that to the
control plane. What the driver threw away while no agent was there is found again by `gap`, in the engine's own copy.
"""
