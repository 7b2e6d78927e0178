/* SPDX-License-Identifier: Apache-2.0 */
/* `bellwire send`: one message to a push URL, and what became of it. */
#include "common/autopush.h"
#include "common/base64url.h"
#include "common/cleanup.h"
#include "common/file.h"
#include "common/json.h"
#include "common/mem.h"
#include "common/webpush.h"
#include "distributor/ctl/arguments.h"
#include "distributor/ctl/commands.h"
#include "distributor/ctl/http_client.h"
#include "distributor/ctl/vapid_key.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <time.h>

enum {
	SEND_LINE_MAX = 65536,
	SEND_TTL_SEC = 86400,
	SEND_TTL_MAX = INT32_MAX,
	SEND_TOPIC_MAX = 32,
	SEND_PAD_MAX = WEBPUSH_MAX_BODY_BYTES - WEBPUSH_OVERHEAD_BYTES,
};

static const char send_usage[] =
	"usage: bellwire send URL|- [OPTION...]\n"
	"\n"
	"Posts one message to a push URL. \"-\" reads the URL from the first line of standard input, "
	"alone\n"
	"or as the JSON line with p256dh and auth that `bellwire listen` prints.\n"
	"\n"
	"  --message TEXT      the message; else --file, else standard input to its end\n"
	"  --file FILE         the message's bytes\n"
	"  --p256dh KEY        with --auth: encrypt for this receiver (RFC 8291, aes128gcm)\n"
	"  --auth SECRET\n"
	"  --pad N             pad the plaintext to at least N bytes before encrypting\n"
	"  --vapid FILE        sign with this key (RFC 8292); see `bellwire vapid`\n"
	"  --subject URL       mailto: or https: contact in the signature\n"
	"  --ttl SECONDS       how long the relay may keep the message (default 86400; 0: now or "
	"never)\n"
	"  --urgency URGENCY   very-low, low, normal or high\n"
	"  --topic TOPIC       replaces a waiting message with the same topic; 1-32 of A-Z a-z 0-9 - "
	"_\n"
	"  --ca FILE           trust the certificates in FILE instead of the system's\n"
	"  --insecure          accept any certificate\n"
	"  --json              print the outcome as JSON\n"
	"\n"
	"Exit status: 0 when the relay took the message, 1 when not, 2 for wrong usage.\n";

struct send_options {
	const char *target, *message, *file, *p256dh, *auth, *vapid, *subject, *urgency, *topic, *ca;
	int64_t ttl_sec, pad;
	bool insecure, json;
};

/* What is to be sent, after all inputs are read. */
struct send_job {
	char *url_text, *p256dh, *auth;
	struct url url;
	uint8_t *body;
	size_t body_bytes;
	bool is_encrypted;
	char *headers;
};

static bool send_topic_is_good(const char *topic) {
	size_t len = strspn(topic, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_");
	return len > 0 && len <= SEND_TOPIC_MAX && topic[len] == '\0';
}

static int send_check(struct send_options *options, const char *ttl, const char *pad) {
	enum urgency urgency;
	options->ttl_sec = ttl ? command_number(ttl, SEND_TTL_MAX) : SEND_TTL_SEC;
	options->pad = pad ? command_number(pad, SEND_PAD_MAX) : 0;
	if (options->ttl_sec < 0) {
		return command_misused("send", "--ttl takes seconds, 0 to %d", SEND_TTL_MAX);
	}
	if (options->pad < 0) {
		return command_misused("send", "--pad takes a number of bytes, %d at most", SEND_PAD_MAX);
	}
	if (options->urgency && !urgency_parse(slice_of(options->urgency), &urgency)) {
		return command_misused("send", "--urgency is very-low, low, normal or high");
	}
	if (options->topic && !send_topic_is_good(options->topic)) {
		return command_misused("send", "--topic takes 1 to 32 of A-Z a-z 0-9 - _");
	}
	if (!options->p256dh != !options->auth) {
		return command_misused("send", "--p256dh and --auth go together");
	}
	if (options->message && options->file) {
		return command_misused("send", "--message and --file exclude each other");
	}
	if (strcmp(options->target, "-") == 0 && !options->message && !options->file) {
		return command_misused("send", "with \"-\" standard input holds the URL, so the message "
									   "must come from --message or --file");
	}
	return COMMAND_OK;
}

/* The first line of standard input, without waiting for more than it. NULL when there is none. */
static char *send_read_line(void) {
	CLEANUP_FREE char *line = mem_alloc(SEND_LINE_MAX + 1);
	size_t len = 0;
	while (len < SEND_LINE_MAX) {
		ssize_t n = read(STDIN_FILENO, line + len, 1);
		if (n < 0 && errno == EINTR) {
			continue;
		}
		if (n <= 0 || line[len] == '\n') {
			break;
		}
		len++;
	}
	line[len] = '\0';
	return len > 0 ? steal(&line) : NULL;
}

/* Fills URL and keys from the JSON line of `listen`, or the URL from a plain one. */
static int send_read_target(struct send_job *job) {
	CLEANUP_FREE char *line = send_read_line();
	if (!line) {
		return command_fail("standard input holds no push URL");
	}
	struct slice text = slice_trim(slice_of(line));
	if (text.len == 0 || text.data[0] != '{') {
		job->url_text = mem_strndup(text.data, text.len);
		return COMMAND_OK;
	}
	json_t *json = json_parse(text);
	job->url_text = json_get_string_dup(json, "endpoint");
	job->p256dh = json_get_string_dup(json, "p256dh");
	job->auth = json_get_string_dup(json, "auth");
	json_decref(json);
	return job->url_text ? COMMAND_OK
						 : command_fail("the JSON on standard input has no \"endpoint\"");
}

static int send_find_target(const struct send_options *options, struct send_job *job) {
	if (strcmp(options->target, "-") == 0) {
		int result = send_read_target(job);
		if (result != COMMAND_OK) {
			return result;
		}
	} else {
		job->url_text = mem_strdup(options->target);
	}
	if (options->p256dh) {
		free(job->p256dh);
		free(job->auth);
		job->p256dh = mem_strdup(options->p256dh);
		job->auth = mem_strdup(options->auth);
	}
	if (!url_parse(slice_of(job->url_text), &job->url) ||
		(job->url.scheme != URL_HTTP && job->url.scheme != URL_HTTPS)) {
		return command_fail("%s is no http or https URL", job->url_text);
	}
	return COMMAND_OK;
}

/* Standard input to its end. */
static int send_read_input(struct send_job *job) {
	CLEANUP_FREE uint8_t *data = mem_alloc(WEBPUSH_MAX_BODY_BYTES + 1);
	size_t bytes = fread(data, 1, WEBPUSH_MAX_BODY_BYTES + 1, stdin);
	if (ferror(stdin)) {
		return command_fail("standard input: %s", strerror(errno));
	}
	if (bytes > WEBPUSH_MAX_BODY_BYTES) {
		return command_fail("the message exceeds %d bytes", WEBPUSH_MAX_BODY_BYTES);
	}
	job->body = steal(&data);
	job->body_bytes = bytes;
	return COMMAND_OK;
}

static int send_read_message(const struct send_options *options, struct send_job *job) {
	if (options->message) {
		job->body_bytes = strlen(options->message);
		job->body = mem_dup(options->message, job->body_bytes);
		return COMMAND_OK;
	}
	if (!options->file) {
		return send_read_input(job);
	}
	char *data = NULL;
	int result = file_read(options->file, WEBPUSH_MAX_BODY_BYTES, &data, &job->body_bytes);
	job->body = (uint8_t *)data;
	return result == 0 ? COMMAND_OK : command_fail("%s: %s", options->file, strerror(-result));
}

static int send_encrypt(const struct send_options *options, struct send_job *job) {
	uint8_t point[P256_POINT_BYTES], auth[WEBPUSH_AUTH_BYTES], *sealed = NULL;
	size_t bytes = 0;
	if (!job->p256dh || !job->auth) {
		return COMMAND_OK;
	}
	if (!base64url_decode_lenient(slice_of(job->p256dh), point, sizeof point, &bytes) ||
		bytes != sizeof point) {
		return command_fail("p256dh is not base64url of a P-256 point (65 bytes)");
	}
	if (!base64url_decode_lenient(slice_of(job->auth), auth, sizeof auth, &bytes) ||
		bytes != sizeof auth) {
		return command_fail("auth is not base64url of 16 bytes");
	}
	enum webpush_result result =
		webpush_encrypt((struct slice){(const char *)job->body, job->body_bytes}, point, auth,
			(size_t)options->pad, &sealed, &bytes);
	if (result != WEBPUSH_OK) {
		return command_fail("cannot encrypt: %s", result == WEBPUSH_BAD_KEY
													  ? "p256dh is no point on P-256"
													  : webpush_result_text(result));
	}
	free(job->body);
	job->body = sealed;
	job->body_bytes = bytes;
	job->is_encrypted = true;
	return COMMAND_OK;
}

static int send_make_headers(const struct send_options *options, struct send_job *job) {
	CLEANUP_FREE char *authorization = NULL, *error = NULL;
	if (options->vapid) {
		EVP_PKEY *key = vapid_key_read(options->vapid, &error);
		if (!key) {
			return command_fail("%s", error);
		}
		authorization = vapid_key_authorize(key, &job->url, options->subject, (int64_t)time(NULL));
		EVP_PKEY_free(key);
	}
	bool has_urgency = options->urgency != NULL, has_topic = options->topic != NULL;
	job->headers = mem_printf("TTL: %" PRId64 "\r\n%s%s%s%s%s%s%s%s%s%s%s", options->ttl_sec,
		job->body_bytes > 0 ? "Content-Type: application/octet-stream\r\n" : "",
		job->is_encrypted ? "Content-Encoding: aes128gcm\r\n" : "", has_urgency ? "Urgency: " : "",
		has_urgency ? options->urgency : "", has_urgency ? "\r\n" : "", has_topic ? "Topic: " : "",
		has_topic ? options->topic : "", has_topic ? "\r\n" : "",
		authorization ? "Authorization: " : "", authorization ? authorization : "",
		authorization ? "\r\n" : "");
	return COMMAND_OK;
}

/* What a status means for the sender of a push (RFC 8030, RFC 8292), and a word for it. */
struct send_meaning {
	const char *outcome, *text;
};

static struct send_meaning send_meaning_of(int status) {
	static const struct {
		int status;
		struct send_meaning meaning;
	} meanings[] = {
		{400, {"refused", "the relay finds the request malformed"}},
		{401, {"unauthorized", "this subscription wants a signature; give its key with --vapid"}},
		{403,
			{"unauthorized", "the signature is not that of the key that this subscription is for, "
							 "has expired, or names another audience"}},
		{404, {"gone", "there is no such subscription (any more); stop sending to it"}},
		{405, {"refused", "this is no push URL"}},
		{410, {"gone", "the device gave the subscription up; stop sending to it"}},
		{413, {"too-large", "the message is larger than the relay takes"}},
		{415, {"refused", "the relay wants encrypted messages; give --p256dh and --auth"}},
		{429, {"busy", "too many messages; send again later"}},
		{503, {"busy", "the relay cannot take messages now; send again later"}},
	};
	for (size_t i = 0; i < sizeof meanings / sizeof *meanings; i++) {
		if (meanings[i].status == status) {
			return meanings[i].meaning;
		}
	}
	if (status >= 200 && status < 300) {
		return (struct send_meaning){"kept", "the relay took the message"};
	}
	if (status >= 500) {
		return (struct send_meaning){"busy", "the relay has trouble; send again later"};
	}
	return (struct send_meaning){"refused", "the relay did not take the message"};
}

/* Fresh text for a person: "kept for 60 s", with what the relay itself said. */
static char *send_explain(const struct http_client_answer *answer, const char *reason) {
	if (answer->status >= 200 && answer->status < 300 && answer->ttl_sec == 0) {
		return mem_strdup("delivered if the device is connected, dropped if not");
	}
	if (answer->status >= 200 && answer->status < 300 && answer->ttl_sec > 0) {
		return mem_printf("kept for %" PRId64 " s, or until delivered", answer->ttl_sec);
	}
	const char *text = send_meaning_of(answer->status).text;
	CLEANUP_FREE char *later = answer->retry_after_sec >= 0
								   ? mem_printf(", after %" PRId64 " s", answer->retry_after_sec)
								   : mem_strdup("");
	return mem_printf("%s%s%s%s%s", text, later, reason ? " (the relay says: " : "",
		reason ? reason : "", reason ? ")" : "");
}

/* Text of a peer goes to a terminal: control characters become spaces. */
static char *send_reason(json_t *error) {
	char *reason = json_get_string_dup(error, "message");
	for (char *p = reason; p && *p; p++) {
		if ((unsigned char)*p < ' ' || *p == 0x7f) {
			*p = ' ';
		}
	}
	return reason;
}

static json_t *send_number_or_null(int64_t number) {
	return number >= 0 ? json_integer(number) : json_null();
}

static bool send_report(
	const struct send_options *options, const struct http_client_answer *answer) {
	bool ok = answer->status >= 200 && answer->status < 300;
	json_t *error = ok ? NULL : json_parse((struct slice){answer->body, answer->body_bytes});
	CLEANUP_FREE char *reason = send_reason(error);
	CLEANUP_FREE char *text = send_explain(answer, reason);
	bool is_written;
	if (options->json) {
		int64_t number = -1;
		(void)json_get_integer(error, "errno", &number); /* absent: stays -1 */
		is_written = command_print_json(json_pack("{s:i,s:b,s:s,s:s,s:o,s:o,s:s?,s:o,s:s?}",
			"status", answer->status, "ok", ok, "outcome", send_meaning_of(answer->status).outcome,
			"meaning", text, "ttl", send_number_or_null(answer->ttl_sec), "retry_after",
			send_number_or_null(answer->retry_after_sec), "location", answer->location, "errno",
			send_number_or_null(number), "message", reason));
	} else {
		FILE *out = ok ? stdout : stderr;
		(void)fprintf(out, "%d %s\n", answer->status, text);
		is_written = fflush(out) == 0;
	}
	json_decref(error);
	return ok && is_written;
}

static int send_run(const struct send_options *options, struct send_job *job) {
	int result = send_find_target(options, job);
	result = result == COMMAND_OK ? send_read_message(options, job) : result;
	result = result == COMMAND_OK ? send_encrypt(options, job) : result;
	result = result == COMMAND_OK ? send_make_headers(options, job) : result;
	if (result != COMMAND_OK) {
		return result;
	}
	CLEANUP_FREE char *target = mem_printf("%.*s%s%.*s", (int)job->url.path.len, job->url.path.data,
		job->url.query.len > 0 ? "?" : "", (int)job->url.query.len,
		job->url.query.len > 0 ? job->url.query.data : "");
	struct http_client_request request = {
		.url = &job->url,
		.target = slice_of(target),
		.headers = job->headers,
		.body = {(const char *)job->body, job->body_bytes},
		.ca_file = options->ca,
		.insecure = options->insecure,
	};
	struct http_client_answer answer;
	CLEANUP_FREE char *error = NULL;
	if (!http_client_post(&request, &answer, &error)) {
		if (options->json) {
			(void)command_print_json(json_pack("{s:n,s:b,s:s,s:s}", "status", "ok", 0, "outcome",
				"unreachable", "meaning", error));
		}
		return command_fail("%s", error);
	}
	bool ok = send_report(options, &answer);
	http_client_answer_finish(&answer);
	return ok ? COMMAND_OK : COMMAND_FAILED;
}

int send_command(int argc, char **argv) {
	struct send_options options = {0};
	const char *ttl = NULL, *pad = NULL;
	const struct arguments_flag flags[] = {{"message", .text = &options.message},
		{"file", .text = &options.file}, {"p256dh", .text = &options.p256dh},
		{"auth", .text = &options.auth}, {"pad", .text = &pad}, {"vapid", .text = &options.vapid},
		{"subject", .text = &options.subject}, {"ttl", .text = &ttl},
		{"urgency", .text = &options.urgency}, {"topic", .text = &options.topic},
		{"ca", .text = &options.ca}, {"insecure", .is_given = &options.insecure},
		{"json", .is_given = &options.json}, {.name = NULL}};
	const struct arguments arguments = {
		.usage = send_usage, .flags = flags, .words = "URL|-", .least = 1, .most = 1};
	int result;
	if (!arguments_read(&arguments, argc, argv, &options.target, &result)) {
		return result;
	}
	result = send_check(&options, ttl, pad);
	if (result != COMMAND_OK) {
		return result;
	}
	struct send_job job = {0};
	result = send_run(&options, &job);
	free(job.url_text);
	free(job.p256dh);
	free(job.auth);
	free(job.body);
	free(job.headers);
	return result;
}
