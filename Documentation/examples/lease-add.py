#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""lease-add.py FILE TIMES: as lease-add.c, by ctypes on libnexus."""

import contextlib
import ctypes
import os
import sys

FOREVER = (1 << 63) - 1

nexus = ctypes.CDLL("libnexus.so.0")


class Lease(ctypes.Structure):
    """struct nexus_lease of <nexus/lease.h>"""
    _fields_ = [("id", ctypes.c_uint8 * 16), ("token", ctypes.c_uint64), ("expires", ctypes.c_uint64)]


nexus.nexus_lease_acquire.argtypes = [
    ctypes.c_int, ctypes.POINTER(Lease), ctypes.c_char_p, ctypes.c_uint32, ctypes.c_uint32, ctypes.c_int64]
nexus.nexus_lease_release.argtypes = [ctypes.c_int, ctypes.POINTER(Lease)]
nexus.nexus_lease_check.argtypes = [ctypes.c_int, ctypes.c_uint64]


def call(function, *args):
    err = function(*args)
    if err:
        raise OSError(-err, os.strerror(-err))


@contextlib.contextmanager
def leased(fd, seconds):
    """The only one that has FD's lease, for so long; what is given says whether it still is."""
    lease = Lease()
    call(nexus.nexus_lease_acquire, fd, lease, b"lease-add.py", seconds, 1, FOREVER)
    try:
        yield lambda: call(nexus.nexus_lease_check, fd, lease.token)
    finally:
        call(nexus.nexus_lease_release, fd, lease)


fd = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT, 0o644)
for _ in range(int(sys.argv[2])):
    with leased(fd, 60) as still_mine:
        number = int(os.pread(fd, 32, 0) or b"0") + 1
        still_mine()
        os.pwrite(fd, b"%d\n" % number, 0)
