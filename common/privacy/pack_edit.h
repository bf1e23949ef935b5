/* pack_edit.h - a packed value with some of the values inside it replaced. Pure.
 *
 * Every value is shown, containers before what they hold, with the key it stands under: in an array that of the array, at the top the
 * empty text. */
#ifndef TASKFORGE_COMMON_PRIVACY_PACK_EDIT_H
#define TASKFORGE_COMMON_PRIVACY_PACK_EDIT_H

#include "common/model/pack.h"

enum { PACK_EDIT_MAX = 8 * 1024 * 1024 }; /* bytes of what comes out */

/* Whether the value is to be replaced; with `out`, write what takes its place. What is said without `out` holds with it. */
typedef bool pack_edit_function(void *context, struct text key, const struct pack_value *value,
                                struct pack_writer *out);

/* Edit one checked value: 1 and the new one in `out` (cleared before), 0 nothing was to be replaced (`out` untouched), -ENOMEM, -E2BIG beyond
 * PACK_EDIT_MAX. */
int pack_edit(struct text packed, pack_edit_function *edit, void *context, struct buffer *out);

#endif
