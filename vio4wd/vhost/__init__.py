"""The backend side of the vhost-user protocol: how a relay and its guest's frontend get to know each other.

Theory of operation. A *frontend* (QEMU, or DPDK's virtio-user) owns the guest's memory and virtqueues and
tells the *backend*, over a unix socket, which features the guest took, where its memory is (file
descriptors), where in it the rings are, and when they start and stop. Nothing here touches a ring:
the device only decides *what* may be served, and its listener (the relay in the master) has it served.

In reading order: `features` (what we offer), `payloads` and `messages` (bytes), `requests` (the table of
messages), `memory` and `rings` (what addresses may be used), `state` and `listener` (what the relay sees),
`device` (the state machine), `connection`, `server` and `client` (sockets).

What may never happen: a worker touches a ring while what it knows of it changes (the listener is
suspended first); a file descriptor outlives its use or has two owners; a frontend's error or malice
reaches another relay. Everything a frontend sends is checked where it is taken in.

The specification is QEMU's docs/interop/vhost-user.rst.
"""
