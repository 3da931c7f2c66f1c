// Counts words: of standard input, or of every file under /in.
//
// A word is a run of ASCII letters, digits and bytes above 127; letters count
// in lower case. Prints totals and the most frequent words as stable text: the
// same bytes in whatever order the files come give the same output.

#include <dirent.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CHUNK (64 * 1024)
#define MAX_WORD 64 // longer words are counted by their first 64 bytes
#define MAX_PATH 4096
#define TOP 20

struct entry {
    uint64_t *word; // padded with zeros
    uint64_t count;
    uint32_t hash;
    uint32_t length;
};

static struct entry *table;
static size_t capacity = 1 << 16, used;
static uint64_t files, bytes, lines, words;
static uint8_t class[256]; // the byte in lower case, or 0 between words
static uint8_t chunk[CHUNK];
static uint64_t word[MAX_WORD / 8]; // little-endian, as WebAssembly is
static uint32_t word_length, word_hash;

static void fail(const char *what, const char *name) {
    fprintf(stderr, "wordcount: cannot %s %s\n", what, name);
    exit(1);
}

static void *must(void *memory) {
    if (!memory) fail("get", "memory");
    return memory;
}

// Words live as long as the program, one after the other.
static uint64_t *keep(uint32_t eights) {
    static uint64_t *arena;
    static size_t left;
    if (left < eights) {
        left = 1 << 17;
        arena = must(malloc(left * 8));
    }
    uint64_t *kept = arena;
    for (uint32_t i = 0; i < eights; i++) kept[i] = word[i];
    arena += eights;
    left -= eights;
    return kept;
}

static int is_word_of(const struct entry *entry, uint32_t eights) {
    for (uint32_t i = 0; i < eights; i++)
        if (entry->word[i] != word[i]) return 0;
    return 1;
}

static void grow(void) {
    struct entry *old = table;
    size_t old_capacity = capacity;
    capacity *= 2;
    table = must(calloc(capacity, sizeof *table));
    for (size_t i = 0; i < old_capacity; i++) {
        if (!old[i].word) continue;
        size_t at = old[i].hash & (capacity - 1);
        while (table[at].word) at = (at + 1) & (capacity - 1);
        table[at] = old[i];
    }
    free(old);
}

static void count_word(void) {
    uint32_t hash = word_hash ^ (word_hash >> 15), eights = (word_length + 7) / 8;
    if (word_length % 8) word[eights - 1] &= (1ull << word_length % 8 * 8) - 1;
    size_t at = hash & (capacity - 1);
    for (; table[at].word; at = (at + 1) & (capacity - 1)) {
        if (table[at].hash == hash && table[at].length == word_length &&
            is_word_of(&table[at], eights)) {
            table[at].count++;
            return;
        }
    }
    table[at] = (struct entry){keep(eights), 1, hash, word_length};
    if (++used * 2 > capacity) grow();
}

static void end_word(void) {
    if (!word_length) return;
    words++;
    count_word();
    word_length = 0;
    word_hash = 0;
}

static void count_chunk(const uint8_t *at, size_t size) {
    uint32_t length = word_length, hash = word_hash;
    uint8_t *letters = (uint8_t *)word;
    for (size_t i = 0; i < size; i++) {
        uint8_t byte = class[at[i]];
        if (byte) {
            if (length < MAX_WORD) {
                letters[length++] = byte;
                hash = (hash ^ byte) * 0x9e3779b1u;
            }
        } else {
            lines += at[i] == '\n';
            if (length) {
                word_length = length;
                word_hash = hash;
                end_word();
                length = 0;
                hash = 0;
            }
        }
    }
    word_length = length;
    word_hash = hash;
}

static void count_file(int fd, const char *name) {
    ssize_t size;
    while ((size = read(fd, chunk, CHUNK)) > 0) {
        bytes += size;
        count_chunk(chunk, size);
    }
    if (size < 0) fail("read", name);
    end_word();
    files++;
}

static void walk(const char *path) {
    DIR *directory = opendir(path);
    if (!directory) fail("open", path);
    struct dirent *entry;
    while ((entry = readdir(directory))) {
        if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..")) continue;
        char child[MAX_PATH];
        if (snprintf(child, MAX_PATH, "%s/%s", path, entry->d_name) >= MAX_PATH)
            fail("name", path);
        struct stat status;
        if (lstat(child, &status)) fail("examine", child);
        if (S_ISDIR(status.st_mode)) walk(child);
        if (!S_ISREG(status.st_mode)) continue;
        int fd = open(child, O_RDONLY);
        if (fd < 0) fail("open", child);
        count_file(fd, child);
        close(fd);
    }
    closedir(directory);
}

// The most frequent first; equally frequent ones in byte order.
static int by_count(const void *a, const void *b) {
    const struct entry *x = a, *y = b;
    if (x->count != y->count) return x->count < y->count ? 1 : -1;
    uint32_t shorter = x->length < y->length ? x->length : y->length;
    int order = memcmp(x->word, y->word, shorter);
    return order ? order : (int)x->length - (int)y->length;
}

static void print(void) {
    size_t n = 0;
    for (size_t i = 0; i < capacity; i++)
        if (table[i].word) table[n++] = table[i];
    qsort(table, n, sizeof *table, by_count);
    printf("files %llu\nbytes %llu\nlines %llu\nwords %llu\ndistinct %zu\n\n",
           (unsigned long long)files, (unsigned long long)bytes,
           (unsigned long long)lines, (unsigned long long)words, n);
    for (size_t i = 0; i < n && i < TOP; i++)
        printf("%10llu %.*s\n", (unsigned long long)table[i].count,
               (int)table[i].length, (char *)table[i].word);
}

int main(void) {
    for (int byte = 0; byte < 256; byte++) {
        int is_upper = byte >= 'A' && byte <= 'Z';
        int is_word = is_upper || (byte >= 'a' && byte <= 'z') ||
                      (byte >= '0' && byte <= '9') || byte > 127;
        class[byte] = is_word ? (is_upper ? byte + 32 : byte) : 0;
    }
    table = must(calloc(capacity, sizeof *table));
    struct stat status;
    if (stat("/in", &status) == 0)
        walk("/in");
    else
        count_file(0, "standard input");
    print();
    return fflush(stdout) == 0 ? 0 : 1;
}
