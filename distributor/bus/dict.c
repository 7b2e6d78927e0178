/* SPDX-License-Identifier: Apache-2.0 */
/* Entries of an a{sv}. */
#include "distributor/bus/dict.h"

int dict_text(sd_bus_message *message, const char *key, const char *value) {
	return sd_bus_message_append(message, "{sv}", key, "s", value);
}

int dict_bool(sd_bus_message *message, const char *key, bool value) {
	return sd_bus_message_append(message, "{sv}", key, "b", (int)value);
}

int dict_number(sd_bus_message *message, const char *key, int64_t value) {
	return sd_bus_message_append(message, "{sv}", key, "x", value);
}

int dict_bytes(sd_bus_message *message, const char *key, const void *data, size_t bytes) {
	int result = sd_bus_message_open_container(message, SD_BUS_TYPE_DICT_ENTRY, "sv");
	if (result >= 0) {
		result = sd_bus_message_append(message, "s", key);
	}
	if (result >= 0) {
		result = sd_bus_message_open_container(message, SD_BUS_TYPE_VARIANT, "ay");
	}
	if (result >= 0) {
		result = sd_bus_message_append_array(message, SD_BUS_TYPE_BYTE, data, bytes);
	}
	if (result >= 0) {
		result = sd_bus_message_close_container(message);
	}
	return result < 0 ? result : sd_bus_message_close_container(message);
}
