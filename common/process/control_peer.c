#include "common/process/control_peer.h"

#include <stdlib.h>
#include <unistd.h>

static bool has_group(int fd, gid_t group) {
    socklen_t length = 0;
    bool found = false;

    if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, NULL, &length) == 0 || length == 0)
        return false; /* it is in no further groups; where there are some, the length is told with an error */
    gid_t *groups = malloc(length);
    if (groups && getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &length) == 0)
        for (size_t i = 0; i < length / sizeof(*groups) && !found; i++)
            found = groups[i] == group;
    free(groups);
    return found;
}

bool control_peer_may_change(int fd, const struct ucred *peer) {
    return peer->uid == 0 || peer->uid == geteuid() || peer->gid == getegid() || has_group(fd, getegid());
}
