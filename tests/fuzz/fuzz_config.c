/* Any bytes as a configuration file: either a struct or at least one fault with its place, never both. */
#include "common/base/check.h"
#include "common/process/config.h"

#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct config_faults faults = CONFIG_FAULTS_EMPTY;
    struct config *config = NULL;
    int r = config_load_text("f", (const char *)data, size, &config, &faults);

    check((r == 0) == (config != NULL));
    check((r == 0) == (faults.count == 0));
    for (size_t i = 0; i < faults.count; i++)
        check(strncmp(faults.lines[i], "f:", 2) == 0 && !strpbrk(faults.lines[i], "\n\x1b"));
    config_faults_finish(&faults);
    config_destroy(config);
    return 0;
}
