/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files that must reach the disk, without blocking the loop: one worker thread replaces whole files
 * (written beside, synced, renamed) and removes them, in the order in which it was asked.
 */
#pragma once
#include <ev.h>
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

/*
 * The state of something as one file; what it was before the last save stays as PATH.bak. A save
 * that is asked for while one is being written joins the next, so a thousand changes cost a few
 * writes.
 */
struct state_file;
/* The whole state as text, fresh memory; called when a write begins. */
typedef char *state_print_fn(void *ctx);
struct state_file *state_file_create(
	struct disk *disk, const char *path, state_print_fn *print, void *ctx);
/* After disk_close(). Saves that nobody began are lost: save before. NULL is fine. */
void state_file_destroy(struct state_file *file);
/* For one whose owner goes before the disk does: a save that was asked for and has not begun begins
 * now, so `print` is called for the last time in here. Nobody may wait for a save any more. */
void state_file_release(struct state_file *file);
void state_file_save(struct state_file *file, disk_done_fn *done, void *ctx);
