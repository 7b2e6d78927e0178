/* SPDX-License-Identifier: Apache-2.0 */
/* The part of the management interface that is about mail logins, for `bellwire jmap`. */
#pragma once
#include "distributor/bus/control_internal.h"

/* Admission has been checked. */
control_run_fn control_jmap_reload, control_jmap_test, control_jmap_pause, control_jmap_remove;
control_report_fn control_jmap_list;
