/* SPDX-License-Identifier: Apache-2.0 */
/* One pass over the text, a state a quote. */
#include "distributor/action/words.h"
#include "common/mem.h"
#include <stdlib.h>
#include <string.h>

struct words {
	const char *at;
	const char *home;
	char **words;
	size_t count;
	char *word; /* being written: as long as what is left of the text, and the home */
	size_t len;
	const char *why; /* set on failure */
};

void words_free(char **words) {
	for (size_t i = 0; words && words[i]; i++) {
		free(words[i]);
	}
	free(words);
}

char **words_dup(char *const *words) {
	size_t count = 0;
	while (words[count]) {
		count++;
	}
	char **copy = mem_zalloc((count + 1) * sizeof *copy);
	for (size_t i = 0; i < count; i++) {
		copy[i] = mem_strdup(words[i]);
	}
	return copy;
}

static void words_put(struct words *state, char c) {
	state->word[state->len++] = c;
}

/* Behind the opening quote; ends behind the closing one. */
static void words_take_single(struct words *state) {
	while (*state->at && *state->at != '\'') {
		words_put(state, *state->at++);
	}
	if (!*state->at) {
		state->why = "has a ' without its end";
		return;
	}
	state->at++;
}

static void words_take_double(struct words *state) {
	while (*state->at && *state->at != '"') {
		if (*state->at == '$' || *state->at == '`') {
			state->why = "has $ or ` in \"…\", and nothing is expanded here; use '…', or sh -c '…'";
			return;
		}
		if (*state->at == '\\' && (state->at[1] == '"' || state->at[1] == '\\')) {
			state->at++;
		}
		words_put(state, *state->at++);
	}
	if (!*state->at) {
		state->why = "has a \" without its end";
		return;
	}
	state->at++;
}

static void words_take_home(struct words *state) {
	if (state->at[0] != '~' || (state->at[1] != '/' && state->at[1] != ' ' && state->at[1])) {
		return;
	}
	if (!state->home) {
		state->why = "begins a word with ~/, and HOME is not set";
		return;
	}
	size_t len = strlen(state->home);
	memcpy(state->word, state->home, len);
	state->len = len;
	state->at++;
}

static bool words_is_blank(char c) {
	return c == ' ' || c == '\t';
}

static void words_take(struct words *state) {
	words_take_home(state);
	while (!state->why && *state->at && !words_is_blank(*state->at)) {
		char c = *state->at++;
		if (c == '\'') {
			words_take_single(state);
		} else if (c == '"') {
			words_take_double(state);
		} else if (c == '\\') {
			if (!*state->at) {
				state->why = "ends in a \\";
				return;
			}
			words_put(state, *state->at++);
		} else if (strchr("|&;<>`$", c)) {
			state->why = "is run without a shell: quote | & ; < > ` $, or use sh -c '…'";
		} else {
			words_put(state, c);
		}
	}
}

static void words_keep(struct words *state) {
	if (state->count == WORDS_MAX) {
		state->why = "has more than 256 words";
		return;
	}
	state->words[state->count++] = mem_strndup(state->word, state->len);
	state->len = 0;
}

bool words_split(const char *text, const char *home, char ***out_words, const char **out_why) {
	struct words state = {.at = text, .home = home};
	state.words = mem_zalloc((WORDS_MAX + 1) * sizeof(char *));
	state.word = mem_alloc(strlen(text) + (home ? strlen(home) : 0) + 1);
	while (!state.why) {
		while (words_is_blank(*state.at)) {
			state.at++;
		}
		if (!*state.at) {
			break;
		}
		words_take(&state);
		if (!state.why) {
			words_keep(&state);
		}
	}
	free(state.word);
	if (!state.why && (state.count == 0 || state.words[0][0] == '\0')) {
		state.why = "must begin with a program";
	}
	if (state.why) {
		words_free(state.words);
		*out_why = state.why;
		return false;
	}
	*out_words = state.words;
	return true;
}
