/* SPDX-License-Identifier: Apache-2.0 */
/* A secret from whoever runs us. */
#pragma once

/* Asked for on the terminal without echo, when standard input is one; else its first line. NULL
 * with an explanation on standard error; secret_free. `what`: "Password of ann@example.org". */
char *password_prompt(const char *what);
