/* control_peer.h - who is at the other end of a control socket; control_server.c's. */
#ifndef TASKFORGE_COMMON_PROCESS_CONTROL_PEER_H
#define TASKFORGE_COMMON_PROCESS_CONTROL_PEER_H

#include <stdbool.h>
#include <sys/socket.h>

/* Whether a socket of our own with mode 0660 would let the peer in: root, our user, or a member of our group, as the kernel
 * knows it from when the peer connected. */
bool control_peer_may_change(int fd, const struct ucred *peer);

#endif
