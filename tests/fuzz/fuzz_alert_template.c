/* Any text as an annotation's template, expanded with a value and labels made of the same bytes. */
#include <stddef.h>
#include <stdint.h>

#include "alerter/template.h"
#include "common/base/check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct text template = { (const char *)data, size };
    struct alert_pairs labels = ALERT_PAIRS_EMPTY;
    struct buffer out = BUFFER_EMPTY;
    struct error error = { "" };
    double value = 0;

    for (size_t i = 0; i < size && i < sizeof(value); i++)
        ((uint8_t *)&value)[i] = data[size - 1 - i];
    check(alert_pairs_set(&labels, TEXT_LITERAL("a"), TEXT_LITERAL("12.5")) == 0);
    check(alert_pairs_set(&labels, TEXT_LITERAL("b"), TEXT_LITERAL("{{ $value }} \xc3\xa9")) == 0);
    check(alert_template_check(template, &error) == 0 || error.text[0]);
    alert_template_expand(template, value, &labels, &out);
    check(!out.failed && out.length <= ALERT_TEMPLATE_RESULT_MAX);
    buffer_finish(&out);
    alert_pairs_finish(&labels);
    return 0;
}
