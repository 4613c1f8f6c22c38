#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Calls of the helper over gRPC, with Debian's python3-grpcio and python3-protobuf.

usage: grpc-client.py [--ca FILE --cert FILE --key FILE] [--protos DIR] ENDPOINT COMMAND

ENDPOINT is unix:/run/nexusfs/grpc.sock or HOST:PORT. Commands:

  version                     of the helper
  zones                       their names
  health [SERVICE]            SERVING, or the error
  watch [SERVICE]             the same, and each change
  publish ZONE PATH           an event; prints its number
  tail [GLOB]...              events as they come
"""
import argparse
import pathlib
import subprocess
import sys
import tempfile

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

PROTOS = "/usr/share/nexusfs/proto"


class Messages:
    """Classes of messages by their full name, from the .proto files."""

    def __init__(self, protos):
        files = sorted(str(path.relative_to(protos)) for path in pathlib.Path(protos).rglob("*.proto"))
        self.pool = descriptor_pool.DescriptorPool()
        with tempfile.NamedTemporaryFile() as out:
            subprocess.run(["protoc", f"-I{protos}", "--include_imports",
                            f"--descriptor_set_out={out.name}", *files], check=True)
            for file in descriptor_pb2.FileDescriptorSet.FromString(out.read()).file:
                self.pool.Add(file)

    def __getitem__(self, name):
        found = self.pool.FindMessageTypeByName(name)
        if hasattr(message_factory, "GetMessageClass"):
            return message_factory.GetMessageClass(found)
        return message_factory.MessageFactory(self.pool).GetPrototype(found)


def channel(args):
    if args.endpoint.startswith("unix:"):
        return grpc.insecure_channel(args.endpoint)
    read = [open(name, "rb").read() for name in (args.ca, args.key, args.cert)]
    return grpc.secure_channel(args.endpoint, grpc.ssl_channel_credentials(*read))


class Client:
    """Methods by their full name: nothing is generated."""

    def __init__(self, chan, messages, timeout):
        self.chan, self.messages, self.timeout = chan, messages, timeout

    def _method(self, kind, package, method, request, response):
        return getattr(self.chan, kind)(
            f"/{package}.{method}",
            request_serializer=self.messages[f"{package}.{request}"].SerializeToString,
            response_deserializer=self.messages[f"{package}.{response}"].FromString)

    def call(self, package, method, name, **fields):
        """nexus.control.v1, Zones/List, ZonesList: its answer, a message"""
        call = self._method("unary_unary", package, method, name + "Request", name + "Response")
        return call(self.messages[f"{package}.{name}Request"](**fields), timeout=self.timeout)

    def stream(self, package, method, name, **fields):
        """The same of a method that answers with a stream: its messages as they come"""
        call = self._method("unary_stream", package, method, name + "Request", name + "Response")
        return call(self.messages[f"{package}.{name}Request"](**fields))

    def errno(self, error):
        """The name of the errno behind an error, if there is one."""
        for key, value in error.trailing_metadata() or ():
            if key == "grpc-status-details-bin":
                for detail in self.messages["google.rpc.Status"].FromString(value).details:
                    found = self.messages["nexus.control.v1.ErrorDetail"]()
                    if detail.Unpack(found):
                        return found.name
        return ""


CONTROL, BUS, HEALTH = "nexus.control.v1", "nexus.event_bus.v1", "grpc.health.v1"


def run(client, command, words):
    """Prints what a command brings."""
    if command == "version":
        print(client.call(CONTROL, "Version/Get", "VersionGet").version)
    elif command == "zones":
        for zone in client.call(CONTROL, "Zones/List", "ZonesList").zones:
            print(zone.name)
    elif command in ("health", "watch"):
        service = words[0] if words else ""
        if command == "health":
            answers = [client.call(HEALTH, "Health/Check", "HealthCheck", service=service)]
        else:
            answers = client.stream(HEALTH, "Health/Watch", "HealthCheck", service=service)
        for answer in answers:
            print(type(answer).ServingStatus.Name(answer.status), flush=True)
    elif command == "publish":
        zone, path = words
        event = {"zone": zone.encode(), "path": path.encode()}
        print(client.call(BUS, "Bus/Publish", "Publish", events=[event]).first)
    elif command == "tail":
        globs = [{"kind": "GLOB", "text": word.encode()} for word in words]
        for told in client.stream(BUS, "Bus/Tail", "Tail", patterns=globs, follow=True):
            what = type(told).Kind.Name(told.kind)
            print(what, told.event.path.decode(errors="replace"), flush=True)
    else:
        sys.exit(f"there is no command {command}")


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    for name in ("ca", "cert", "key"):
        parser.add_argument(f"--{name}")
    parser.add_argument("--protos", default=PROTOS)
    parser.add_argument("--timeout", type=float, default=30)
    parser.add_argument("endpoint")
    parser.add_argument("command")
    parser.add_argument("words", nargs="*")
    args = parser.parse_args()
    with channel(args) as chan:
        client = Client(chan, Messages(args.protos), args.timeout)
        try:
            run(client, args.command, args.words)
        except grpc.RpcError as error:
            print(f"{error.code().name}: {error.details()} {client.errno(error)}".rstrip(),
                  file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
