/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs of mail_sync at a server that says anything: a byte for its limits, then a line for each
 * answer, the methodResponses of one request. A line that is no JSON is an answer too large. Every
 * run ends, with few requests and within bounds.
 */
#include "common/json.h"
#include "common/mem.h"
#include "distributor/jmap/mail_sync_impl.h"
#include <assert.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { FUZZ_RUNS = 4, FUZZ_REQUESTS_MAX = 100 };

/* The other side of mail_sync, in place of jmap_client.c. */
struct jmap_client {
	struct jmap_session session;
	jmap_called_fn *done; /* of the call under way */
	void *ctx;
	unsigned requests;
};

const struct jmap_session *jmap_client_session(const struct jmap_client *client) {
	return &client->session;
}

void jmap_client_send(
	struct jmap_client *client, struct jmap_call *take_call, jmap_called_fn *done, void *ctx) {
	assert(!client->done);
	client->done = done;
	client->ctx = ctx;
	client->requests++;
	jmap_call_destroy(take_call);
}

void jmap_client_cancel(struct jmap_client *client, void *ctx) {
	assert(!client->done || client->ctx == ctx);
	client->done = NULL;
}

struct fuzz {
	struct slice rest; /* answers to come */
	unsigned ended;
	json_t *shown;
};

static void fuzz_answer(struct fuzz *fuzz, struct jmap_client *client) {
	const char *end = fuzz->rest.len ? memchr(fuzz->rest.data, '\n', fuzz->rest.len) : NULL;
	size_t len = end ? (size_t)(end - fuzz->rest.data) : fuzz->rest.len;
	json_t *answers = json_parse((struct slice){fuzz->rest.data, len});
	bool is_over = fuzz->rest.len == 0;
	struct jmap_call_result result = {
		.outcome = json_is_array(answers) ? JMAP_CALL_OK : JMAP_CALL_TRY_LATER,
		.answers = answers,
		.reason = "no answer",
		.retry_after_sec = -1,
		.is_too_large = !json_is_array(answers) && !is_over,
	};
	size_t used = len + (end != NULL);
	fuzz->rest = (struct slice){fuzz->rest.data + used, fuzz->rest.len - used};
	jmap_called_fn *done = client->done;
	client->done = NULL;
	done(&result, client->ctx);
	json_decref(answers);
}

static bool fuzz_is_shown(const char *email_id, void *ctx) {
	return json_object_get(((struct fuzz *)ctx)->shown, email_id);
}

static void fuzz_on_settled(const char *email_id, void *ctx) {
	(void)json_object_del(((struct fuzz *)ctx)->shown, email_id);
}

static void fuzz_on_done(const struct mail_sync_result *result, void *ctx) {
	struct fuzz *fuzz = ctx;
	fuzz->ended++;
	assert(result->reason && result->mailboxes && result->count <= MAIL_SYNC_FETCH_MAX);
	assert(result->outcome == JMAP_CALL_OK || result->count == 0);
	for (size_t i = 0; i < result->count; i++) {
		const struct mail *mail = &result->mails[i];
		assert(mail_id_is_good(slice_of(mail->id)) && mail->mailbox);
		assert(strlen(mail->subject) <= MAIL_FOUND_TEXT_MAX);
		int failed = json_object_set_new_nocheck(fuzz->shown, mail->id, json_true());
		assert(failed == 0);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
	static char inbox[] = "inbox", nested[] = "Lists/dev", name[] = "fuzz";
	char *mailboxes[] = {inbox, nested, NULL};
	const struct jmap_config config = {.name = name, .mailboxes = mailboxes, .notify = true};
	struct jmap_client client = {0};
	struct fuzz fuzz = {.shown = json_object()};
	if (size > 0) {
		client.session.max_calls = 1 + (data[0] & 7);
		client.session.max_objects_get = 1 + (data[0] >> 3) * 20;
		fuzz.rest = (struct slice){(const char *)data + 1, size - 1};
	} else {
		client.session.max_calls = client.session.max_objects_get = 1;
	}
	const struct mail_sync_options options = {.client = &client,
		.config = &config,
		.account_id = "a",
		.is_shown = fuzz_is_shown,
		.settled = fuzz_on_settled,
		.done = fuzz_on_done,
		.ctx = &fuzz};
	struct mail_sync *sync = mail_sync_create(&options, NULL);
	for (unsigned run = 1; run <= FUZZ_RUNS && fuzz.rest.len > 0; run++) {
		client.requests = 0;
		mail_sync_run(sync);
		while (client.done) {
			fuzz_answer(&fuzz, &client);
		}
		assert(fuzz.ended == run && client.requests <= FUZZ_REQUESTS_MAX);
		assert(!mail_sync_is_running(sync));
	}
	json_decref(mail_sync_print(sync));
	mail_sync_destroy(sync);
	json_decref(fuzz.shown);
	return 0;
}
