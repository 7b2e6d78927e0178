/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A push as a hook sees it, decrypted when that is possible; and what a run of some of them is
 * given: its standard input and its environment.
 */
#pragma once
#include "common/list.h"
#include "distributor/action/hooks_config.h"
#include "distributor/dispatch.h"

struct hook_message {
	struct list link; /* struct hook::waiting or ::running, oldest first */
	char id[17];
	char *topic; /* "" for none, and for one that is none by RFC 8030 */
	char *encoding; /* as sent, "" for none */
	enum urgency urgency;
	int64_t received_ms;
	bool is_decrypted;
	const char *reason; /* static: why not */
	uint8_t *body; /* what was decrypted, else as sent */
	size_t bytes;
	dispatch_done_fn *done;
	void *done_ctx;
};

struct hook_message *hook_message_create(
	const struct message *message, dispatch_done_fn *done, void *done_ctx);
void hook_message_free(struct hook_message *message);
/* Can a person be shown it as it is? */
bool hook_message_is_readable(const struct hook_message *message);

/* What a run is given. */
struct hook_facts {
	const struct hook_config *config;
	const char *reason; /* "push", or why it catches up */
	const struct list *messages; /* struct hook_message::link; empty when it only catches up */
	uint32_t count;
};
/* A sealed file in memory, read from its beginning; -errno when there is no room for it. */
int hook_input_open(const struct hook_facts *facts);
/* The BELLWIRE_* variables, fresh and NULL-terminated. */
char **hook_environment_make(const struct hook_facts *facts);
void hook_environment_free(char **environment);
