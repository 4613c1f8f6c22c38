#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Content that follows from its place, and every way to read it; for presence.sh.

presence.py KIND FILE MIB SEED [ARGUMENT]: 0 when all that was read is right.
"""
import ctypes
import errno
import fcntl
import hashlib
import mmap
import os
import random
import struct
import sys
import threading
import time

BLOCK = 4096


def block(n, seed):
    """Block n of a file: no two are alike, and none is zeros."""
    return hashlib.sha256(b"%d %d" % (n, seed)).digest() * (BLOCK // 32)


def expect(offset, size, seed):
    first, last = offset // BLOCK, (offset + size - 1) // BLOCK
    data = b"".join(block(n, seed) for n in range(first, last + 1))
    at = offset - first * BLOCK
    return data[at:at + size]


def same(offset, data, seed):
    if data != expect(offset, len(data), seed):
        sys.exit(f"wrong bytes at {offset}, {len(data)} of them")


def pieces(name, size=1 << 17):
    total = os.stat(name).st_size
    return ((at, min(size, total - at)) for at in range(0, total, size))


def read(name, seed):
    fd = os.open(name, os.O_RDONLY)
    for at, size in pieces(name):
        data = os.pread(fd, size, at)
        same(at, data, seed)
        if len(data) < size:
            more = os.pread(fd, size - len(data), at + len(data))
            sys.exit(f"short at {at + len(data)}, then {len(more)} bytes")


def mapped(name, seed):
    fd = os.open(name, os.O_RDONLY)
    size = os.stat(name).st_size
    view = memoryview(mmap.mmap(fd, size, mmap.MAP_SHARED, mmap.PROT_READ))
    out, into = os.pipe()
    fcntl.fcntl(into, 1031, 1 << 17)
    for at in range(0, size, 1 << 16):
        # Through a system call: EFAULT instead of SIGBUS.
        part = view[at:at + (1 << 16)]
        done = 0
        while done < len(part):
            try:
                n = os.write(into, part[done:])
            except OSError as e:
                if e.errno == errno.EFAULT:
                    raise OSError(errno.EIO, "fault") from e
                raise
            same(at + done, os.read(out, n), seed)
            done += n


def direct(name, seed):
    fd = os.open(name, os.O_RDONLY | os.O_DIRECT)
    buf = mmap.mmap(-1, 1 << 20)
    for at, size in pieces(name, 1 << 20):
        n = os.preadv(fd, [buf], at)
        if n != size:
            sys.exit(f"short at {at}: {n}")
        same(at, buf[:n], seed)


def bounce(name, seed):
    fd = os.open(name, os.O_RDONLY | os.O_DIRECT)
    for at in range(100, os.stat(name).st_size - 70000, 300000):
        same(at, os.pread(fd, 70000, at), seed)


def splice(name, seed):
    fd = os.open(name, os.O_RDONLY)
    out, into = os.pipe()
    for at, size in pieces(name, 1 << 16):
        while size:
            n = os.splice(fd, into, size, offset_src=at)
            if not n:
                sys.exit(f"end at {at}")
            data = b""
            while len(data) < n:
                data += os.read(out, n - len(data))
            same(at, data, seed)
            at += n
            size -= n


def through(name, seed, to, move):
    fd = os.open(name, os.O_RDONLY)
    total = os.stat(name).st_size
    at = 0
    while at < total:
        n = move(to, fd, at, min(1 << 20, total - at))
        if not n:
            sys.exit(f"end at {at}")
        same(at, os.pread(to, n, at), seed)
        at += n


def sendfile(name, seed):
    through(name, seed, os.open("/tmp", os.O_TMPFILE | os.O_RDWR), os.sendfile)


def copy(name, seed):
    """To where blocks do not match, so that it is no clone."""
    to = os.open(os.path.dirname(name), os.O_TMPFILE | os.O_RDWR)

    def move(to, fd, at, n):
        n = os.copy_file_range(fd, to, n, at, at + 1)
        os.pwrite(whole, os.pread(to, n, at + 1), at)
        return n
    whole = os.open("/tmp", os.O_TMPFILE | os.O_RDWR)
    through(name, seed, whole, lambda _, fd, at, n: move(to, fd, at, n))


def scattered(name, seed, order=1):
    fd = os.open(name, os.O_RDONLY)
    rng = random.Random(order)
    for _ in range(40):
        at = rng.randrange(os.stat(name).st_size - 20000)
        size = rng.randrange(1, 20000)
        data = os.pread(fd, size, at)
        if len(data) != size:
            sys.exit(f"short at {at}: {len(data)} of {size}")
        same(at, data, seed)


def some(name, seed):
    """A tenth of it."""
    fd = os.open(name, os.O_RDONLY)
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_RANDOM)
    for at in range(0, os.stat(name).st_size // 10, BLOCK):
        same(at, os.pread(fd, BLOCK, at), seed)


def crowd(name, seed, nr):
    """As many who read at once, each at another place."""
    fd = os.open(name, os.O_RDONLY)
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_RANDOM)
    step = os.stat(name).st_size // nr // BLOCK * BLOCK
    wrong = []

    def one(at):
        if os.pread(fd, BLOCK, at) != expect(at, BLOCK, seed):
            wrong.append(at)

    threads = [threading.Thread(target=one, args=(i * step,)) for i in range(nr)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    if wrong:
        sys.exit(f"wrong bytes at {wrong}")


def resident(fd, size):
    """How many pages of the file are cached, when no more come."""
    libc = ctypes.CDLL(None, use_errno=True)
    area = mmap.mmap(fd, size, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE)
    at = ctypes.addressof(ctypes.c_char.from_buffer(area))
    seen, since = -1, time.monotonic()
    while time.monotonic() - since < 1:
        vec = (ctypes.c_ubyte * (size // BLOCK))()
        if libc.mincore(ctypes.c_void_p(at), ctypes.c_size_t(size), vec):
            sys.exit("mincore: " + os.strerror(ctypes.get_errno()))
        now = sum(page & 1 for page in vec)
        if now != seen:
            seen, since = now, time.monotonic()
        time.sleep(0.05)
    return seen


def ahead(name, seed):
    """Through a descriptor by which content was fetched as much is read ahead as by a new one."""
    size = os.stat(name).st_size
    fds = os.open(name, os.O_RDWR), os.open(name, os.O_RDWR)
    out, into = os.pipe()
    for at, part in pieces(name, 1 << 16):
        # In turns, whoever it is that finds it missing.
        if at >> 16 & 1:
            same(at, os.pread(fds[0], part, at), seed)
        else:
            n = os.splice(fds[0], into, part, offset_src=at)
            same(at, os.read(out, n), seed)
    read_ahead = []
    for fd in fds:
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        if resident(fd, size):
            sys.exit("it stays cached")
        same(0, os.pread(fd, BLOCK, 0), seed)
        read_ahead.append(resident(fd, size))
    if read_ahead[0] != read_ahead[1] or read_ahead[1] < 2:
        sys.exit(f"pages read ahead, and by a new descriptor: {read_ahead}")


KINDS = {"read": read, "mmap": mapped, "direct": direct, "bounce": bounce, "splice": splice,
         "sendfile": sendfile, "copy": copy, "random": scattered, "some": some,
         "ahead": ahead}


def fill(name, mib, seed):
    with open(name, "wb") as f:
        for n in range(mib << 8):
            f.write(block(n, seed))
        f.flush()
        os.fsync(f.fileno())


def patch(name, seed):
    """Parts of blocks are overwritten, buffered, direct and mapped."""
    blocks = os.stat(name).st_size // BLOCK
    fd = os.open(name, os.O_RDWR)
    odd = os.open(name, os.O_RDWR | os.O_DIRECT)
    area = mmap.mmap(fd, 0)
    for n in range(7, blocks, 100):
        kind = n // 100 % 3
        if kind == 0:
            os.pwrite(fd, b"changed", n * BLOCK + 11)
        elif kind == 1:
            os.pwrite(odd, b"changed", n * BLOCK + 11)
        else:
            area[n * BLOCK + 11:n * BLOCK + 18] = b"changed"
    area.flush()
    os.fsync(fd)
    for n in range(blocks):
        want = bytearray(block(n, seed))
        if n % 100 == 7:
            want[11:18] = b"changed"
        if os.pread(fd, BLOCK, n * BLOCK) != want:
            sys.exit(f"block {n} is wrong")


def cut(name, seed):
    size = os.stat(name).st_size - 3 * BLOCK - 1000
    os.truncate(name, size)
    os.truncate(name, size + 5000)
    fd = os.open(name, os.O_RDONLY)
    same(size - 100000, os.pread(fd, 100000, size - 100000), seed)
    if os.pread(fd, 5000, size) != bytes(5000):
        sys.exit("what was cut off is back")
    os.truncate(name, size)


def dedupe(name, seed, other):
    fd, to = os.open(name, os.O_RDONLY), os.open(other, os.O_RDWR)
    size = os.stat(name).st_size
    # struct file_dedupe_range with one file_dedupe_range_info
    buf = bytearray(struct.pack("QQHHIqQQiI", 0, size, 1, 0, 0, to, 0, 0, 0, 0))
    fcntl.ioctl(fd, 0xc0189436, buf)
    done, status = struct.unpack_from("Qi", buf, 24 + 16)
    if status or done != size:
        sys.exit(f"dedupe: status {status}, {done} bytes")
    read(other, seed)


def place(name, n):
    """Pack and block of block n, by FIEMAP: fe_physical is 4 GiB times the pack."""
    fd = os.open(name, os.O_RDONLY)
    buf = bytearray(struct.pack("QQIIII", n * BLOCK, BLOCK, 0, 0, 1, 0) + bytes(56))
    fcntl.ioctl(fd, 0xc020660b, buf)
    logical, physical = struct.unpack_from("QQ", buf, 32)
    physical += n * BLOCK - logical
    print(physical >> 32, (physical & 0xffffffff) // BLOCK)


def but(name, seed, bad):
    """All but one block can be read."""
    fd = os.open(name, os.O_RDONLY)
    failed = []
    for n in range(os.stat(name).st_size // BLOCK):
        try:
            data = os.pread(fd, BLOCK, n * BLOCK)
        except OSError as e:
            if e.errno != errno.EIO:
                raise
            failed.append(n)
            continue
        if data != block(n, seed):
            sys.exit(f"block {n} is wrong")
    if failed != [bad]:
        sys.exit(f"not read: {failed}")


def read_all(kind, name, seed):
    """Whether all of it was read, and right; else it ended with EIO."""
    try:
        KINDS[kind](name, seed)
    except OSError as e:
        if e.errno != errno.EIO:
            raise
        return False
    return True


def eio(kind, name, seed):
    if read_all(kind, name, seed):
        sys.exit(f"{kind}: no error")


def punch(name):
    fd = os.open(name, os.O_RDWR)
    libc = ctypes.CDLL(None, use_errno=True)
    for n in range(0, os.stat(name).st_size // BLOCK, 4):
        if libc.fallocate(fd, 3, ctypes.c_long(n * BLOCK), ctypes.c_long(3 * BLOCK)):
            sys.exit("fallocate")
    os.fsync(fd)


def punched(name, seed):
    fd = os.open(name, os.O_RDONLY)
    for n in range(os.stat(name).st_size // BLOCK):
        want = block(n, seed) if n % 4 == 3 else bytes(BLOCK)
        if os.pread(fd, BLOCK, n * BLOCK) != want:
            sys.exit(f"block {n} is wrong")


def main():
    kind, args = sys.argv[1], sys.argv[2:]
    if kind in ("eio", "right"):
        {"eio": eio, "right": read_all}[kind](args[0], args[1], int(args[3]))
    elif kind == "place":
        place(args[0], int(args[1]))
    elif kind == "fill":
        fill(args[0], int(args[1]), int(args[2]))
    elif kind == "punch":
        punch(args[0])
    elif kind == "dedupe":
        dedupe(args[0], int(args[2]), args[3])
    elif kind == "but":
        but(args[0], int(args[2]), int(args[3]))
    elif kind == "crowd":
        crowd(args[0], int(args[2]), int(args[3]))
    elif kind == "random":
        scattered(args[0], int(args[2]), int(args[3]) if len(args) > 3 else 1)
    else:
        other = {"patch": patch, "cut": cut, "punched": punched}
        {**KINDS, **other}[kind](args[0], int(args[2]))


main()
