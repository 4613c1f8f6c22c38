// SPDX-License-Identifier: Apache-2.0
/*
 * Damages an index, for tests.  Keys and values are written as in a dump.
 *
 *	index-edit DIR keys			every key, a line each
 *	index-edit DIR del KEY
 *	index-edit DIR flip KEY OFFSET XOR	one byte of the value
 *	index-edit DIR garble KEY		all bytes of the value
 *	index-edit DIR set KEY OFFSET HEX	bytes of the value, which is sealed again
 *	index-edit DIR put KEY VALUE
 *	index-edit DIR unclean			as if the machine had stopped
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store.h"

static struct config cfg;
static struct nexus_metastore *ms;
static struct nexus_key key;
static u64 val[8192];
static size_t vlen;
static bool del;

static void die(const char *what)
{
	fprintf(stderr, "index-edit: %s\n", what);
	exit(2);
}

static size_t bytes_of(const char *text, u8 *to)
{
	size_t n = 0;
	unsigned int c;

	for (; *text; n++) {
		if (*text != '\\') {
			to[n] = (u8)*text++;
			continue;
		}
		if (sscanf(text + 1, "%2x", &c) != 1)
			die("not as in a dump");
		to[n] = (u8)c;
		text += 3;
	}
	return n;
}

static void print_keys(void)
{
	const void *k, *v, *last = "";
	struct nexus_ms_snap *snap;
	size_t klen, len, i, n = 0;

	if (ms->drv->begin_read(ms, &snap))
		die("cannot read");
	while (!ms->drv->seek(snap, last, n, true, &k, &klen, &v, &len)) {
		for (i = 0; i < klen; i++) {
			u8 c = ((const u8 *)k)[i];

			printf(c > ' ' && c < 0x7f && c != '\\' ? "%c" : "\\%02x", c);
		}
		putchar('\n');
		last = k;
		n = klen;
	}
	ms->drv->end_read(snap);
}

static void get(void)
{
	struct nexus_ms_snap *snap;
	const void *v;

	if (ms->drv->begin_read(ms, &snap) ||
	    ms->drv->get(snap, key.b, key.len, &v, &vlen) || vlen > sizeof(val))
		die("no such key");
	memcpy(val, v, vlen);
	ms->drv->end_read(snap);
}

static int fill(struct nexus_metastore *m, struct nexus_ms_batch *batch, void *arg)
{
	(void)arg;
	return del ? m->drv->del(batch, key.b, key.len) :
		     m->drv->put(batch, key.b, key.len, val, vlen);
}

static void change(const char *verb, char **arg, int n)
{
	u8 *bytes = (u8 *)val;
	size_t i;

	if (!strcmp(verb, "del")) {
		del = true;
	} else if (!strcmp(verb, "put") && n == 1) {
		vlen = bytes_of(arg[0], bytes);
	} else {
		get();
		if (!strcmp(verb, "flip") && n == 2) {
			bytes[strtoul(arg[0], NULL, 0)] ^= (u8)strtoul(arg[1], NULL, 0);
		} else if (!strcmp(verb, "garble")) {
			for (i = 0; i < vlen; i++)
				bytes[i] ^= (u8)(0x5a + i);
		} else if (!strcmp(verb, "set") && n == 2) {
			u8 *at = bytes + strtoul(arg[0], NULL, 0);
			unsigned int c;

			for (i = 0; sscanf(arg[1] + 2 * i, "%2x", &c) == 1; i++)
				at[i] = (u8)c;
			nexus_val_seal(val, vlen, key.b[0]);
		} else if (!strcmp(verb, "unclean")) {
			((struct nexus_zone_val *)val)->flags &= cpu_to_le32(~NEXUS_ZF_CLEAN);
			nexus_val_seal(val, vlen, key.b[0]);
		} else {
			die("what?");
		}
	}
	if (ms_write(ms, fill, NULL))
		die("cannot write");
}

int main(int argc, char **argv)
{
	struct errline err = { "" };

	if (argc < 3)
		die("usage: index-edit DIR VERB...");
	config_defaults(&cfg);
	cfg.map_size = 1u << 20;
	if (store_open_index(&cfg, argv[1], false, &ms, &err))
		die(err.msg);
	if (!strcmp(argv[2], "keys")) {
		print_keys();
	} else {
		key.len = bytes_of(argc > 3 ? argv[3] : "Z", key.b);
		change(argv[2], argv + 4, argc - 4);
	}
	ms->drv->close(ms);
	return 0;
}
