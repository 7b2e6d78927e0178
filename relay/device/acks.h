/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Acknowledgements on their way to the store. A device sends each once and never again, so those
 * that a store could not take are kept here, within a bound, and sent again: when it is back, every
 * second while it is there, before a device is looked up, and at the end.
 */
#pragma once
#include "common/autopush.h"
#include "storage/store.h"

struct devices;

enum { ACKS_KEPT_MAX = 200000 };

void acks_send(struct devices *devices, struct device_id device, const struct autopush_ack *told,
	size_t count);
/* Everything that is kept goes again; what is asked of the store behind it finds it done. */
void acks_send_kept(struct devices *devices);
/* The same if the store is there. */
void acks_retry(struct devices *devices);
/* The store may still have this message, but the device is through with it. */
bool acks_has(const struct devices *devices, struct device_id device, struct message_id id);
