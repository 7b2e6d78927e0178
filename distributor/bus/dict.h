/* SPDX-License-Identifier: Apache-2.0 */
/* One entry of an a{sv} that is being written; negative errno as sd-bus has it. */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-bus.h>

int dict_text(sd_bus_message *message, const char *key, const char *value);
int dict_bool(sd_bus_message *message, const char *key, bool value);
int dict_number(sd_bus_message *message, const char *key, int64_t value);
int dict_bytes(sd_bus_message *message, const char *key, const void *data, size_t bytes);
