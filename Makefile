# SPDX-License-Identifier: Apache-2.0
#
# The front door.  The module itself is built by Kbuild, userspace by Meson.

KERNEL ?= stock
PREFIX ?= /usr
DESTDIR ?=
PART ?=
MESON_ARGS ?=

ifdef KDIR
KMOD_DIR ?= build/kmod-kdir
else
KMOD_DIR ?= build/kmod-$(KERNEL)
endif

.PHONY: help
help:
	@echo 'make run               build, boot a virtual machine, mount, and do real work in it'
	@echo 'make check             all tests that fit in one sitting; one part: PART=NAME'
	@echo 'make check-long PART=… the long ones, one at a time; without PART, their names'
	@echo 'make bench             beside ext4, tmpfs and FUSE; ROUNDS= FILES= MIB= ONLY= (Documentation/performance.md)'
	@echo 'make deps              install the packages it takes (not root: print the apt line)'
	@echo 'make module            the module, for KERNEL=stock|debug|kcsan or KDIR=DIRECTORY'
	@echo 'make userspace         the helper, the tools and the library'
	@echo 'make install           under DESTDIR= and PREFIX=; make uninstall takes it away again'
	@echo 'make deb               Debian packages, in build/deb'
	@echo 'make compile_commands  compile_commands.json for editors and clang tools'
	@echo 'make clean             remove what was built; kernels stay (make distclean removes all)'
	@echo
	@echo 'A shell in the virtual machine: tools/vm/run        its options: tools/vm/run --help'

.PHONY: deps
deps:
	@scripts/deps.sh

# Each kernel has a folder of links to the sources, so that the objects of two
# kernels never mix.
.PHONY: module
module:
	@kdir="$(KDIR)"; [ -n "$$kdir" ] || kdir=$$(tools/vm/kernel $(KERNEL))/build && \
	scripts/build-module "$$kdir" "$(KMOD_DIR)" $(if $(W),W=$(W)) $(if $(C),C=$(C)) $(if $(V),V=$(V))

# Parts of the tests that run side by side all want it.
.PHONY: userspace
userspace:
	@mkdir -p build
	@exec 9>build/userspace.lock && flock 9 && \
	{ [ -f build/userspace/build.ninja ] || meson setup build/userspace $(MESON_ARGS) >build/userspace.log 2>&1 || \
		{ cat build/userspace.log >&2; exit 1; }; } && \
	ninja -C build/userspace $(if $(findstring s,$(firstword -$(MAKEFLAGS))),--quiet)

.PHONY: run
run:
	@scripts/deps.sh
	@tools/demo

.PHONY: check
check:
	@scripts/deps.sh
	@scripts/check $(if $(PART),--part $(PART))

.PHONY: check-long
check-long:
	@scripts/check --long $(if $(PART),--part $(PART),--list)

.PHONY: bench
bench:
	@scripts/deps.sh
	@tools/bench/run $(if $(ROUNDS),--rounds $(ROUNDS)) $(if $(FILES),--files $(FILES)) \
		$(if $(MIB),--mib $(MIB)) $(if $(ONLY),--only $(ONLY))

.PHONY: compile_commands
compile_commands: module userspace
	scripts/compile-commands "$(KMOD_DIR)" build/userspace

.PHONY: clean distclean
clean:
	rm -rf build/kmod-* build/userspace* build/check compile_commands.json

distclean:
	rm -rf build compile_commands.json

# install, uninstall, deb
include packaging/install.mk
