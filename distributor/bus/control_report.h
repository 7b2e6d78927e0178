/* SPDX-License-Identifier: Apache-2.0 */
/* What the management interface tells: status, registrations, events, as a{sv}. */
#pragma once
#include "distributor/bus/control.h"

/* Each appends one complete value; negative errno. */
int control_report_status(sd_bus_message *reply, const struct distributor *distributor);
int control_report_list(sd_bus_message *reply, const struct distributor *distributor);
int control_report_log(sd_bus_message *reply, const struct history *history);
/* endpoint, p256dh, auth of a registration that we decrypt. */
int control_report_keys(sd_bus_message *reply, const struct registration *registration);
/* The relay's URL without an invite's secret: "wss://push.example". */
enum { CONTROL_ORIGIN_MAX = 300 };
void control_relay_origin(const struct distributor *distributor, char out[CONTROL_ORIGIN_MAX]);
/* Of the present account; a state of "no relay" when there is none. */
void control_link_status(const struct distributor *distributor, struct link_status *out_status);
