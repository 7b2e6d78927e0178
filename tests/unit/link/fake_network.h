/* SPDX-License-Identifier: Apache-2.0 */
/* A machine's network as a test says it is, behind the functions of monitor/network.h. */
#pragma once
#include "distributor/monitor/network.h"

struct network {
	struct network_path path; /* to everywhere */
	bool has_route; /* a default route */
	uint32_t nm_connectivity;
	enum network_metered metered;
	unsigned int asked; /* how often the path was */
	int64_t changed_ms; /* boot clock; when a test last said something else */
};
void fake_network_init(struct network *network); /* usable, key "home" */
