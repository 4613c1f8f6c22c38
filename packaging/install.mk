# SPDX-License-Identifier: Apache-2.0
#
# make install, uninstall, deb.  Userspace is built once more for its final
# prefix; the module goes in as source for dkms, since one binary fits one
# kernel only.

INSTALL_BUILD = build/userspace-install
MODULE_SRC = $(DESTDIR)$(PREFIX)/src/nexusfs-$(shell cat VERSION)

.PHONY: install
install:
	@[ -f $(INSTALL_BUILD)/build.ninja ] && \
		meson configure $(INSTALL_BUILD) -Dprefix=$(PREFIX) >/dev/null || \
		meson setup $(INSTALL_BUILD) --prefix=$(PREFIX) --sysconfdir=/etc \
			--buildtype=release -Dtests=disabled $(MESON_ARGS)
	ninja -C $(INSTALL_BUILD) --quiet
	DESTDIR=$(if $(DESTDIR),$(abspath $(DESTDIR))) meson install -C $(INSTALL_BUILD) --no-rebuild --quiet
	packaging/install-module-source $(MODULE_SRC)
	@echo "installed; the module's source is in $(MODULE_SRC):"
	@echo "  dkms $(if $(filter /usr,$(PREFIX)),,add $(PREFIX)/src/nexusfs-$(shell cat VERSION) && dkms )install nexusfs/$(shell cat VERSION)"

# What meson put there, by its own record; configuration and zones stay.
.PHONY: uninstall
uninstall:
	@[ -f $(INSTALL_BUILD)/meson-info/intro-installed.json ] || \
		{ echo "nothing was installed from this tree" >&2; exit 1; }
	packaging/uninstall $(INSTALL_BUILD) "$(abspath $(MODULE_SRC))" $(if $(DESTDIR),"$(abspath $(DESTDIR))")

.PHONY: deb
deb:
	packaging/make-deb
