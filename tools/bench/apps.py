# SPDX-License-Identifier: Apache-2.0
"""In the guest: what people do all day, timed at one place after the other.

Each step works in a folder of its own at each place, on what the steps before it left
there.  Sources are in memory and the same for all.
"""

import os
import shutil
import subprocess
import time

SOURCES = "/dev/shm/bench-sources"
SOURCE = r"""
#include <stdio.h>
#include "all.h"
static int part(int x) {{ return printf("%d\n", x + {0}); }}
int f{0}(int x) {{ return x > 2 ? f{0}(x - 1) + part(x) : x; }}
"""
GIT = ["git", "-c", "core.fsmonitor=false", "-c", "gc.auto=0", "-c", "protocol.file.allow=always"]
TREE = "lib", "kmod", "userspace", "tools", "tests", "Documentation", "include"


def quiet(*words, **more):
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **more)


def prepare(repo, files):
    """A tar file and a git repository of @files files, and a small program's sources."""
    shutil.rmtree(SOURCES, ignore_errors=True)
    os.makedirs(SOURCES + "/tree")
    listed = []
    for top in [os.path.join(repo, part) for part in TREE] + ["/usr/include/linux"]:
        for where, folders, names in os.walk(top):
            folders.sort()
            listed += [os.path.join(where, name) for name in sorted(names)]
    for path in listed[:files]:
        to = SOURCES + "/tree/" + os.path.relpath(path, "/")
        os.makedirs(os.path.dirname(to), exist_ok=True)
        shutil.copyfile(path, to)
    quiet("tar", "-C", SOURCES + "/tree", "-cf", SOURCES + "/tree.tar", ".")
    os.environ.update(GIT_CONFIG_NOSYSTEM="1", HOME=SOURCES, GIT_AUTHOR_NAME="b", GIT_AUTHOR_EMAIL="b@example.com",
                      GIT_COMMITTER_NAME="b", GIT_COMMITTER_EMAIL="b@example.com")
    for words in ("init", "-q", "-b", "main"), ("add", "."), ("commit", "-q", "-m", "all"):
        quiet(*GIT, *words, cwd=SOURCES + "/tree")
    os.makedirs(SOURCES + "/make")
    units = range(max(2, min(24, files // 50)))
    with open(SOURCES + "/make/all.h", "w") as header:
        header.writelines(f"int f{i}(int x);\n" for i in units)
    for i in units:
        with open(f"{SOURCES}/make/f{i}.c", "w") as source:
            source.write(SOURCE.format(i))
    with open(SOURCES + "/make/main.c", "w") as source:
        source.write('#include "all.h"\nint main(void) { return f0(1) != 1; }\n')
    with open(SOURCES + "/make/Makefile", "w") as makefile:
        objects = " ".join(f"f{i}.o" for i in units)
        makefile.write(f"program: main.o {objects}\n\t$(CC) -o $@ $^\n%.o: %.c all.h\n\t$(CC) -O0 -c -o $@ $<\n")
    rows = max(20, files // 5)
    for mode in "delete", "wal":
        with open(f"{SOURCES}/{mode}.sql", "w") as script:
            script.write(f"PRAGMA journal_mode={mode};\nPRAGMA synchronous=FULL;\nCREATE TABLE t(id INTEGER PRIMARY KEY, v);\n")
            script.writelines(f"INSERT INTO t(v) VALUES(hex({i} * 7919));\n" for i in range(rows))
            script.write(f"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {rows * 20}) "
                         "INSERT INTO t(v) SELECT hex(i * 7919) FROM n;\nCREATE INDEX tv ON t(v);\nSELECT count(*) FROM t;\n")


def untar(place):
    os.makedirs(place + "/tar")
    quiet("tar", "-C", place + "/tar", "-xf", SOURCES + "/tree.tar")


def git_clone(place):
    quiet(*GIT, "clone", "-q", "file://" + SOURCES + "/tree", place + "/git")


def git_status(place):
    quiet(*GIT, "-C", place + "/git", "status", "--porcelain")


def make(place):
    shutil.copytree(SOURCES + "/make", place + "/make")
    quiet("make", "-s", "-j2", "-C", place + "/make")


def sqlite(mode):
    def run(place):
        with open(f"{SOURCES}/{mode}.sql") as script:
            quiet("sqlite3", f"{place}/{mode}.db", stdin=script)
    return run


def remove(place):
    quiet("rm", "-rf", place + "/tar", place + "/git", place + "/make", place + "/delete.db", place + "/wal.db")


#	line			what		changes, cold
STEPS = (("untar", untar, True, False),
         ("git-clone", git_clone, True, False),
         ("git-status", git_status, False, False),
         ("make", make, True, False),
         ("sqlite-delete", sqlite("delete"), True, False),
         ("sqlite-wal", sqlite("wal"), True, False),
         ("git-status-cold", git_status, False, True),
         ("rm-rf", remove, True, False))


def warm_up():
    """The programs themselves come from somewhere else: nobody's place shall pay for that."""
    place = SOURCES + "/warm"
    os.makedirs(place)
    for _, step, _, _ in STEPS:
        step(place)
    os.rmdir(place)


def measure(places, settle, wanted):
    """Lines as bench prints them, for the steps that are wanted; a step needs those before it."""
    warm_up()
    last = max((i for i, step in enumerate(STEPS) if wanted(step[0])), default=-1)
    for line, step, changes, cold in STEPS[:last + 1]:
        for name, place in places.items():
            os.sync()
            if cold:
                with open("/proc/sys/vm/drop_caches", "w") as drop:
                    drop.write("3")
                # The program itself comes from somewhere else.
                quiet("git", "-C", SOURCES + "/tree", "status", "--porcelain")
            begun = time.monotonic_ns()
            try:
                step(place)
            except (OSError, subprocess.CalledProcessError) as error:
                yield f"{line} {name} failed {error}"
                continue
            burst = settled = time.monotonic_ns() - begun
            if changes and settle(name):
                settled = time.monotonic_ns() - begun
            if wanted(line):
                yield f"{line} {name} 1 {burst} {settled}"
    for place in places.values():
        remove(place)
