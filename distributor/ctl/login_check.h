/* SPDX-License-Identifier: Apache-2.0 */
/* Can the relay be used? One connection up to the answer to hello, as the daemon makes it. */
#pragma once
#include "distributor/config.h"

/* With relay, ca_file, insecure and use_proxy of config. Says how it went on standard error;
 * COMMAND_OK or COMMAND_FAILED. */
int login_check(const struct config *config);
