/* SPDX-License-Identifier: Apache-2.0 */
/* The relay's settings: the table, and what it fills. */
#pragma once
#include "common/log.h"
#include "common/log_settings.h"
#include "common/settings.h"

enum config_registration { CONFIG_REGISTRATION_OPEN, CONFIG_REGISTRATION_INVITE };

struct config {
	struct settings_origin *origin; /* first: see settings.h */

	/* where it listens, and who it is */
	struct settings_list listen;
	struct settings_list
		public_url; /* the first one goes into push URLs; all are accepted in `aud` */
	char *store;
	char *state_dir;
	char *admin_listen;
	int64_t workers;
	bool insecure;
	char *tls_cert, *tls_key;
	struct settings_list trusted_proxies;

	/* what it accepts */
	int registration; /* enum config_registration */
	int64_t body_limit;
	char *missing_ttl; /* "reject" or seconds */
	int64_t max_ttl;
	bool strict_encryption;
	bool verify_vapid;
	bool cors;

	/* limits */
	bool rate_limits;
	int64_t endpoint_rate, endpoint_burst; /* a minute; at once */
	int64_t sender_rate, sender_burst;
	int64_t address_rate, address_burst;
	int64_t max_connections, max_pushes, max_devices;
	int64_t address_connections, address_devices; /* 0: no limit */
	int64_t address_registers, address_register_burst;

	/* the queue */
	int64_t queue_messages, queue_bytes, subscriptions;
	int64_t device_days, tombstone_days;

	/* device sockets */
	int64_t ping_interval, hello_rate, drain_seconds;

	/* Redis */
	int64_t redis_wait;
	char *redis_user, *redis_password, *redis_password_file, *redis_ca_file;

	/* logs */
	struct log_settings log;

	/* derived by config_check */
	int64_t missing_ttl_sec; /* -1: reject */
};

extern const struct settings_program config_program;

/* What the table alone cannot tell: URLs, combinations, files. Every problem goes to err, one a
 * line, naming the setting and the cure; 0 or -EINVAL. */
int config_check(struct config *config, FILE *err);
