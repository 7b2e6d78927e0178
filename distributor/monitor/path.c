/* SPDX-License-Identifier: Apache-2.0 */
/* The path to a peer: RTM_GETROUTE, RTM_GETLINK, RTM_GETNEIGH, and what makes two paths the same.
 */
#include "distributor/monitor/path.h"
#include "common/cleanup.h"
#include "common/file.h"
#include "distributor/monitor/address.h"
#include <arpa/inet.h>
#include <linux/neighbour.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <netinet/in.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <string.h>

#ifndef ARPHRD_RAWIP
#define ARPHRD_RAWIP 519
#endif
#define PATH_KEY_NM "nm:"
#define PATH_KEY_HASH "net:"

enum {
	PATH_HASH_BYTES = 16,
	PATH_SALT_MAX = 128,
	PATH_NUD_KNOWN = NUD_REACHABLE | NUD_STALE | NUD_DELAY | NUD_PROBE | NUD_PERMANENT | NUD_NOARP,
};

struct path_link {
	unsigned flags;
	unsigned hardware_type;
	char name[IFNAMSIZ];
};

struct path_route {
	bool is_found, is_local;
	int ifindex;
	struct sockaddr_storage source, gateway;
};

struct path_neighbour {
	uint8_t mac[8];
	bool is_known;
};

static void path_on_route(const struct nlmsghdr *message, void *ctx) {
	struct path_route *route = ctx;
	const struct rtmsg *info = rtnl_body(message, sizeof *info);
	if (!info || message->nlmsg_type != RTM_NEWROUTE ||
		(info->rtm_type != RTN_UNICAST && info->rtm_type != RTN_LOCAL)) {
		return;
	}
	route->is_found = true;
	route->is_local = info->rtm_type == RTN_LOCAL;
	route->ifindex = (int)rtnl_u32(rtnl_attribute(message, sizeof *info, RTA_OIF));
	route->source =
		rtnl_address(info->rtm_family, rtnl_attribute(message, sizeof *info, RTA_PREFSRC));
	route->gateway =
		rtnl_address(info->rtm_family, rtnl_attribute(message, sizeof *info, RTA_GATEWAY));
	const struct rtattr *via = rtnl_attribute(message, sizeof *info, RTA_VIA);
	if (via && RTA_PAYLOAD(via) == sizeof(struct rtvia) + sizeof(struct in6_addr)) {
		struct sockaddr_in6 gateway = {.sin6_family = AF_INET6}; /* of IPv4 behind IPv6 */
		memcpy(&gateway.sin6_addr, (const char *)RTA_DATA(via) + sizeof(struct rtvia),
			sizeof gateway.sin6_addr);
		memcpy(&route->gateway, &gateway, sizeof gateway);
	}
}

static struct path_route path_ask_route(struct rtnl *rtnl, const struct sockaddr *peer) {
	struct path_route route = {0};
	struct sockaddr_storage plain = address_plain(peer);
	size_t bytes;
	const unsigned char *data = address_bytes((struct sockaddr *)&plain, &bytes);
	if (!data) {
		return route;
	}
	struct rtnl_request request;
	struct rtmsg *body = rtnl_request_init(&request, RTM_GETROUTE, 0, sizeof *body);
	body->rtm_family = (unsigned char)plain.ss_family;
	body->rtm_dst_len = (unsigned char)(bytes * 8);
	rtnl_request_add(&request, RTA_DST, data, bytes);
	if (plain.ss_family == AF_INET6) {
		uint32_t scope = ((struct sockaddr_in6 *)&plain)->sin6_scope_id;
		if (scope != 0) {
			rtnl_request_add(&request, RTA_OIF, &scope, sizeof scope);
		}
	}
	/* an error means that there is none */
	(void)rtnl_ask(rtnl, &request, path_on_route, &route);
	return route;
}

static void path_on_link(const struct nlmsghdr *message, void *ctx) {
	struct path_link *link = ctx;
	const struct ifinfomsg *info = rtnl_body(message, sizeof *info);
	if (!info) {
		return;
	}
	link->flags = info->ifi_flags;
	link->hardware_type = info->ifi_type;
	const struct rtattr *name = rtnl_attribute(message, sizeof *info, IFLA_IFNAME);
	if (name) {
		(void)snprintf(
			link->name, sizeof link->name, "%.*s", (int)RTA_PAYLOAD(name), (char *)RTA_DATA(name));
	}
}

static struct path_link path_ask_link(struct rtnl *rtnl, int ifindex) {
	struct path_link link = {0};
	struct rtnl_request request;
	struct ifinfomsg *body = rtnl_request_init(&request, RTM_GETLINK, 0, sizeof *body);
	body->ifi_index = ifindex;
	(void)rtnl_ask(rtnl, &request, path_on_link, &link); /* gone meanwhile: carries nothing */
	return link;
}

static void path_on_neighbour(const struct nlmsghdr *message, void *ctx) {
	struct path_neighbour *neighbour = ctx;
	const struct ndmsg *info = rtnl_body(message, sizeof *info);
	const struct rtattr *mac = info ? rtnl_attribute(message, sizeof *info, NDA_LLADDR) : NULL;
	if (mac && (info->ndm_state & PATH_NUD_KNOWN)) {
		size_t bytes = RTA_PAYLOAD(mac);
		memcpy(neighbour->mac, RTA_DATA(mac),
			bytes < sizeof neighbour->mac ? bytes : sizeof neighbour->mac);
		neighbour->is_known = true;
	}
}

static struct path_neighbour path_ask_neighbour(
	struct rtnl *rtnl, int ifindex, const struct sockaddr *address) {
	struct path_neighbour neighbour = {.is_known = false};
	size_t bytes;
	const unsigned char *data = address_bytes(address, &bytes);
	if (!data) {
		return neighbour;
	}
	struct rtnl_request request;
	struct ndmsg *body = rtnl_request_init(&request, RTM_GETNEIGH, 0, sizeof *body);
	body->ndm_family = (unsigned char)address->sa_family;
	body->ndm_ifindex = ifindex;
	rtnl_request_add(&request, NDA_DST, data, bytes);
	/* an error means that the kernel does not know it */
	(void)rtnl_ask(rtnl, &request, path_on_neighbour, &neighbour);
	return neighbour;
}

/* Text that only this machine has, the same after each restart; empty when it has none. */
static void path_machine_salt(char *out, size_t bytes) {
	static const char *const paths[] = {"/etc/machine-id", "/var/lib/dbus/machine-id"};
	out[0] = '\0';
	for (size_t i = 0; i < sizeof paths / sizeof paths[0] && out[0] == '\0'; i++) {
		CLEANUP_FREE char *text = NULL;
		size_t length;
		if (file_read(paths[i], PATH_SALT_MAX, &text, &length) == 0) {
			(void)snprintf(out, bytes, "%s", text);
		}
	}
}

/* Two machines must not name a network alike, or the file with what was learned would tell where
 * its owner goes; one machine must, across restarts. */
static void path_name_network(const struct path_link *link, const struct path_neighbour *neighbour,
	struct network_path *path) {
	bool has_gateway = path->gateway.ss_family != AF_UNSPEC;
	bool has_neighbours = !(link->flags & (IFF_NOARP | IFF_POINTOPOINT));
	if (has_gateway && has_neighbours && !neighbour->is_known) {
		return; /* would be named otherwise a moment later */
	}
	char salt[PATH_SALT_MAX + 1], gateway[INET6_ADDRSTRLEN], text[128];
	path_machine_salt(salt, sizeof salt);
	address_print((struct sockaddr *)&path->gateway, gateway);
	int length = snprintf(text, sizeof text, "bellwire/%s/%s/", link->name, gateway);
	for (size_t i = 0; i < sizeof neighbour->mac; i++) {
		length += snprintf(text + length, sizeof text - (size_t)length, "%02x", neighbour->mac[i]);
	}
	unsigned char hash[EVP_MAX_MD_SIZE];
	unsigned hash_bytes;
	if (!HMAC(EVP_sha256(), salt, (int)strlen(salt), (unsigned char *)text, (size_t)length, hash,
			&hash_bytes)) {
		return;
	}
	length = snprintf(path->key, sizeof path->key, PATH_KEY_HASH);
	for (size_t i = 0; i < PATH_HASH_BYTES; i++) {
		length += snprintf(path->key + length, sizeof path->key - (size_t)length, "%02x", hash[i]);
	}
}

void path_key_of_uuid(const char *uuid, char *out_key, size_t bytes) {
	(void)snprintf(out_key, bytes, PATH_KEY_NM "%s", uuid);
}

static bool path_source_serves(const struct sockaddr *source, const struct sockaddr *peer) {
	if (source->sa_family == AF_UNSPEC) {
		return false;
	}
	if (source->sa_family != AF_INET6) {
		return true;
	}
	/* while the real addresses are tentative, the kernel offers the link-local one, or even ::1 */
	return (!address_is_link_local(source) || address_is_link_local(peer)) &&
		   (!address_is_loopback(source) || address_is_loopback(peer));
}

void path_look(struct rtnl *rtnl, const struct sockaddr *peer, struct network_path *out_path) {
	struct path_route route = path_ask_route(rtnl, peer);
	struct network_path path = {0};
	if (route.is_found) {
		struct path_link link = path_ask_link(rtnl, route.ifindex);
		struct path_neighbour neighbour =
			path_ask_neighbour(rtnl, route.ifindex, (struct sockaddr *)&route.gateway);
		path.ifindex = route.ifindex;
		path.source = route.source;
		path.gateway = route.gateway;
		memcpy(path.gateway_mac, neighbour.mac, sizeof path.gateway_mac);
		path.is_usable =
			link.flags & IFF_RUNNING && path_source_serves((struct sockaddr *)&route.source, peer);
		path.is_cellular = path_is_cellular(link.name, link.hardware_type);
		path_name_network(&link, &neighbour, &path);
	}
	*out_path = path;
}

/* Both say something, and not the same. */
static bool path_macs_differ(const struct network_path *a, const struct network_path *b) {
	static const uint8_t unknown[sizeof a->gateway_mac];
	return memcmp(a->gateway_mac, unknown, sizeof unknown) != 0 &&
		   memcmp(b->gateway_mac, unknown, sizeof unknown) != 0 &&
		   memcmp(a->gateway_mac, b->gateway_mac, sizeof unknown) != 0;
}

static bool path_connections_differ(const struct network_path *a, const struct network_path *b) {
	size_t length = strlen(PATH_KEY_NM);
	return strncmp(a->key, PATH_KEY_NM, length) == 0 && strncmp(b->key, PATH_KEY_NM, length) == 0 &&
		   strcmp(a->key, b->key) != 0;
}

bool path_is_same(
	const struct network_path *then, const struct network_path *now, bool local_is_there) {
	return now->is_usable && local_is_there && then->ifindex == now->ifindex &&
		   address_equals(
			   (const struct sockaddr *)&then->gateway, (const struct sockaddr *)&now->gateway) &&
		   !path_macs_differ(then, now) && !path_connections_differ(then, now);
}

bool path_is_local(struct rtnl *rtnl, const struct sockaddr *address) {
	/* the kernel's own table of local addresses lists one when duplicate detection has passed it */
	struct path_route route = path_ask_route(rtnl, address);
	return route.is_found && route.is_local;
}

bool path_is_cellular(const char *interface, unsigned hardware_type) {
	static const char *const prefixes[] = {"wwan", "wwp", "wwx", "rmnet", "ccmni"};
	if (hardware_type == ARPHRD_RAWIP) {
		return true;
	}
	for (size_t i = 0; i < sizeof prefixes / sizeof prefixes[0]; i++) {
		if (strncmp(interface, prefixes[i], strlen(prefixes[i])) == 0) {
			return true;
		}
	}
	return false;
}
