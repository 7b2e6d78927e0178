/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Acknowledgements on their way to the store. A device sends each once and never again, so those
 * that a store could not take are kept here, within a bound, and sent again when it is back.
 */
#pragma once
#include "common/autopush.h"
#include "storage/store.h"

struct devices;

enum { ACKS_KEPT_MAX = 200000 };

void acks_send(struct devices *devices, struct device_id device, const struct autopush_ack *told,
	size_t count);
/* The store is back: everything that is kept goes again, before the devices are attached again. */
void acks_send_kept(struct devices *devices);
void acks_forget(struct devices *devices);
