/* SPDX-License-Identifier: Apache-2.0 */
/* `bellwire vapid new|show`: the key by which a relay and a device know a sender. */
#include "common/cleanup.h"
#include "common/file.h"
#include "common/mem.h"
#include "distributor/ctl/arguments.h"
#include "distributor/ctl/commands.h"
#include "distributor/ctl/vapid_key.h"
#include <stdio.h>
#include <sys/stat.h>

static const char vapid_usage[] =
	"usage: bellwire vapid new [--out FILE]   make a key; FILE gets it (PEM, mode 0600) and must\n"
	"                                         not exist yet, standard output the public key;\n"
	"                                         without --out the PEM text goes to standard output\n"
	"       bellwire vapid show FILE          print the public key\n"
	"\n"
	"  --json   print {\"public\":…,\"file\":…} or {\"public\":…,\"private\":…}\n"
	"\n"
	"The public key is what listen --vapid-key takes; the file is what send --vapid takes.\n";

struct vapid_options {
	const char *out, *file;
	bool json;
};

/* value may hold a file name in any encoding, then null. */
static int vapid_print_json(const char *public, const char *name, const char *value) {
	json_t *json = json_pack("{s:s,s:o?}", "public", public, name, json_string(value));
	return command_print_json(json) ? COMMAND_OK : COMMAND_FAILED;
}

static int vapid_new(const struct vapid_options *options) {
	struct stat status;
	if (options->out && lstat(options->out, &status) == 0) {
		return command_fail("%s exists already and is left as it is", options->out);
	}
	EVP_PKEY *key = p256_generate();
	if (!key) {
		return command_fail("OpenSSL cannot make a key");
	}
	CLEANUP_FREE char *private = vapid_key_print(key);
	CLEANUP_FREE char *public = vapid_key_print_public(key);
	EVP_PKEY_free(key);
	if (options->out) {
		int result = file_replace(options->out, private, strlen(private), 0600);
		if (result < 0) {
			return command_fail("%s cannot be written: %s", options->out, strerror(-result));
		}
	}
	if (options->json) {
		return vapid_print_json(
			public, options->out ? "file" : "private", options->out ? options->out : private);
	}
	if (options->out) {
		(void)puts(public);
	} else {
		(void)fputs(private, stdout);
		(void)fprintf(stderr, "public key: %s\n", public);
	}
	return COMMAND_OK;
}

static int vapid_show(const struct vapid_options *options) {
	CLEANUP_FREE char *error = NULL;
	EVP_PKEY *key = vapid_key_read(options->file, &error);
	if (!key) {
		return command_fail("%s", error);
	}
	CLEANUP_FREE char *public = vapid_key_print_public(key);
	EVP_PKEY_free(key);
	if (options->json) {
		return vapid_print_json(public, "file", options->file);
	}
	(void)puts(public);
	return COMMAND_OK;
}

int vapid_command(int argc, char **argv) {
	struct vapid_options options = {0};
	const struct arguments_flag flags[] = {
		{"out", .text = &options.out}, {"json", .is_given = &options.json}, {.name = NULL}};
	const struct arguments arguments = {
		.usage = vapid_usage, .flags = flags, .words = "new or show FILE", .least = 1, .most = 2};
	const char *words[2];
	int result;
	if (!arguments_read(&arguments, argc, argv, words, &result)) {
		return result;
	}
	options.file = words[1];
	if (strcmp(words[0], "new") == 0) {
		return options.file ? command_misused("vapid", "new takes --out FILE")
							: vapid_new(&options);
	}
	if (strcmp(words[0], "show") != 0) {
		return command_misused("vapid", "what is \"%s\"? There are new and show", words[0]);
	}
	if (!options.file || options.out) {
		return command_misused("vapid", "show takes the FILE of a key, and no --out");
	}
	return vapid_show(&options);
}
