/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files that must reach the disk, without blocking the loop: one worker thread replaces whole files
 * (written beside, synced, renamed) and removes them, in the order in which it was asked; only
 * state files (below) are written before others, for apps wait for them.
 */
#pragma once
#include <ev.h>
#include <stdbool.h>
#include <stddef.h>

struct disk;
struct disk *disk_open(struct ev_loop *loop);
/* Does what was asked for first; the callbacks run from here. NULL is fine. */
void disk_close(struct disk *disk);

/* 0 or negative errno. From the loop, once, later; `done` NULL: nobody waits. */
typedef void disk_done_fn(int result, void *ctx);
/* Mode 0600. path is copied; take_data is freed. */
void disk_replace(struct disk *disk, const char *path, char *take_data, size_t bytes,
	disk_done_fn *done, void *ctx);
void disk_remove(struct disk *disk, const char *path);

/* Writing begins to fail (negative errno), or works again for everything that failed (0). */
typedef void disk_trouble_fn(int result, void *ctx);
void disk_on_trouble(struct disk *disk, disk_trouble_fn *trouble, void *ctx);
/* How the last write of something went, whose owner tries again while *is_failing. */
void disk_note(struct disk *disk, bool *is_failing, int result);

/*
 * The state of something as one file. A save that is asked for while one is being written joins the
 * next, so a thousand changes cost a few writes; one that fails is tried again. With has_copy,
 * PATH.bak gets the same content when there is nothing else to do: one spoiled file is not the end.
 */
struct state_file;
/* The whole state as text, fresh memory; called when a write begins. */
typedef char *state_print_fn(void *ctx);
struct state_file *state_file_create(
	struct disk *disk, const char *path, bool has_copy, state_print_fn *print, void *ctx);
/* After disk_close(). Saves that nobody began are lost: save before. NULL is fine. */
void state_file_destroy(struct state_file *file);
/* For one whose owner goes before the disk does: a save that was asked for and has not begun begins
 * now, so `print` is called for the last time in here. Who waits for a save is still told. */
void state_file_release(struct state_file *file);
void state_file_save(struct state_file *file, disk_done_fn *done, void *ctx);
