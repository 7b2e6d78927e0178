/* SPDX-License-Identifier: Apache-2.0 */
/* Whole sections added to and taken from a person's configuration, whose other lines stay. Pure. */
#pragma once

/* The text with the section (its lines with their ends) behind it, fresh. */
char *config_section_add_dup(const char *text, const char *section);
/* Without the sections `[KIND NAME]`, fresh. Comments that stand directly before the next section
 * stay, for they speak of that. */
char *config_section_remove_dup(const char *text, const char *kind, const char *name);
