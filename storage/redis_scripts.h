/* SPDX-License-Identifier: Apache-2.0 */
/* The Lua scripts of redis_scripts/, compiled in. Each file begins with its keys, arguments and
 * reply. */
#pragma once

enum redis_script_name {
	REDIS_SCRIPT_PUT,
	REDIS_SCRIPT_FETCH,
	REDIS_SCRIPT_ACK,
	REDIS_SCRIPT_CANCEL,
	REDIS_SCRIPT_ATTACH,
	REDIS_SCRIPT_UPDATE,
	REDIS_SCRIPT_SUBSCRIBE,
	REDIS_SCRIPT_UNSUBSCRIBE,
	REDIS_SCRIPT_LOOKUP,
	REDIS_SCRIPT_REMOVE,
	REDIS_SCRIPT_INVITE,
	REDIS_SCRIPT_COUNT
};

struct redis_script {
	const char *name, *text;
};
extern const struct redis_script redis_scripts[REDIS_SCRIPT_COUNT];
