"""The packet path: functions on addresses, compiled by numba, with no I/O and no policy.

Read in this order: `relay_loop` (who is polled when), `vf_to_vm` and `vm_to_vf` (one burst), then
`split_ring` and `packed_ring` (how buffers are found and given back).

Every kernel takes plain 64-bit integers: addresses, lengths, counts. Arrays and tuples would be
counted by numba's run-time at every call, which costs more than the burst itself. Records
(`records`) name the fields behind an address.
"""
