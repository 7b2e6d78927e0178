/* SPDX-License-Identifier: Apache-2.0 */
/* `bellwire listen`: a device in the foreground that prints what it is sent. */
#include "common/backoff.h"
#include "common/base64url.h"
#include "common/cleanup.h"
#include "common/json.h"
#include "common/mem.h"
#include "common/webpush.h"
#include "distributor/ctl/arguments.h"
#include "distributor/ctl/commands.h"
#include "distributor/ctl/listen_state.h"
#include "distributor/ctl/take.h"
#include "distributor/link/websocket.h"
#include <errno.h>
#include <ev.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <sys/stat.h>

enum {
	LISTEN_BACKOFF_BASE_MS = 500,
	LISTEN_BACKOFF_CAP_MS = 60000,
	LISTEN_ANSWER_SEC = 60, /* a relay under a herd answers hello late */
	LISTEN_END_MS = 500, /* for the Close frame and what is queued before it */
	LISTEN_STDOUT_CHECK_SEC = 5,
	LISTEN_PING_SEC = 60, /* silence after which the relay is asked for a sign of life */
	LISTEN_PONG_SEC = 20,
	LISTEN_MESSAGE_MAX = 4 << 20,
	LISTEN_SEEN_MAX = 256, /* versions remembered, far more than a relay has in flight */
};

static const char listen_usage[] =
	"usage: bellwire listen [NAME] [--count N]\n"
	"       bellwire listen --relay URL [OPTION...]\n"
	"\n"
	"Without --relay: prints the pushes of what `bellwire register NAME` made at the running\n"
	"distributor (of all names when none is given), one JSON line each; a printed one is taken.\n"
	"\n"
	"Connects to a relay as a device and prints, one JSON line each: first its push URL with the "
	"keys\n"
	"to encrypt for it, then every push. Acknowledges what it has printed. Ctrl-C ends it; what "
	"comes\n"
	"meanwhile waits at the relay for the next run.\n"
	"\n"
	"  --relay URL        ws://, wss://, http:// or https://, with or without an invitation\n"
	"  --state FILE       where identity and keys are kept (default: a file for each relay in\n"
	"                     $XDG_STATE_HOME/bellwire); FILE is made when absent\n"
	"  --no-state         keep nothing: a new push URL in each run\n"
	"  --vapid-key KEY    only the holder of this key may send; see `bellwire vapid`\n"
	"  --count N          end after N pushes\n"
	"  --no-ack           acknowledge nothing: pushes come again\n"
	"  --raw              print the relay's notifications as they came, not decrypted\n"
	"  --ca FILE          trust the certificates in FILE instead of the system's\n"
	"  --insecure         accept any certificate\n"
	"  --json             changes nothing: it is JSON anyway\n"
	"\n"
	"Exit status: 0 when ended by a signal, --count or the reader's end, 1 for a failure that "
	"another\n"
	"attempt would not cure, 2 for wrong usage.\n";

struct listen_options {
	const char *relay, *state, *vapid_key, *ca;
	const char *name; /* without a relay: what is listened to */
	int64_t count; /* 0: no end */
	bool no_state, no_ack, raw, insecure;
};

struct listen {
	const struct listen_options *options;
	struct listen_state state;
	char *retired; /* a channel to give up, or NULL */
	struct ev_loop *loop;
	struct websocket_client *client;
	struct websocket *websocket; /* NULL between two attempts */
	struct backoff backoff;
	ev_timer retry, answer, alive, end, stdout_check;
	uint64_t heard_bytes; /* when `alive` was set */
	bool is_asked; /* for a sign of life */
	ev_signal interrupted, terminated;
	char *seen[LISTEN_SEEN_MAX]; /* a ring of versions */
	size_t seen_next;
	int64_t printed;
	bool is_greeted, is_registered, is_announced, is_ending;
	int status;
};

/* Ends the loop, after a Close frame if there is a connection. */
static void listen_end(struct listen *listen, int status) {
	if (listen->is_ending) {
		return;
	}
	listen->is_ending = true;
	listen->status = status;
	ev_timer_stop(listen->loop, &listen->retry);
	websocket_close(listen->websocket);
	ev_timer_start(listen->loop, &listen->end);
}

/* False when the reader is gone, which ends the listener. */
static bool listen_print(struct listen *listen, json_t *take_line) {
	if (command_print_json(take_line)) {
		return true;
	}
	listen_end(listen, command_reader_is_gone() ? COMMAND_OK : COMMAND_FAILED);
	return false;
}

static void listen_send(struct listen *listen, json_t *take_message) {
	CLEANUP_FREE char *text = json_dumps(take_message, JSON_COMPACT);
	json_decref(take_message);
	if (text) {
		websocket_send(listen->websocket, slice_of(text));
	}
}

static void listen_save(struct listen *listen) {
	int result = listen_state_save(&listen->state);
	if (result < 0) {
		command_note("%s cannot be written: %s; this push URL will be lost", listen->state.path,
			strerror(-result));
	}
}

/* The line that comes first. */
static void listen_announce(struct listen *listen) {
	uint8_t point[P256_POINT_BYTES];
	if (!p256_point_of(listen->state.key, point)) {
		listen_end(listen, command_fail("OpenSSL cannot tell the public key"));
		return;
	}
	CLEANUP_FREE char *p256dh = base64url_print(point, sizeof point);
	CLEANUP_FREE char *auth = base64url_print(listen->state.auth, sizeof listen->state.auth);
	listen->is_announced = true;
	(void)listen_print(listen, json_pack("{s:s,s:s,s:s}", "endpoint", listen->state.endpoint,
								   "p256dh", p256dh, "auth", auth));
}

static void listen_register(struct listen *listen) {
	const struct listen_state *state = &listen->state;
	json_t *message =
		json_pack("{s:s,s:s}", "messageType", "register", "channelID", state->channel);
	if (state->vapid_key) {
		(void)json_object_set_new(message, "key", json_string(state->vapid_key));
	}
	listen_send(listen, message);
	if (listen->retired) {
		listen_send(listen, json_pack("{s:s,s:s,s:i}", "messageType", "unregister", "channelID",
								listen->retired, "code", 200));
		free(listen->retired);
		listen->retired = NULL;
	}
}

static bool listen_get_text(const json_t *json, const char *key, struct slice *out) {
	return json_get_string(json, key, out) == JSON_PRESENT && out->len > 0;
}

/* Drops the connection; the retry follows. */
static void listen_give_up(struct listen *listen, const char *what, int64_t status) {
	command_note("the relay answered %s with status %" PRId64 "%s", what, status,
		status >= 500 ? ", which means trouble on its side" : "");
	websocket_close(listen->websocket);
}

static void listen_on_hello(struct listen *listen, const json_t *message) {
	struct listen_state *state = &listen->state;
	int64_t status = 0, missed = 0;
	struct slice uaid;
	json_t *extension = NULL;
	(void)json_get_integer(message, "status", &status); /* absent: 0 */
	if (status != 200 || !listen_get_text(message, "uaid", &uaid)) {
		listen_give_up(listen, "hello", status);
		return;
	}
	ev_timer_stop(listen->loop, &listen->answer);
	listen->is_greeted = true;
	if (listen->is_registered) {
		backoff_reset(&listen->backoff);
	}
	if (!state->uaid || !slice_equals(uaid, state->uaid)) {
		if (state->uaid && state->endpoint) {
			command_note("the relay does not know this device any more; it gets a new push URL");
		}
		mem_replace_text(&state->uaid, uaid);
		free(state->endpoint);
		state->endpoint = NULL;
		listen->is_registered = listen->is_announced = false;
	}
	if (state->endpoint && !listen->is_announced) {
		listen_announce(listen);
	}
	if (json_get_object(message, "bellwire", &extension) == JSON_PRESENT &&
		json_get_integer(extension, "missed", &missed) == JSON_PRESENT && missed > 0) {
		(void)listen_print(listen, json_pack("{s:I}", "missed", (json_int_t)missed));
	}
	if (!listen->is_registered) {
		listen_register(listen);
	}
}

static void listen_on_register(struct listen *listen, const json_t *message) {
	struct listen_state *state = &listen->state;
	int64_t status = 0;
	struct slice endpoint;
	(void)json_get_integer(message, "status", &status); /* absent: 0 */
	if (status >= 400 && status < 500 && status != 429) {
		listen_end(
			listen, command_fail("the relay refuses the registration with status %" PRId64 "%s",
						status, state->vapid_key ? "; is --vapid-key right?" : ""));
		return;
	}
	if (status != 200 || !listen_get_text(message, "pushEndpoint", &endpoint)) {
		listen_give_up(listen, "the registration", status);
		return;
	}
	listen->is_registered = true;
	backoff_reset(&listen->backoff);
	if (state->endpoint && slice_equals(endpoint, state->endpoint)) {
		return;
	}
	mem_replace_text(&state->endpoint, endpoint);
	listen_save(listen); /* first: a printed push URL is one that lasts */
	listen_announce(listen);
}

static bool listen_has_seen(const struct listen *listen, struct slice version) {
	for (size_t i = 0; i < LISTEN_SEEN_MAX; i++) {
		if (listen->seen[i] && slice_equals(version, listen->seen[i])) {
			return true;
		}
	}
	return false;
}

static void listen_remember(struct listen *listen, struct slice version) {
	mem_replace_text(&listen->seen[listen->seen_next++ % LISTEN_SEEN_MAX], version);
}

static void listen_ack(struct listen *listen, struct slice channel, struct slice version) {
	if (listen->options->no_ack) {
		return;
	}
	listen_send(
		listen, json_pack("{s:s,s:[{s:s%,s:s%,s:i}]}", "messageType", "ack", "updates", "channelID",
					channel.data, channel.len, "version", version.data, version.len, "code", 100));
}

/* Adds bytes as "data" if they are text, else as "data_base64". */
static void listen_add_data(json_t *line, const uint8_t *data, size_t bytes) {
	json_t *text = json_stringn((const char *)data, bytes);
	if (text) {
		(void)json_object_set_new(line, "data", text);
		return;
	}
	CLEANUP_FREE char *encoded = base64url_print(data, bytes);
	(void)json_object_set_new(line, "data_base64", json_string(encoded));
}

/* Decrypts body by its coding. *out_reason says why not. */
static bool listen_decrypt(const struct listen *listen, const json_t *headers, struct slice body,
	uint8_t **out_plain, size_t *out_bytes, const char **out_reason) {
	struct slice encoding, encryption = {NULL, 0}, crypto_key = {NULL, 0};
	const struct listen_state *state = &listen->state;
	if (!listen_get_text(headers, "encoding", &encoding)) {
		*out_reason = "not encrypted";
		return false;
	}
	enum webpush_result result;
	if (slice_equals_nocase(encoding, "aes128gcm")) {
		result = webpush_decrypt(body, state->key, state->auth, out_plain, out_bytes);
	} else if (slice_equals_nocase(encoding, "aesgcm")) {
		(void)listen_get_text(headers, "encryption", &encryption);
		(void)listen_get_text(headers, "crypto_key", &crypto_key);
		result = webpush_decrypt_aesgcm(
			body, encryption, crypto_key, state->key, state->auth, out_plain, out_bytes);
	} else {
		*out_reason = "an unknown encoding";
		return false;
	}
	*out_reason = webpush_result_text(result);
	return result == WEBPUSH_OK;
}

/* The line about one push; NULL when its data is not what the protocol says. */
static json_t *listen_describe(const struct listen *listen, const json_t *message,
	struct slice channel, struct slice version) {
	struct slice text = {NULL, 0}, encoding;
	json_t *headers = NULL;
	const char *reason = NULL;
	size_t bytes = 0, plain_bytes = 0;
	CLEANUP_FREE uint8_t *plain = NULL;
	(void)json_get_string(message, "data", &text); /* absent: an empty push */
	(void)json_get_object(message, "headers", &headers);
	CLEANUP_FREE uint8_t *body = mem_alloc(text.len + 1);
	if (text.len > 0 && !base64url_decode_lenient(text, body, text.len, &bytes)) {
		return NULL;
	}
	bool is_decrypted = listen_decrypt(
		listen, headers, (struct slice){(char *)body, bytes}, &plain, &plain_bytes, &reason);
	json_t *line = json_pack(
		"{s:s%,s:s%}", "version", version.data, version.len, "channel", channel.data, channel.len);
	(void)json_object_set_new(line, "encoding",
		listen_get_text(headers, "encoding", &encoding) ? json_stringn(encoding.data, encoding.len)
														: json_null());
	(void)json_object_set_new(line, "decrypted", json_boolean(is_decrypted));
	if (!is_decrypted) {
		(void)json_object_set_new(line, "reason", json_string(reason));
	}
	listen_add_data(line, is_decrypted ? plain : body, is_decrypted ? plain_bytes : bytes);
	return line;
}

static void listen_on_notification(struct listen *listen, json_t *message) {
	struct slice channel, version;
	if (listen->is_ending || !listen_get_text(message, "channelID", &channel) ||
		!listen_get_text(message, "version", &version)) {
		return;
	}
	/* a channel that was given up may still have messages */
	bool is_ours = slice_equals(channel, listen->state.channel);
	if (is_ours && !listen_has_seen(listen, version)) {
		json_t *line = listen->options->raw ? json_incref(message)
											: listen_describe(listen, message, channel, version);
		if (!line) {
			command_note("a push whose data is not base64url is dropped");
		} else if (!listen_print(listen, line)) {
			return; /* not shown, so not acknowledged */
		} else {
			listen->printed++;
		}
		listen_remember(listen, version);
	}
	listen_ack(listen, channel, version);
	if (listen->options->count > 0 && listen->printed >= listen->options->count) {
		listen_end(listen, COMMAND_OK);
	}
}

static void listen_on_text(struct slice text, void *ctx) {
	struct listen *listen = ctx;
	json_t *message = json_parse(text);
	struct slice type = {NULL, 0};
	(void)json_get_string(message, "messageType", &type); /* {} has none: a pong */
	if (slice_equals(type, "hello") && !listen->is_greeted) {
		listen_on_hello(listen, message);
	} else if (slice_equals(type, "register")) {
		listen_on_register(listen, message);
	} else if (slice_equals(type, "notification")) {
		listen_on_notification(listen, message);
	}
	json_decref(message);
}

static void listen_watch(struct listen *listen, int after_sec) {
	listen->is_asked = after_sec == LISTEN_PONG_SEC;
	listen->heard_bytes = websocket_received_bytes(listen->websocket);
	ev_timer_stop(listen->loop, &listen->alive);
	ev_timer_set(&listen->alive, after_sec, 0.);
	ev_timer_start(listen->loop, &listen->alive);
}

static void listen_on_opened(void *ctx) {
	struct listen *listen = ctx;
	listen_watch(listen, LISTEN_PING_SEC);
	json_t *hello = json_pack(
		"{s:s,s:b,s:{s:i}}", "messageType", "hello", "use_webpush", 1, "bellwire", "v", 1);
	if (listen->state.uaid) {
		(void)json_object_set_new(hello, "uaid", json_string(listen->state.uaid));
	}
	listen_send(listen, hello);
	ev_timer_set(&listen->answer, LISTEN_ANSWER_SEC, 0.);
	ev_timer_start(listen->loop, &listen->answer);
}

static void listen_on_closed(const struct websocket_end *end, void *ctx) {
	struct listen *listen = ctx;
	listen->is_greeted = false;
	ev_timer_stop(listen->loop, &listen->answer);
	ev_timer_stop(listen->loop, &listen->alive);
	websocket_destroy(listen->websocket);
	listen->websocket = NULL;
	if (listen->is_ending) {
		ev_break(listen->loop, EVBREAK_ALL);
		return;
	}
	double delay_sec = backoff_next_ms(&listen->backoff) / 1000.;
	command_note("%s; next attempt in %.1f s", end->reason, delay_sec);
	ev_timer_set(&listen->retry, delay_sec, 0.);
	ev_timer_start(listen->loop, &listen->retry);
}

static void listen_connect(struct listen *listen) {
	static const struct websocket_events events = {
		.opened = listen_on_opened, .text = listen_on_text, .closed = listen_on_closed};
	struct websocket_options options = {
		.message_max = LISTEN_MESSAGE_MAX, .events = &events, .ctx = listen};
	listen->websocket = websocket_open(listen->client, &options);
}

static void listen_on_retry(struct ev_loop *loop, ev_timer *timer, int events) {
	(void)loop;
	(void)events;
	listen_connect(timer->data);
}

/* A minute has passed: was the relay heard, or has it answered the ping? */
static void listen_on_alive(struct ev_loop *loop, ev_timer *timer, int events) {
	(void)loop;
	(void)events;
	struct listen *listen = timer->data;
	if (websocket_received_bytes(listen->websocket) != listen->heard_bytes) {
		listen_watch(listen, LISTEN_PING_SEC);
	} else if (!listen->is_asked) {
		const uint8_t payload[WEBSOCKET_PING_BYTES] = {0};
		websocket_ping(listen->websocket, payload);
		listen_watch(listen, LISTEN_PONG_SEC);
	} else {
		struct websocket_end end = {.reason = "the relay does not answer any more"};
		listen_on_closed(&end, listen);
	}
}

static void listen_on_no_answer(struct ev_loop *loop, ev_timer *timer, int events) {
	(void)loop;
	(void)events;
	struct listen *listen = timer->data;
	command_note("the relay does not answer hello");
	websocket_close(listen->websocket);
}

static void listen_on_end(struct ev_loop *loop, ev_timer *timer, int events) {
	(void)timer;
	(void)events;
	ev_break(loop, EVBREAK_ALL);
}

static void listen_on_signal(struct ev_loop *loop, ev_signal *signal, int events) {
	(void)events;
	struct listen *listen = signal->data;
	if (listen->is_ending) {
		ev_break(loop, EVBREAK_ALL); /* a second Ctrl-C */
	}
	listen_end(listen, COMMAND_OK);
}

/* Notices a reader that has gone, without a write. */
static void listen_on_stdout_check(struct ev_loop *loop, ev_timer *timer, int events) {
	(void)loop;
	(void)events;
	struct pollfd out = {.fd = STDOUT_FILENO, .events = 0};
	if (poll(&out, 1, 0) > 0 && (out.revents & (POLLERR | POLLHUP | POLLNVAL)) != 0) {
		listen_end(timer->data, COMMAND_OK);
	}
}

static void listen_start_watchers(struct listen *listen) {
	struct stat status;
	ev_timer_init(&listen->retry, listen_on_retry, 0., 0.);
	ev_timer_init(&listen->answer, listen_on_no_answer, LISTEN_ANSWER_SEC, 0.);
	ev_timer_init(&listen->alive, listen_on_alive, LISTEN_PING_SEC, 0.);
	ev_timer_init(&listen->end, listen_on_end, LISTEN_END_MS / 1000., 0.);
	ev_timer_init(&listen->stdout_check, listen_on_stdout_check, LISTEN_STDOUT_CHECK_SEC,
		LISTEN_STDOUT_CHECK_SEC);
	ev_signal_init(&listen->interrupted, listen_on_signal, SIGINT);
	ev_signal_init(&listen->terminated, listen_on_signal, SIGTERM);
	listen->retry.data = listen->answer.data = listen->alive.data = listen->end.data = listen;
	listen->stdout_check.data = listen->interrupted.data = listen->terminated.data = listen;
	ev_signal_start(listen->loop, &listen->interrupted);
	ev_signal_start(listen->loop, &listen->terminated);
	if (fstat(STDOUT_FILENO, &status) == 0 &&
		(S_ISFIFO(status.st_mode) || S_ISSOCK(status.st_mode))) {
		ev_timer_start(listen->loop, &listen->stdout_check);
	}
}

static int listen_open_state(struct listen *listen, const struct url *relay) {
	const struct listen_options *options = listen->options;
	CLEANUP_FREE char *error = NULL;
	CLEANUP_FREE char *path = options->no_state ? NULL
							  : options->state	? mem_strdup(options->state)
												: listen_state_default_path(relay);
	int result = path ? listen_state_open(&listen->state, path, options->relay, &error) : -ENOENT;
	if (result < 0 && path && (result != -EBUSY || options->state)) {
		return command_fail("%s", error);
	}
	if (result < 0) {
		if (!options->no_state) {
			command_note("%s; this one gets a push URL that is not kept",
				error ? error : "there is no home folder for the state");
		}
		listen_state_open_unkept(&listen->state, options->relay);
	}
	return COMMAND_OK;
}

/* A channel is bound to a key for good: another key means another channel. */
static void listen_bind_key(struct listen *listen) {
	struct listen_state *state = &listen->state;
	const char *wanted = listen->options->vapid_key;
	bool is_same = state->vapid_key && wanted ? strcmp(state->vapid_key, wanted) == 0
											  : !state->vapid_key && !wanted;
	if (!is_same) {
		listen->retired = listen_state_renew_channel(state);
		free(state->vapid_key);
		state->vapid_key = wanted ? mem_strdup(wanted) : NULL;
	}
}

static int listen_run(struct listen *listen) {
	CLEANUP_FREE char *error = NULL;
	/* our own loop: libwebsockets' default one takes signals for itself */
	listen->loop = ev_loop_new(EVBACKEND_EPOLL | EVFLAG_NOENV);
	if (!listen->loop) {
		return command_fail("no event loop: %s", strerror(errno));
	}
	struct websocket_library_options options = {
		.loop = listen->loop,
		.ca_file = listen->options->ca,
		.insecure = listen->options->insecure,
	};
	struct websocket_library *library = websocket_library_create(&options, &error);
	listen->client =
		library ? websocket_client_create(library, listen->options->relay, &error) : NULL;
	if (!listen->client) {
		websocket_library_destroy(library);
		ev_loop_destroy(listen->loop);
		return command_fail("%s", error);
	}
	backoff_init(&listen->backoff, LISTEN_BACKOFF_BASE_MS, LISTEN_BACKOFF_CAP_MS);
	listen_start_watchers(listen);
	listen_connect(listen);
	(void)ev_run(listen->loop, 0);
	websocket_destroy(listen->websocket);
	websocket_client_destroy(listen->client);
	websocket_library_destroy(library);
	ev_loop_destroy(listen->loop);
	return listen->status;
}

/* The first of them that is of no use without --relay; NULL when there is none. */
static const char *listen_find_odd(const struct listen_options *options) {
	const struct {
		const char *name;
		bool is_given;
	} flags[] = {{"state", options->state}, {"no-state", options->no_state},
		{"vapid-key", options->vapid_key}, {"no-ack", options->no_ack}, {"raw", options->raw},
		{"ca", options->ca}, {"insecure", options->insecure}};
	for (size_t i = 0; i < sizeof flags / sizeof *flags; i++) {
		if (flags[i].is_given) {
			return flags[i].name;
		}
	}
	return NULL;
}

static int listen_check(struct listen_options *options, const char *count) {
	uint8_t point[P256_POINT_BYTES];
	size_t bytes = 0;
	struct url relay;
	const char *odd = options->relay ? NULL : listen_find_odd(options);
	options->count = count ? command_number(count, INT64_MAX / 16) : 0;
	if (count && options->count <= 0) {
		return command_misused("listen", "--count takes 1 or more");
	}
	if (odd) {
		return command_misused("listen", "--%s goes with --relay only", odd);
	}
	if (options->relay && options->name) {
		return command_misused(
			"listen", "with --relay there is no NAME, such as \"%s\"", options->name);
	}
	if (options->relay && !url_parse(slice_of(options->relay), &relay)) {
		return command_misused("listen", "--relay takes a ws, wss, http or https URL");
	}
	if (options->vapid_key &&
		(!base64url_decode_lenient(slice_of(options->vapid_key), point, sizeof point, &bytes) ||
			bytes != sizeof point || !p256_point_is_valid(point))) {
		return command_misused("listen", "--vapid-key takes a P-256 public key in base64url");
	}
	if (options->state && options->no_state) {
		return command_misused("listen", "--state and --no-state exclude each other");
	}
	return COMMAND_OK;
}

static int listen_to_relay(const struct listen_options *options) {
	struct url relay;
	struct listen listen = {.options = options};
	(void)url_parse(slice_of(options->relay), &relay); /* as before */
	int result = listen_open_state(&listen, &relay);
	if (result != COMMAND_OK) {
		return result;
	}
	listen_bind_key(&listen);
	result = listen_run(&listen);
	for (size_t i = 0; i < LISTEN_SEEN_MAX; i++) {
		free(listen.seen[i]);
	}
	free(listen.retired);
	listen_state_close(&listen.state);
	return result;
}

int listen_command(int argc, char **argv) {
	struct listen_options options = {0};
	const char *count = NULL;
	const struct arguments_flag flags[] = {{"relay", .text = &options.relay},
		{"state", .text = &options.state}, {"vapid-key", .text = &options.vapid_key},
		{"ca", .text = &options.ca}, {"count", .text = &count},
		{"no-state", .is_given = &options.no_state}, {"no-ack", .is_given = &options.no_ack},
		{"raw", .is_given = &options.raw}, {"insecure", .is_given = &options.insecure},
		{.name = "json"}, {.name = NULL}};
	const struct arguments arguments = {
		.usage = listen_usage, .flags = flags, .words = "NAME", .most = 1};
	int result;
	if (!arguments_read(&arguments, argc, argv, &options.name, &result)) {
		return result;
	}
	result = listen_check(&options, count);
	if (result != COMMAND_OK) {
		return result;
	}
	return options.relay ? listen_to_relay(&options) : take_run(options.name, options.count);
}
