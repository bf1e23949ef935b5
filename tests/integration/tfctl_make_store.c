/* tfctl_make_store.c - a store out of JSON lines, as a collector would have left it, for the tests of tfctl.
 *
 *   tfctl_make_store DATA_DIR FIRST_SEQUENCE ENTRIES_A_BLOCK < entries.ndjson
 *
 * Each call adds one partition. Keys as in the JSON form of an entry; what is missing gets a plain value.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "common/base/check.h"
#include "common/base/clock.h"
#include "common/model/pack.h"
#include "common/store/filter_index.h"
#include "common/store/partition.h"
#include "common/store/state_keys.h"

struct maker {
    struct partition *partition;
    struct block_builder *builder;
    uint64_t next; /* sequence */
    struct error error;
};

static void must(struct maker *maker, int status, const char *what) {
    if (status >= 0)
        return;
    fprintf(stderr, "tfctl_make_store: %s: %s\n", what, maker->error.text[0] ? maker->error.text : strerror(-status));
    exit(1);
}

static struct text find_text(struct text map, const char *key, const char *otherwise) {
    struct pack_value value;
    return pack_find(map, text_of(key), &value) && value.type == PACK_TEXT ? value.text : text_of(otherwise);
}

static void find_uuid(struct text map, const char *key, struct uuid *ret) {
    struct text text = find_text(map, key, "");
    if (text.length > 0)
        check(uuid_parse(text, ret) == 0);
}

static void take_line(struct maker *maker, struct text line, struct uuid_generator *ids) {
    static char room[256 * 1024];
    struct pack_writer writer = { .data = room, .capacity = sizeof(room) };
    struct pack_value value;
    must(maker, pack_from_json(line, &writer, &maker->error), "line");
    struct text map = { room, writer.length };
    struct text time = find_text(map, "timestamp", "2026-11-23T12:00:00Z"), level = find_text(map, "level", "info");
    struct entry entry = {
        .service = find_text(map, "service", "demo"),
        .module = find_text(map, "module", "main"),
        .operation = find_text(map, "operation", "run"),
        .message = find_text(map, "message", "hello"),
        .trace_id = find_text(map, "trace_id", ""),
        .span_id = find_text(map, "span_id", ""),
        .correlation_id = find_text(map, "correlation_id", ""),
        .host = find_text(map, "host", "h1"),
        .pid = 42,
    };
    check(clock_parse(time.data, time.length, &entry.timestamp_ns) == 0 && level_parse(level, &entry.level) == 0);
    uuid_make(ids, entry.timestamp_ns, &entry.id);
    find_uuid(map, "id", &entry.id);
    find_uuid(map, "user_id", &entry.user_id);
    find_uuid(map, "organization_id", &entry.organization_id);
    if (pack_find(map, TEXT_LITERAL("metadata"), &value))
        entry.metadata = value.whole;
    if (pack_find(map, TEXT_LITERAL("error_details"), &value))
        entry.error_details = value.whole;
    must(maker, block_builder_add(maker->builder, &entry), "entry");
}

static void put_block(struct maker *maker) {
    struct buffer block = BUFFER_EMPTY, index = BUFFER_EMPTY;
    struct index_flush flush = { 0, clock_real_ns() };
    struct partition_txn *txn;
    uint32_t count = block_builder_count(maker->builder);
    if (count == 0)
        return;
    must(maker, block_builder_encode(maker->builder, maker->next, &block), "encode");
    must(maker, index_encode(maker->builder, maker->next, &flush, 1, &index), "index");
    must(maker, partition_begin(maker->partition, true, &txn, &maker->error), "begin");
    must(maker, partition_block_put(txn, maker->next, buffer_text(&block), buffer_text(&index), &maker->error), "put");
    maker->next += count;
    uint64_t state[5] = { maker->next, flush.flush_ns, 1 };
    must(maker,
         partition_state_put(txn, TEXT_LITERAL(STATE_SEQUENCE), (struct text) { (char *)state, sizeof(state) },
                             &maker->error),
         "state");
    must(maker, partition_commit(txn, &maker->error), "commit");
    block_builder_clear(maker->builder);
    buffer_finish(&block);
    buffer_finish(&index);
}

int main(int argc, char **argv) {
    char path[PARTITION_PATH_MAX];
    struct maker maker = { .error = { "" } };
    struct uuid_generator ids;
    struct partition_meta meta = { .version = PARTITION_VERSION, .ready = 1, .created_ns = clock_real_ns() };
    char *line = NULL;
    size_t capacity = 0;
    if (argc != 4)
        return 2;
    maker.next = meta.first_sequence = strtoull(argv[2], NULL, 10);
    uint32_t block_entries = (uint32_t)strtoul(argv[3], NULL, 10);
    snprintf(path, sizeof(path), "%s/logs", argv[1]);
    mkdir(argv[1], 0755);
    mkdir(path, 0755);
    check(random_bytes(&meta.id, sizeof(meta.id)) == 0 && uuid_generator_init(&ids) == 0);
    check(block_builder_create(&maker.builder) == 0);
    must(&maker, partition_make_path(argv[1], maker.next, meta.created_ns, path), "path");
    must(&maker, partition_create(path, &meta, UINT64_C(1) << 32, &maker.partition, &maker.error), "create");
    for (ssize_t length = getline(&line, &capacity, stdin); length > 0; length = getline(&line, &capacity, stdin)) {
        take_line(&maker, (struct text) { line, (size_t)length }, &ids);
        if (block_builder_count(maker.builder) >= block_entries)
            put_block(&maker);
    }
    put_block(&maker);
    partition_close(maker.partition);
    block_builder_destroy(maker.builder);
    free(line);
    return 0;
}
