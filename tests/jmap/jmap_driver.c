/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The parts of distributor/jmap that speak with servers and keyrings, driven from outside. usage:
 * jmap_driver STATE_DIR [bus]; then JSON objects, one a line, each with "op" and "id" on standard
 * input, and what happens as JSON objects with that id on standard output. JMAP_NO_PROXY in the
 * environment leaves proxies out.
 *   credentials  keys of a config section
 *   store        name, secret, place
 *   forget       name
 *   fetch        url, method, body, user, password, bearer, ca_file, insecure, timeout_ms,
 *                max_bytes, is_streamed (pieces are counted), stop_after (so many bytes)
 *   find         url, user, login, password, bearer, ca_file, insecure
 *   srv          name
 *   client       keys of a config section; tells each new session until it is destroyed
 *   call         client, methods ([name, arguments] each), then: what its callback does to the
 *                client, "destroy" or "forget"
 *   forget_session, destroy   client
 *   cancel       of: the id of a credentials, fetch, find, srv or call under way
 */
#include "common/cleanup.h"
#include "common/list.h"
#include "common/log.h"
#include "common/mem.h"
#include "distributor/bus/bus.h"
#include "distributor/jmap/credentials.h"
#include "distributor/jmap/fetch.h"
#include "distributor/jmap/jmap_client.h"
#include "distributor/jmap/jmap_session.h"
#include "distributor/jmap/srv.h"
#include <assert.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { DRIVER_LINE_MAX = 1 << 20 };

struct driver {
	struct ev_loop *loop;
	struct bus *bus;
	struct fetcher *fetcher;
	struct alarms *alarms;
	struct hook_units *units;
	struct credentials *credentials;
	const char *state_dir;
	struct list jobs; /* struct job::link */
	char *line;
	size_t len;
};

/* What was asked for and is not answered yet. */
struct job {
	struct list link; /* struct driver::jobs */
	struct driver *driver;
	char *id;
	struct jmap_config config; /* credentials */
	bool has_config;
	struct fetch *fetch;
	struct jmap_find *find;
	struct srv *srv;
	struct jmap_client *client;
	struct job *caller; /* of a call: the job with the client */
	size_t methods;
	char *then; /* what a call's callback does */
	size_t streamed, stop_after;
};

static struct job *job_create(struct driver *driver, const json_t *wish) {
	struct job *job = mem_zalloc(sizeof *job);
	job->driver = driver;
	job->id = mem_strdup(json_string_value(json_object_get(wish, "id")));
	list_init(&job->link);
	list_append(&driver->jobs, &job->link);
	return job;
}

static void job_free(struct job *job) {
	list_remove(&job->link);
	if (job->has_config) {
		jmap_config_finish(&job->config);
	}
	free(job->then);
	free(job->id);
	free(job);
}

static void job_say(const struct job *job, json_t *take_news) {
	(void)json_object_set_new(take_news, "id", json_string(job->id));
	CLEANUP_FREE char *text = json_dumps(take_news, JSON_COMPACT);
	assert(text);
	json_decref(take_news);
	(void)puts(text);
	(void)fflush(stdout);
}

static void job_end(struct job *job, json_t *take_news) {
	job_say(job, take_news);
	job_free(job);
}

static const char *wish_text(const json_t *wish, const char *key) {
	return json_string_value(json_object_get(wish, key));
}

static int64_t wish_number(const json_t *wish, const char *key, int64_t usual) {
	const json_t *value = json_object_get(wish, key);
	return value ? json_integer_value(value) : usual;
}

static bool wish_bool(const json_t *wish, const char *key) {
	return json_is_true(json_object_get(wish, key));
}

/* ---- credentials ---- */

static void on_trouble(const char *key, const char *what, void *ctx) {
	(void)ctx;
	log_fatal("config key=%s trouble=%s", key ? key : "-", what);
}

static void job_config(struct job *job, const json_t *wish) {
	const char *key;
	json_t *value;
	jmap_config_init(&job->config, wish_text(wish, "name"));
	job->has_config = true;
	json_object_foreach((json_t *)wish, key, value) {
		CLEANUP_FREE char *error = NULL;
		bool is_bool;
		if (jmap_config_has_key(key, &is_bool) &&
			!jmap_config_set(&job->config, key, json_string_value(value), &error)) {
			log_fatal("config key=%s error=%s", key, error);
		}
	}
	(void)jmap_config_check(&job->config, on_trouble, NULL);
}

static void on_credentials(
	enum credentials_outcome outcome, const char *secret, const char *reason, void *ctx) {
	static const char *const names[] = {"found", "missing", "failed"};
	job_end(ctx, json_pack("{s:s,s:s?,s:s?}", "outcome", names[outcome], "secret", secret, "reason",
					 reason));
}

static void run_credentials(struct driver *driver, const json_t *wish) {
	struct job *job = job_create(driver, wish);
	job_config(job, wish);
	credentials_set_limits(driver->credentials, (int)wish_number(wish, "command_ms", 20000),
		(int)wish_number(wish, "prompt_ms", 20000));
	credentials_get(driver->credentials, &job->config, on_credentials, job);
}

static sd_bus *driver_open_bus(const struct driver *driver) {
	sd_bus *bus = NULL;
	if (driver->bus && sd_bus_open_user(&bus) < 0) {
		log_fatal("no session bus");
	}
	return bus;
}

static void run_store(struct driver *driver, const json_t *wish) {
	static const char *const places[] = {"anywhere", "service", "file"};
	struct job *job = job_create(driver, wish);
	CLEANUP(sd_bus_flush_close_unrefp) sd_bus *bus = driver_open_bus(driver);
	CLEANUP_FREE char *words = NULL;
	int place = 0;
	while (strcmp(places[place], wish_text(wish, "place")) != 0) {
		place++;
	}
	int result = credentials_store(bus, driver->state_dir, wish_text(wish, "name"), "a label",
		wish_text(wish, "secret"), (enum credentials_place)place, &words);
	job_end(job, json_pack("{s:i,s:s?}", "result", result, "words", words));
}

static void run_forget(struct driver *driver, const json_t *wish) {
	struct job *job = job_create(driver, wish);
	CLEANUP(sd_bus_flush_close_unrefp) sd_bus *bus = driver_open_bus(driver);
	CLEANUP_FREE char *words = NULL;
	int result = credentials_forget(bus, driver->state_dir, wish_text(wish, "name"), &words);
	job_end(job, json_pack("{s:i,s:s?}", "result", result, "words", words));
}

/* ---- requests ---- */

static void on_fetched(const struct fetch_result *result, void *ctx) {
	static const char *const names[] = {"answered", "unreachable", "tls", "timed-out", "too-large"};
	struct job *job = ctx;
	assert(result->body.len == 0 || result->body.data[result->body.len] == '\0');
	json_t *body = json_stringn(result->body.data ? result->body.data : "", result->body.len);
	job_end(
		job, json_pack("{s:s,s:i,s:o,s:i,s:s,s:s,s:I,s:i}", "outcome", names[result->outcome],
				 "status", result->status, "body", body ? body : json_null(), "body_bytes",
				 (int)result->body.len, "url", result->url, "reason", result->reason, "retry_after",
				 (json_int_t)result->retry_after_sec, "streamed", (int)job->streamed));
}

static bool on_piece(struct slice piece, void *ctx) {
	struct job *job = ctx;
	job->streamed += piece.len;
	return job->stop_after == 0 || job->streamed < job->stop_after;
}

static struct fetch_auth wish_auth(const json_t *wish) {
	const char *login = wish_text(wish, "login");
	return (struct fetch_auth){.user = login ? login : wish_text(wish, "user"),
		.password = wish_text(wish, "password"),
		.bearer = wish_text(wish, "bearer")};
}

static void run_fetch(struct driver *driver, const json_t *wish) {
	struct job *job = job_create(driver, wish);
	struct fetch_auth auth = wish_auth(wish);
	struct fetch_options options = {.url = wish_text(wish, "url"),
		.method = wish_text(wish, "method"),
		.content_type = "application/json",
		.body = slice_of(wish_text(wish, "body")),
		.accept = "application/json",
		.auth = auth.user || auth.bearer ? &auth : NULL,
		.ca_file = wish_text(wish, "ca_file"),
		.is_insecure = wish_bool(wish, "insecure"),
		.timeout_ms = wish_number(wish, "timeout_ms", 20000),
		.max_bytes = (size_t)wish_number(wish, "max_bytes", 100000),
		.piece = wish_bool(wish, "is_streamed") ? on_piece : NULL};
	job->stop_after = (size_t)wish_number(wish, "stop_after", 0);
	job->fetch = fetch_start(driver->fetcher, &options, on_fetched, job);
}

static void on_step(const char *step, void *ctx) {
	job_say(ctx, json_pack("{s:s}", "step", step));
}

static json_t *session_json(const struct jmap_session *session) {
	return json_pack("{s:s,s:s,s:s,s:s,s:s,s:s?,s:s?,s:i,s:b}", "url", session->url, "api_url",
		session->api_url, "event_source_url", session->event_source_url, "state", session->state,
		"user", session->user, "vapid_key", session->vapid_key, "primary_mail",
		session->primary_mail, "accounts", (int)session->accounts_count, "has_mail",
		session->has_mail);
}

static void on_found(const struct jmap_find_result *result, void *ctx) {
	static const char *const names[] = {
		"found", "not-found", "unauthorized", "locked", "try-later"};
	struct job *job = ctx;
	json_t *session = result->session ? session_json(result->session) : json_null();
	jmap_session_free(result->session);
	job_end(
		job, json_pack("{s:s,s:o,s:s,s:I}", "outcome", names[result->outcome], "session", session,
				 "reason", result->reason, "retry_after", (json_int_t)result->retry_after_sec));
}

static void run_find(struct driver *driver, const json_t *wish) {
	struct job *job = job_create(driver, wish);
	struct fetch_auth auth = wish_auth(wish);
	struct jmap_find_options options = {.fetcher = driver->fetcher,
		.loop = driver->loop,
		.url = wish_text(wish, "url"),
		.user = wish_text(wish, "user"),
		.auth = &auth,
		.ca_file = wish_text(wish, "ca_file"),
		.is_insecure = wish_bool(wish, "insecure"),
		.step = on_step};
	job->find = jmap_find_start(&options, on_found, job);
}

static void on_srv(const struct srv_result *result, void *ctx) {
	job_end(ctx, json_pack("{s:b,s:s,s:i}", "found", result->is_found, "host", result->host, "port",
					 (int)result->port));
}

static void run_srv(struct driver *driver, const json_t *wish) {
	struct job *job = job_create(driver, wish);
	job->srv = srv_start(driver->loop, wish_text(wish, "name"), on_srv, job);
}

/* ---- a client ---- */

static void on_session(const struct jmap_session *session, void *ctx) {
	job_say(ctx, json_pack("{s:o}", "session", session_json(session)));
}

static void run_client(struct driver *driver, const json_t *wish) {
	struct job *job = job_create(driver, wish);
	job_config(job, wish);
	struct jmap_client_options options = {.loop = driver->loop,
		.fetcher = driver->fetcher,
		.credentials = driver->credentials,
		.config = &job->config,
		.on_session = on_session,
		.ctx = job};
	job->client = jmap_client_create(&options);
}

static struct job *driver_find(struct driver *driver, const char *id) {
	struct job *job;
	LIST_FOREACH (job, &driver->jobs, link) {
		if (strcmp(job->id, id) == 0) {
			return job;
		}
	}
	log_fatal("no such job id=%s", id);
}

static void job_destroy_client(struct job *job) {
	struct job *call, *next;
	LIST_FOREACH_SAFE (call, next, &job->driver->jobs, link) {
		if (call->caller == job) {
			job_free(call); /* no callback comes any more */
		}
	}
	jmap_client_destroy(job->client);
	job_free(job);
}

static json_t *call_answers(const struct job *job, const struct jmap_call_result *result) {
	json_t *answers = json_array();
	for (size_t i = 0; i < job->methods; i++) {
		const char *error;
		const json_t *answer = jmap_call_answer(result, i, &error);
		(void)json_array_append_new(
			answers, answer ? json_deep_copy(answer) : json_pack("{s:s}", "error", error));
	}
	return answers;
}

static void on_called(const struct jmap_call_result *result, void *ctx) {
	static const char *const names[] = {"ok", "unauthorized", "locked", "try-later", "refused"};
	struct job *job = ctx, *caller = job->caller;
	struct fetch_options fill = {0};
	bool is_filled = jmap_client_fill(caller->client, &fill);
	char *then = steal(&job->then);
	job_end(
		job, json_pack("{s:s,s:i,s:o,s:s?,s:I,s:b}", "outcome", names[result->outcome], "status",
				 result->status, "answers", call_answers(job, result), "reason", result->reason,
				 "retry_after", (json_int_t)result->retry_after_sec, "is_filled", is_filled));
	if (then && strcmp(then, "destroy") == 0) {
		job_destroy_client(caller);
	} else if (then) {
		jmap_client_forget(caller->client);
	}
	free(then);
}

static void run_call(struct driver *driver, const json_t *wish) {
	struct job *job = job_create(driver, wish);
	struct jmap_call *call = jmap_call_create();
	size_t i;
	json_t *method;
	json_array_foreach(json_object_get(wish, "methods"), i, method) {
		(void)jmap_call_add(call, json_string_value(json_array_get(method, 0)),
			json_deep_copy(json_array_get(method, 1)));
		job->methods++;
	}
	job->caller = driver_find(driver, wish_text(wish, "client"));
	job->then = wish_text(wish, "then") ? mem_strdup(wish_text(wish, "then")) : NULL;
	jmap_client_send(job->caller->client, call, on_called, job);
}

static void run_forget_session(struct driver *driver, const json_t *wish) {
	jmap_client_forget(driver_find(driver, wish_text(wish, "client"))->client);
}

static void run_destroy(struct driver *driver, const json_t *wish) {
	job_destroy_client(driver_find(driver, wish_text(wish, "client")));
}

/* ---- cancel ---- */

static void job_cancel(struct job *job) {
	if (job->fetch) {
		fetch_cancel(job->fetch);
	}
	jmap_find_cancel(job->find);
	if (job->srv) {
		srv_cancel(job->srv);
	}
	if (job->caller) {
		jmap_client_cancel(job->caller->client, job);
	}
	credentials_cancel(job->driver->credentials, job);
	job_free(job);
}

static void run_cancel(struct driver *driver, const json_t *wish) {
	struct job *job, *next;
	LIST_FOREACH_SAFE (job, next, &driver->jobs, link) {
		if (strcmp(job->id, wish_text(wish, "of")) == 0) {
			job_cancel(job);
		}
	}
	job = job_create(driver, wish);
	job_end(job, json_pack("{s:b}", "cancelled", true));
}

/* ---- the loop ---- */

static const struct {
	const char *op;
	void (*run)(struct driver *driver, const json_t *wish);
} driver_ops[] = {
	{"credentials", run_credentials},
	{"store", run_store},
	{"forget", run_forget},
	{"fetch", run_fetch},
	{"find", run_find},
	{"srv", run_srv},
	{"client", run_client},
	{"call", run_call},
	{"forget_session", run_forget_session},
	{"destroy", run_destroy},
	{"cancel", run_cancel},
};

static void driver_run(struct driver *driver, const char *line) {
	json_t *wish = json_loads(line, 0, NULL);
	const char *op = wish_text(wish, "op");
	size_t i = 0;
	if (!op) {
		log_fatal("no operation line=%s", line);
	}
	while (strcmp(driver_ops[i].op, op) != 0) {
		i++;
	}
	driver_ops[i].run(driver, wish);
	json_decref(wish);
}

static void on_input(struct ev_loop *loop, ev_io *io, int events) {
	(void)events;
	struct driver *driver = io->data;
	ssize_t n = read(0, driver->line + driver->len, DRIVER_LINE_MAX - driver->len);
	if (n <= 0) {
		ev_break(loop, EVBREAK_ALL);
		return;
	}
	driver->len += (size_t)n;
	char *end;
	while ((end = memchr(driver->line, '\n', driver->len))) {
		*end = '\0';
		driver_run(driver, driver->line);
		size_t used = (size_t)(end - driver->line) + 1;
		memmove(driver->line, end + 1, driver->len - used);
		driver->len -= used;
	}
}

static void on_bus_lost(struct bus *bus, void *ctx) {
	(void)bus;
	(void)ctx;
	log_fatal("the bus is gone");
}

int main(int argc, char **argv) {
	struct driver driver = {.loop = ev_loop_new(EVBACKEND_EPOLL), .state_dir = argv[1]};
	ev_io input;
	(void)signal(SIGPIPE, SIG_IGN);
	log_set_level(LOG_LEVEL_DEBUG);
	assert(argc > 1);
	if (argc > 2 &&
		bus_open(driver.loop, BUS_SESSION, "driver", on_bus_lost, NULL, &driver.bus) < 0) {
		log_fatal("no session bus");
	}
	list_init(&driver.jobs);
	driver.line = mem_alloc(DRIVER_LINE_MAX);
	driver.fetcher = fetcher_create(driver.loop, !getenv("JMAP_NO_PROXY"));
	driver.alarms = alarms_create(driver.loop);
	driver.units = driver.bus ? hook_units_open(bus_get(driver.bus)) : NULL;
	const struct hook_place place = {driver.loop, driver.alarms, driver.units};
	driver.credentials = credentials_create(&place, driver.bus, argv[1]);
	ev_io_init(&input, on_input, 0, EV_READ);
	input.data = &driver;
	ev_io_start(driver.loop, &input);
	ev_run(driver.loop, 0);
	ev_io_stop(driver.loop, &input);
	/* what is under way is dropped with no callback */
	struct job *job;
	while ((job = list_first(&driver.jobs, struct job, link))) {
		jmap_find_cancel(job->find);
		if (job->srv) {
			srv_cancel(job->srv);
		}
		if (job->fetch) {
			fetch_cancel(job->fetch);
		}
		jmap_client_destroy(job->client);
		job_free(job);
	}
	credentials_destroy(driver.credentials);
	hook_units_close(driver.units);
	alarms_destroy(driver.alarms);
	fetcher_destroy(driver.fetcher);
	bus_close(driver.bus);
	free(driver.line);
	ev_loop_destroy(driver.loop);
	return 0;
}
