# SPDX-License-Identifier: Apache-2.0
"""In the guest: single small reads and fsynced writes, alone and beside a compaction.

Packs are filled with small files of which three of four are removed; then the same
measurement is done idle and while `nexusctl pack compact --all` moves what is left.
"""

import os
import subprocess
import time

import places

FILE = 64 << 10


def latencies(bench, mib, folder, meanwhile):
    """What single operations take while meanwhile() runs, and what that returned."""
    with subprocess.Popen([bench, "latency", str(mib), folder], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, text=True) as program:
        if program.stdout.readline() != "ready\n":
            raise RuntimeError("bench latency does not start")
        result = meanwhile()
        text, _ = program.communicate(timeout=60)
    if program.returncode:
        raise RuntimeError("bench latency failed")
    found = {}
    for line in text.splitlines():
        name, count, *values = line.split()
        found[name] = dict(zip(("p50", "p99", "max"), map(float, values)), count=int(count))
    return found, result


def garbage(folder, mib):
    """Files of which every fourth stays, in packs that are mostly dead then."""
    os.makedirs(folder)
    count = mib * (1 << 20) // FILE
    for i in range(count):
        with open(f"{folder}/{i}", "wb") as file:
            file.write(os.urandom(4096) * (FILE // 4096))
    os.sync()
    for i in range(count):
        if i % 4:
            os.unlink(f"{folder}/{i}")
    os.sync()


def compact():
    begun = time.monotonic()
    done = subprocess.run(["nexusctl", "pack", "compact", "root", "--all"], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"pack compact: {done.stdout}")
    return {"said": done.stdout.strip(), "seconds": time.monotonic() - begun}


def measure(bench, seconds, mib):
    """One round: {"idle": {...}, "compacting": {...}, "said": ..., "seconds": ...}."""
    folder = places.fresh(places.ZONE + "/bench-compaction")
    garbage(folder + "/garbage", mib)
    latencies(bench, 8, folder, lambda: None)	# the file is made
    places.wait_applied()
    idle, _ = latencies(bench, 8, folder, lambda: time.sleep(seconds))
    busy, result = latencies(bench, 8, folder, compact)
    subprocess.run(["rm", "-rf", folder], check=True)
    return {"idle": idle, "compacting": busy, **result}
