#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Check the netlink specification against the header and the kernel's schema.

    tests/kselftest/chan/spec.py [KERNEL-SOURCE]

Names and their order must be those of include/uapi/linux/nexusfs.h.  With the
kernel's source and python3-jsonschema the shape is checked too.  Prints TAP.
"""

import os
import re
import sys

import yaml

REPO = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__)))))
with open(os.path.join(REPO, "Documentation/netlink/nexusfs.yaml"), encoding="utf-8") as f:
    spec = yaml.safe_load(f)
with open(os.path.join(REPO, "include/uapi/linux/nexusfs.h"), encoding="utf-8") as f:
    header = f.read()

count = failed = 0


def result(good, name, more=""):
    global count, failed
    count += 1
    failed += not good
    print(f"{'' if good else 'not '}ok {count} - {name}")
    if not good and more:
        print("# " + str(more).replace("\n", "\n# "))


def in_header(enum):
    body = re.search(rf"enum {enum} \{{(.*?)\}}", header, re.S)[1]
    return re.findall(r"^\s*(NEXUS_\w+)", body, re.M)


def in_spec(prefix, items):
    names = [i if isinstance(i, str) else i["name"] for i in items]
    return [(prefix + n).upper().replace("-", "_") for n in names]


def compare(what, enum, prefix, items, first=()):
    want, got = in_header(enum), list(first) + in_spec(prefix, items)
    result(want == got, what, f"header: {want}\nspec:   {got}")


compare("commands", "nexus_genl_cmd", "nexus-cmd-", spec["operations"]["list"], ["NEXUS_CMD_UNSPEC"])
compare("attributes", "nexus_genl_attr", "nexus-a-", spec["attribute-sets"][0]["attributes"],
        ["NEXUS_A_UNSPEC"])
compare("states", "nexus_session_state", "nexus-session-", spec["definitions"][0]["entries"])
compare("events", "nexus_event", "nexus-ev-", spec["definitions"][1]["entries"])

try:
    import jsonschema
    with open(os.path.join(sys.argv[1], "Documentation/netlink/genetlink.yaml"), encoding="utf-8") as f:
        schema = yaml.safe_load(f)
except (ImportError, IndexError, OSError):
    count += 1
    print(f"ok {count} - schema # SKIP needs the kernel's source and python3-jsonschema")
else:
    try:
        jsonschema.validate(spec, schema)
        result(True, "schema")
    except jsonschema.ValidationError as e:
        result(False, "schema", f"{e.json_path}: {e.message}")
print(f"1..{count}")
sys.exit(failed != 0)
