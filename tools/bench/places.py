# SPDX-License-Identifier: Apache-2.0
"""In the guest: the filesystems that are compared.

nexusfs is the mounted zone, ext4 a folder on the disk that holds the zone's store, fuse
libfuse's passthrough_ll over another such folder with every cache it has, tmpfs memory.
"""

import contextlib
import os
import resource
import shutil
import subprocess
import time

DISK = "/var/lib/nexusfs/.bench"
ZONE = "/mnt/nexus"
STATE = ZONE + "/__sys__/zones/root"
FUSE, TMPFS = "/mnt/bench-fuse", "/mnt/bench-tmpfs"


def fresh(path):
    shutil.rmtree(path, ignore_errors=True)
    os.makedirs(path)
    return path


def lsn(name, path=STATE):
    """tail, durable or applied of the zone."""
    with open(path) as state:
        for line in state:
            key, _, value = line.partition(": ")
            if key == name:
                return int(value)
    raise KeyError(name)


def wait_applied():
    tail = lsn("tail")
    while lsn("applied") < tail:
        time.sleep(0.002)


@contextlib.contextmanager
def mounted(passthrough):
    """The places by name; those of this machine's making go at the end."""
    places = {"nexusfs": fresh(ZONE + "/bench"), "ext4": fresh(DISK + "/ext4")}
    daemon = None
    os.makedirs(TMPFS, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1g", "bench", TMPFS], check=True)
    try:
        places["tmpfs"] = fresh(TMPFS + "/bench")
        if passthrough != "-":
            os.makedirs(FUSE, exist_ok=True)
            lower = fresh(DISK + "/fuse")
            # It keeps a descriptor for each file it was asked about.
            resource.setrlimit(resource.RLIMIT_NOFILE, (1 << 20, 1 << 20))
            daemon = subprocess.Popen([passthrough, "-f", "-o", f"source={lower},cache=always,writeback", FUSE])
            for _ in range(200):
                if os.path.ismount(FUSE):
                    break
                time.sleep(0.1)
            else:
                raise RuntimeError("passthrough_ll does not mount")
            places["fuse"] = fresh(FUSE + "/bench")
        yield places
    finally:
        if daemon:
            subprocess.run(["umount", FUSE], check=False)
            daemon.wait(timeout=60)
        subprocess.run(["umount", TMPFS], check=False)
        shutil.rmtree(ZONE + "/bench", ignore_errors=True)
        shutil.rmtree(DISK, ignore_errors=True)
