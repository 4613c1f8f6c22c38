#!/usr/bin/python3 -SE
# SPDX-License-Identifier: Apache-2.0
"""Transactions of SQLite, each reported when it is committed, until killed.

    sqlite.py DIR DEVICE

Two databases in turn, one with a write-ahead log and one with a rollback journal.  Each
is whole, holds the first transactions and no others, and all of those that were
reported: row N, and the sum of the numbers so far in the same transaction.
sqlite-verify looks.  Scenario B25.
"""

import ctypes
import os
import sqlite3
import sys

HERE = os.path.dirname(os.path.realpath(__file__))
MODES = ("wal", "delete")
REPO = os.path.dirname(os.path.dirname(HERE))


def connect(mode):
    base = sqlite3.connect(f"{mode}.db", isolation_level=None)
    base.execute(f"PRAGMA journal_mode={mode}")
    # In rollback mode a commit is the removal of the journal: EXTRA fsyncs that, too.
    base.execute("PRAGMA synchronous=EXTRA")
    base.execute("PRAGMA wal_autocheckpoint=20")
    return base


def create(mode):
    base = connect(mode)
    base.execute("CREATE TABLE line (id INTEGER PRIMARY KEY, body BLOB)")
    base.execute("CREATE TABLE total (sum INTEGER)")
    base.execute("INSERT INTO total VALUES (0)")
    return base


def add(base, number):
    """One transaction; False when the disk is full, and then nothing of it may be seen."""
    try:
        base.execute("BEGIN IMMEDIATE")
        base.execute("INSERT INTO line VALUES (?, ?)", (number, os.urandom(number * 97 % 9000)))
        base.execute("UPDATE total SET sum = sum + ?", (number,))
        if number % 50 == 0:
            # Keep it small, and have pages freed and used again.
            base.execute("UPDATE line SET body = NULL WHERE id < ?", (number - 50,))
        base.execute("COMMIT")
    except sqlite3.OperationalError as error:
        if "full" not in str(error) and "disk I/O" not in str(error):
            raise
        if base.in_transaction:
            base.execute("ROLLBACK")
        return False
    return True


def record(device):
    marks = ctypes.CDLL(os.path.join(REPO, "build", "crash", "report.so"))
    marks.report_to(device.encode())
    bases = {mode: create(mode) for mode in MODES}
    last = dict.fromkeys(MODES, 0)
    marks.report(b"sqlite ready")
    while True:
        for mode, base in bases.items():
            if add(base, last[mode] + 1):
                last[mode] += 1
                marks.report(f"{mode} {last[mode]}".encode())


os.mkdir(sys.argv[1])
os.chdir(sys.argv[1])
record(sys.argv[2])
