/* filter.h - which entries a reader wants: one parsed log filter.
 *
 * All conditions must hold: the time range, the levels, one of the services (where any is named), every matcher, every
 * line filter. The shape is that of LogQL's log selector (grafana.com/docs/loki/latest/query/log_queries); logql_parser.h
 * reads its text form into this. A filter owns all it holds and is not changed once matching began; since its patterns keep
 * scratch memory, one thread uses it at a time.
 *
 * Fields: service module operation level host pid trace_id span_id correlation_id user_id organization_id id template; any other
 * name is a key of metadata (with "metadata." before it also one that is spelled like a field). A key with dots that does not stand in
 * metadata as it is written goes down into nested maps. An absent field is the empty text, as in LogQL: {user_id=""} means those
 * without. A metadata value that is no string is compared as its JSON text.
 */
#ifndef TASKFORGE_COMMON_QUERY_FILTER_H
#define TASKFORGE_COMMON_QUERY_FILTER_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/error.h"
#include "common/model/entry.h"
#include "common/query/filter_number.h"
#include "common/base/pattern.h"
#include "common/store/filter_index.h"

enum {
    FILTER_CONDITIONS_MAX = 64, /* services, matchers and line filters, each */
    FILTER_VALUE_MAX = 65536,   /* bytes of one value */
    FILTER_NODES_MAX = 127,     /* of one tree */
    FILTER_DEPTH_MAX = 32,      /* parentheses in parentheses */
};

#define FILTER_ALL_LEVELS ((1u << LEVEL_COUNT) - 1)

enum filter_operator {
    FILTER_EQUAL,
    FILTER_NOT_EQUAL,
    FILTER_MATCH,
    FILTER_NOT_MATCH,
    /* those of numbers: a value that is no number of the same kind passes none of them */
    FILTER_GREATER,
    FILTER_GREATER_EQUAL,
    FILTER_LESS,
    FILTER_LESS_EQUAL,
    FILTER_NUMBER_EQUAL,
    FILTER_NUMBER_NOT_EQUAL,
};

enum filter_field {
    FILTER_SERVICE,
    FILTER_MODULE,
    FILTER_OPERATION,
    FILTER_HOST,
    FILTER_PID,
    FILTER_TRACE_ID,
    FILTER_SPAN_ID,
    FILTER_CORRELATION_ID,
    FILTER_USER_ID,
    FILTER_ORGANIZATION_ID,
    FILTER_ID,
    FILTER_METADATA,
    FILTER_TEMPLATE, /* the statement's, 16 hex digits: block_template_id */
    FILTER_LEVEL,    /* never in a matcher: becomes part of `levels` */
};

struct filter_matcher {
    enum filter_field field;
    enum filter_operator op;
    struct text key;             /* FILTER_METADATA; owned */
    struct text value;           /* FILTER_EQUAL, FILTER_NOT_EQUAL; owned */
    struct uuid uuid;            /* the same for the three UUID fields; zero: absent */
    struct pattern *pattern;     /* FILTER_MATCH, FILTER_NOT_MATCH; owned */
    struct filter_number number; /* the operators of numbers */
    uint64_t template;           /* the value as a number, of FILTER_TEMPLATE */
};

/* Conditions of which one side is enough: `a="x" or (b > 3 and level="error")`. Children before parents, the root last. */
struct filter_node {
    enum { FILTER_NODE_MATCHER, FILTER_NODE_LEVELS, FILTER_NODE_BOTH, FILTER_NODE_ANY, FILTER_NODE_MOVED } kind;
    uint32_t first;       /* the first node under it */
    uint32_t left, right; /* FILTER_NODE_BOTH, FILTER_NODE_ANY */
    unsigned levels;
    struct filter_matcher matcher;
};

struct filter_tree {
    struct filter_node *nodes;
    uint32_t count;
};

/* One line filter: any of its alternatives (|= "a" or "b"); negated: none of them. */
struct filter_line {
    bool negated;
    bool regex;
    struct filter_alternative {
        struct text bytes;       /* what has to stand there, or (regex) the literal it needs, maybe empty */
        struct pattern *pattern; /* NULL: finding the bytes is enough; owned */
    } * alternatives;
    uint32_t alternative_count;
};

struct filter {
    uint64_t since_ns, until_ns; /* [since, until) */
    unsigned levels;             /* bit 1 << level */
    struct text *services;
    uint32_t service_count;
    struct filter_matcher *matchers;
    uint32_t matcher_count;
    struct filter_line *lines;
    uint32_t line_count;
    struct filter_tree *trees;
    uint32_t tree_count;
};

void filter_init(struct filter *filter); /* everything matches */
void filter_finish(struct filter *filter);

/* The same filter for another thread: it borrows from this one, which must outlive it, all but the scratch memory of its patterns. */
int filter_share(const struct filter *filter, struct filter *ret, struct error *error);
void filter_share_finish(struct filter *share);

/* Each adds one condition. 0; -EINVAL with a sentence; -ENOMEM; -E2BIG beyond a limit. After a failure the filter is as it was. */
int filter_add_service(struct filter *filter, struct text service, struct error *error);
/* `label` as written by people: a field's name or a metadata key. Level matchers narrow `levels`. */
int filter_add_matcher(struct filter *filter, struct text label, enum filter_operator op, struct text value,
                       struct error *error);
int filter_add_line(struct filter *filter, bool negated, bool regex, const struct text *alternatives, uint32_t count,
                    struct error *error);
/* A tree is built leaf by leaf and joined (any: one of the two is enough), then given to the filter, which takes it over in any case. */
int filter_tree_leaf(struct filter_tree *tree, struct text label, enum filter_operator op, struct text value,
                     uint32_t *ret, struct error *error);
int filter_tree_join(struct filter_tree *tree, bool any, uint32_t left, uint32_t right, uint32_t *ret,
                     struct error *error);
int filter_add_tree(struct filter *filter, struct filter_tree *tree, uint32_t root, struct error *error);
void filter_tree_finish(struct filter_tree *tree);
/* The filter's own: a matcher (1: it is about levels, *ret_levels), and what the filter takes over in any case. */
int filter_matcher_make(struct filter_matcher *ret, struct text label, enum filter_operator op, struct text value,
                        unsigned *ret_levels, struct error *error);
void filter_matcher_finish(struct filter_matcher *matcher);
int filter_take_matcher(struct filter *filter, struct filter_matcher *matcher, struct error *error);
int filter_take_tree(struct filter *filter, struct filter_tree *tree, struct error *error);
void filter_set_level(struct filter *filter, enum level level);     /* this level alone */
void filter_set_min_level(struct filter *filter, enum level level); /* this level and above */

/* --- judging --- */

/* Whether one value passes a matcher (absent: the empty text). 1, 0, negative errno of pattern_match. */
int filter_matcher_text(const struct filter_matcher *matcher, struct text value, struct error *error);
int filter_matcher_uuid(const struct filter_matcher *matcher, const struct uuid *value, struct error *error);
int filter_matcher_metadata(const struct filter_matcher *matcher, struct text metadata, struct buffer *scratch,
                            struct error *error);
/* A value of metadata (msgpack, maybe not sound; empty: absent), or what `path`, if not empty, leads to in it. */
int filter_matcher_value(const struct filter_matcher *matcher, struct text value, struct text path,
                         struct buffer *scratch, struct error *error);
int filter_matcher_template(const struct filter_matcher *matcher, uint64_t template, struct error *error);
bool filter_has_service(const struct filter *filter, struct text service); /* the list alone, not the matchers */
int filter_line_text(const struct filter_line *line, struct text message, struct error *error);

/* `leaf` judges one condition: 1, 0, negative. */
int filter_tree_judge(const struct filter_tree *tree, int (*leaf)(void *argument, const struct filter_node *node),
                      void *argument);

/* One whole entry. 1, 0, negative errno. */
int filter_entry(const struct filter *filter, const struct entry *entry, struct buffer *scratch, struct error *error);

/* Could a block hold a match, by its index value alone? 1, 0, negative errno. Never 0 wrongly. */
int filter_index(const struct filter *filter, const struct index_entry *index, struct error *error);
/* What it reads of one. */
void filter_want(const struct filter *filter, struct index_want *ret);

/* Only time, level and service are asked for: an index can answer for a block that lies inside the time range. */
bool filter_is_countable(const struct filter *filter);
bool filter_covers(const struct filter *filter, const struct index_entry *index); /* the block lies inside the range */
/* Whether entries of this service pass the service list and the service matchers. 1, 0, negative errno. */
int filter_service(const struct filter *filter, struct text service, struct error *error);

#endif
