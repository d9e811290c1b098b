import mmap
import os

from vio4wd.master import numa

MAPS = """\
55d0c0000000-55d0c0400000 r-xp 00000000 fd:01 4242                       /usr/bin/qemu-system-x86_64
7f0000000000-7f0010000000 rw-s 00000000 00:0f 77                         /dev/hugepages/guest (deleted)
7f0020000000-7f0030000000 rw-s 00000000 00:01 1025                       /memfd:memory-backend-memfd (deleted)
7ffc00000000-7ffc00021000 rw-p 00000000 00:00 0                          [stack]
"""
NUMA_MAPS = """\
55d0c0000000 default file=/usr/bin/qemu-system-x86_64 mapped=900 N0=900 kernelpagesize_kB=4
7f0000000000 default file=/dev/hugepages/guest huge dirty=100 N0=2 N1=98 kernelpagesize_kB=2048
7f0020000000 default file=/memfd:memory-backend-memfd dirty=5000 N0=5000 kernelpagesize_kB=4
"""
HUGE, MEMFD = (os.makedev(0, 0xF), 77), (os.makedev(0, 1), 1025)


def process(tmp_path):
    (tmp_path / "7").mkdir()
    (tmp_path / "7/maps").write_text(MAPS)
    (tmp_path / "7/numa_maps").write_text(NUMA_MAPS)
    return tmp_path


def test_most_memory_decides_not_most_pages(tmp_path):
    proc = process(tmp_path)
    assert numa.node_of_files(7, {HUGE}, proc) == 1
    assert numa.node_of_files(7, {MEMFD}, proc) == 0
    assert numa.node_of_files(7, {HUGE, MEMFD}, proc) == 1


def test_unknown_where_it_cannot_be_told(tmp_path):
    proc = process(tmp_path)
    assert numa.node_of_files(8, {HUGE}, proc) is None
    assert numa.node_of_files(7, {(1, 1)}, proc) is None


def test_memory_of_this_process_lies_on_a_node_of_this_machine():
    fd = os.memfd_create("guest")
    try:
        os.ftruncate(fd, 1 << 20)
        with mmap.mmap(fd, 1 << 20) as memory:
            memory[::4096] = bytes(256)
            assert numa.node_of_files(os.getpid(), numa.file_keys([fd])) in numa.nodes()
    finally:
        os.close(fd)


def test_nodes_without_memory_do_not_count(tmp_path):
    for node, kilobytes in ((0, 1000), (1, 0), (2, 5)):
        folder = tmp_path / f"node/node{node}"
        folder.mkdir(parents=True)
        (folder / "meminfo").write_text(f"Node {node} MemTotal:       {kilobytes} kB\n")
    assert numa.nodes(tmp_path) == [0, 2]
    assert numa.nodes(tmp_path / "nowhere") == [0]


def test_node_of_a_cpu(tmp_path):
    (tmp_path / "cpu/cpu3/node1").mkdir(parents=True)
    assert numa.node_of_cpu(3, tmp_path) == 1
    assert numa.node_of_cpu(4, tmp_path) == 0
