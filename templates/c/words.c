// Counts the words of what it is given on standard input.
#include <ctype.h>
#include <stdio.h>

int main(void) {
    static char chunk[1 << 16];
    unsigned long long words = 0;
    int in_word = 0;
    size_t size;
    while ((size = fread(chunk, 1, sizeof chunk, stdin)) > 0) {
        for (size_t i = 0; i < size; i++) {
            int is_space = isspace((unsigned char)chunk[i]) != 0;
            words += in_word == 0 && !is_space;
            in_word = !is_space;
        }
    }
    printf("%llu\n", words);
    return ferror(stdin) ? 1 : 0;
}
