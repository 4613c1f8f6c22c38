# SPDX-License-Identifier: Apache-2.0
"""Starting QEMU, carrying the guest's output, and judging how it ended."""

import contextlib
import ctypes
import fcntl
import mmap
import os
import re
import platform
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import time

import initramfs
import splat

QEMU = "qemu-system-x86_64"
# A board without what no one uses here: the kernel looks at all there is, and
# that takes the debug kernel seconds.
BOARD = ("-M", "q35,sata=off,smbus=off,vmport=off,hpet=off,i8042=off",
         "-global", "ICH9-LPC.acpi-pci-hotplug-with-bridge-support=off")
KVM_LIMIT = 20          # seconds a KVM guest gets to reach its first process
BLOCKED_LIMIT = 4       # seconds for the list of blocked tasks after a timeout
BOOTS = 3               # at most, when the emulation breaks one
DEATH_LIMIT = 300       # seconds from the command's end to power-off
KERNEL_ARGS = (
    "console=ttyS0 panic=-1 oops=panic nokaslr mitigations=off audit=0 loglevel=5 "
    "net.ifnames=0 random.trust_cpu=on no_timer_check "
    "cryptomgr.notests initcall_blacklist=jent_mod_init,load_system_certificate_list "
    "rcupdate.rcu_cpu_stall_timeout=60 watchdog_thresh=30 nmi_watchdog=0"
)
# The emulator keeps translated code by its virtual address too: with addresses
# that differ each time, every process has its libraries translated anew, and
# starting one takes four times as long.
EMULATED_ARGS = " norandmaps"


def note(message):
    print(f"tools/vm/run: {message}", file=sys.stderr, flush=True)


def die_with_parent():
    """In the child: no QEMU outlives the runner, however that one ends."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)
    # Ctrl-C at the terminal is for the runner, which then kills the guest.
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def clock_arguments():
    """Kernel arguments that tell an emulated guest how fast its TSC runs.

    It is this machine's own, and a guest that has to find out its rate against
    an emulated timer gets it wrong by factors when the machine is busy: then
    its clock runs away.  Measured here, where that takes 50 ms.
    """
    if platform.machine() != "x86_64":
        return ""
    try:
        code = mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    except OSError:
        # A hardened machine.  The kernel has to find out for itself.
        return ""
    # rdtsc; shl $32,%rdx; or %rdx,%rax; ret
    code.write(bytes.fromhex("0f3148c1e2204809d0c3"))
    rdtsc = ctypes.CFUNCTYPE(ctypes.c_uint64)(ctypes.addressof(ctypes.c_char.from_buffer(code)))

    def sample():
        """Both clocks at one moment: the closest of a few tries."""
        best = None
        for _ in range(50):
            before = time.clock_gettime_ns(time.CLOCK_MONOTONIC_RAW)
            ticks = rdtsc()
            after = time.clock_gettime_ns(time.CLOCK_MONOTONIC_RAW)
            if best is None or after - before < best[0]:
                best = (after - before, ticks, (before + after) // 2)
        return best[1:]

    ticks, nanoseconds = sample()
    time.sleep(0.05)
    more_ticks, more_nanoseconds = sample()
    khz = round((more_ticks - ticks) * 1e6 / (more_nanoseconds - nanoseconds))
    return f" tsc=reliable tsc_early_khz={khz}"


def accel_arguments(accel):
    if accel == "kvm":
        return ["-accel", "kvm", "-cpu", "host"]
    # Without five-level page tables: whether there are is patched into the kernel
    # while it starts, and an interrupt in between makes KASAN see a wild address.
    # Without fast string copies: they are emulated a byte at a time, and with the
    # two flags the kernel and libc copy everything so, at a third of the rate.
    # Without SSE 4.2: its instruction for CRC32C is emulated bit by bit, which takes
    # three times as long as the kernel's tables, where a processor takes a tenth.
    return ["-accel", "tcg,thread=multi,tb-size=512", "-cpu", "max,la57=off,erms=off,fsrm=off,sse4.2=off"]


def probe_kvm(kernel, base):
    """Whether a guest gets anywhere with KVM within the limit."""
    with tempfile.TemporaryDirectory(prefix="nexus-kvm.") as work:
        initrd = os.path.join(work, "initrd")
        log = os.path.join(work, "log")
        initramfs.combine(initrd, base, "NEXUS_PROBE=1\n", "")
        command = [QEMU, *BOARD, "-m", "1024", "-nodefaults", "-no-user-config", "-display", "none",
                   "-no-reboot", "-serial", f"file:{log}", "-kernel", kernel.image, "-initrd", initrd,
                   "-append", f"{KERNEL_ARGS} loglevel=7"] + accel_arguments("kvm")
        with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                              stderr=subprocess.PIPE, preexec_fn=die_with_parent) as qemu:
            end = time.monotonic() + KVM_LIMIT
            os.set_blocking(qemu.stderr.fileno(), False)
            said = b""
            while qemu.poll() is None and time.monotonic() < end:
                time.sleep(0.1)
                said += qemu.stderr.read() or b""
                # QEMU stops the guest and waits for a debugger.
                if b"internal error" in said:
                    break
            qemu.kill()
            qemu.wait()
        with open(log, errors="replace") as console:
            return "nexus-vm: alive" in console.read()


def choose_accel(wanted, kernel, base, vm_dir):
    """kvm or tcg; the verdict on KVM is kept, because asking can take long."""
    if wanted != "auto":
        return wanted
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return "tcg"
    verdict = os.path.join(vm_dir, "kvm")
    with open(verdict + ".lock", "w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        if not os.path.exists(verdict):
            note(f"trying hardware virtualization, at most {KVM_LIMIT} s ...")
            works = probe_kvm(kernel, base)
            with open(verdict, "w") as answer:
                answer.write("kvm\n" if works else "tcg\n")
            note("it works" if works else
                 "/dev/kvm is there but cannot boot a guest: using emulation from now on")
        with open(verdict) as answer:
            return answer.read().strip()


class Machine:
    """One run of one guest."""

    def __init__(self, options, kernel, initrd, disk, out, vm_dir, base, here):
        self.options, self.kernel, self.out, self.here = options, kernel, out, here
        self.initrd, self.disk = initrd, disk
        self.accel = choose_accel(options.accel, kernel, base, vm_dir)
        self.console = os.path.join(out, "console.log")
        self.shell = not options.command
        self.sockets = {}
        self.status = None          # the command's exit status
        self.trouble = None         # what could not be loaded or unloaded
        self.up = self.done = self.timed_out = False
        self.qemu = None

    def network(self):
        if not self.options.net:
            return ["-nic", "none"]
        netdev = "user,id=net,restrict=on"
        for item in self.options.net:
            guest, host = item.removeprefix("forward=").split(":")
            # A process per connection: with a plain tcp target QEMU carries
            # all connections in one stream.
            netdev += f",guestfwd=tcp:10.0.2.100:{guest}-cmd:{self.here}/forward {host}"
        return ["-netdev", netdev, "-device", "virtio-net-pci,netdev=net,romfile="]

    def command_line(self, ends):
        options = self.options
        emulated = EMULATED_ARGS + clock_arguments() if self.accel == "tcg" else ""
        memory = options.mem or (3072 if self.kernel.name in ("debug", "kcsan") else 2048)

        def escape(path):
            return path.replace(",", ",,")

        line = [
            QEMU, "-name", "nexus-vm", *BOARD, "-nodefaults", "-no-user-config", "-no-reboot",
            "-display", "none", "-monitor", "none", "-smp", str(options.cpus), "-m", str(memory),
            "-kernel", self.kernel.image, "-initrd", self.initrd,
            "-append", " ".join([KERNEL_ARGS + emulated] + options.append),
            "-chardev", f"file,id=console,path={escape(self.console)}", "-serial", "chardev:console",
            "-fsdev", "local,id=root,path=/,security_model=none,readonly=on,multidevs=remap",
            "-device", "virtio-9p-pci,fsdev=root,mount_tag=nexusroot",
            "-fsdev", f"local,id=out,path={escape(self.out)},security_model=none,multidevs=remap",
            "-device", "virtio-9p-pci,fsdev=out,mount_tag=nexusout",
            "-drive", f"if=none,id=disk,file={escape(self.disk)},format=raw,cache=writeback,discard=unmap",
            "-device", "virtio-blk-pci,drive=disk",
            "-device", "virtio-serial-pci,max_ports=5",
        ]
        for name, end in ends.items():
            line += ["-chardev", f"socket,id={name},fd={end.fileno()}",
                     "-device", f"virtserialport,chardev={name},name=nexus.{name}"]
        if self.shell:
            line += ["-chardev", "stdio,id=tty,signal=off", "-device", "virtconsole,chardev=tty"]
        return line + self.network() + accel_arguments(self.accel)

    def start(self):
        for name in ("console.log", "kmemleak.txt", "kallsyms.txt", "dmesg.log"):
            path = os.path.join(self.out, name)
            if os.path.lexists(path):
                os.unlink(path)
        ends = {}
        for end in self.sockets.values():
            end.close()
        for name in ("ctl", "out", "err"):
            self.sockets[name], ends[name] = socket.socketpair()
        self.qemu = subprocess.Popen(
            self.command_line(ends), pass_fds=[end.fileno() for end in ends.values()],
            stdin=None if self.shell else subprocess.DEVNULL, preexec_fn=die_with_parent)
        for end in ends.values():
            end.close()
        with open(os.path.join(self.out, "qemu.pid"), "w") as pid:
            pid.write(f"{self.qemu.pid}\n")

    def hear(self, line):
        word, _, rest = line.partition(" ")
        if word == "up":
            self.up = True
        elif word == "status" and self.status is None:
            self.status = int(rest)
        elif word in ("load", "unload"):
            self.trouble = f"{word}: {rest} failed"
        elif word == "done":
            self.done = True

    def ask_blocked(self):
        """Before the guest is killed: have it say what it waits for."""
        try:
            self.sockets["ctl"].sendall(b"blocked\n")
        except OSError:
            return 0
        return BLOCKED_LIMIT

    def carry(self):
        """Pass output on until QEMU ends or has to be ended."""
        selector = selectors.DefaultSelector()
        targets = {"out": 1, "err": 2}
        for name, end in self.sockets.items():
            end.setblocking(False)
            selector.register(end, selectors.EVENT_READ, name)
        heard = b""
        limit = time.monotonic() + self.options.timeout if self.options.timeout else None
        ending = None
        while selector.get_map():
            now = time.monotonic()
            if limit is not None and now >= limit:
                if self.timed_out or (self.status is not None and self.done):
                    break
                self.timed_out = True
                limit = now + self.ask_blocked()
            if self.status is not None and ending is None:
                ending = now + DEATH_LIMIT
            if ending is not None and now >= ending:
                note(f"the guest does not end within {DEATH_LIMIT} s of its command")
                break
            for key, _ in selector.select(0.2):
                try:
                    data = os.read(key.fd, 65536)
                except BlockingIOError:
                    continue
                except ConnectionResetError:
                    data = b""
                if not data:
                    selector.unregister(key.fileobj)
                elif key.data == "ctl":
                    *lines, heard = (heard + data).split(b"\n")
                    for line in lines:
                        self.hear(line.decode(errors="replace"))
                else:
                    self.pass_on(targets[key.data], data)

    @staticmethod
    def pass_on(target, data):
        while data:
            try:
                data = data[os.write(target, data):]
            except BlockingIOError:
                time.sleep(0.01)
            except BrokenPipeError:
                return

    def kill(self):
        if self.qemu and self.qemu.poll() is None:
            self.qemu.kill()
        if self.qemu:
            self.qemu.wait()

    def run(self):
        def stop(number, _frame):
            # No waiting here: what was interrupted may hold the lock of another wait.
            if self.qemu and self.qemu.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(self.qemu.pid, signal.SIGKILL)
            raise SystemExit(128 + number)

        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
            signal.signal(number, stop)
        terminal = None
        if self.shell and sys.stdin.isatty():
            import termios
            terminal = termios.tcgetattr(sys.stdin.fileno())
        try:
            for boots in range(1, BOOTS + 1):
                self.start()
                self.carry()
                # The sockets close when QEMU exits or when it is time to make it.
                try:
                    self.qemu.wait(timeout=0 if self.timed_out else 5)
                except subprocess.TimeoutExpired:
                    pass
                if boots == BOOTS or not self.slipped():
                    break
                self.kill()
                note("the emulation broke the kernel while booting, nothing of ours had run: booting again")
        finally:
            self.kill()
            if terminal:
                termios.tcsetattr(sys.stdin.fileno(), termios.TCSANOW, terminal)
            pid = os.path.join(self.out, "qemu.pid")
            if os.path.exists(pid):
                os.unlink(pid)
        return self.verdict()

    def slipped(self):
        """Whether it was the emulation that made the guest die while booting.

        A kernel patches its own code in steps, with an int3 in the middle, and has
        the other processors follow; TCG lets one of them meet the int3 when its
        handler is gone already.  It comes about once in fifty boots, while the
        kernel starts; nexusfs is loaded only after "up".  Where the handler's own
        code was hit, nobody is left to say a word: the machine resets, and QEMU ends well.
        """
        if self.accel != "tcg" or self.up or self.timed_out:
            return False
        try:
            with open(self.console, errors="replace") as log:
                text = log.read()
        except FileNotFoundError:
            return False
        began = re.search(r"^\[ *\d+\.\d+\] ", text, re.MULTILINE)
        silent = began and not splat.read_splats(self.console)
        return "Oops: int3" in text or (silent and self.qemu.poll() == 0)

    def verdict(self):
        reports = splat.read_splats(self.console)
        leaks = splat.kmemleak(os.path.join(self.out, "kmemleak.txt"),
                               os.path.join(self.out, "kallsyms.txt"))
        for report in reports + leaks:
            print("\n".join(["--- kernel splat ---"] + report + ["---"]), file=sys.stderr)
        if reports or leaks:
            note(f"{len(reports)} kernel splats, {len(leaks)} leaked objects; all in {self.console}")
        if self.trouble:
            note(self.trouble)
        if self.timed_out:
            note(f"killed after {self.options.timeout:g} s; blocked tasks, if any, in {self.console}")
            return 124
        if reports or leaks:
            return 126
        if self.status is None or not self.done:
            note("the guest died" + ("" if self.up else " while booting") + "; the console's last lines:")
            try:
                with open(self.console, errors="replace") as log:
                    for line in log.readlines()[-15:]:
                        print("  " + line.rstrip(), file=sys.stderr)
            except FileNotFoundError:
                pass
            return 125
        if self.trouble:
            return self.status or 122
        return self.status
