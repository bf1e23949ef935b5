/* partition_pages.c - whether the pages that LMDB is about to change are what LMDB makes of them.
 *
 * A writer copies pages into its own memory and moves what stands in them about, by their own words: a flipped bit there would have it write over its
 * heap, which no guard mends. So before each change the pages that it can reach are looked at, once in a transaction: from the root to the key's leaf, for a deletion
 * with those beside them (which it may merge), and the whole list of free pages. What is committed does not change
 * under the one writer. Runs under the guard, on a mapping of our own. Layout: LMDB 0.9, 64-bit, as partition_check.c has the meta pages.
 *
 *   page   pgno u64 | pad u16 | flags u16 | lower u16 | upper u16 (of an overflow page: pages u32) | places of the nodes, u16 each | ... | nodes
 *   node   low u16 | high u16 | flags u16 | key size u16 | key | data (size: low and high) or, if it is large, its page number u64;
 *          of a branch: low, high and flags are the page number of the child
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "common/store/partition_private.h"

enum {
    PAGE_HEADER = 16,
    NODE_HEADER = 8,
    PAGE_BRANCH = 0x01,
    PAGE_LEAF = 0x02,
    PAGE_OVERFLOW = 0x04,
    NODE_LARGE = 0x01,
    NODE_TREE = 0x02,
    DEPTH_MAX = 16,
    NEIGHBOURS = 2, /* on each side: a deletion may merge with one, and the next deletion with the one behind it */
    TREE_RECORD = 48,
    TREE_ROOT = 40,
    NO_PAGE_BELOW = 2,
};

struct node {
    uint64_t number; /* the child's page, or the size of the data */
    uint16_t flags;
    MDB_val key;
    const char *data;
};

static uint16_t word(const char *at) {
    uint16_t value;
    memcpy(&value, at, sizeof(value));
    return value;
}

static uint64_t long_word(const char *at) {
    uint64_t value;
    memcpy(&value, at, sizeof(value));
    return value;
}

static const char *page_at(const struct partition_txn *txn, uint64_t number) {
    return txn->partition->pages + number * txn->pages->size;
}

static unsigned node_count(const char *page) {
    return (unsigned)(word(page + 12) - PAGE_HEADER) / 2;
}

static struct node node_of(const char *page, unsigned index) {
    const char *at = page + word(page + PAGE_HEADER + 2 * index);
    struct node node = { .number = word(at) | (uint64_t)word(at + 2) << 16, .flags = word(at + 4) };
    node.key = (MDB_val) { word(at + 6), (void *)(uintptr_t)(at + NODE_HEADER) };
    node.data = at + NODE_HEADER + node.key.mv_size;
    if (word(page + 10) == PAGE_BRANCH)
        node.number |= (uint64_t)node.flags << 32;
    return node;
}

static bool is_page(const struct partition_txn *txn, uint64_t number) {
    return number >= NO_PAGE_BELOW && number <= txn->pages->last;
}

/* A large value's pages: one header, and as many as the data needs. */
static bool is_overflow(const struct partition_txn *txn, uint64_t number, uint64_t bytes) {
    uint32_t pages;
    if (!is_page(txn, number))
        return false;
    const char *page = page_at(txn, number);
    memcpy(&pages, page + 12, sizeof(pages));
    return long_word(page) == number && word(page + 10) == PAGE_OVERFLOW && pages <= txn->pages->last + 1 - number &&
           (uint64_t)pages * txn->pages->size >= PAGE_HEADER + bytes;
}

/* What a node takes, 0 when it does not fit the page. */
static size_t node_size(const struct partition_txn *txn, const char *page, unsigned index) {
    size_t at = word(page + PAGE_HEADER + 2 * index), room = txn->pages->size;
    if (at % 2 != 0 || at < word(page + 14) || at > room - NODE_HEADER || word(page + at + 6) > room - NODE_HEADER - at)
        return 0;
    struct node node = node_of(page, index);
    size_t size = NODE_HEADER + node.key.mv_size;
    if (word(page + 10) == PAGE_BRANCH) {
        if (!is_page(txn, node.number))
            return 0;
    } else if (node.flags == NODE_LARGE) {
        size += sizeof(uint64_t);
    } else if (node.flags == 0 || node.flags == NODE_TREE) {
        size += node.number;
    } else {
        return 0;
    }
    size += size % 2;
    if (size > room - at || (node.flags == NODE_LARGE && word(page + 10) == PAGE_LEAF &&
                             !is_overflow(txn, long_word(node.data), node.number)))
        return 0;
    return size;
}

/* A branch or leaf whose nodes fill it exactly from `upper` on. Looked at once in a transaction. */
static bool is_sound(struct partition_txn *txn, uint64_t number, unsigned kind) {
    if (!is_page(txn, number))
        return false;
    uint64_t *checked = &txn->pages->checked[number % PARTITION_PAGES_CHECKED];
    const char *page = page_at(txn, number);
    if (*checked == number && word(page + 10) == kind)
        return true;
    size_t lower = word(page + 12), upper = word(page + 14), filled = 0;
    if (long_word(page) != number || word(page + 10) != kind || lower < PAGE_HEADER || lower % 2 != 0 ||
        lower > upper || upper > txn->pages->size || (kind == PAGE_BRANCH && lower < PAGE_HEADER + 2))
        return false;
    for (unsigned i = 0; i < node_count(page); i++) {
        size_t size = node_size(txn, page, i);
        if (size == 0)
            return false;
        filled += size;
    }
    if (filled != txn->pages->size - upper)
        return false;
    *checked = number;
    return true;
}

/* --- along a tree --- */

static int compare(MDB_val a, MDB_val b) {
    size_t shorter = a.mv_size < b.mv_size ? a.mv_size : b.mv_size;
    int order = shorter ? memcmp(a.mv_data, b.mv_data, shorter) : 0;
    return order != 0 ? order : (a.mv_size > b.mv_size) - (a.mv_size < b.mv_size);
}

/* The child that the key lies under: the last whose own key is not behind it. The first one's key says nothing. */
static unsigned child_of(const char *page, MDB_val key) {
    unsigned low = 1, high = node_count(page);
    while (low < high) {
        unsigned middle = (low + high) / 2;
        if (compare(node_of(page, middle).key, key) <= 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low - 1;
}

static int check_children(struct partition_txn *txn, const char *page, unsigned index, unsigned reach, unsigned kind) {
    unsigned first = index > reach ? index - reach : 0;
    for (unsigned i = first; i < node_count(page) && i <= index + reach; i++)
        if (!is_sound(txn, node_of(page, i).number, kind))
            return MDB_CORRUPTED;
    return 0;
}

int partition_pages_check(struct partition_txn *txn, enum partition_database database, const MDB_val *key,
                          bool deletes) {
    const struct partition_tree *tree = &txn->pages->trees[database];
    uint64_t number = tree->root;
    if (tree->depth == 0) /* empty, or made in this transaction */
        return 0;
    if (!is_sound(txn, number, tree->depth == 1 ? PAGE_LEAF : PAGE_BRANCH))
        return MDB_CORRUPTED;
    for (unsigned level = 1; level < tree->depth; level++) {
        const char *page = page_at(txn, number);
        unsigned index = child_of(page, *key);
        int code = check_children(txn, page, index, deletes ? NEIGHBOURS : 0,
                                  level + 1 == tree->depth ? PAGE_LEAF : PAGE_BRANCH);
        if (code != 0)
            return code;
        number = node_of(page, index).number;
    }
    return 0;
}

/* --- at the begin of a transaction --- */

static int take_tree(const struct partition_txn *txn, uint64_t root, unsigned depth, struct partition_tree *ret) {
    if (root == UINT64_MAX && depth == 0)
        return 0;
    if (!is_page(txn, root) || depth == 0 || depth > DEPTH_MAX)
        return MDB_CORRUPTED;
    *ret = (struct partition_tree) { root, depth };
    return 0;
}

/* The free pages that one value names: their number, then each once, the highest first. */
static bool is_free_list(const struct partition_txn *txn, const struct node *node) {
    const char *list = node->data;
    if (node->flags == NODE_LARGE)
        list = page_at(txn, long_word(node->data)) + PAGE_HEADER;
    if (node->key.mv_size != sizeof(uint64_t) || node->number < sizeof(uint64_t) || node->flags == NODE_TREE)
        return false;
    uint64_t count = long_word(list), above = txn->pages->last + 1;
    if (count > node->number / sizeof(uint64_t) - 1)
        return false;
    for (uint64_t i = 1; i <= count; i++) {
        uint64_t page = long_word(list + i * sizeof(uint64_t));
        if (page < NO_PAGE_BELOW || page >= above)
            return false;
        above = page;
    }
    return true;
}

static int check_free(struct partition_txn *txn, uint64_t number, unsigned depth, unsigned *left) {
    if (depth == 0 || (*left)-- == 0 || !is_sound(txn, number, depth == 1 ? PAGE_LEAF : PAGE_BRANCH))
        return MDB_CORRUPTED;
    const char *page = page_at(txn, number);
    for (unsigned i = 0; i < node_count(page); i++) {
        struct node node = node_of(page, i);
        int code = depth > 1                  ? check_free(txn, node.number, depth - 1, left)
                   : is_free_list(txn, &node) ? 0
                                              : MDB_CORRUPTED;
        if (code != 0)
            return code;
    }
    return 0;
}

/* The roots of our databases stand in the main tree, which is one leaf. */
static int take_trees(struct partition_txn *txn, uint64_t main_root) {
    if (!is_sound(txn, main_root, PAGE_LEAF))
        return MDB_CORRUPTED;
    const char *page = page_at(txn, main_root);
    for (unsigned i = 0; i < node_count(page); i++) {
        struct node node = node_of(page, i);
        if (node.flags != NODE_TREE || node.number != TREE_RECORD)
            return MDB_CORRUPTED;
        for (unsigned database = 0; database < PARTITION_DATABASE_COUNT; database++) {
            const char *name = partition_database_names[database];
            int code = 0;
            if (node.key.mv_size == strlen(name) && memcmp(node.key.mv_data, name, node.key.mv_size) == 0)
                code =
                    take_tree(txn, long_word(node.data + TREE_ROOT), word(node.data + 6), &txn->pages->trees[database]);
            if (code != 0)
                return code;
        }
    }
    return 0;
}

int partition_pages_begin(struct partition_txn *txn) {
    struct partition *partition = txn->partition;
    struct partition_roots roots;
    MDB_envinfo info;
    int code = mdb_env_info(partition->environment, &info);
    if (code == 0 && !partition->pages) {
        int fd;
        code = mdb_env_get_fd(partition->environment, &fd);
        void *map = code == 0 ? mmap(NULL, info.me_mapsize, PROT_READ, MAP_SHARED, fd, 0) : MAP_FAILED;
        if (map == MAP_FAILED)
            return code != 0 ? code : errno;
        partition->pages = map;
        partition->pages_size = info.me_mapsize;
    }
    if (code == 0 && !partition_read_roots(partition, &roots))
        code = MDB_CORRUPTED;
    if (code != 0)
        return code;
    txn->pages = calloc(1, sizeof(*txn->pages));
    if (!txn->pages)
        return ENOMEM;
    txn->pages->size = roots.page_size;
    txn->pages->last = roots.last_page;
    struct partition_tree free_tree = { 0 };
    unsigned left = UINT16_MAX;
    code = take_tree(txn, roots.free_root, roots.free_depth, &free_tree);
    if (code == 0 && free_tree.depth > 0)
        code = check_free(txn, free_tree.root, free_tree.depth, &left);
    if (code == 0 && roots.main_depth > 1)
        code = MDB_CORRUPTED;
    return code != 0 || roots.main_depth == 0 ? code : take_trees(txn, roots.main_root);
}
