/* Any bytes as a rules file: either rules or at least one fault with its place, never both. */
#include "alerter/rules_file.h"
#include "common/base/check.h"

#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct config_faults faults = CONFIG_FAULTS_EMPTY;
    struct rules *rules = NULL;
    int result = rules_load_text("f", (const char *)data, size, &rules, &faults);

    check((result == 0) == (rules != NULL));
    check((result == 0) == (faults.count == 0));
    for (size_t i = 0; i < faults.count; i++)
        check(strncmp(faults.lines[i], "f:", 2) == 0 && !strpbrk(faults.lines[i], "\n\x1b"));
    for (size_t i = 0; rules && i < rules->rule_count; i++) {
        const struct rule *rule = &rules->rules[i];
        check(rule->id && rule->name && rules_find(rules, rule->id) == rule);
        check(rules_channels_of(rules, rule)->count <= CHANNELS_MAX);
    }
    config_faults_finish(&faults);
    rules_destroy(rules);
    return 0;
}
