#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Print the module's netlink events, one a line: number, zone, reason.

Generic netlink by hand; ends when it is killed.
"""

import socket
import struct
import sys

GENL_ID_CTRL, CTRL_CMD_GETFAMILY = 16, 3
CTRL_ATTR_FAMILY_NAME, CTRL_ATTR_MCAST_GROUPS, GRP_NAME, GRP_ID = 2, 7, 1, 2
SOL_NETLINK, NETLINK_ADD_MEMBERSHIP = 270, 1
A_ZONE, A_REASON, A_EVENT = 7, 16, 21


def attributes(data):
    while len(data) >= 4:
        size, kind = struct.unpack_from("=HH", data)
        if size < 4:
            return
        yield kind & 0x3FFF, data[4:size]
        data = data[(size + 3) & ~3:]


def text(attrs, kind):
    return attrs.get(kind, b"").rstrip(b"\0").decode(errors="replace")


def group(sock):
    name = b"nexusfs\0"
    attr = struct.pack("=HH", 4 + len(name), CTRL_ATTR_FAMILY_NAME) + name
    body = struct.pack("=BBH", CTRL_CMD_GETFAMILY, 1, 0) + attr
    sock.send(struct.pack("=IHHII", 16 + len(body), GENL_ID_CTRL, 1, 1, 0) + body)
    for kind, value in attributes(sock.recv(65536)[20:]):
        if kind != CTRL_ATTR_MCAST_GROUPS:
            continue
        for _, one in attributes(value):
            attrs = dict(attributes(one))
            if attrs[GRP_NAME] == b"events\0":
                return struct.unpack("=I", attrs[GRP_ID])[0]
    sys.exit("events.py: no group of events")


def main():
    sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 16)
    sock.bind((0, 0))
    sock.setsockopt(SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, group(sock))
    print("listening", flush=True)
    while True:
        attrs = dict(attributes(sock.recv(65536)[20:]))
        event = struct.unpack("=I", attrs.get(A_EVENT, bytes(4)))[0]
        print(event, text(attrs, A_ZONE), text(attrs, A_REASON), flush=True)


main()
