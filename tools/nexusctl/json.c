// SPDX-License-Identifier: Apache-2.0
/* Writes JSON. */
#include <inttypes.h>

#include "nexusctl.h"

/* How many bytes the character at @p has, 0 if it is none of UTF-8. */
static int utf8_length(const unsigned char *p)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	int n = *p < 0x80 ? 1 : *p < 0xc2 ? 0 : *p < 0xe0 ? 2 : *p < 0xf0 ? 3 : *p < 0xf5 ? 4 : 0;
	uint32_t c = n > 1 ? *p & (0x7fu >> n) : *p;
	int i;

	for (i = 1; i < n; i++) {
		/* Not of the text's end either. */
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (p[i] & 0x3f);
	}
	return c < least[n] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000) ? 0 : n;
}

/*
 * Names of files are any bytes.  Those that are no UTF-8 become the lone halves of
 * surrogates that Python's os.fsencode() makes bytes of again.
 */
static void put_text(FILE *out, const char *text)
{
	const unsigned char *p;
	int n;

	putc('"', out);
	for (p = (const unsigned char *)text; *p; p++) {
		n = utf8_length(p);
		if (!n) {
			fprintf(out, "\\udc%02x", *p);
			continue;
		}
		if (n > 1) {
			fwrite(p, 1, (size_t)n, out);
			p += n - 1;
			continue;
		}
		if (*p == '"' || *p == '\\')
			fprintf(out, "\\%c", *p);
		else if (*p == '\n')
			fputs("\\n", out);
		else if (*p < 0x20 || *p == 0x7f)
			fprintf(out, "\\u%04x", *p);
		else
			putc(*p, out);
	}
	putc('"', out);
}

/* What stands in front of a value. */
static void begin(struct json *json, const char *key)
{
	if (json->depth) {
		if (!json->first)
			putc(',', json->out);
		fprintf(json->out, "\n%*s", json->depth * 2, "");
	}
	json->first = false;
	if (key) {
		put_text(json->out, key);
		fputs(": ", json->out);
	}
}

void json_open(struct json *json, const char *key, char bracket)
{
	begin(json, key);
	putc(bracket, json->out);
	json->depth++;
	json->first = true;
}

void json_close(struct json *json, char bracket)
{
	json->depth--;
	if (!json->first)
		fprintf(json->out, "\n%*s", json->depth * 2, "");
	json->first = false;
	putc(bracket, json->out);
	if (!json->depth)
		putc('\n', json->out);
}

void json_string(struct json *json, const char *key, const char *value)
{
	begin(json, key);
	if (value)
		put_text(json->out, value);
	else
		fputs("null", json->out);
}

void json_number(struct json *json, const char *key, uint64_t value)
{
	begin(json, key);
	fprintf(json->out, "%" PRIu64, value);
}

void json_bool(struct json *json, const char *key, bool value)
{
	begin(json, key);
	fputs(value ? "true" : "false", json->out);
}

void print_numbers(const struct ctl *ctl, const struct number *numbers, size_t n)
{
	struct json json = { .out = stdout };
	size_t i;

	if (ctl->json)
		json_open(&json, NULL, '{');
	for (i = 0; i < n; i++)
		if (ctl->json)
			json_number(&json, numbers[i].name, numbers[i].value);
		else
			printf("%-17s %" PRIu64 " %s\n", numbers[i].name, numbers[i].value,
			       numbers[i].words);
	if (ctl->json)
		json_close(&json, '}');
}
