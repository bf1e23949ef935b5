/* Reads golden store values (make_store.c) of any format and writes what stands in them, or compares it with a text.
 *
 *   read_golden_store FILE.zst [FILE.txt] */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/store/filter_index.h"
#include "tests/golden/golden.h"
#include "tests/torture/ring_lib.h"

static struct buffer out;

static void say_index(struct text encoded, uint64_t first) {
    struct index_entry index;
    require(index_decode(encoded, &index) == 0 && index.first_sequence == first, "index value %llu",
            (unsigned long long)first);
    buffer_append_format(&out, "index %llu: %u entries, %llu to %llu\n", (unsigned long long)first, index.count,
                         (unsigned long long)index.min_timestamp_ns, (unsigned long long)index.max_timestamp_ns);
    for (uint32_t i = 0; i < index.count_count; i++) {
        buffer_append_format(&out, "  %.*s", TEXT_FORMAT(index.counts[i].service));
        for (int level = 0; level < LEVEL_COUNT; level++)
            buffer_append_format(&out, " %llu", (unsigned long long)index.counts[i].by_level[level]);
        buffer_append_char(&out, '\n');
    }
    for (uint32_t i = 0; i < index.flush_count; i++)
        buffer_append_format(&out, "  from row %u flushed %llu\n", index.flushes[i].first_row,
                             (unsigned long long)index.flushes[i].flush_ns);
    index_entry_finish(&index);
}

/* Every value the filters were told of is perhaps there. */
static void ask_filters(const struct index_entry *index, const struct entry *entry) {
    struct buffer spaced = BUFFER_EMPTY;
    buffer_append_char(&spaced, ' ');
    buffer_append_text(&spaced, entry->message);
    buffer_append_char(&spaced, ' ');
    require(index_may_contain(index, buffer_text(&spaced)), "a word is missing");
    require(entry->trace_id.length == 0 || index_may_have_id(index, INDEX_TRACE, entry->trace_id), "a trace");
    require(entry->span_id.length == 0 || index_may_have_id(index, INDEX_SPAN, entry->span_id), "a span");
    require(entry->correlation_id.length == 0 || index_may_have_id(index, INDEX_CORRELATION, entry->correlation_id),
            "a correlation id");
    require(uuid_is_zero(&entry->user_id) ||
                index_may_have_id(index, INDEX_USER, (struct text) { (const char *)entry->user_id.bytes, UUID_SIZE }),
            "a user");
    buffer_finish(&spaced);
}

static void say_block(struct text encoded, struct text encoded_index, uint64_t first) {
    struct block *block;
    struct error error = { "" };
    struct index_entry index;
    require(block_open(encoded, first, &block, &error) == 0 && block_load_all(block, &error) == 0, "%s", error.text);
    require(index_decode(encoded_index, &index) == 0 && index.count == block_count(block), "count");
    for (uint32_t row = 0; row < block_count(block); row++) {
        struct entry entry;
        block_entry(block, row, &entry);
        ask_filters(&index, &entry);
        /* metadata as its bytes: some of it is none that JSON is made of */
        for (size_t i = 0; i < entry.metadata.length; i++)
            buffer_append_format(&out, "%02x", (unsigned char)entry.metadata.data[i]);
        entry.metadata = TEXT_EMPTY;
        buffer_append_char(&out, ' ');
        entry_append_json(&out, &entry);
        buffer_append_char(&out, '\n');
    }
    index_entry_finish(&index);
    block_destroy(block);
}

static void say_file(FILE *file) {
    uint64_t first;
    uint32_t lengths[2];
    while (fread(&first, sizeof(first), 1, file) == 1) {
        require(fread(lengths, sizeof(lengths), 1, file) == 1 && lengths[0] < 1 << 20 && lengths[1] < 1 << 20, "cut");
        char *bytes = malloc((size_t)lengths[0] + lengths[1]);
        require(bytes && fread(bytes, lengths[0] + lengths[1], 1, file) == 1, "cut");
        const struct text block = { bytes, lengths[0] }, index = { bytes + lengths[0], lengths[1] };
        say_index(index, first);
        say_block(block, index, first);
        free(bytes);
    }
}

static int compare(const char *path) {
    FILE *file = fopen(path, "re");
    require(file, "%s: %s", path, strerror(errno));
    char *bytes = malloc(out.length + 2);
    size_t length = fread(bytes, 1, out.length + 1, file);
    fclose(file);
    bool same = length == out.length && memcmp(bytes, out.data, length) == 0;
    if (!same)
        fprintf(stderr, "%s says something else than what was read: compare with read_golden_store's output\n", path);
    free(bytes);
    return same ? 0 : 1;
}

int main(int argc, char **argv) {
    char directory[64], path[128];
    require(argc == 2 || argc == 3, "read_golden_store FILE.zst [FILE.txt]");
    torture_directory(directory);
    snprintf(path, sizeof(path), "%s/store", directory);
    golden_unpack(argv[1], path);
    FILE *file = fopen(path, "re");
    require(file, "%s: %s", path, strerror(errno));
    say_file(file);
    fclose(file);
    torture_remove(directory);
    require(!out.failed, "out of memory");
    int result = argc == 3 ? compare(argv[2]) : (fwrite(out.data, 1, out.length, stdout), 0);
    buffer_finish(&out);
    return result;
}
