/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One object of a service on the bus, followed: its properties are read when the service is there
 * or appears, and again when it says that they changed. A service that is absent, slow or restarted
 * does no harm. Nothing waits. Signals of anyone but the service's owner are passed over.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-bus.h>

/* A property of a basic type, or the first entry of an array of object paths. */
struct bus_value {
	char type; /* as D-Bus writes it: b, u, i, x, t, d, s, o; 0: of another type */
	int64_t number; /* b, y, n, q, u, i, x, t */
	double real; /* d */
	const char *text; /* s, o; lives during the call; "" for an empty array */
};

struct bus_object;
struct bus_object_class {
	const char *service, *interface;
	bool may_start; /* the bus may start the service for us */
	/* Changes are not heard of, for the service tells of too many; bus_object_refresh() reads. */
	bool is_polled;
	/* NULL: properties are of no interest; only the service's coming and going and its signals. */
	void (*property)(const char *name, const struct bus_value *value, void *ctx);
	/* After each run of properties; is_there false: there is no such service (now). Neither call
	 * may unfollow this object. */
	void (*settled)(bool is_there, void *ctx);
	/* A further signal of that interface, or NULL. */
	void (*signalled)(const char *member, struct sd_bus_message *message, void *ctx);
};

/* The class must live on; path is copied. */
struct bus_object *bus_object_follow(
	struct sd_bus *bus, const struct bus_object_class *class, const char *path, void *ctx);
void bus_object_unfollow(struct bus_object *object); /* NULL is fine */
/* Reads all properties anew. */
void bus_object_refresh(struct bus_object *object);
bool bus_object_is_there(const struct bus_object *object);
