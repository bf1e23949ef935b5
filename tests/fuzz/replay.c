/* Runs a fuzz target over the files of a folder (or single files), with any compiler: what fuzzing once found stays found. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { INPUT_MAX = 4 * 1024 * 1024 };

static int replay_file(const char *path) {
    uint8_t *data = malloc(INPUT_MAX), *exact;
    FILE *file = fopen(path, "rb");
    size_t size;

    if (!data || !file) {
        perror(path);
        return 1;
    }
    size = fread(data, 1, INPUT_MAX, file);
    fclose(file);
    exact = malloc(size ? size : 1); /* no room behind the end, so that a sanitizer sees a read past it */
    if (!exact)
        return 1;
    memcpy(exact, data, size);
    LLVMFuzzerTestOneInput(exact, size);
    free(exact);
    free(data);
    return 0;
}

static int replay_folder(const char *path) {
    DIR *dir = opendir(path);
    struct dirent *entry;
    char name[1024];
    int failed = 0, count = 0;

    if (!dir)
        return replay_file(path);
    while ((entry = readdir(dir))) {
        if (entry->d_name[0] == '.')
            continue;
        snprintf(name, sizeof(name), "%s/%s", path, entry->d_name);
        failed |= replay_file(name);
        count++;
    }
    closedir(dir);
    printf("%d inputs of %s\n", count, path);
    return failed || count == 0;
}

int main(int argc, char **argv) {
    int failed = argc < 2;

    for (int i = 1; i < argc; i++)
        failed |= replay_folder(argv[i]);
    return failed;
}
