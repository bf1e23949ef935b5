/* one_line - the shortest life that logs: opens, writes one entry, ends: with 3 where the entry is counted as lost. For
 * bench_process. */
#include "agent/client/taskforge.h"

int main(int argc, char **argv) {
    if (tf_default_open("one_line", NULL) < 0)
        return 2;
    TF_INFO("run", "this is %s with %d arguments", argv[0], argc - 1);
    struct tf_loss_counts losses;
    if (tf_losses(NULL, &losses, sizeof(losses)) < 0)
        return 2;
    return losses.total > 0 ? 3 : 0;
}
