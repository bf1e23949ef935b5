/* Any bytes as a waiting notification in the store: refused, or read and, when its alert is one, written the same again. */
#include <stddef.h>
#include <stdint.h>

#include "alerter/outbox_record.h"
#include "common/base/check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct text value = { (const char *)data, size };
    struct buffer again = BUFFER_EMPTY;
    struct outbox_record record, second;
    struct alert alert;

    if (outbox_record_decode(value, &record) < 0 || alert_decode(record.alert, &alert) < 0)
        return 0;
    check(outbox_record_encode(record.channel, record.created_ns, &alert, &again) == 0);
    check(outbox_record_decode(buffer_text(&again), &second) == 0);
    check(strcmp(record.channel, second.channel) == 0 && record.created_ns == second.created_ns);
    buffer_finish(&again);
    alert_finish(&alert);
    return 0;
}
