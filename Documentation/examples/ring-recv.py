#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""ring-recv.py RING: writes each message as a line, until the last sender is gone.

os.read(ring, 1 << 16) receives one message without any library; here libnexus receives many
with one call.
"""

import ctypes
import os
import sys

COUNT, ROOM = 1024, 1 << 20

nexus = ctypes.CDLL("libnexus.so.0")
nexus.nexus_ring_recv_batch.argtypes = [
    ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t, ctypes.POINTER(ctypes.c_uint32), ctypes.c_uint, ctypes.c_uint]

ring = os.open(sys.argv[1], os.O_RDONLY)
buf = ctypes.create_string_buffer(ROOM)
lens = (ctypes.c_uint32 * COUNT)()
while (n := nexus.nexus_ring_recv_batch(ring, buf, ROOM, lens, COUNT, 0)) > 0:
    view, start = memoryview(buf).cast("B"), 0
    for length in lens[:n]:
        sys.stdout.buffer.write(view[start:start + length].tobytes() + b"\n")
        start += length
if n < 0:
    sys.exit(f"ring-recv.py: {sys.argv[1]}: {os.strerror(-n)}")
