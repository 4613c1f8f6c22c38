#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Compare the file "waits" with the places in kmod/ where a task may wait.

    tests/kselftest/chan/waits.py

A line there is "FILE FUNCTION CALL  TEST" with TEST the name of a result of
waits.c or life.c, or "- REASON" where no helper can make it long.  A wait that
is not listed fails, and so does a line without a wait or with a test that is
not there.  Silent when all is well; else says what is not, status 1.
"""

import os
import re
import sys

HERE = os.path.dirname(os.path.realpath(__file__))
REPO = os.path.dirname(os.path.dirname(os.path.dirname(HERE)))
WAIT = re.compile(r"\b((?:swait|wait|wait_var)_event\w*|inode_dio_wait|wait_for_completion\w*|schedule_timeout\w*|schedule_hrtimeout\w*"
                  r"|schedule|io_schedule\w*|msleep\w*|\w+_lock_killable|\w+_lock_interruptible"
                  r"|down_(?:read|write)_(?:killable|interruptible)(?:_nested)?|down(?:_killable|_interruptible)?|flush_work"
                  r"|flush_workqueue|synchronize_rcu|wait_on_\w+|folio_wait_\w+)\(")
FUNCTION = re.compile(r"^(?:[A-Za-z_][\w\s*]*?[\s*])?(\w+)\(")


def waits():
    """Every (file, function, call) of the module's sources."""
    for folder, _, names in os.walk(os.path.join(REPO, "kmod")):
        for name in sorted(names):
            if not name.endswith(".c"):
                continue
            path = os.path.join(folder, name)
            inside = None
            with open(path, encoding="utf-8") as source:
                for line in source:
                    if FUNCTION.match(line) and not line.rstrip().endswith(";"):
                        inside = FUNCTION.match(line)[1]
                    if line.startswith("\t") and not line.lstrip().startswith("*"):
                        for call in WAIT.findall(line):
                            yield os.path.relpath(path, REPO), inside, call


def main():
    tests = ""
    for name in ("waits.c", "life.c"):
        with open(os.path.join(HERE, name), encoding="utf-8") as source:
            tests += source.read()
    listed = {}
    with open(os.path.join(HERE, "waits"), encoding="utf-8") as table:
        for line in table:
            if line.strip() and not line.startswith("#"):
                path, function, call, test = line.split(None, 3)
                listed[path, function, call] = test.strip()
    found = set(waits())
    failed = 0
    for place in sorted(found | set(listed)):
        test = listed.get(place, "")
        why = ("is not in the list" if place not in listed else
               "is not in the source" if place not in found else
               "" if test.startswith("- ") or f'"{test}"' in tests or f'"{test}:' in tests else
               f"there is no test '{test}'")
        if why:
            failed = 1
            print(f"{' '.join(place)}: {why}")
    return failed


if __name__ == "__main__":
    sys.exit(main())
