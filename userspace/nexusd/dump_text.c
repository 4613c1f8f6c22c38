// SPDX-License-Identifier: Apache-2.0
#include "dump_text.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "dump.h"

#define MAGIC	"nexusfs-dump "
/* No entry begins so: two hexadecimal digits follow a backslash there. */
#define END	"\\end "

/* ---- writing -------------------------------------------------------------- */

static bool is_plain(u8 c)
{
	return c > ' ' && c < 0x7f && c != '\\';
}

static char *put_bytes(char *to, const u8 *from, size_t len)
{
	static const char hex[] = "0123456789abcdef";
	size_t i;

	for (i = 0; i < len; i++) {
		if (is_plain(from[i])) {
			*to++ = (char)from[i];
			continue;
		}
		*to++ = '\\';
		*to++ = hex[from[i] >> 4];
		*to++ = hex[from[i] & 15];
	}
	return to;
}

static int put_line(struct dump_out *o, size_t len)
{
	o->crc = nexus_crc32c(o->crc, o->line, len);
	return fwrite(o->line, 1, len, o->file) == len ? 0 : errno ? -errno : -EIO;
}

int dump_out_begin(struct dump_out *o, FILE *file)
{
	*o = (struct dump_out){ .file = file, .line = malloc(DUMP_LINE_MAX) };
	if (!o->line)
		return -ENOMEM;
	errno = 0;
	return put_line(o, (size_t)sprintf(o->line, MAGIC "%u\n", DUMP_VERSION));
}

int dump_out_entry(struct dump_out *o, const void *key, size_t klen, const void *val,
		   size_t vlen)
{
	char *at = put_bytes(o->line, key, klen);

	*at++ = ' ';
	at = put_bytes(at, val, vlen);
	*at++ = '\n';
	o->count++;
	return put_line(o, (size_t)(at - o->line));
}

int dump_out_end(struct dump_out *o)
{
	fprintf(o->file, END "%" PRIu64 " %08x\n", (uint64_t)o->count, o->crc);
	return fflush(o->file) || ferror(o->file) ? errno ? -errno : -EIO : 0;
}

void dump_out_free(struct dump_out *o)
{
	free(o->line);
}

/* ---- reading -------------------------------------------------------------- */

static int damaged(struct dump_in *in, const char *what)
{
	return err_set(in->err, -EUCLEAN, "the dump is damaged: line %llu: %s", in->lineno,
		       what);
}

/* Length of the next line without its newline; -ENODATA: there is none. */
static int get_line(struct dump_in *in)
{
	size_t len;

	in->lineno++;
	errno = 0;
	if (!fgets(in->line, DUMP_LINE_MAX + 1, in->file)) {
		if (ferror(in->file))
			return err_set(in->err, errno ? -errno : -EIO,
				       "the dump cannot be read: %s", strerror(errno));
		return -ENODATA;
	}
	/* What follows a NUL is not seen, and the line has no end then. */
	len = strlen(in->line);
	if (!len || in->line[len - 1] != '\n')
		return feof(in->file) ? -ENODATA : damaged(in, "no line of a dump is like that");
	in->line[len - 1] = '\0';
	return (int)len - 1;
}

static int cut_short(struct dump_in *in)
{
	return err_set(in->err, -EUCLEAN, "the dump is cut short: line %llu is not the end",
		       in->lineno ? in->lineno - 1 : 0);
}

/* The line counts for the checksum of all. */
static void count_line(struct dump_in *in, int len)
{
	in->line[len] = '\n';
	in->crc = nexus_crc32c(in->crc, in->line, (size_t)len + 1);
	in->line[len] = '\0';
}

int dump_in_begin(struct dump_in *in, FILE *file, struct errline *err)
{
	unsigned long version;
	char *end;
	int len;

	memset(in, 0, sizeof(*in));
	in->file = file;
	in->err = err;
	in->line = malloc(DUMP_LINE_MAX + 1);
	in->val = malloc(NEXUS_VALUE_MAX);
	if (!in->line || !in->val)
		return -ENOMEM;
	if (fseek(file, 0, SEEK_SET))
		return err_set(err, -errno, "the dump cannot be read again: %s", strerror(errno));
	len = get_line(in);
	if (len < 0 && len != -ENODATA && len != -EUCLEAN)
		return len;
	if (len < 0 || strncmp(in->line, MAGIC, strlen(MAGIC)))
		return err_set(err, -EINVAL, "this is no dump of a nexusfs zone");
	errno = 0;
	version = strtoul(in->line + strlen(MAGIC), &end, 10);
	if (*end || errno || end == in->line + strlen(MAGIC) || !version)
		return err_set(err, -EINVAL, "this is no dump of a nexusfs zone");
	if (version > DUMP_VERSION)
		return err_set(err, -EPROTONOSUPPORT,
			       "the dump has version %lu, this program knows up to %u; use a newer nexusfs",
			       version, DUMP_VERSION);
	count_line(in, len);
	return 0;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Bytes up to a space or the end of the line; NULL: not how a dump writes them. */
static const char *get_bytes(const char *from, u8 *to, size_t cap, size_t *len)
{
	size_t n = 0;

	for (; *from && *from != ' '; n++) {
		int high, low;

		if (n == cap)
			return NULL;
		if (*from != '\\') {
			if (!is_plain((u8)*from))
				return NULL;
			to[n] = (u8)*from++;
			continue;
		}
		high = hex_digit(from[1]);
		low = high < 0 ? -1 : hex_digit(from[2]);
		if (low < 0)
			return NULL;
		to[n] = (u8)(high << 4 | low);
		if (is_plain(to[n]))
			return NULL;
		from += 3;
	}
	*len = n;
	return from;
}

static int get_end(struct dump_in *in)
{
	char want[64];

	snprintf(want, sizeof(want), END "%" PRIu64 " %08x", (uint64_t)in->count, in->crc);
	if (strcmp(in->line, want))
		return damaged(in, "count or checksum of all lines is another");
	in->lineno++;
	if (getc(in->file) != EOF)
		return damaged(in, "something follows the end");
	return 0;
}

int dump_in_next(struct dump_in *in)
{
	struct nexus_key last = in->key;
	const char *at;
	size_t n;
	int len = get_line(in);

	if (len == -ENODATA)
		return cut_short(in);
	if (len < 0)
		return len;
	if (!strncmp(in->line, END, strlen(END)))
		return get_end(in);
	count_line(in, len);
	at = get_bytes(in->line, in->key.b, NEXUS_KEY_MAX, &in->key.len);
	if (!at || *at != ' ' || !in->key.len)
		return damaged(in, "its key");
	at = get_bytes(at + 1, in->val, NEXUS_VALUE_MAX, &in->vlen);
	if (!at || *at)
		return damaged(in, "its value");
	n = NEXUS_MIN(last.len, in->key.len);
	if (in->count) {
		int order = memcmp(last.b, in->key.b, n);

		if (order > 0 || (!order && last.len >= in->key.len))
			return damaged(in, "its key is not above the one before");
	}
	if (nexus_val_check(in->val, in->vlen, in->key.b[0], sizeof(struct nexus_val_head)))
		return damaged(in, "the checksum of its value is wrong");
	in->count++;
	return 1;
}

void dump_in_free(struct dump_in *in)
{
	free(in->line);
	free(in->val);
}
