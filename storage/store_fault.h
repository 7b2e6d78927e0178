/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For tests: a store around another that fails, delays or drops operations on request. Opened as
 * `fault:INNER?RULE&RULE…`, where INNER is the URL of the other store and the last '?' begins the
 * rules; or given rules later. A rule is
 *
 *     OPERATION=ACTION[:COUNT][@SKIP]
 *
 * OPERATION is attach, detach, set_urgency, settle_missed, subscribe, unsubscribe, lookup,
 * remove_invited, put, fetch, ack, cancel, or all. ACTION is one of
 *
 *     unavailable   the inner store is not asked, the answer is STORE_UNAVAILABLE
 *     lost          the inner store does it, but the answer is STORE_UNAVAILABLE
 *     drop          as unavailable, but only when STORE_DEADLINE_MS are over
 *     delay-MS      the inner store does it, the answer comes MS milliseconds later
 *
 * It meets COUNT calls (all when absent) after SKIP others have passed. The first rule that meets
 * a call decides. Answers keep the order of the calls, so a delay also holds up those behind it.
 */
#pragma once
#include "storage/store.h"

/* Adds a rule to a store opened as fault:. False when it is none. */
bool store_fault_add(struct store *store, const char *rule);
void store_fault_clear(struct store *store);
