/* parse_memory.c - /proc/meminfo and /proc/vmstat: a family for each field. */
#include "agent/host/scan.h"

/* "Active(anon)" as "Active_anon"; false for none and for a long one. */
static bool field_name(struct text word, char out[HOST_FIELD_MAX], struct text *ret) {
    size_t length = 0;
    if (word.length == 0 || word.length > HOST_FIELD_MAX)
        return false;
    for (size_t i = 0; i < word.length; i++) {
        if (word.data[i] == ')' && i + 1 == word.length)
            continue;
        out[length++] = word.data[i] == '(' ? '_' : word.data[i];
    }
    *ret = (struct text) { out, length };
    return length > 0;
}

int parse_host_memory(struct text file, host_sink *sink, void *context) {
    const double kibibyte = 1024;
    char name[HOST_FIELD_MAX];
    struct text line, word, unit;
    int result = 0;
    while (result == 0 && scan_line(&file, &line)) {
        struct host_sample sample = { .family = HOST_MEMORY };
        uint64_t number;
        if (!scan_word(&line, &word) || word.data[word.length - 1] != ':' || !scan_number(&line, &number))
            continue;
        word.length--;
        if (!field_name(word, name, &sample.field))
            continue;
        sample.value = (double)number;
        if (scan_word(&line, &unit)) {
            if (!text_is(unit, "kB"))
                continue;
            sample.family = HOST_MEMORY_BYTES;
            sample.value *= kibibyte;
        }
        result = sink(context, &sample);
    }
    return result;
}

/* What node_exporter takes of the hundred and more: ^(oom_kill|pgpg|pswp|pg.*fault).* */
static bool is_wanted(struct text field) {
    return text_starts_with(field, TEXT_LITERAL("oom_kill")) || text_starts_with(field, TEXT_LITERAL("pgpg")) ||
           text_starts_with(field, TEXT_LITERAL("pswp")) ||
           (text_starts_with(field, TEXT_LITERAL("pg")) && memmem(field.data, field.length, "fault", 5));
}

int parse_host_vmstat(struct text file, host_sink *sink, void *context) {
    char name[HOST_FIELD_MAX];
    struct text line, word;
    int result = 0;
    while (result == 0 && scan_line(&file, &line)) {
        struct host_sample sample = { .family = HOST_VMSTAT };
        uint64_t number;
        if (!scan_word(&line, &word) || !is_wanted(word) || !scan_number(&line, &number) ||
            !field_name(word, name, &sample.field))
            continue;
        sample.value = (double)number;
        result = sink(context, &sample);
    }
    return result;
}
