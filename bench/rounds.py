"""The measuring loop: a driver that offers buffers, and the burst that takes them, in one kernel."""
# mypy: ignore-errors

from vio4wd.kernels.compile import kernel
from vio4wd.kernels.memory import cycles, load16, load64, store16_release, store64, store64_release
from vio4wd.kernels.vf_to_vm import burst_vf_to_vm
from vio4wd.kernels.vm_to_vf import burst_vm_to_vf


@kernel("int64(int64, int64, int64, int64, int64, int64)")
def rounds(context, item, vring, packed, burst, count):
    """Offer `burst` buffers and run one burst, `count` times; returns the cycles spent in the bursts.

    `vring` is the address of (descriptors, available, size, direction, flags word) as 64-bit numbers.
    """
    descriptors = load64(vring)
    available = load64(vring + 8)
    size = load64(vring + 16)
    direction = load64(vring + 24)
    template = load64(vring + 32)  # packed: length and flags of a descriptor, no id
    spent = 0
    position = load64(vring + 40)
    wrap = load64(vring + 48)
    for _ in range(count):
        if packed:
            for _ in range(burst):
                used_flag = 0 if wrap else 1
                word = template | position << 32 | wrap << 55 | used_flag << 63
                store64_release(descriptors + 16 * position + 8, word)
                position += 1
                if position == size:
                    position = 0
                    wrap ^= 1
        else:
            store16_release(available + 2, load16(available + 2) + burst)
        began = cycles()
        if direction == 0:
            burst_vf_to_vm(context, item)
        else:
            burst_vm_to_vf(context, item)
        spent += cycles() - began
    store64(vring + 40, position)
    store64(vring + 48, wrap)
    return spent
