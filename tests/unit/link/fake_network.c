/* SPDX-License-Identifier: Apache-2.0 */
/* The fake behind fake_network.h. */
#include "fake_network.h"
#include "distributor/alarm.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

void fake_network_init(struct network *network) {
	memset(network, 0, sizeof *network);
	network->has_route = true;
	network->path.is_usable = true;
	network->path.ifindex = 1;
	struct sockaddr_in *source = (struct sockaddr_in *)&network->path.source;
	source->sin_family = AF_INET;
	(void)inet_pton(AF_INET, "127.0.0.1", &source->sin_addr);
	(void)snprintf(network->path.key, sizeof network->path.key, "home");
}

void network_path_to(
	struct network *network, const struct sockaddr *peer, struct network_path *out_path) {
	(void)peer;
	network->asked++;
	*out_path = network->path;
}

bool network_path_is_same(struct network *network, const struct network_path *then,
	const struct network_path *now, const struct sockaddr *local) {
	(void)network;
	(void)local;
	return then->is_usable == now->is_usable && then->ifindex == now->ifindex &&
		   strcmp(then->key, now->key) == 0 &&
		   memcmp(&then->source, &now->source, sizeof then->source) == 0;
}

bool network_has_route(struct network *network) {
	return network->has_route;
}

int64_t network_quiet_ms(const struct network *network) {
	return clock_boot_ms() - network->changed_ms;
}

void network_status(const struct network *network, struct network_status *out_status) {
	*out_status = (struct network_status){
		.metered = network->metered, .nm_connectivity = network->nm_connectivity};
}
