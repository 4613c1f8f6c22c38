# SPDX-License-Identifier: Apache-2.0
"""What counts as a kernel splat, and finding it in a console log.

Used by tools/vm/run; also a program:  python3 tools/vm/splat.py FILE...
prints the splats of the files and exits 1 when there are any.
"""

import re
import sys

# A line that begins a report.  The kernel console prefixes it with a time
# stamp, which is stripped before matching.
BEGIN = re.compile(
    r"""
      \bWARNING:\ (?!.*(?:taints?\ kernel))    # WARN(), lockdep, suspicious RCU
    | \bBUG:                                   # oopses, KASAN, KCSAN, soft lockups
    | \bkernel\ BUG\ at
    | \bKASAN:
    | \bUBSAN:
    | \bOops:
    | \bKernel\ panic
    | general\ protection\ fault
    | unable\ to\ handle\ (?:kernel|page)      # also inside BUG:
    | Unable\ to\ handle
    | possible\ recursive\ locking
    | possible\ circular\ locking
    | possible\ irq\ lock\ inversion
    | inconsistent\ lock\ state
    | suspicious\ RCU\ usage
    | bad\ unlock\ balance
    | trying\ to\ register\ non-static\ key
    | held\ lock\ freed
    | lock\ held\ when\ returning\ to\ user
    | DEBUG_LOCKS_WARN_ON
    | sleeping\ function\ called
    | scheduling\ while\ atomic
    | INFO:\ rcu\w*.*(?:stall|expedited)
    | \brcu:\ INFO:.*stall
    | INFO:\ task\ .*blocked\ for\ more\ than
    | blocked\ for\ more\ than\ \d+\ seconds
    | soft\ lockup
    | hard\ LOCKUP
    | refcount_t:
    | ODEBUG:
    | Objects\ remaining\ in
    | Slab\ cache\ still\ has\ objects
    | (?:list|hlist)_(?:add|del)\ corruption
    | unregister_netdevice:\ waiting
    | VFS:\ Busy\ inodes\ after\ unmount
    | Slab\ .*\ leaked
    """,
    re.X,
)

# What looks like one and is none.
IGNORE = re.compile(
    r"Spectre|MDS CPU bug|unprivileged eBPF|Kernel command line|"
    r"Attempted to kill init! exitcode=0x00000100|"
    # With fault injection a failing allocation reports itself; the report is
    # asked for.
    r"FAULT_INJECTION: forcing a failure"
)

# The head of an oops report precedes the line that names it; the call trace
# that follows ends with one of these.
END = re.compile(r"---\[ end |^={20,}\s*$|^</TASK>\s*$")

STAMP = re.compile(r"^(?:<\d+>)?\[\s*\d+\.\d+\](?:\[[^]]*\])?\s?")

# A data race is ours only when one of its frames is: the kernel is known to
# have benign ones of its own.
KCSAN = re.compile(r"BUG: KCSAN")
OURS = re.compile(r"\[nexus\w*\]|nexusfs|nexus_")

# Where x86-64 puts modules.
MODULES = 0xFFFFFFFFA0000000

CONTEXT = 60  # lines printed of one report


def strip(line):
    return STAMP.sub("", line.rstrip("\r\n"))


def splats(lines):
    """Reports in the lines of a console log, each a list of lines."""
    found, current = [], None
    for raw in lines:
        line = strip(raw)
        if BEGIN.search(line) and not IGNORE.search(line):
            # A new report, unless it is a second headline of the current one.
            if current is None or len(current) > 6:
                current = []
                found.append(current)
        if current is not None:
            current.append(line)
            if len(current) >= CONTEXT or (END.search(line) and len(current) > 8):
                current = None
    return [
        report
        for report in found
        if not (KCSAN.search("\n".join(report[:4])) and not OURS.search("\n".join(report)))
    ]


def read_splats(path):
    try:
        with open(path, errors="replace") as log:
            return splats(log)
    except FileNotFoundError:
        return []


def kmemleak(report_path, kallsyms_path):
    """Unreferenced objects with one of our functions in their backtrace.

    After rmmod the kernel can no longer name those functions: an address in the
    modules' space without a name is one of them.  The symbols written down
    before rmmod, if there was time, tell which.
    """
    symbols = []
    try:
        with open(kallsyms_path) as table:
            for line in table:
                address, _kind, symbol = line.split()[:3]
                symbols.append((int(address, 16), symbol))
    except FileNotFoundError:
        pass
    try:
        with open(report_path, errors="replace") as report:
            text = report.read()
    except FileNotFoundError:
        return []

    def name(address):
        best = max((s for s in symbols if s[0] <= address < s[0] + 0x10000), default=None)
        return f"{best[1]}+{address - best[0]:#x}" if best else f"{address:#x}"

    found = []
    for block in re.split(r"(?m)^(?=unreferenced object)", text):
        if not block.startswith("unreferenced object"):
            continue
        mine, lines, trace = False, [], False
        for line in block.rstrip().splitlines():
            trace = trace or "backtrace" in line
            match = re.search(r"\s(0x[0-9a-f]{16})$", line)
            if match and int(match[1], 16) >= MODULES:
                line = line[: match.start(1)] + name(int(match[1], 16)) + " [ours]"
                mine = True
            elif trace and OURS.search(line):
                mine = True
            lines.append(line)
        if mine:
            found.append(lines)
    return found


def main(paths):
    bad = False
    for path in paths:
        for report in read_splats(path):
            bad = True
            print("\n".join(report), end="\n\n")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
