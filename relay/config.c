/* SPDX-License-Identifier: Apache-2.0 */
/* The relay's settings table, and the checks that go beyond one value. */
#include "relay/config.h"
#include "common/cleanup.h"
#include "common/mem.h"
#include "common/url.h"
#include "relay/http/listener.h"
#include "storage/store.h"
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define AT(member) .offset = offsetof(struct config, member)

static const char *const config_registrations[] = {"open", "invite", NULL};

static const struct setting config_table[] = {
	{.name = "listen",
		.kind = SETTING_LIST,
		AT(listen),
		.initial = "127.0.0.1:8080",
		.section = "relay",
		.value_name = "ADDRESS",
		.help = "Where senders and devices connect: HOST:PORT, unix:PATH or tls:HOST:PORT. May "
				"repeat.\n"
				"Sockets passed by systemd are used as well, and then replace the default."},
	{.name = "public_url",
		.kind = SETTING_LIST,
		AT(public_url),
		.section = "relay",
		.value_name = "URL",
		.help = "The URL under which the world reaches this relay; push URLs begin with it.\n"
				"May repeat: the first is given out, the others stay valid in VAPID tokens."},
	{.name = "store",
		.kind = SETTING_TEXT,
		AT(store),
		.initial = "sqlite:/var/lib/bellwire/relay.db",
		.section = "relay",
		.value_name = "URL",
		.help = "Where messages are kept: sqlite:PATH, redis://HOST:PORT/DB, unix://PATH?db=N, or "
				"memory:\n"
				"(nothing survives a restart; for tests)."},
	{.name = "state_dir",
		.kind = SETTING_TEXT,
		AT(state_dir),
		.initial = "/var/lib/bellwire",
		.section = "relay",
		.value_name = "DIR",
		.help = "Directory of the key file and the invites. Relays that share a Redis need the "
				"same keys."},
	{.name = "admin_listen",
		.kind = SETTING_TEXT,
		AT(admin_listen),
		.section = "relay",
		.value_name = "ADDRESS",
		.help =
			"Where /metrics and /health are served for operators. Never expose it to the world."},
	{.name = "workers",
		.kind = SETTING_INTEGER,
		AT(workers),
		.initial = "1",
		.min = 1,
		.max = 256,
		.section = "relay",
		.value_name = "N",
		.help = "Processes that share the port. More than one needs Redis."},
	{.name = "insecure",
		.kind = SETTING_BOOL,
		AT(insecure),
		.initial = "off",
		.section = "relay",
		.help = "Accept an http:// public_url that is not loopback. Push URLs then travel in the "
				"clear."},
	{.name = "tls_cert",
		.kind = SETTING_TEXT,
		AT(tls_cert),
		.section = "relay",
		.value_name = "FILE",
		.help = "Certificate chain (PEM) for tls: listeners. Read again on SIGHUP."},
	{.name = "tls_key",
		.kind = SETTING_TEXT,
		AT(tls_key),
		.section = "relay",
		.value_name = "FILE",
		.help = "Its private key (PEM)."},
	{.name = "trusted_proxies",
		.kind = SETTING_LIST,
		AT(trusted_proxies),
		.section = "relay",
		.value_name = "CIDR",
		.help = "Proxies whose X-Forwarded-For is believed: addresses, networks, or the word unix. "
				"May repeat."},

	{.name = "registration",
		.kind = SETTING_CHOICE,
		AT(registration),
		.initial = "open",
		.choices = config_registrations,
		.section = "access",
		.help =
			"Who may connect a device: open (anyone), or invite (see bellwire-relay invite add)."},
	{.name = "body_limit",
		.kind = SETTING_SIZE,
		AT(body_limit),
		.initial = "16384",
		.min = 4096,
		.max = 1 << 20,
		.section = "access",
		.value_name = "BYTES",
		.help = "Largest message. RFC 8030 wants at least 4096."},
	{.name = "missing_ttl",
		.kind = SETTING_TEXT,
		AT(missing_ttl),
		.initial = "reject",
		.section = "access",
		.value_name = "reject|SECONDS",
		.help = "What a POST without TTL gets: 400, or this TTL (for senders of before 2024)."},
	{.name = "max_ttl",
		.kind = SETTING_DURATION,
		AT(max_ttl),
		.initial = "30d",
		.min = 60,
		.max = 90 * 86400,
		.section = "access",
		.value_name = "TIME",
		.help = "Longest time a message is kept."},
	{.name = "strict_encryption",
		.kind = SETTING_BOOL,
		AT(strict_encryption),
		.initial = "off",
		.section = "access",
		.help = "Refuse messages that are not encrypted by RFC 8291. Breaks some senders."},
	{.name = "verify_vapid",
		.kind = SETTING_BOOL,
		AT(verify_vapid),
		.initial = "off",
		.section = "access",
		.help = "Refuse a wrong VAPID token also where none is needed."},
	{.name = "cors",
		.kind = SETTING_BOOL,
		AT(cors),
		.initial = "off",
		.section = "access",
		.help = "Answer OPTIONS with CORS headers, so that web pages may send."},

	{.name = "rate_limits",
		.kind = SETTING_BOOL,
		AT(rate_limits),
		.initial = "on",
		.section = "limits",
		.help =
			"Limit by push URL, VAPID key and address. off: the settings endpoint_*, sender_* and "
			"address_* do nothing."},
	{.name = "endpoint_rate",
		.kind = SETTING_INTEGER,
		AT(endpoint_rate),
		.initial = "120",
		.min = 1,
		.max = 1000000,
		.section = "limits",
		.value_name = "N",
		.help =
			"Messages a minute to one push URL, after its burst. The first ten are never limited."},
	{.name = "endpoint_burst",
		.kind = SETTING_INTEGER,
		AT(endpoint_burst),
		.initial = "120",
		.min = 1,
		.max = 1000000,
		.section = "limits",
		.value_name = "N",
		.help = "Messages at once to one push URL."},
	{.name = "sender_rate",
		.kind = SETTING_INTEGER,
		AT(sender_rate),
		.initial = "60000",
		.min = 1,
		.max = 100000000,
		.section = "limits",
		.value_name = "N",
		.help = "Messages a minute of one VAPID key."},
	{.name = "sender_burst",
		.kind = SETTING_INTEGER,
		AT(sender_burst),
		.initial = "10000",
		.min = 1,
		.max = 100000000,
		.section = "limits",
		.value_name = "N",
		.help = "Messages at once of one VAPID key."},
	{.name = "address_rate",
		.kind = SETTING_INTEGER,
		AT(address_rate),
		.initial = "60000",
		.min = 1,
		.max = 100000000,
		.section = "limits",
		.value_name = "N",
		.help = "Messages and bad VAPID tokens a minute of one address (an IPv6 /64 is one). "
				"Loopback is exempt."},
	{.name = "address_burst",
		.kind = SETTING_INTEGER,
		AT(address_burst),
		.initial = "10000",
		.min = 1,
		.max = 100000000,
		.section = "limits",
		.value_name = "N",
		.help = "Requests at once of one address."},
	{.name = "address_connections",
		.kind = SETTING_INTEGER,
		AT(address_connections),
		.initial = "4000",
		.min = 0,
		.max = 1000000,
		.section = "limits",
		.value_name = "N",
		.help =
			"HTTP connections of one address to one worker at a time. Beyond it: 503, over TLS\n"
			"the end. 0: no limit.\n"
			"Loopback and trusted_proxies are exempt; a proxy that is neither gets no more."},
	{.name = "address_devices",
		.kind = SETTING_INTEGER,
		AT(address_devices),
		.initial = "20000",
		.min = 0,
		.max = 10000000,
		.section = "limits",
		.value_name = "N",
		.help =
			"Device sockets of one address to one worker at a time. Beyond it: 429. 0: no limit."},
	{.name = "address_registers",
		.kind = SETTING_INTEGER,
		AT(address_registers),
		.initial = "6000",
		.min = 0,
		.max = 100000000,
		.section = "limits",
		.value_name = "N",
		.help =
			"Registrations a minute of the devices of one address, after its burst; more wait for "
			"their\nturn. 0: no limit."},
	{.name = "address_register_burst",
		.kind = SETTING_INTEGER,
		AT(address_register_burst),
		.initial = "20000",
		.min = 1,
		.max = 100000000,
		.section = "limits",
		.value_name = "N",
		.help = "Registrations at once of one address."},
	{.name = "max_connections",
		.kind = SETTING_INTEGER,
		AT(max_connections),
		.initial = "10000",
		.min = 1,
		.max = 1000000,
		.section = "limits",
		.value_name = "N",
		.help = "HTTP connections of one worker at a time."},
	{.name = "max_pushes",
		.kind = SETTING_INTEGER,
		AT(max_pushes),
		.initial = "10000",
		.min = 1,
		.max = 1000000,
		.section = "limits",
		.value_name = "N",
		.help = "Messages of one worker that wait for the store at a time. Beyond it: 503."},
	{.name = "max_devices",
		.kind = SETTING_INTEGER,
		AT(max_devices),
		.initial = "200000",
		.min = 1,
		.max = 10000000,
		.section = "limits",
		.value_name = "N",
		.help = "Device sockets of one worker at a time."},

	{.name = "queue_messages",
		.kind = SETTING_INTEGER,
		AT(queue_messages),
		.initial = "1000",
		.min = 1,
		.max = 1000000,
		.section = "queue",
		.value_name = "N",
		.help = "Messages kept for one device. Beyond it the least urgent, then the oldest go."},
	{.name = "queue_bytes",
		.kind = SETTING_SIZE,
		AT(queue_bytes),
		.initial = "4m",
		.min = 65536,
		.max = (int64_t)1 << 32,
		.section = "queue",
		.value_name = "BYTES",
		.help = "Bytes kept for one device."},
	{.name = "subscriptions",
		.kind = SETTING_INTEGER,
		AT(subscriptions),
		.initial = "2000",
		.min = 1,
		.max = 100000,
		.section = "queue",
		.value_name = "N",
		.help = "Subscriptions of one device."},
	{.name = "device_days",
		.kind = SETTING_INTEGER,
		AT(device_days),
		.initial = "90",
		.min = 1,
		.max = 3650,
		.section = "queue",
		.value_name = "DAYS",
		.help = "A device that was not seen for so long is forgotten with all its subscriptions."},
	{.name = "tombstone_days",
		.kind = SETTING_INTEGER,
		AT(tombstone_days),
		.initial = "30",
		.min = 1,
		.max = 3650,
		.section = "queue",
		.value_name = "DAYS",
		.help = "A removed subscription is answered with 410 for so long, then with 404."},

	{.name = "ping_interval",
		.kind = SETTING_DURATION,
		AT(ping_interval),
		.initial = "300",
		.min = 10,
		.max = 86400,
		.section = "devices",
		.value_name = "TIME",
		.help = "A device that was silent for so long is pinged, and dropped after 30 s without "
				"answer."},
	{.name = "hello_rate",
		.kind = SETTING_INTEGER,
		AT(hello_rate),
		.initial = "2000",
		.min = 1,
		.max = 1000000,
		.section = "devices",
		.value_name = "N",
		.help = "Returning devices admitted a second; the others wait for their hello."},
	{.name = "drain_seconds",
		.kind = SETTING_DURATION,
		AT(drain_seconds),
		.initial = "10",
		.min = 0,
		.max = 3600,
		.section = "devices",
		.value_name = "TIME",
		.help = "On SIGTERM device sockets are dropped evenly over this time."},

	{.name = "redis_wait",
		.kind = SETTING_INTEGER,
		AT(redis_wait),
		.initial = "0",
		.min = 0,
		.max = 100,
		.section = "redis",
		.value_name = "N",
		.help = "Replicas that must have a message before it is answered with 201."},
	{.name = "redis_user",
		.kind = SETTING_TEXT,
		AT(redis_user),
		.section = "redis",
		.value_name = "NAME",
		.help = "ACL user. Overrides the one in the store URL."},
	{.name = "redis_password",
		.kind = SETTING_TEXT,
		AT(redis_password),
		.section = "redis",
		.value_name = "SECRET",
		.is_secret = true,
		.help = "Password. Better kept in a file, or in BELLWIRE_REDIS_PASSWORD."},
	{.name = "redis_password_file",
		.kind = SETTING_TEXT,
		AT(redis_password_file),
		.section = "redis",
		.value_name = "FILE",
		.help = "File with the password on its first line."},
	{.name = "redis_ca_file",
		.kind = SETTING_TEXT,
		AT(redis_ca_file),
		.section = "redis",
		.value_name = "FILE",
		.help = "Certificate authorities (PEM) for rediss://. Default: the system's."},

	LOG_SETTINGS(struct config, log, " Read again on SIGHUP."),
};

const struct settings_program config_program = {
	.name = "bellwire-relay",
	.env_prefix = "BELLWIRE_",
	.config_path = "/etc/bellwire/relay.conf",
	.table = config_table,
	.count = sizeof config_table / sizeof config_table[0],
};

struct config_problems {
	const struct config *config;
	FILE *err;
	bool any;
};

/* One problem: where the value came from, the setting, what is wrong and what would do. */
static void __attribute__((format(printf, 3, 4)))
config_problem(struct config_problems *problems, const char *setting, const char *format, ...) {
	problems->any = true;
	fprintf(problems->err, "%s: %s: ", settings_source(problems->config, setting), setting);
	va_list args;
	va_start(args, format);
	vfprintf(problems->err, format, args);
	va_end(args);
	fputc('\n', problems->err);
}

static void config_check_listen(
	struct config_problems *problems, const char *setting, const char *text, bool *out_uses_tls) {
	struct http_listener_address address;
	CLEANUP_FREE char *error = NULL;
	if (http_listener_address_parse(text, &address, &error) < 0) {
		config_problem(problems, setting, "%s", error);
		return;
	}
	*out_uses_tls |= address.is_tls;
	http_listener_address_finish(&address);
}

static void config_check_listens(struct config *config, struct config_problems *problems) {
	bool uses_tls = false;
	for (size_t i = 0; i < config->listen.count; i++) {
		config_check_listen(problems, "listen", config->listen.items[i], &uses_tls);
	}
	if (config->admin_listen) {
		bool admin_tls = false;
		config_check_listen(problems, "admin_listen", config->admin_listen, &admin_tls);
		for (size_t i = 0; i < config->listen.count; i++) {
			if (strcmp(config->admin_listen, config->listen.items[i]) == 0) {
				config_problem(problems, "admin_listen",
					"%s is a listen address as well; metrics need one of their own",
					config->admin_listen);
			}
		}
		if (admin_tls) {
			config_problem(
				problems, "admin_listen", "cannot be tls:; bind it to loopback or a unix socket");
		}
	}
	if (uses_tls && !config->tls_cert) {
		config_problem(problems, "tls_cert", "a tls: listener needs tls_cert and tls_key");
	}
	if (!config->tls_cert != !config->tls_key) {
		config_problem(problems, config->tls_cert ? "tls_cert" : "tls_key",
			"tls_cert and tls_key go together; set both");
	}
	CLEANUP_FREE const char **proxies =
		mem_zalloc((config->trusted_proxies.count + 1) * sizeof *proxies);
	for (size_t i = 0; i < config->trusted_proxies.count; i++) {
		proxies[i] = config->trusted_proxies.items[i];
	}
	CLEANUP_FREE char *error = http_trusted_check(proxies);
	if (error) {
		config_problem(problems, "trusted_proxies", "%s", error);
	}
}

static void config_check_public_url(
	const struct config *config, struct config_problems *problems, const char *text) {
	struct url url;
	if (!url_parse(slice_of(text), &url)) {
		config_problem(
			problems, "public_url", "\"%s\" is no URL; try https://push.example.org", text);
		return;
	}
	if (url.scheme != URL_HTTP && url.scheme != URL_HTTPS) {
		config_problem(problems, "public_url", "%s must begin with https:// (or http://)", text);
	} else if (url.scheme == URL_HTTP && !url_is_loopback(&url) && !config->insecure) {
		config_problem(problems, "public_url",
			"%s is not encrypted: senders refuse it and others can read push URLs; use https://, "
			"or "
			"set insecure = on",
			text);
	}
	if (url.query.len > 0) {
		config_problem(problems, "public_url", "%s must not have a query", text);
	}
	if (strlen(text) > 400) {
		config_problem(problems, "public_url", "is longer than 400 bytes; push URLs end at 511");
	}
}

static void config_check_public_urls(struct config *config, struct config_problems *problems) {
	if (config->public_url.count == 0) {
		config_problem(problems, "public_url",
			"is not set; set it to the URL under which senders reach this relay, such as "
			"https://push.example.org");
	}
	for (size_t i = 0; i < config->public_url.count; i++) {
		char *text = config->public_url.items[i];
		config_check_public_url(config, problems, text);
		for (size_t len = strlen(text); len > 0 && text[len - 1] == '/'; len--) {
			text[len - 1] = '\0'; /* push URLs are made by joining with "/p/" */
		}
	}
}

static void config_check_missing_ttl(struct config *config, struct config_problems *problems) {
	config->missing_ttl_sec = -1;
	if (strcmp(config->missing_ttl, "reject") == 0) {
		return;
	}
	char *end;
	errno = 0;
	long long seconds = strtoll(config->missing_ttl, &end, 10);
	if (errno != 0 || end == config->missing_ttl || *end != '\0' || seconds < 0 ||
		seconds > config->max_ttl) {
		config_problem(problems, "missing_ttl",
			"\"%s\" must be reject, or seconds from 0 to max_ttl", config->missing_ttl);
		return;
	}
	config->missing_ttl_sec = seconds;
}

static void config_check_store(struct config *config, struct config_problems *problems) {
	if (!config->store || !store_url_is_known(config->store)) {
		config_problem(problems, "store",
			"\"%s\" is of an unknown kind; use sqlite:PATH, redis://HOST:PORT/DB, unix://PATH?db=N "
			"or "
			"memory:",
			config->store ? config->store : "");
		return;
	}
	if (config->workers > 1 && !store_url_is_shared(config->store)) {
		config_problem(problems, "workers",
			"%lld workers need a store that processes can share, and %s serves one; set workers = "
			"1 "
			"or store = redis://HOST:PORT",
			(long long)config->workers, config->store);
	}
}

static void config_read_password(struct config *config, struct config_problems *problems) {
	if (!config->redis_password_file) {
		return;
	}
	FILE *file = fopen(config->redis_password_file, "re");
	if (!file) {
		config_problem(problems, "redis_password_file", "%s: %s", config->redis_password_file,
			strerror(errno));
		return;
	}
	char line[1024] = "";
	if (!fgets(line, sizeof line, file)) {
		config_problem(problems, "redis_password_file", "%s is empty", config->redis_password_file);
	}
	(void)fclose(file);
	line[strcspn(line, "\r\n")] = '\0';
	free(config->redis_password);
	config->redis_password = mem_strdup(line);
	mem_wipe(line, sizeof line);
}

static void config_check_state_dir(struct config *config, struct config_problems *problems) {
	struct stat status;
	if (stat(config->state_dir, &status) == 0 && !S_ISDIR(status.st_mode)) {
		config_problem(problems, "state_dir", "%s is not a directory", config->state_dir);
	}
}

int config_check(struct config *config, FILE *err) {
	struct config_problems problems = {.config = config, .err = err};
	config_check_listens(config, &problems);
	config_check_public_urls(config, &problems);
	config_check_missing_ttl(config, &problems);
	config_check_store(config, &problems);
	config_check_state_dir(config, &problems);
	config_read_password(config, &problems);
	return problems.any ? -EINVAL : 0;
}
