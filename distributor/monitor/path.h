/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a packet would leave now, asked of the kernel: route, carrier of its interface, neighbour.
 * Policy rules count, for the kernel applies them. A carrier that is lost changes no route, and a
 * gateway that is replaced changes no source address, so all of them are looked at.
 */
#pragma once
#include "distributor/monitor/network.h"
#include "distributor/monitor/rtnl.h"

/* Fills everything but a key of NetworkManager's: `key` names the network by a hash of interface,
 * gateway and the gateway's link address, salted per machine; "" while that address is not known.
 */
void path_look(struct rtnl *rtnl, const struct sockaddr *peer, struct network_path *out_path);
/* network_path_is_same() but for the question whether `local` is still there. Pure. */
bool path_is_same(
	const struct network_path *then, const struct network_path *now, bool local_is_there);
/* Is it an address of this machine that can be used? */
bool path_is_local(struct rtnl *rtnl, const struct sockaddr *address);

/* The key that NetworkManager's connection gives. */
void path_key_of_uuid(const char *uuid, char *out_key, size_t bytes);
/* Does the interface reach a mobile network, by its name or driver? */
bool path_is_cellular(const char *interface, unsigned hardware_type);
