"""Small qcow2 images for tests, made by the format's description."""

from __future__ import annotations

import struct
import zlib

CLUSTER = 1 << 16
_L1, _L2, _DATA = 3, 4, 5


def qcow2(size: int, clusters: dict[int, bytes], **header: int) -> bytes:
    """An image of a disk of ``size`` bytes with these clusters; ``header`` changes fields of the header."""
    fields = {
        "magic": 0x514649FB, "version": 3, "backing": 0, "backing_size": 0, "cluster_bits": 16, "size": size,
        "crypt": 0,
        "l1_size": 1, "l1": _L1 * CLUSTER, "refcounts": CLUSTER, "refcount_clusters": 1, "snapshots": 0,
        "snapshot_offset": 0, "incompatible": 0, "compatible": 0, "autoclear": 0, "refcount_order": 4, "length": 104,
    } | header  # fmt: skip
    data = bytearray((_DATA + len(clusters)) * CLUSTER)
    struct.pack_into(">IIQIIQIIQQIIQQQQII", data, 0, *fields.values())
    struct.pack_into(">Q", data, CLUSTER, 2 * CLUSTER)
    for number in range(len(data) // CLUSTER):
        struct.pack_into(">H", data, 2 * CLUSTER + 2 * number, 1)
    struct.pack_into(">Q", data, _L1 * CLUSTER, 1 << 63 | _L2 * CLUSTER)
    for place, (number, contents) in enumerate(clusters.items(), _DATA):
        struct.pack_into(">Q", data, _L2 * CLUSTER + 8 * number, 1 << 63 | place * CLUSTER)
        data[place * CLUSTER : place * CLUSTER + len(contents)] = contents
    return bytes(data)


def compressed_qcow2(size: int, clusters: dict[int, bytes], shift: int) -> bytes:
    """The same with packed clusters, the first one ``shift`` bytes after the start of a cluster of the file."""
    data = bytearray(qcow2(size, {}))
    at = len(data) + shift
    for number, contents in clusters.items():
        packer = zlib.compressobj(9, zlib.DEFLATED, -12)
        packed = packer.compress(contents) + packer.flush()
        sectors = (at + len(packed) - 1) // 512 - at // 512
        struct.pack_into(">Q", data, _L2 * CLUSTER + 8 * number, 1 << 62 | sectors << 54 | at)
        data[len(data) :] = bytes(at - len(data)) + packed
        at += len(packed)
    return bytes(data)
