/* import_folder.h - where tfctl import leaves what it has built, for the collector to take in: DATA_DIR/import/ID.mdb, ID being the
 * partition's id. Under another name, ID.mdb.new, while it is built. */
#ifndef TASKFORGE_COMMON_STORE_IMPORT_FOLDER_H
#define TASKFORGE_COMMON_STORE_IMPORT_FOLDER_H

#define IMPORT_FOLDER "import"
#define IMPORT_RANGE_MAX (UINT64_C(1) << 36) /* sequences of one import */

#endif
