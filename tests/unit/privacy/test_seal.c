#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/model/pack.h"
#include "common/privacy/seal_entry.h"
#include "common/privacy/seal_keys.h"

static uint8_t secret[SEAL_KEY_BYTES], public[SEAL_KEY_BYTES];

static int make_keys(void **state) {
    (void)state;
    return seal_keys_make(secret, public);
}

static struct text packed_of(const char *json, char *room, size_t size) {
    struct pack_writer writer = { .data = room, .capacity = size };
    assert_int_equal(pack_from_json(text_of(json), &writer, NULL), 0);
    return (struct text) { room, writer.length };
}

static void json_is(struct text packed, const char *json) {
    struct buffer out = BUFFER_EMPTY;
    assert_int_equal(pack_check(packed), 0);
    pack_append_json(&out, packed);
    if (!text_is(buffer_text(&out), json))
        fail_msg("%.*s is not %s", TEXT_FORMAT(buffer_text(&out)), json);
    buffer_finish(&out);
}

static void sealer_of(struct entry_sealer *sealer, const char *const *names) {
    struct seal_fields fields = { .message = false };
    for (; *names; names++)
        assert_int_equal(seal_fields_add(&fields, text_of(*names)), 0);
    assert_int_equal(entry_sealer_init(sealer, public, &fields, NULL), 0);
}

/* --- values --- */

static void what_is_sealed_opens_with_the_secret_key_and_its_name_alone(void **state) {
    struct sealer sealer;
    struct opener opener;
    struct buffer sealed = BUFFER_EMPTY, plain = BUFFER_EMPTY;
    (void)state;
    assert_int_equal(sealer_init(&sealer, public, NULL), 0);
    assert_int_equal(opener_init(&opener, secret, NULL), 0);
    for (size_t length = 0; length < 200; length += 7) {
        char text[200];
        memset(text, 'a', sizeof(text));
        buffer_clear(&sealed);
        buffer_clear(&plain);
        assert_int_equal(sealer_seal(&sealer, 1, TEXT_LITERAL("k:email"), (struct text) { text, length }, &sealed), 0);
        assert_int_equal(sealed.length, seal_length(length));
        assert_true(seal_is_sealed(buffer_text(&sealed)));
        assert_int_equal(opener_open(&opener, TEXT_LITERAL("k:email"), buffer_text(&sealed), &plain), 1);
        assert_true(text_equal(buffer_text(&plain), (struct text) { text, length }));
        assert_int_equal(opener_open(&opener, TEXT_LITERAL("k:phone"), buffer_text(&sealed), &plain), -EINVAL);
    }
    uint8_t other_secret[SEAL_KEY_BYTES], other_public[SEAL_KEY_BYTES];
    assert_int_equal(seal_keys_make(other_secret, other_public), 0);
    opener_finish(&opener);
    assert_int_equal(opener_init(&opener, other_secret, NULL), 0);
    assert_int_equal(opener_open(&opener, TEXT_LITERAL("k:email"), buffer_text(&sealed), &plain), 0);
    opener_finish(&opener);
    sealer_finish(&sealer);
    buffer_finish(&sealed);
    buffer_finish(&plain);
}

static void a_changed_text_does_not_open(void **state) {
    struct sealer sealer;
    struct opener opener;
    struct buffer sealed = BUFFER_EMPTY, plain = BUFFER_EMPTY;
    (void)state;
    assert_int_equal(sealer_init(&sealer, public, NULL), 0);
    assert_int_equal(opener_init(&opener, secret, NULL), 0);
    assert_int_equal(sealer_seal(&sealer, 1, TEXT_LITERAL("n"), TEXT_LITERAL("secret"), &sealed), 0);
    for (size_t i = 0; i < sealed.length; i++) {
        char before = sealed.data[i];
        sealed.data[i] = before == 'A' ? 'B' : 'A';
        assert_true(opener_open(&opener, TEXT_LITERAL("n"), buffer_text(&sealed), &plain) <= 0);
        sealed.data[i] = before;
    }
    for (size_t length = 0; length < sealed.length; length++)
        assert_true(opener_open(&opener, TEXT_LITERAL("n"), (struct text) { sealed.data, length }, &plain) <= 0);
    assert_int_equal(opener_open(&opener, TEXT_LITERAL("n"), buffer_text(&sealed), &plain), 1);
    opener_finish(&opener);
    sealer_finish(&sealer);
    buffer_finish(&sealed);
    buffer_finish(&plain);
}

static struct text key_part(const struct buffer *sealed) {
    return (struct text) { sealed->data + sizeof(SEAL_MARK) - 1,
                           104 }; /* of 80 bytes; the last two digits share bytes */
}

static void the_symmetric_key_lasts_ten_minutes(void **state) {
    struct sealer sealer;
    struct buffer first = BUFFER_EMPTY, second = BUFFER_EMPTY;
    (void)state;
    assert_int_equal(sealer_init(&sealer, public, NULL), 0);
    uint64_t begin = sealer.made_ns;
    assert_int_equal(sealer_seal(&sealer, begin, TEXT_LITERAL("n"), TEXT_LITERAL("x"), &first), 0);
    assert_int_equal(sealer_seal(&sealer, begin + 599 * CLOCK_SECOND, TEXT_LITERAL("n"), TEXT_LITERAL("x"), &second),
                     0);
    assert_true(text_equal(key_part(&first), key_part(&second)));
    assert_false(text_equal(buffer_text(&first), buffer_text(&second))); /* the nonce is another */
    buffer_clear(&second);
    assert_int_equal(sealer_seal(&sealer, begin + 600 * CLOCK_SECOND, TEXT_LITERAL("n"), TEXT_LITERAL("x"), &second),
                     0);
    assert_false(text_equal(key_part(&first), key_part(&second)));
    buffer_clear(&first);
    sealer.values = 1000000;
    assert_int_equal(sealer_seal(&sealer, begin + 601 * CLOCK_SECOND, TEXT_LITERAL("n"), TEXT_LITERAL("x"), &first), 0);
    assert_false(text_equal(key_part(&first), key_part(&second)));
    sealer_finish(&sealer);
    buffer_finish(&first);
    buffer_finish(&second);
}

static void a_key_that_nothing_can_be_sealed_to_is_refused(void **state) {
    struct sealer sealer;
    static const uint8_t zero[SEAL_KEY_BYTES];
    (void)state;
    assert_int_equal(sealer_init(&sealer, zero, NULL), -EINVAL);
}

/* --- entries --- */

static const char *const chosen[] = { "email", "message", "error_details", NULL };

static void every_type_comes_back_as_it_was(void **state) {
    static const char json[] = "{\"Email\":\"a@b.c\",\"n\":{\"email\":[1,-2,2.5,true,null,{\"x\":\"y\"}]},\"l\":[{"
                               "\"EMAIL\":18446744073709551615}],"
                               "\"open\":\"stays\"}";
    char metadata[512], details[512];
    struct entry_sealer sealer;
    struct entry_opener opener;
    struct entry entry = { .service = TEXT_LITERAL("s"),
                           .module = TEXT_LITERAL("m"),
                           .operation = TEXT_LITERAL("o"),
                           .level = LEVEL_ERROR,
                           .message = TEXT_LITERAL("hello \xc3\xa4"),
                           .metadata = packed_of(json, metadata, sizeof(metadata)),
                           .error_details = packed_of("{\"at\":[1,2]}", details, sizeof(details)) };
    struct text before = entry.metadata;
    (void)state;
    sealer_of(&sealer, chosen);
    assert_int_equal(entry_sealer_seal(&sealer, 1, &entry), 7);
    assert_int_equal(entry_validate(&entry, NULL), 0);
    assert_true(seal_is_sealed(entry.message));
    assert_null(memmem(entry.metadata.data, entry.metadata.length, "a@b.c", 5));
    assert_non_null(memmem(entry.metadata.data, entry.metadata.length, "stays", 5));
    assert_int_equal(entry_opener_init(&opener, secret, NULL), 0);
    assert_int_equal(entry_opener_open(&opener, &entry), 0);
    assert_true(text_is(entry.message, "hello \xc3\xa4"));
    assert_true(text_equal(entry.metadata, before)); /* byte by byte */
    json_is(entry.error_details, "{\"at\":[1,2]}");
    assert_int_equal(opener.opened, 3);
    assert_int_equal(opener.foreign + opener.broken, 0);
    assert_int_equal(entry_opener_open(&opener, &entry), 0); /* nothing is sealed in it now */
    assert_int_equal(opener.opened, 3);
    entry_opener_finish(&opener);
    entry_sealer_finish(&sealer);
}

static void nothing_is_touched_where_nothing_is_chosen(void **state) {
    static const char *const names[] = { "email", NULL };
    char metadata[64];
    struct entry_sealer sealer;
    struct entry entry = { .message = TEXT_LITERAL("x"),
                           .metadata = packed_of("{\"a\":1}", metadata, sizeof(metadata)) };
    (void)state;
    sealer_of(&sealer, names);
    assert_int_equal(entry_sealer_seal(&sealer, 1, &entry), 0);
    assert_ptr_equal(entry.metadata.data, metadata);
    entry_sealer_finish(&sealer);
}

static void another_key_leaves_values_sealed_and_is_counted(void **state) {
    uint8_t other_secret[SEAL_KEY_BYTES], other_public[SEAL_KEY_BYTES];
    char metadata[128];
    struct entry_sealer sealer;
    struct entry_opener opener;
    struct entry entry = { .message = TEXT_LITERAL("x"),
                           .metadata = packed_of("{\"email\":1,\"b\":{\"email\":2}}", metadata, sizeof(metadata)) };
    (void)state;
    sealer_of(&sealer, chosen);
    assert_true(entry_sealer_seal(&sealer, 1, &entry) > 0);
    assert_int_equal(seal_keys_make(other_secret, other_public), 0);
    assert_int_equal(entry_opener_init(&opener, other_secret, NULL), 0);
    assert_int_equal(entry_opener_open(&opener, &entry), 0);
    assert_int_equal(opener.foreign, 3);
    assert_int_equal(opener.opened, 0);
    assert_true(seal_is_sealed(entry.message));
    entry_opener_finish(&opener);
    entry_sealer_finish(&sealer);
}

static void what_is_too_long_is_cut_and_stays_an_entry(void **state) {
    char *text = malloc(70000), *packed = malloc(70000);
    struct entry_sealer sealer;
    struct entry_opener opener;
    struct pack_writer writer = { .data = packed, .capacity = 70000 };
    (void)state;
    memset(text, 'x', 70000);
    text[0] = 'B';
    text[9999] = 'E';
    pack_text(&writer, (struct text) { text, 65000 });
    struct entry entry = { .service = TEXT_LITERAL("s"),
                           .module = TEXT_LITERAL("m"),
                           .operation = TEXT_LITERAL("o"),
                           .level = LEVEL_ERROR,
                           .message = { text, 10000 },
                           .error_details = { packed, writer.length } };
    sealer_of(&sealer, chosen);
    assert_true(entry_sealer_seal(&sealer, 1, &entry) > 0);
    assert_int_equal(entry_validate(&entry, NULL), 0);
    assert_int_equal(entry_opener_init(&opener, secret, NULL), 0);
    assert_int_equal(entry_opener_open(&opener, &entry), 0);
    assert_true(entry.message.length <= SEAL_MESSAGE_MAX && entry.message.length > SEAL_MESSAGE_MAX - 100);
    assert_true(entry.message.data[0] == 'B' && entry.message.data[entry.message.length - 1] == 'E');
    assert_non_null(memmem(entry.message.data, entry.message.length, " bytes cut]", 11));
    assert_int_equal(pack_check(entry.error_details), 0);
    assert_int_equal(opener.opened, 2);
    entry_opener_finish(&opener);
    entry_sealer_finish(&sealer);
    free(text);
    free(packed);
}

static void values_that_find_no_room_sealed_are_left_out_rather_than_told(void **state) {
    char *packed = malloc(65536);
    struct entry_sealer sealer;
    struct pack_writer writer = { .data = packed, .capacity = 65536 };
    (void)state;
    pack_map(&writer, 1);
    pack_text(&writer, TEXT_LITERAL("email"));
    pack_array(&writer, 30000);
    for (int i = 0; i < 30000; i++)
        pack_uint(&writer, 200);
    struct entry entry = { .message = TEXT_LITERAL("x"), .metadata = { packed, writer.length } };
    sealer_of(&sealer, chosen);
    assert_true(entry_sealer_seal(&sealer, 1, &entry) > 0);
    json_is(entry.metadata, "{\"email\":\"[redacted]\"}");
    assert_int_equal(sealer.left_out, 1);
    entry_sealer_finish(&sealer);
    free(packed);
}

/* Who has the public key can seal anything. */
static void forged_values_do_no_harm(void **state) {
    struct sealer sealer;
    struct entry_opener opener;
    struct buffer sealed = BUFFER_EMPTY;
    char deep[64], metadata[1024];
    (void)state;
    memset(deep, '\x91', 31); /* arrays in arrays: as deep as a value may be, one too deep below a map */
    deep[31] = '\x90';
    assert_int_equal(pack_check((struct text) { deep, 32 }), 0);
    assert_int_equal(sealer_init(&sealer, public, NULL), 0);
    assert_int_equal(sealer_seal(&sealer, 1, TEXT_LITERAL("k:a"), (struct text) { deep, 32 }, &sealed), 0);
    struct pack_writer writer = { .data = metadata, .capacity = sizeof(metadata) };
    pack_map(&writer, 1);
    pack_text(&writer, TEXT_LITERAL("a"));
    pack_text(&writer, buffer_text(&sealed));
    struct entry entry = { .message = TEXT_LITERAL("x"), .metadata = { metadata, writer.length } };
    assert_int_equal(entry_opener_init(&opener, secret, NULL), 0);
    assert_int_equal(entry_opener_open(&opener, &entry), 0);
    assert_ptr_equal(entry.metadata.data, metadata);
    assert_int_equal(opener.broken, 1);
    static const struct text bad[] = { TEXT_INITIALIZER("\xff"), TEXT_INITIALIZER(""), TEXT_INITIALIZER("a\0b") };
    for (size_t i = 0; i < 3; i++) {
        buffer_clear(&sealed);
        assert_int_equal(sealer_seal(&sealer, 1, TEXT_LITERAL("f:message"), bad[i], &sealed), 0);
        entry = (struct entry) { .message = buffer_text(&sealed) };
        assert_int_equal(entry_opener_open(&opener, &entry), 0);
        assert_true(seal_is_sealed(entry.message));
    }
    entry_opener_finish(&opener);
    sealer_finish(&sealer);
    buffer_finish(&sealed);
}

static void covers_what_would_be_sealed(void **state) {
    char metadata[128], details[64];
    struct seal_fields fields = { .message = false };
    struct seal_parts parts = { .metadata = BUFFER_EMPTY };
    struct entry entry = { .message = TEXT_LITERAL("x"),
                           .metadata = packed_of("{\"a\":{\"email\":[1]},\"b\":2}", metadata, sizeof(metadata)),
                           .error_details = packed_of("{\"email\":3}", details, sizeof(details)) };
    (void)state;
    assert_int_equal(seal_fields_add(&fields, TEXT_LITERAL("email")), 0);
    assert_int_equal(seal_fields_cover(&fields, &entry, &parts), 0);
    assert_true(text_is(entry.message, "x"));
    json_is(entry.metadata, "{\"a\":{\"email\":\"(sealed)\"},\"b\":2}");
    json_is(entry.error_details, "{\"email\":\"(sealed)\"}");
    assert_int_equal(seal_fields_add(&fields, TEXT_LITERAL("message")), 0);
    assert_int_equal(seal_fields_add(&fields, TEXT_LITERAL("error_details")), 0);
    assert_int_equal(seal_fields_cover(&fields, &entry, &parts), 0);
    assert_true(text_is(entry.message, "(sealed)"));
    json_is(entry.error_details, "\"(sealed)\"");
    seal_parts_finish(&parts);
    seal_fields_finish(&fields);
}

/* --- files --- */

static void key_files_are_written_once_and_read_back(void **state) {
    char folder[] = "/tmp/taskforge-seal-XXXXXX", path[64], pub[64];
    struct stat status;
    struct error error;
    uint8_t a[SEAL_KEY_BYTES], b[SEAL_KEY_BYTES], of_a[SEAL_KEY_BYTES];
    (void)state;
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof(path), "%s/key", folder);
    snprintf(pub, sizeof(pub), "%s/key.pub", folder);
    assert_int_equal(seal_keys_write(path, &error), 0);
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 07777, 0600);
    assert_int_equal(seal_key_read(SEAL_KEY_SECRET, path, a, &error), 0);
    assert_int_equal(seal_key_read(SEAL_KEY_PUBLIC, pub, b, &error), 0);
    assert_int_equal(seal_public_of(a, of_a), 0);
    assert_memory_equal(of_a, b, sizeof(b));
    assert_int_equal(seal_keys_write(path, &error), -EEXIST);
    assert_non_null(strstr(error.text, "never overwritten"));
    unlink(pub);
    assert_int_equal(seal_keys_write(path, &error), -EEXIST);
    assert_int_equal(access(pub, F_OK), -1); /* what was begun is taken away */
    assert_int_equal(seal_key_read(SEAL_KEY_PUBLIC, path, b, &error), -EINVAL);
    assert_non_null(strstr(error.text, "this is the secret key, the public one is needed"));
    assert_int_equal(chmod(path, 0640), 0);
    assert_int_equal(seal_key_read(SEAL_KEY_SECRET, path, b, &error), -EPERM);
    assert_non_null(strstr(error.text, "chmod 600"));
    assert_int_equal(seal_key_read(SEAL_KEY_PUBLIC, folder, b, &error), -EINVAL);
    unlink(path);
    assert_int_equal(seal_key_read(SEAL_KEY_SECRET, path, b, &error), -ENOENT);
    rmdir(folder);
}

static void a_slip_in_a_key_is_found(void **state) {
    struct buffer text = BUFFER_EMPTY;
    uint8_t read[SEAL_KEY_BYTES];
    (void)state;
    seal_key_format(SEAL_KEY_PUBLIC, public, &text);
    assert_int_equal(seal_key_parse(SEAL_KEY_PUBLIC, buffer_text(&text), read, NULL), 0);
    assert_memory_equal(read, public, sizeof(read));
    for (size_t i = 0; i + 1 < text.length; i++) {
        char before = text.data[i];
        text.data[i] = before == 'A' ? 'B' : 'A';
        assert_int_equal(seal_key_parse(SEAL_KEY_PUBLIC, buffer_text(&text), read, NULL), -EINVAL);
        text.data[i] = before;
        assert_int_equal(seal_key_parse(SEAL_KEY_PUBLIC, (struct text) { text.data, i }, read, NULL), -EINVAL);
    }
    buffer_append_string(&text, "# of the host\n\n");
    assert_int_equal(seal_key_parse(SEAL_KEY_PUBLIC, buffer_text(&text), read, NULL), 0);
    buffer_append_string(&text, "more\n");
    assert_int_equal(seal_key_parse(SEAL_KEY_PUBLIC, buffer_text(&text), read, NULL), -EINVAL);
    buffer_finish(&text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_sealed_opens_with_the_secret_key_and_its_name_alone),
        cmocka_unit_test(a_changed_text_does_not_open),
        cmocka_unit_test(the_symmetric_key_lasts_ten_minutes),
        cmocka_unit_test(a_key_that_nothing_can_be_sealed_to_is_refused),
        cmocka_unit_test(every_type_comes_back_as_it_was),
        cmocka_unit_test(nothing_is_touched_where_nothing_is_chosen),
        cmocka_unit_test(another_key_leaves_values_sealed_and_is_counted),
        cmocka_unit_test(what_is_too_long_is_cut_and_stays_an_entry),
        cmocka_unit_test(values_that_find_no_room_sealed_are_left_out_rather_than_told),
        cmocka_unit_test(forged_values_do_no_harm),
        cmocka_unit_test(covers_what_would_be_sealed),
        cmocka_unit_test(key_files_are_written_once_and_read_back),
        cmocka_unit_test(a_slip_in_a_key_is_found),
    };
    return cmocka_run_group_tests(tests, make_keys, NULL);
}
