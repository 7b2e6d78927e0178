/* SPDX-License-Identifier: Apache-2.0 */
/* Follows an object's properties: GetAll, PropertiesChanged and NameOwnerChanged. */
#include "distributor/monitor/bus_object.h"
#include "common/cleanup.h"
#include "common/log.h"
#include "common/mem.h"
#include <stdlib.h>
#include <string.h>

#define BUS_PROPERTIES "org.freedesktop.DBus.Properties"
#define BUS_SERVICE "org.freedesktop.DBus"
#define BUS_PATH "/org/freedesktop/DBus"

struct bus_object {
	struct sd_bus *bus;
	const struct bus_object_class *class;
	char *path;
	char *owner; /* unique name, NULL while not known */
	sd_bus_slot *owner_match, *changed_match, *signal_match, *call;
	void *ctx;
};

union bus_basic {
	int b;
	uint8_t y;
	int16_t n;
	uint16_t q;
	int32_t i;
	uint32_t u;
	int64_t x;
	uint64_t t;
	double d;
	const char *s;
};

static int64_t bus_basic_number(char type, const union bus_basic *basic) {
	switch (type) {
	case 'b':
		return basic->b;
	case 'y':
		return basic->y;
	case 'n':
		return basic->n;
	case 'q':
		return basic->q;
	case 'i':
		return basic->i;
	case 'u':
		return basic->u;
	default: /* x, t */
		return basic->x;
	}
}

/* The first path of a variant with an array of them. */
static void bus_object_read_path(struct sd_bus_message *message, struct bus_value *value) {
	if (sd_bus_message_enter_container(message, 'v', "ao") <= 0 ||
		sd_bus_message_enter_container(message, 'a', "o") <= 0) {
		return;
	}
	*value = (struct bus_value){.type = 'o', .text = ""};
	(void)sd_bus_message_read(message, "o", &value->text); /* empty: stays "" */
	while (sd_bus_message_skip(message, "o") > 0) {
	}
	(void)sd_bus_message_exit_container(message);
	(void)sd_bus_message_exit_container(message);
}

/* Reads a variant, whatever it holds. */
static void bus_object_read_value(struct sd_bus_message *message, struct bus_value *value) {
	char type;
	const char *contents;
	if (sd_bus_message_peek_type(message, &type, &contents) <= 0) {
		return;
	}
	if (strcmp(contents, "ao") == 0) {
		bus_object_read_path(message, value);
		return;
	}
	union bus_basic basic = {0};
	if (strlen(contents) != 1 || !strchr("bynqiuxtdso", contents[0]) ||
		sd_bus_message_read(message, "v", contents, &basic) <= 0) {
		(void)sd_bus_message_skip(message, "v");
		return;
	}
	value->type = contents[0];
	if (value->type == 'd') {
		value->real = basic.d;
	} else if (value->type == 's' || value->type == 'o') {
		value->text = basic.s;
	} else {
		value->number = bus_basic_number(value->type, &basic);
	}
}

/* A dictionary of properties, at the message's read position. */
static void bus_object_take(struct bus_object *object, struct sd_bus_message *message) {
	if (sd_bus_message_enter_container(message, 'a', "{sv}") <= 0) {
		return;
	}
	while (sd_bus_message_enter_container(message, 'e', "sv") > 0) {
		const char *name;
		struct bus_value value = {0};
		if (sd_bus_message_read(message, "s", &name) <= 0) {
			return;
		}
		bus_object_read_value(message, &value);
		if (value.type) {
			object->class->property(name, &value, object->ctx);
		}
		if (sd_bus_message_exit_container(message) < 0) {
			return;
		}
	}
	(void)sd_bus_message_exit_container(message);
}

static void bus_object_set_owner(struct bus_object *object, const char *owner) {
	free(object->owner);
	object->owner = owner && owner[0] ? mem_strdup(owner) : NULL;
}

static int bus_object_on_answer(struct sd_bus_message *reply, void *ctx, sd_bus_error *out_error) {
	(void)out_error;
	struct bus_object *object = ctx;
	const char *owner = NULL;
	object->call = sd_bus_slot_unref(object->call);
	if (sd_bus_message_is_method_error(reply, NULL)) {
		log_debug("bus", "no answer service=%s error=%s", object->class->service,
			sd_bus_message_get_error(reply)->name);
	} else if (object->class->property) {
		owner = sd_bus_message_get_sender(reply);
	} else {
		(void)sd_bus_message_read(reply, "s", &owner); /* stays NULL */
	}
	bus_object_set_owner(object, owner);
	if (object->owner && object->class->property) {
		bus_object_take(object, reply);
	}
	object->class->settled(object->owner != NULL, object->ctx);
	return 0;
}

static int bus_object_ask(struct bus_object *object, struct sd_bus_message **call) {
	const struct bus_object_class *class = object->class;
	int result = class->property ? sd_bus_message_new_method_call(object->bus, call, class->service,
									   object->path, BUS_PROPERTIES, "GetAll")
								 : sd_bus_message_new_method_call(object->bus, call, BUS_SERVICE,
									   BUS_PATH, BUS_SERVICE, "GetNameOwner");
	if (result < 0) {
		return result;
	}
	result = sd_bus_message_append(*call, "s", class->property ? class->interface : class->service);
	if (result < 0) {
		return result;
	}
	result = sd_bus_message_set_auto_start(*call, class->may_start);
	return result < 0 ? result
					  : sd_bus_call_async(
							object->bus, &object->call, *call, bus_object_on_answer, object, 0);
}

void bus_object_refresh(struct bus_object *object) {
	CLEANUP(sd_bus_message_unrefp) struct sd_bus_message *call = NULL;
	object->call = sd_bus_slot_unref(object->call);
	if (bus_object_ask(object, &call) < 0) {
		log_debug("bus", "the bus takes no call service=%s", object->class->service);
	}
}

static int bus_object_on_owner(struct sd_bus_message *message, void *ctx, sd_bus_error *out_error) {
	(void)out_error;
	struct bus_object *object = ctx;
	const char *name, *old, *owner;
	if (sd_bus_message_read(message, "sss", &name, &old, &owner) < 0 ||
		strcmp(name, object->class->service) != 0) {
		return 0;
	}
	bus_object_set_owner(object, owner);
	if (object->owner) {
		bus_object_refresh(object);
	} else {
		object->call = sd_bus_slot_unref(object->call);
		object->class->settled(false, object->ctx);
	}
	return 0;
}

static bool bus_object_is_by_owner(
	const struct bus_object *object, struct sd_bus_message *message) {
	const char *sender = sd_bus_message_get_sender(message);
	return sender && object->owner && strcmp(sender, object->owner) == 0;
}

static int bus_object_on_changed(
	struct sd_bus_message *message, void *ctx, sd_bus_error *out_error) {
	(void)out_error;
	struct bus_object *object = ctx;
	const char *interface;
	if (!bus_object_is_by_owner(object, message) ||
		sd_bus_message_read(message, "s", &interface) <= 0 ||
		strcmp(interface, object->class->interface) != 0) {
		return 0;
	}
	bus_object_take(object, message);
	if (sd_bus_message_enter_container(message, 'a', "s") > 0 &&
		sd_bus_message_at_end(message, false) == 0) {
		bus_object_refresh(object); /* some are only named, without their value */
	}
	object->class->settled(true, object->ctx);
	return 0;
}

static int bus_object_on_signal(
	struct sd_bus_message *message, void *ctx, sd_bus_error *out_error) {
	(void)out_error;
	struct bus_object *object = ctx;
	if (bus_object_is_by_owner(object, message)) {
		object->class->signalled(sd_bus_message_get_member(message), message, object->ctx);
	}
	return 0;
}

/* Without this sd-bus would end the connection when a match is refused. */
static int bus_object_on_match(struct sd_bus_message *reply, void *ctx, sd_bus_error *out_error) {
	(void)ctx;
	(void)out_error;
	if (sd_bus_message_is_method_error(reply, NULL)) {
		log_debug("bus", "match refused error=%s", sd_bus_message_get_error(reply)->name);
	}
	return 0;
}

static void bus_object_match(struct bus_object *object, sd_bus_slot **slot, const char *sender,
	const char *path, const char *interface, const char *arg0, sd_bus_message_handler_t handler) {
	CLEANUP_FREE char *rule = mem_printf("type='signal',sender='%s',path='%s',interface='%s'%s%s%s",
		sender, path, interface, arg0 ? ",arg0='" : "", arg0 ? arg0 : "", arg0 ? "'" : "");
	if (sd_bus_add_match_async(object->bus, slot, rule, handler, bus_object_on_match, object) < 0) {
		log_debug("bus", "no match service=%s", object->class->service);
	}
}

struct bus_object *bus_object_follow(
	struct sd_bus *bus, const struct bus_object_class *class, const char *path, void *ctx) {
	struct bus_object *object = mem_zalloc(sizeof *object);
	object->bus = sd_bus_ref(bus);
	object->class = class;
	object->path = mem_strdup(path);
	object->ctx = ctx;
	bus_object_match(object, &object->owner_match, BUS_SERVICE, BUS_PATH, BUS_SERVICE,
		class->service, bus_object_on_owner);
	if (class->property && !class->is_polled) {
		bus_object_match(object, &object->changed_match, class->service, path, BUS_PROPERTIES,
			class->interface, bus_object_on_changed);
	}
	if (class->signalled) {
		bus_object_match(object, &object->signal_match, class->service, path, class->interface,
			NULL, bus_object_on_signal);
	}
	bus_object_refresh(object);
	return object;
}

void bus_object_unfollow(struct bus_object *object) {
	if (!object) {
		return;
	}
	sd_bus_slot_unref(object->owner_match);
	sd_bus_slot_unref(object->changed_match);
	sd_bus_slot_unref(object->signal_match);
	sd_bus_slot_unref(object->call);
	sd_bus_unref(object->bus);
	free(object->owner);
	free(object->path);
	free(object);
}

bool bus_object_is_there(const struct bus_object *object) {
	return object && object->owner;
}
