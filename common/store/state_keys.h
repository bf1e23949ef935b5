/* state_keys.h - the keys of the state database: what the collector commits with the entries, and what readers may look up.
 *
 *   "sequence"                                      -> u64 next sequence, u64 last flush real ns, u64 commits so far, 16 bytes boot id
 *   "lane/" ring_id[16] lane u32                    -> u64 position: everything below is in the store (or in the spill file named beside it)
 *   "lane/" ring_id[16] lane u32 "r"                -> of a lane of the flight recorder, what is still to be stored, and what was above its
 *                                                      position (collector/recorder_mark.h)
 *   "want/" producer_id[16]                         -> u64 how often the process has asked for what was recorded of it, as far as done
 *   "recorder/" kind u8 trace                       -> a trace to be looked for ('b': of 16 bytes, 't': text): the times (recorder_mark.h)
 *   "loss/" producer_id[16] reason u8 level u8      -> u64 last total told
 *   "input/" uid u32 length u8 input-name key       -> the input's own value (record.h, input_position)
 *   "describe/" id u32                              -> unit, help and bounds of a metric's name (collector/descriptions.h)
 *   "metrics/", "values/", "changes/", "value/"     -> what metric series are, and their totals (collector/series_state.h)
 *   "metric/"                                       -> the same, of before there were pages
 *   "cell/" producer_id[16] number u32              -> what was last folded of a metric by handle (collector/cells.h)
 *   "level/" service                                -> u8 lasting level, u8 passing level (255: none), u64 real ns of its end (collector/levels.h)
 *   "gone/" producer_id[16]                         -> u64 real ns: that it went without goodbye was told then
 *   "health/" uid u32 hash u64                      -> the newest health report of that service and name (common/model/health.h)
 *   "dedup/" number u64                              -> repeats that were counted and not told yet (collector/dedup_record.h)
 *   "spans"                                         -> u64 sequence of the next span
 *   "spill"                                         -> u64 spill file id, u64 offset taken in
 *   "output"                                        -> u64 next sequence the NDJSON output has to write
 *
 * Integers little-endian. Binary parts stand as bytes. Losses told stand in the log as entries: service "taskforge", module "loss"
 * (operation = reason, level warn, or info where the loss was chosen, metadata {"service","level","reason","count","first","last","pid"}).
 */
#ifndef TASKFORGE_COMMON_STORE_STATE_KEYS_H
#define TASKFORGE_COMMON_STORE_STATE_KEYS_H

#define STATE_SEQUENCE "sequence"
#define STATE_LANE "lane/"
#define STATE_LOSS "loss/"
#define STATE_WANT "want/"
#define STATE_RECORDER "recorder/"
#define STATE_INPUT "input/"
#define STATE_METRIC "metric/"
#define STATE_VALUE "value/"
#define STATE_DESCRIPTION "describe/"
#define STATE_METRICS "metrics/"
#define STATE_VALUES "values/"
#define STATE_CHANGES "changes/"
#define STATE_CELL "cell/"
#define STATE_LEVEL "level/"
#define STATE_GONE "gone/"
#define STATE_HEALTH "health/"
#define STATE_DEDUP "dedup/"
#define STATE_SPANS "spans"
#define STATE_SPILL "spill"
#define STATE_OUTPUT "output"

#endif
