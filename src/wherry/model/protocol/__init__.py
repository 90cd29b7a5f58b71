"""The messages between control plane and agent: the public wire model of ACS and TCS (reference: §15 of the protocol).

Every frame is a JSON text. Members that a side does not know are ignored; what our own data plane needs beyond the
stock messages are members that the stock agent ignores. A member without a default is always on the wire: the stock
agent dereferences it without asking.
"""
