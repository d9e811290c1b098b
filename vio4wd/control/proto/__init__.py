"""The messages of the ZeroMQ services; `scripts/generate.py` makes the code from virtioforwarder.proto."""
