#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Connections to a gRPC socket that do nothing good, and what they leave behind.

usage: grpc-flood.py PID NUMBER unix:PATH|HOST:PORT CALL...

Opens NUMBER of them several times over, some silent, some with half of a preface or a
handshake, some with garbage; CALL must succeed among them and afterwards. Then PID must have
no descriptor more than before the first, and hardly more memory than after it.
"""
import os
import resource
import socket
import subprocess
import sys
import time

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
WORDS = [b"", PREFACE[:7], PREFACE + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0]),
         b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"GET / HTTP/1.1\r\n\r\n"]
ROUNDS = 6
GROWTH = 4 << 10  # bytes of a connection: one that is kept has 10 KiB and more, sanitizers some


def connect(where):
    if where.startswith("unix:"):
        sock = socket.socket(socket.AF_UNIX)
        sock.connect(where[5:])
    else:
        host, port = where.rsplit(":", 1)
        sock = socket.create_connection((host, int(port)))
    return sock


def memory(pid):
    with open(f"/proc/{pid}/statm") as f:
        return int(f.read().split()[1]) * resource.getpagesize()


def open_fds(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def await_fds(pid, most):
    for _ in range(6000):
        if open_fds(pid) <= most:
            return
        time.sleep(0.01)
    sys.exit(f"{open_fds(pid)} descriptors are open, not {most}")


def main():
    pid, number, where, call = sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4:]
    resource.setrlimit(resource.RLIMIT_NOFILE, (number + 100, max(
        number + 100, resource.getrlimit(resource.RLIMIT_NOFILE)[1])))
    subprocess.run(call, check=True, stdout=subprocess.DEVNULL)
    before, first = open_fds(pid), 0
    for turn in range(ROUNDS):
        socks = []
        for i in range(number):
            sock = connect(where)
            try:
                sock.sendall(WORDS[i % len(WORDS)])
            except OSError:
                pass  # it has been hung up on: fine
            socks.append(sock)
            if i % (number // 4) == 0:
                subprocess.run(call, check=True, stdout=subprocess.DEVNULL)
        subprocess.run(call, check=True, stdout=subprocess.DEVNULL)
        for sock in socks:
            sock.close()
        await_fds(pid, before)
        subprocess.run(call, check=True, stdout=subprocess.DEVNULL)
        await_fds(pid, before)
        if not turn:
            first = memory(pid)
        print(f"round {turn + 1}: {memory(pid) >> 10} KiB, {open_fds(pid)} descriptors")
    if memory(pid) > first + GROWTH * number * (ROUNDS - 1):
        sys.exit(f"{memory(pid) - first} bytes more than after the first round")


main()
