/* Any names and label values from outside: repaired they are allowed, and a second repair finds nothing. */
#include <stddef.h>
#include <stdint.h>

#include "common/base/check.h"
#include "common/model/metric_repair.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Up to the next `end`. */
static struct text take(struct text *rest, char end) {
    const char *at = rest->length > 0 ? memchr(rest->data, end, rest->length) : NULL;
    struct text taken = { rest->data, at ? (size_t)(at - rest->data) : rest->length };
    size_t behind = taken.length + (at ? 1 : 0);
    *rest = (struct text) { rest->data + behind, rest->length - behind };
    return taken;
}

static void repair_name(struct text name) {
    char out[METRIC_NAME_BYTES], again[METRIC_NAME_BYTES];
    struct text ret, second;
    bool good = metric_name_check(name, NULL) == 0;
    check(metric_name_repair(name, out, &ret) == !good && metric_name_check(ret, NULL) == 0);
    check(!metric_name_repair(ret, again, &second) && text_equal(ret, second));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct metric_labels_room room, again;
    struct metric_label labels[METRIC_LABELS_MAX];
    struct text rest = { (const char *)data, size }, ret, second;
    size_t count = 0;
    if (size == 0)
        return 0;
    repair_name(take(&rest, '|'));
    while (rest.length > 0 && count < METRIC_LABELS_MAX) {
        labels[count].name = take(&rest, '=');
        labels[count++].value = take(&rest, '|');
    }
    if (metric_labels_repair(labels, count, &room, &ret, NULL) < 0)
        return 0;
    check(metric_labels_check(ret) == 0);
    count = 0;
    for (size_t at = 0; metric_labels_next(ret, &at, &labels[count]);)
        count++;
    check(metric_labels_repair(labels, count, &again, &second, NULL) == 0 && text_equal(ret, second));
    return 0;
}
