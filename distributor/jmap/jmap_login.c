/* SPDX-License-Identifier: Apache-2.0 */
/* One login: which way it hears of changes, and what others want of it. */
#include "distributor/jmap/jmap_login.h"
#include "common/cleanup.h"
#include "common/json.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/url.h"
#include "distributor/jmap/login_internal.h"
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

/* ---- what surrounds it ---- */

/* A server on this machine needs no network. */
static bool login_is_local(const struct jmap_config *config) {
	struct url url;
	const char *domain = config->user ? strrchr(config->user, '@') : NULL;
	CLEANUP_FREE char *guess = mem_printf("https://%s/", domain ? domain + 1 : "");
	const char *text = config->session_url ? config->session_url : guess;
	return url_parse(slice_of(text), &url) && url_is_loopback(&url);
}

static bool login_is_online(const struct jmap_login *login) {
	return login->parts->is_online || login_is_local(login->config);
}

bool login_may_ask(const struct jmap_login *login) {
	bool is_told = login->is_told && alarm_is_set(&login->again);
	return !login->is_paused && !login->is_ended && !is_told && login->trouble == LOGIN_WELL &&
		   login_is_online(login);
}

static bool login_may_stream(const struct jmap_login *login) {
	return login->config->stream == JMAP_STREAM_ALWAYS ||
		   (login->config->stream == JMAP_STREAM_MAINS && login->parts->is_on_mains);
}

/* ---- the stream ---- */

static void login_on_stream_changed(const json_t *changed, void *ctx) {
	struct jmap_login *login = ctx;
	login->pushed_ms = clock_wall_ms();
	login_on_changed(login, changed, "stream", true);
}

static void login_on_stream_state(bool is_open, const char *reason, void *ctx) {
	struct jmap_login *login = ctx;
	free(login->stream_reason);
	login->stream_reason = mem_strdup(reason);
	if (is_open) { /* what came before is not told */
		login_want_all(login, "stream");
	}
	login_refresh_later(login);
}

static void login_set_stream(struct jmap_login *login, bool is_wanted) {
	const struct jmap_session *session = jmap_client_session(login->client);
	bool has_url = session && session->event_source_url[0];
	if (login->stream && (!is_wanted || event_source_has_moved(login->stream))) {
		event_source_destroy(steal(&login->stream));
	}
	if (!is_wanted || login->stream) {
		return;
	}
	free(login->stream_reason);
	login->stream_reason =
		mem_strdup(has_url ? "it is being opened" : "the mail server offers none");
	if (has_url) {
		const struct event_source_options options = {.alarms = login->parts->options.alarms,
			.fetcher = login->parts->fetcher,
			.client = login->client,
			.config = login->config,
			.changed = login_on_stream_changed,
			.state = login_on_stream_state,
			.ctx = login};
		login->stream = event_source_create(&options);
	}
}

/* ---- the way ---- */

/* Fresh: why there is no push, when the server could. */
static char *login_poll_reason(
	const struct jmap_login *login, const struct push_subscription_status *push) {
	if (push->state == PUSH_SUBSCRIPTION_VERIFIED) {
		return mem_strdup("the relay cannot be reached");
	}
	if (push->state != PUSH_SUBSCRIPTION_UNSUPPORTED) {
		return mem_strdup(push->reason[0] ? push->reason : "the push subscription is being made");
	}
	if (login->config->stream == JMAP_STREAM_NEVER) {
		return mem_strdup("the mail server has no PushSubscription, and its event stream is not "
						  "wanted");
	}
	return login_may_stream(login)
			   ? mem_printf("the mail server has no PushSubscription, and no event stream: %s",
					 login->stream_reason)
			   : mem_strdup("the mail server has no PushSubscription, and on battery its event "
							"stream is not used");
}

/* Fresh reason: why this way, or what is wrong; "" when all is well. */
static enum jmap_way login_choose(const struct jmap_login *login,
	const struct push_subscription_status *push, char **out_reason) {
	*out_reason = NULL;
	if (login->is_paused) {
		*out_reason = mem_strdup("paused by the user");
		return JMAP_WAY_NONE;
	}
	if (!login_is_online(login)) {
		*out_reason = mem_strdup("there is no network");
		return JMAP_WAY_NONE;
	}
	if (login->trouble != LOGIN_WELL || !jmap_client_session(login->client)) {
		*out_reason = mem_strdup(login->failure[0] ? login->failure : "logging in");
		return JMAP_WAY_NONE;
	}
	if (push->state == PUSH_SUBSCRIPTION_VERIFIED && login->parts->is_relay_up) {
		*out_reason = mem_strdup(login->failure);
		return JMAP_WAY_PUSH;
	}
	if (event_source_is_open(login->stream)) {
		*out_reason = mem_printf("%s%s%s",
			push->state == PUSH_SUBSCRIPTION_UNSUPPORTED ? "the mail server has no PushSubscription"
														 : push->reason,
			login->failure[0] ? "; " : "", login->failure);
		return JMAP_WAY_STREAM;
	}
	CLEANUP_FREE char *why = login_poll_reason(login, push);
	*out_reason = mem_printf(
		"%s%s%s; looks every 15 minutes", why, login->failure[0] ? "; " : "", login->failure);
	return JMAP_WAY_POLL;
}

/* A twentieth more or less. */
static int64_t login_around_ms(int64_t period_ms) {
	uint32_t random = 0;
	(void)!getrandom(&random, sizeof random, 0); /* without it: no jitter */
	return period_ms - period_ms / 20 + (int64_t)(random % (uint64_t)(period_ms / 10));
}

static void login_plan_poll(struct jmap_login *login, enum jmap_way before) {
	static const int64_t periods_ms[JMAP_WAY_COUNT] = {
		[JMAP_WAY_PUSH] = JMAP_CARE_MS,
		[JMAP_WAY_STREAM] = JMAP_CARE_MS,
		[JMAP_WAY_POLL] = JMAP_POLL_MS,
	};
	int64_t period_ms = periods_ms[login->way];
	if (login->way == JMAP_WAY_POLL && (before == JMAP_WAY_PUSH || before == JMAP_WAY_STREAM)) {
		period_ms = JMAP_POLL_SOON_MS;
	}
	if (period_ms == 0) {
		alarm_stop(&login->poll);
	} else {
		alarm_set(&login->poll, login_around_ms(period_ms),
			period_ms == JMAP_POLL_SOON_MS ? ALARM_SLACK_DEADLINE_MS : ALARM_SLACK_HEARTBEAT_MS);
	}
}

static void login_on_poll(struct alarm *alarm, void *ctx) {
	(void)alarm;
	struct jmap_login *login = ctx;
	login->wants_check = login->way != JMAP_WAY_POLL; /* else it looks after itself */
	login_plan_poll(login, login->way);
	login_want_all(login, "poll");
}

static void login_enter(struct jmap_login *login, enum jmap_way way, char *take_reason) {
	bool is_other_way = way != login->way;
	bool is_other = is_other_way || strcmp(take_reason, login->reason) != 0;
	enum jmap_way before = login->way;
	free(login->reason);
	login->reason = take_reason;
	login->way = way;
	if (is_other_way) {
		log_info("mail is heard of by %s login=%s reason=\"%s\"", jmap_way_name(way),
			login->config->name, login->reason);
		login_plan_poll(login, before);
	}
	if (is_other) {
		login->parts->options.changed(login->parts->options.ctx);
	}
}

static void login_watch_test(struct jmap_login *login, const struct push_subscription_status *push);

static void login_take_session(struct jmap_login *login) {
	const struct jmap_session *session = jmap_client_session(login->client);
	if (!login->is_session_new || !session || login->is_connecting) { /* then its end does it */
		return;
	}
	login->is_session_new = false;
	login_accounts_update(login, session);
	push_subscription_on_session(login->push, session);
	login_act(login); /* accounts that are new: at once, for what comes now is news */
}

static void login_on_refresh(struct alarm *alarm, void *ctx) {
	(void)alarm;
	struct jmap_login *login = ctx;
	struct push_subscription_status push;
	char *reason;
	if (login->is_ended) {
		return;
	}
	login_take_session(login);
	push_subscription_set_circumstances(
		login->push, login_may_ask(login), login->parts->is_relay_up);
	push_subscription_status(login->push, &push);
	/* one that is there stays until a push subscription is, too: attempts do not end it */
	bool has_no_push = push.state == PUSH_SUBSCRIPTION_UNSUPPORTED ||
					   (push.state == PUSH_SUBSCRIPTION_WAITING && push.is_refused) ||
					   (login->stream && push.state != PUSH_SUBSCRIPTION_VERIFIED);
	login_set_stream(login, has_no_push && login_may_stream(login) && !login->is_paused &&
								login->trouble == LOGIN_WELL && login->lacking == 0 &&
								login_is_online(login));
	if (push.made != login->made) { /* what changed before it was verified is not told */
		login->made = push.made;
		login_want_all(login, "push");
	}
	enum jmap_way way = login_choose(login, &push, &reason);
	login_enter(login, way, reason);
	login_watch_test(login, &push);
}

void login_refresh_later(struct jmap_login *login) {
	if (!alarm_is_set(&login->refresh) && !login->is_ended) {
		alarm_set(&login->refresh, 0, 0);
	}
}

/* ---- news ---- */

static void login_on_session(const struct jmap_session *session, void *ctx) {
	(void)session;
	struct jmap_login *login = ctx;
	login->is_session_new = true;
	login_refresh_later(login); /* not under the client's hands */
}

static void login_on_push_changed(enum push_subscription_state state, void *ctx) {
	struct jmap_login *login = ctx;
	if (state == PUSH_SUBSCRIPTION_VERIFIED && login->push_state != state) {
		login_save_now(login); /* the server has it; so should we */
	} else {
		login_save_later(login);
	}
	login->push_state = state;
	login_refresh_later(login);
}

void jmap_login_on_circumstances(struct jmap_login *login) {
	bool was_online = login->is_online;
	login->is_online = login_is_online(login);
	if (login->is_online && !was_online) { /* meanwhile nothing was asked */
		login->network_mono_ms = clock_mono_ms();
		jmap_login_resync(login, "network");
	}
	login_refresh_later(login);
}

bool jmap_login_has_failed(const struct jmap_login *login) {
	return login->failure[0] != '\0';
}

void jmap_login_on_network(struct jmap_login *login) {
	int64_t now_ms = clock_mono_ms();
	if (login->stream) {
		event_source_hint(login->stream);
	}
	bool is_early = login->network_mono_ms > 0 &&
					now_ms - login->network_mono_ms < JMAP_NETWORK_MIN_MS && !login->failure[0];
	bool is_heard = login->way == JMAP_WAY_PUSH || login->way == JMAP_WAY_STREAM;
	if (!login_is_online(login) || is_early || (is_heard && !login->failure[0])) {
		return;
	}
	login->network_mono_ms = now_ms;
	jmap_login_resync(login, "network");
}

/* It may have been one of the server's, or of anybody who knows the URL: a look, but not more than
 * one in a while; the last one comes after all of them. */
static void login_on_doubtful(struct jmap_login *login, const char *reason) {
	int64_t now_ms = clock_mono_ms();
	int64_t left_ms = login->unreadable_mono_ms > 0
						  ? login->unreadable_mono_ms + JMAP_UNREADABLE_MIN_MS - now_ms
						  : 0;
	if (log_limit_pass(&login->unreadable, (double)now_ms / 1000)) {
		log_warn("push of a mail server cannot be read login=%s reason=\"%s\"", login->config->name,
			reason);
	}
	if (left_ms <= 0) {
		login->unreadable_mono_ms = now_ms;
		login_want_all(login, "push");
	} else if (!alarm_is_set(&login->doubt)) {
		alarm_set(&login->doubt, left_ms, ALARM_SLACK_DEADLINE_MS);
	}
}

static void login_on_doubt(struct alarm *alarm, void *ctx) {
	(void)alarm;
	struct jmap_login *login = ctx;
	login->unreadable_mono_ms = clock_mono_ms();
	login_want_all(login, "push");
}

/* Without encryption nothing is known of the sender (RFC 8620 8.7). */
static void login_on_state_change(struct jmap_login *login, const struct push_object *object) {
	if (object->was_encrypted || push_subscription_has_no_keys(login->push)) {
		push_subscription_on_push(login->push, true);
		login_on_changed(login, object->changed, "push", object->was_encrypted);
	} else {
		login_on_doubtful(login, "not encrypted, although the server has our keys");
	}
}

static void login_on_alert(struct jmap_login *login, const struct push_object *object) {
	if (object->was_encrypted || push_subscription_has_no_keys(login->push)) {
		push_subscription_on_push(login->push, true);
		login_run_for_alert(login, object->account_id);
	}
}

void jmap_login_on_push(struct jmap_login *login, const struct message *message) {
	struct push_object object;
	if (login->is_paused || login->is_ended) {
		return;
	}
	push_object_read(message, &object);
	login->pushed_ms = clock_wall_ms();
	login_save_later(login);
	switch (object.kind) {
	case PUSH_OBJECT_STATE_CHANGE:
		login_on_state_change(login, &object);
		break;
	case PUSH_OBJECT_ALERT:
		login_on_alert(login, &object);
		break;
	case PUSH_OBJECT_VERIFICATION:
		push_subscription_on_push(login->push, true);
		push_subscription_on_verification(
			login->push, object.subscription_id, object.code, object.was_encrypted);
		break;
	case PUSH_OBJECT_UNREADABLE:
		push_subscription_on_push(login->push, false);
		login_on_doubtful(login, object.reason);
		break;
	case PUSH_OBJECT_UNKNOWN:
	case PUSH_OBJECT_KIND_COUNT:
		break;
	}
	push_object_finish(&object);
	login_refresh_later(login);
}

void jmap_login_on_endpoint(struct jmap_login *login, const struct registration *registration) {
	if (!login->is_ended) {
		push_subscription_on_endpoint(login->push, registration);
	}
}

void jmap_login_on_dismissed(struct jmap_login *login) {
	if (!login->is_ended) {
		push_subscription_on_dismissed(login->push);
	}
}

static bool login_may_mark(const char *account_id, void *ctx) {
	const struct login_account *account = login_account_find(ctx, account_id);
	return account && account->sync && !account->is_read_only;
}

static void login_mark_read(const char *account_id, const char *email_id, void *ctx) {
	if (login_may_mark(account_id, ctx)) {
		const struct login_account *account = login_account_find(ctx, account_id);
		mail_sync_mark_read(account->sync, email_id);
	}
}

void jmap_login_pause(struct jmap_login *login, bool is_paused, disk_done_fn *done, void *ctx) {
	bool was_paused = login->is_paused;
	login->is_paused = is_paused;
	state_file_save(login->file, done, ctx);
	if (was_paused == is_paused) {
		return;
	}
	log_info("mail login is %s login=%s", is_paused ? "paused" : "resumed", login->config->name);
	if (is_paused) {
		alarm_stop(&login->again);
		alarm_stop(&login->jitter);
		alarm_stop(&login->doubt);
		login->is_told = false;
	} else {
		jmap_login_resync(login, "asked");
	}
	login_refresh_later(login);
}

/* ---- a test ---- */

static void login_end_test(struct jmap_login *login, bool is_good, const char *sentence) {
	jmap_tested_fn *tested = login->tested;
	login->tested = NULL;
	alarm_stop(&login->test);
	if (tested) {
		tested(is_good, sentence, login->tested_ctx);
	}
}

static void login_test_without_push(struct jmap_login *login) {
	if (event_source_is_open(login->stream)) {
		login_end_test(
			login, true, "the mail server has no PushSubscription; its event stream is open");
	} else if (!login->stream) {
		CLEANUP_FREE char *sentence = mem_printf("the login works, but %s", login->reason);
		login_end_test(login, true, sentence);
	} else if (event_source_again_ms(login->stream) >= 0) {
		CLEANUP_FREE char *sentence =
			mem_printf("the mail server has no PushSubscription, and its event stream cannot be "
					   "opened: %s",
				login->stream_reason);
		login_end_test(login, false, sentence);
	}
}

static void login_test_push(struct jmap_login *login, const struct push_subscription_status *push) {
	if (!login->parts->is_relay_up) {
		login_end_test(
			login, false, "the relay is not connected, so no push can come; see: bellwire status");
	} else if (!login->is_tested_renewed) {
		login->is_tested_renewed = true;
		push_subscription_renew(login->push);
	} else if (push->made != login->tested_made) {
		CLEANUP_FREE char *sentence =
			mem_printf("push verified in %lld ms", (long long)push->round_trip_ms);
		login_end_test(login, true, sentence);
	} else if (push->again_ms >= 0 && push->reason[0]) {
		login_end_test(login, false, push->reason);
	}
}

static void login_watch_test(
	struct jmap_login *login, const struct push_subscription_status *push) {
	if (!login->tested) {
		return;
	}
	bool is_connected = jmap_client_session(login->client) && !login->is_connecting;
	if (login->failure[0]) {
		login_end_test(login, false, login->failure);
	} else if (is_connected && push->state == PUSH_SUBSCRIPTION_UNSUPPORTED) {
		login_test_without_push(login);
	} else if (is_connected && !list_is_empty(&login->accounts)) {
		login_test_push(login, push);
	}
}

static void login_on_test_over(struct alarm *alarm, void *ctx) {
	(void)alarm;
	struct jmap_login *login = ctx;
	struct push_subscription_status push;
	push_subscription_status(login->push, &push);
	const char *what = push.state == PUSH_SUBSCRIPTION_UNSUPPORTED ? login->reason : push.reason;
	CLEANUP_FREE char *sentence =
		mem_printf("no push came within %d s%s%s", JMAP_TEST_MS / 1000, what[0] ? ": " : "", what);
	login_end_test(login, false, sentence);
}

static void login_on_test_refused(struct alarm *alarm, void *ctx) {
	struct jmap_login *login = ctx;
	alarm_init(alarm, login->parts->options.alarms, login_on_test_over, login);
	login_end_test(login, false, login->is_paused ? "it is paused" : "there is no network");
}

void jmap_login_test(struct jmap_login *login, jmap_tested_fn *done, void *ctx) {
	struct push_subscription_status push;
	if (login->tested) {
		login_end_test(login, false, "another test was begun");
	}
	push_subscription_status(login->push, &push);
	login->tested = done;
	login->tested_ctx = ctx;
	login->tested_made = push.made;
	login->is_tested_renewed = false;
	if (login->is_paused || !login_is_online(login)) {
		alarm_init(&login->test, login->parts->options.alarms, login_on_test_refused, login);
		alarm_set(&login->test, 0, 0);
		return;
	}
	alarm_set(&login->test, JMAP_TEST_MS, ALARM_SLACK_DEADLINE_MS);
	free(login->failure);
	login->failure = mem_strdup(""); /* of another attempt than this */
	login->is_told = false;
	jmap_login_resync(login, "asked");
	jmap_client_look(login->client); /* before all that this made it ask */
	login_refresh_later(login);
}

/* ---- its end ---- */

static void login_stop(struct jmap_login *login) {
	event_source_destroy(steal(&login->stream));
	login_accounts_clear(login);
	login_look_stop(login);
	for (int kind = 0; kind < JMAP_KIND_COUNT; kind++) {
		change_command_destroy(steal(&login->commands[kind]));
	}
	alarm_stop(&login->refresh);
	alarm_stop(&login->poll);
	alarm_stop(&login->doubt);
	login_end_test(login, false, "the login has ended");
}

static void login_on_end(struct alarm *alarm, void *ctx) {
	(void)alarm;
	struct jmap_login *login = ctx;
	jmap_tested_fn *ended = login->ended;
	CLEANUP_FREE char *sentence =
		login->ended_reason[0]
			? mem_printf("forgotten here, but the mail server could not be told (%s): its push "
						 "subscription ends by itself within days",
				  login->ended_reason)
			: mem_strdup("forgotten here and at the mail server");
	login->ended = NULL;
	ended(login->ended_reason[0] == '\0', sentence, login->ended_ctx);
}

static void login_on_push_ended(const char *reason, void *ctx) {
	struct jmap_login *login = ctx;
	free(login->ended_reason);
	login->ended_reason = mem_strdup(reason);
	login_file_close(login, true);
	alarm_set(&login->end, 0, 0); /* not under the client's hands */
}

void jmap_login_end(struct jmap_login *login, jmap_tested_fn *done, void *ctx) {
	assert(!login->is_ended);
	login_stop(login);
	login->is_ended = true;
	login->ended = done;
	login->ended_ctx = ctx;
	push_subscription_end(login->push, login_is_online(login), login_on_push_ended, login);
}

/* ---- as a whole ---- */

static void login_on_ran(void *ctx) {
	login_save_later(ctx);
}

static void login_open_commands(struct jmap_login *login, const json_t *saved) {
	const struct jmap_config *config = login->config;
	char *const *const commands[JMAP_KIND_COUNT] = {
		[JMAP_KIND_MAIL] = config->on_change,
		[JMAP_KIND_CALENDAR] = config->on_calendar,
		[JMAP_KIND_CONTACTS] = config->on_contacts,
		[JMAP_KIND_OTHER] = config->on_other,
	};
	for (int kind = 0; kind < JMAP_KIND_COUNT; kind++) {
		const struct change_command_options options = {.loop = login->parts->options.loop,
			.alarms = login->parts->options.alarms,
			.units = config->as_unit ? login->parts->units : NULL,
			.notify = login->parts->options.notify,
			.login = config->name,
			.kind = jmap_kind_name((enum jmap_kind)kind),
			.command = commands[kind],
			.timeout_ms = config->timeout_ms,
			.ran = login_on_ran,
			.ctx = login};
		const json_t *left = json_object_get(saved, options.kind);
		login->commands[kind] = commands[kind] ? change_command_create(&options, left) : NULL;
	}
}

static void login_open_parts(struct jmap_login *login, const json_t *saved) {
	const struct jmap_options *options = &login->parts->options;
	const struct jmap_client_options client = {.loop = options->loop,
		.fetcher = login->parts->fetcher,
		.credentials = login->parts->credentials,
		.config = login->config,
		.on_session = login_on_session,
		.ctx = login};
	login->client = jmap_client_create(&client);
	const struct push_subscription_options push = {.alarms = options->alarms,
		.client = login->client,
		.registrations = options->registrations,
		.config = login->config,
		.state_dir = options->state_dir,
		.changed = login_on_push_changed,
		.ctx = login};
	login->push = push_subscription_create(&push, saved);
	const struct mail_notice_options notice = {.loop = options->loop,
		.alarms = options->alarms,
		.units = login->config->as_unit ? login->parts->units : NULL,
		.notify = options->notify,
		.config = login->config,
		.may_mark = login_may_mark,
		.mark_read = login_mark_read,
		.ctx = login};
	login->notice = mail_notice_create(&notice);
}

struct jmap_login *jmap_login_create(
	const struct jmap_parts *parts, const struct jmap_config *config, const json_t *saved) {
	struct jmap_login *login = mem_zalloc(sizeof *login);
	login->parts = parts;
	login->config = config;
	login->reason = mem_strdup("");
	login->stream_reason = mem_strdup("");
	login->ended_reason = mem_strdup("");
	login->unreadable = (struct log_limit){
		.event = "push of a mail server cannot be read", .period_sec = 600, .lines = 1};
	list_init(&login->accounts);
	alarm_init(&login->refresh, parts->options.alarms, login_on_refresh, login);
	alarm_init(&login->poll, parts->options.alarms, login_on_poll, login);
	alarm_init(&login->doubt, parts->options.alarms, login_on_doubt, login);
	alarm_init(&login->test, parts->options.alarms, login_on_test_over, login);
	alarm_init(&login->end, parts->options.alarms, login_on_end, login);
	json_t *read = saved ? NULL : login_file_read(login);
	saved = saved ? saved : read;
	bool is_ours = login_file_open(login, saved);
	login_open_parts(login, is_ours ? json_object_get(saved, "push") : NULL);
	login_look_init(login);
	login_open_commands(login, is_ours ? json_object_get(saved, "runs") : NULL);
	json_decref(read);
	login->is_online = login_is_online(login);
	jmap_login_resync(login, "start");
	login_refresh_later(login);
	return login;
}

void jmap_login_destroy(struct jmap_login *login) {
	if (!login) {
		return;
	}
	login_file_close(login, false); /* while there is still something to be saved */
	login_stop(login);
	mail_notice_destroy(login->notice);
	push_subscription_destroy(login->push);
	jmap_client_destroy(login->client);
	alarm_stop(&login->end);
	json_decref(login->saved_accounts);
	free(login->reason);
	free(login->stream_reason);
	free(login->failure);
	free(login->ended_reason);
	free(login);
}

const char *jmap_login_name(const struct jmap_login *login) {
	return login->config->name;
}

static const char *login_reason(const struct jmap_login *login) {
	if (login->is_ended) {
		return "is being removed";
	}
	return login->way == JMAP_WAY_NONE && !login->is_paused &&
				   jmap_client_awaits_secret(login->client)
			   ? "waits for the password"
			   : login->reason;
}

static int64_t login_again_ms(const struct jmap_login *login) {
	const struct alarm *const next[] = {&login->again, &login->jitter, &login->poll};
	int64_t left_ms = -1;
	for (size_t i = 0; i < sizeof next / sizeof *next && left_ms < 0; i++) {
		left_ms = alarm_left_ms(next[i]);
	}
	return left_ms;
}

void jmap_login_status(const struct jmap_login *login, struct jmap_status *out_status) {
	const struct jmap_session *session = jmap_client_session(login->client);
	struct push_subscription_status push;
	const struct login_account *account;
	push_subscription_status(login->push, &push);
	*out_status = (struct jmap_status){
		.name = login->config->name,
		.user = login->config->user ? login->config->user
				: session			? session->user
									: "",
		.server = session					   ? session->url
				  : login->config->session_url ? login->config->session_url
											   : "",
		.way = login->way,
		.reason = login_reason(login),
		.push = push_subscription_state_name(push.state),
		.is_paused = login->is_paused,
		.verified_ms = push.verified_ms,
		.expires_ms = push.expires_ms,
		.pushed_ms = login->pushed_ms,
		.synced_ms = login->synced_ms,
		.round_trip_ms = push.round_trip_ms,
		.again_ms = login_again_ms(login),
	};
	LIST_FOREACH (account, &login->accounts, link) {
		out_status->unread += account->unread;
	}
}
