#!/usr/bin/python3 -SE
# SPDX-License-Identifier: Apache-2.0
"""The clients of tests/crash/postgres: transactions, each reported when it is committed.

    postgres.py PSQL SOCKETS DEVICE

Each has a psql of its own, and ends when the server is gone.  SOCKETS/begun.W is made
when client W has committed the first.
"""

import ctypes
import os
import subprocess
import sys

HERE = os.path.dirname(os.path.realpath(__file__))
REPO = os.path.dirname(os.path.dirname(HERE))
CLIENTS = 3
TRANSACTION = """BEGIN;
INSERT INTO line VALUES ({client}, {number}, repeat(md5('{number}'), {number} % 40));
UPDATE total SET sum = sum + {number} WHERE client = {client};
COMMIT;
\\echo {number}
"""


def connect(psql, sockets):
    # pylint: disable=consider-using-with
    return subprocess.Popen(
        ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups", psql]
        + ["-h", sockets, "-d", "postgres", "-XqAt", "-v", "ON_ERROR_STOP=1"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd="/",
    )


def client_of(number, psql, sockets, marks):
    session = connect(psql, sockets)
    done = 0
    while True:
        done += 1
        session.stdin.write(TRANSACTION.format(client=number, number=done))
        session.stdin.flush()
        said = session.stdout.readline().strip()
        if said != str(done):
            raise SystemExit(f"client {number}: {said!r} instead of {done}")
        marks.report(f"pg-{number} {done}".encode())
        if done == 1:
            with open(os.path.join(sockets, f"begun.{number}"), "x", encoding="ascii"):
                pass


def record(psql, sockets, device):
    marks = ctypes.CDLL(os.path.join(REPO, "build", "crash", "report.so"))
    marks.report_to(device.encode())
    marks.report(b"postgres ready")
    for number in range(1, CLIENTS):
        if not os.fork():
            client_of(number, psql, sockets, marks)
    client_of(0, psql, sockets, marks)


record(*sys.argv[1:])
