/* SPDX-License-Identifier: Apache-2.0 */
/* Calls to the running daemon over the session bus, and what its dictionaries look like as JSON. */
#pragma once
#include <jansson.h>
#include <stdbool.h>
#include <systemd/sd-bus.h>

/* COMMAND_OK, or a failure that it has explained on standard error. */
int daemon_open(sd_bus **out_bus);
/* It does not run: says so, and what to do. COMMAND_FAILED. */
int daemon_fail_absent(void);
/* Calls a method of org.bellwire.Distributor with arguments as sd_bus_message_append takes them.
 * out_reply NULL: not wanted; else sd_bus_message_unref. COMMAND_OK or a failure that it has
 * explained. */
int daemon_call(
	sd_bus *bus, const char *method, sd_bus_message **out_reply, const char *types, ...);
/* Opens the bus, calls, closes; for methods whose answer is empty. */
int daemon_tell(const char *method, const char *types, ...);
/* Opens the bus, calls a method that answers with (bs): whether it went well, and a sentence,
 * fresh. It may take two minutes. */
int daemon_ask_verdict(
	const char *method, const char *argument, bool *out_is_good, char **out_sentence);
/* The next a{sv}, or aa{sv}, of a message; bytes become "data" when they are UTF-8, else
 * "data_base64". NULL when it is neither. */
json_t *daemon_read_dict(sd_bus_message *message);
json_t *daemon_read_dicts(sd_bus_message *message);
/* Opens the bus, calls a method without arguments that answers with one of the two. */
int daemon_ask(const char *method, json_t **out_answer);

const char *daemon_text(const json_t *dict, const char *key); /* "" when absent */
int64_t daemon_number(const json_t *dict, const char *key); /* 0 when absent */
bool daemon_bool(const json_t *dict, const char *key);
