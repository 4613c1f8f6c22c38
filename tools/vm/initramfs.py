# SPDX-License-Identifier: Apache-2.0
"""The guest's initramfs: busybox, tools/vm/init and the modules of a kernel.

It comes in two parts which the kernel unpacks one after the other: one per
kernel, kept under build/vm, and a small one per run with its settings and
command.
"""

import hashlib
import lzma
import os
import shutil
import subprocess

# With whatever they depend on.  A kernel that has one built in just skips it.
MODULES = (
    "virtio_pci", "virtio_console", "9pnet_virtio", "9p", "overlay",
    "virtio_blk", "crc32c_generic", "ext4",
)


def entry(name, data=b"", mode=0o100644):
    """One file of a cpio archive in the newc format."""
    encoded = name.encode() + b"\0"
    fields = (0, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(encoded), 0)
    head = b"070701" + b"".join(b"%08x" % field for field in fields) + encoded
    return head + b"\0" * (-len(head) % 4) + data + b"\0" * (-len(data) % 4)


def archive(files):
    """A whole archive of {name: (data, mode)}; parents are made."""
    out, made = [], set()
    for name, (data, mode) in files.items():
        parts = name.split("/")[:-1]
        for depth in range(1, len(parts) + 1):
            parent = "/".join(parts[:depth])
            if parent not in made:
                made.add(parent)
                out.append(entry(parent, mode=0o040755))
        out.append(entry(name, data, mode))
    out.append(entry("TRAILER!!!"))
    whole = b"".join(out)
    return whole + b"\0" * (-len(whole) % 512)


def plain(path):
    """A module's bytes, unpacked: busybox insmod wants them so."""
    if path.endswith(".xz"):
        with lzma.open(path) as module:
            return module.read()
    if path.endswith(".zst"):
        return subprocess.run(["zstd", "-dcq", path], check=True, stdout=subprocess.PIPE).stdout
    with open(path, "rb") as module:
        return module.read()


def module_files(modules_root, release):
    """Modules of MODULES in the order they are to be loaded."""
    paths = []
    for module in MODULES:
        result = subprocess.run(
            ["modprobe", "-d", modules_root, "-S", release, "--show-depends", "-a", module],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=False)
        for line in result.stdout.splitlines():
            words = line.split()
            if words and words[0] == "insmod" and words[1] not in paths:
                paths.append(words[1])
    return paths


def busybox():
    for path in ("/bin/busybox", "/usr/bin/busybox"):
        if os.path.exists(path):
            return path
    raise FileNotFoundError("busybox is not installed (busybox-static)")


def base(folder, modules_root, release, init):
    """The file with the kernel's part, made when it is not there."""
    paths = module_files(modules_root, release) if modules_root else []
    digest = hashlib.sha256()
    with open(init, "rb") as script, open(busybox(), "rb") as program:
        init_data, busybox_data = script.read(), program.read()
    for part in (init_data, busybox_data, "\n".join(paths).encode()):
        digest.update(hashlib.sha256(part).digest())
    target = os.path.join(folder, f"initramfs-{digest.hexdigest()[:12]}.cpio")
    if not os.path.exists(target):
        files = {
            "bin/busybox": (busybox_data, 0o100755),
            "init": (init_data, 0o100755),
        }
        names = []
        for path in paths:
            name = os.path.basename(path).removesuffix(".xz").removesuffix(".zst")
            names.append(name)
            files["nexus/" + name] = (plain(path), 0o100644)
        files["nexus/modules"] = ("".join(n + "\n" for n in names).encode(), 0o100644)
        partial = f"{target}.{os.getpid()}"
        with open(partial, "wb") as out:
            out.write(archive(files))
        os.rename(partial, target)
    return target


def combine(target, base_file, env, command):
    """The whole initramfs of one run."""
    with open(base_file, "rb") as first, open(target, "wb") as out:
        shutil.copyfileobj(first, out, 1 << 20)
        out.write(archive({
            "nexus/env": (env.encode(), 0o100644),
            "nexus/cmd": (command.encode(), 0o100644),
        }))
