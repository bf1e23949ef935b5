/* rings_folder.h - the files of RUNTIME_DIR/rings and RUNTIME_DIR/quarantine: only rings*.c use it. */
#ifndef TASKFORGE_COLLECTOR_RINGS_FOLDER_H
#define TASKFORGE_COLLECTOR_RINGS_FOLDER_H

#include "collector/rings.h"

int rings_folder_open(struct rings *rings, struct error *error);
void rings_folder_quarantine(struct rings *rings, struct collector_ring *ring); /* rename; said when it fails */
void rings_folder_unlink(struct rings *rings, struct collector_ring *ring); /* only if the name is still this file's */
bool rings_folder_is_retired(struct collector_ring *ring);
/* Whether one more line about what others do to the rings may be said now. */
bool rings_may_say(struct rings *rings);

/* in rings.c: take an opened ring in; begin to let one go */
int rings_take_in(struct rings *rings, struct ring *opened, uid_t uid, dev_t device, ino_t inode);
void rings_leave(struct rings *rings, struct collector_ring *ring);

#endif
