/* SPDX-License-Identifier: Apache-2.0 */
/* A batch of operations on its way to the SQLite worker. */
#include "common/mem.h"
#include "storage/sqlite_log.h"
#include <stdlib.h>

struct sqlite_batch *sqlite_batch_create(void) {
	struct sqlite_batch *batch = mem_zalloc(sizeof *batch);
	list_init(&batch->link);
	list_init(&batch->waits);
	return batch;
}

void sqlite_batch_destroy(struct sqlite_batch *batch) {
	if (batch) {
		free(batch->ops);
		free(batch->reads);
		free(batch);
	}
}

struct sqlite_op *sqlite_batch_add(struct sqlite_batch *batch, enum sqlite_op_kind kind) {
	if (batch->op_count == batch->op_capacity) {
		batch->op_capacity = batch->op_capacity ? batch->op_capacity * 2 : 16;
		batch->ops = mem_realloc(batch->ops, batch->op_capacity * sizeof *batch->ops);
	}
	struct sqlite_op *op = &batch->ops[batch->op_count++];
	op->kind = kind;
	op->is_skipped = false;
	return op;
}

void sqlite_batch_add_read(struct sqlite_batch *batch, struct sqlite_read *read) {
	if (batch->read_count == batch->read_capacity) {
		batch->read_capacity = batch->read_capacity ? batch->read_capacity * 2 : 8;
		batch->reads = mem_realloc(batch->reads, batch->read_capacity * sizeof(void *));
	}
	batch->reads[batch->read_count++] = read;
}

void sqlite_batch_join(struct sqlite_batch *batch, struct sqlite_batch *take_more) {
	for (size_t i = 0; i < take_more->op_count; i++) {
		*sqlite_batch_add(batch, take_more->ops[i].kind) = take_more->ops[i];
	}
	for (size_t i = 0; i < take_more->read_count; i++) {
		sqlite_batch_add_read(batch, take_more->reads[i]);
	}
	batch->read_bytes += take_more->read_bytes;
	list_splice(&batch->waits, &take_more->waits);
	sqlite_batch_destroy(take_more);
}

/* Inserts stand in the order of their ids, so the twin of a deletion is found by halving. */
static struct sqlite_op *sqlite_batch_find_insert(
	struct sqlite_op **inserts, size_t count, uint64_t lo) {
	size_t low = 0, high = count;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (inserts[middle]->insert.row.lo < lo) {
			low = middle + 1;
		} else {
			high = middle;
		}
	}
	return low < count && inserts[low]->insert.row.lo == lo ? inserts[low] : NULL;
}

static const uint64_t *sqlite_op_deleted(const struct sqlite_op *op) {
	if (op->kind == SQLITE_OP_DELETE_DOOMED) {
		return &op->doomed_lo;
	}
	bool is_gone = op->kind == SQLITE_OP_CHANGE && op->change.kind == QUEUE_MESSAGE_GONE;
	return is_gone ? &op->change.number : NULL;
}

void sqlite_batch_cancel_out(struct sqlite_batch *batch) {
	struct sqlite_op **inserts = mem_alloc(batch->op_count * sizeof(void *));
	size_t count = 0;
	for (size_t i = 0; i < batch->op_count; i++) {
		struct sqlite_op *op = &batch->ops[i];
		const uint64_t *deleted = sqlite_op_deleted(op);
		if (op->kind == SQLITE_OP_INSERT) {
			inserts[count++] = op;
		} else if (deleted && count > 0) {
			struct sqlite_op *twin = sqlite_batch_find_insert(inserts, count, *deleted);
			if (twin) {
				twin->is_skipped = op->is_skipped = true;
			}
		}
	}
	free(inserts);
}
