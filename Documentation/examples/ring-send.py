#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""ring-send.py RING < LINES: each line becomes a message.  A ring is a file; nothing else is needed."""

import sys

# Without a buffer each write() is one write(2), and so one message.
with open(sys.argv[1], "wb", buffering=0) as ring:
    for line in sys.stdin.buffer:
        ring.write(line.rstrip(b"\n"))
