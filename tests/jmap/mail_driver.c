/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mail_sync of one account at a real server, and on a session bus, when DBUS_SESSION_BUS_ADDRESS
 * names one, mail_notice of what it finds. usage: mail_driver CONFIG ACCOUNT STATE_DIR [SAVED];
 * then lines on standard input:
 *   run, mark ID, at TYPE STATE, save, trouble [TEXT]
 *   hide ID (it is not on the screen any more; without a bus)
 *   again (another mail_notice takes the place of the first)
 * and on standard output "connected", "settled ID", "at BOOL", and as JSON "done {…}", "saved {…}".
 * Without a bus, what was told as new is on the screen until it is settled or hidden.
 */
#include "common/cleanup.h"
#include "common/log.h"
#include "common/mem.h"
#include "distributor/jmap/mail_notice.h"
#include "distributor/jmap/mail_sync.h"
#include "tests/unit/script.h"
#include <assert.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct driver {
	struct mail_notice_options notice_options;
	struct mail_notice *notice; /* NULL: no bus */
	struct mail_sync *sync;
	json_t *shown; /* {id: true}, without a bus */
};

static void driver_say(const char *word, json_t *take_news) {
	CLEANUP_FREE char *text = json_dumps(take_news, JSON_COMPACT);
	assert(text);
	printf("%s %s\n", word, text);
	json_decref(take_news);
}

static bool driver_is_shown(const char *email_id, void *ctx) {
	const struct driver *driver = ctx;
	if (driver->notice) {
		return mail_notice_is_shown(driver->notice, mail_sync_account(driver->sync), email_id);
	}
	return json_object_get(driver->shown, email_id);
}

static void driver_on_settled(const char *email_id, void *ctx) {
	struct driver *driver = ctx;
	printf("settled %s\n", email_id);
	(void)json_object_del(driver->shown, email_id);
	if (driver->notice) {
		mail_notice_withdraw(driver->notice, mail_sync_account(driver->sync), email_id);
	}
}

static void driver_mark_read(const char *account_id, const char *email_id, void *ctx) {
	struct driver *driver = ctx;
	assert(strcmp(account_id, mail_sync_account(driver->sync)) == 0);
	mail_sync_mark_read(driver->sync, email_id);
}

static json_t *driver_mail(const struct mail *mail) {
	return json_pack("{s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:I}", "id", mail->id, "blob", mail->blob_id,
		"thread", mail->thread_id, "from", mail->from, "subject", mail->subject, "preview",
		mail->preview, "mailbox", mail->mailbox, "received", (json_int_t)mail->received_ms);
}

static void driver_on_done(const struct mail_sync_result *result, void *ctx) {
	static const char *const outcomes[] = {"ok", "unauthorized", "locked", "later", "refused"};
	struct driver *driver = ctx;
	json_t *mails = json_array(), *names = json_array();
	for (size_t i = 0; i < result->count; i++) {
		(void)json_array_append_new(mails, driver_mail(&result->mails[i]));
		(void)json_object_set_new(driver->shown, result->mails[i].id, json_true());
	}
	for (size_t i = 0; result->mailboxes[i]; i++) {
		(void)json_array_append_new(names, json_string(result->mailboxes[i]));
	}
	if (driver->notice) {
		mail_notice_show(driver->notice, mail_sync_account(driver->sync), result);
	}
	driver_say(
		"done", json_pack("{s:s,s:s,s:I,s:b,s:o,s:i,s:i,s:o}", "outcome", outcomes[result->outcome],
					"reason", result->reason, "retry", (json_int_t)result->retry_after_sec,
					"changed", (int)result->has_changed, "mails", mails, "more", (int)result->more,
					"unread", (int)result->unread, "mailboxes", names));
}

static void driver_do(char *line, void *ctx) {
	struct driver *driver = ctx;
	char *rest = line;
	const char *word = strsep(&rest, " ");
	if (strcmp(word, "run") == 0) {
		mail_sync_run(driver->sync);
	} else if (strcmp(word, "mark") == 0) {
		mail_sync_mark_read(driver->sync, rest);
	} else if (strcmp(word, "hide") == 0) {
		(void)json_object_del(driver->shown, rest);
	} else if (strcmp(word, "at") == 0) {
		const char *type = strsep(&rest, " ");
		printf("at %d\n", mail_sync_is_at(driver->sync, type, rest));
	} else if (strcmp(word, "trouble") == 0) {
		mail_notice_trouble(driver->notice, rest);
	} else if (strcmp(word, "again") == 0) {
		mail_notice_destroy(driver->notice);
		driver->notice = mail_notice_create(&driver->notice_options);
	} else if (strcmp(word, "save") == 0) {
		driver_say("saved", mail_sync_print(driver->sync));
	} else {
		log_fatal("unknown word=%s", word);
	}
}

static void driver_on_session(const struct jmap_session *session, void *ctx) {
	(void)session;
	(void)ctx;
}

/* The session is known. */
static void driver_on_echo(const struct jmap_call_result *result, void *ctx) {
	(void)ctx;
	printf("%s\n", result->outcome == JMAP_CALL_OK ? "connected" : result->reason);
}

static void driver_connect(struct jmap_client *client) {
	struct jmap_call *call = jmap_call_create();
	(void)jmap_call_add(call, "Core/echo", json_object());
	jmap_client_send(client, call, driver_on_echo, NULL);
}

static json_t *driver_load(const char *path) {
	json_t *saved = path ? json_load_file(path, 0, NULL) : NULL;
	return saved;
}

static void driver_run(
	const struct jmap_config *config, const char *account, const char *dir, const char *saved) {
	struct driver driver = {.shown = json_object()};
	struct ev_loop *loop = ev_loop_new(EVBACKEND_EPOLL);
	struct fetcher *fetcher = fetcher_create(loop, false);
	struct alarms *alarms = alarms_create(loop);
	const struct hook_place children = {loop, alarms, NULL};
	struct credentials *credentials = credentials_create(&children, NULL, dir);
	const struct jmap_client_options client_options = {.loop = loop,
		.fetcher = fetcher,
		.credentials = credentials,
		.config = config,
		.on_session = driver_on_session};
	struct jmap_client *client = jmap_client_create(&client_options);
	const struct mail_sync_options options = {.client = client,
		.config = config,
		.account_id = account,
		.is_shown = driver_is_shown,
		.settled = driver_on_settled,
		.done = driver_on_done,
		.ctx = &driver};
	struct bus *bus = script_begin(loop);
	struct notify *notify = notify_open(bus);
	struct hook_units *units = bus ? hook_units_open(bus_get(bus)) : NULL;
	driver.notice_options = (struct mail_notice_options){.loop = loop,
		.alarms = alarms,
		.units = units,
		.notify = notify,
		.config = config,
		.mark_read = driver_mark_read,
		.ctx = &driver};
	driver.notice = bus ? mail_notice_create(&driver.notice_options) : NULL;
	json_t *json = driver_load(saved);
	driver.sync = mail_sync_create(&options, json);
	json_decref(json);
	driver_connect(client);
	script_run(loop, driver_do, &driver);
	mail_sync_destroy(driver.sync);
	mail_notice_destroy(driver.notice);
	notify_close(notify);
	hook_units_close(units);
	bus_close(bus);
	jmap_client_destroy(client);
	credentials_destroy(credentials);
	alarms_destroy(alarms);
	fetcher_destroy(fetcher);
	ev_loop_destroy(loop);
	json_decref(driver.shown);
}

int main(int argc, char **argv) {
	struct jmap_configs configs = {0};
	log_set_level(LOG_LEVEL_DEBUG);
	(void)signal(SIGPIPE, SIG_IGN);
	if (argc < 4 || jmap_configs_load(argv[1], &configs, stderr) < 0 || configs.count != 1) {
		return 2;
	}
	driver_run(&configs.logins[0], argv[2], argv[3], argc > 4 ? argv[4] : NULL);
	jmap_configs_free(&configs);
	return 0;
}
