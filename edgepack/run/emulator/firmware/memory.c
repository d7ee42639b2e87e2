/* memcpy, memmove and memset, the only library functions that an export may call. */
#include <stddef.h>
#include <stdint.h>

void *memcpy(void *restrict to, const void *restrict from, size_t bytes);
void *memmove(void *to, const void *from, size_t bytes);
void *memset(void *to, int value, size_t bytes);

typedef uint32_t __attribute__((may_alias)) word;

static int aligned(const void *a, const void *b)
{
    return (((uintptr_t)a | (uintptr_t)b) & 3u) == 0u;
}

void *memcpy(void *restrict to, const void *restrict from, size_t bytes)
{
    uint8_t *d = to;
    const uint8_t *s = from;
    if (aligned(d, s)) {
        for (; bytes >= 16u; bytes -= 16u, d += 16, s += 16) {
            const word a = ((const word *)s)[0], b = ((const word *)s)[1];
            const word c = ((const word *)s)[2], e = ((const word *)s)[3];
            ((word *)d)[0] = a;
            ((word *)d)[1] = b;
            ((word *)d)[2] = c;
            ((word *)d)[3] = e;
        }
        for (; bytes >= 4u; bytes -= 4u, d += 4, s += 4) {
            *(word *)d = *(const word *)s;
        }
    }
    for (; bytes != 0u; bytes--) {
        *d++ = *s++;
    }
    return to;
}

void *memmove(void *to, const void *from, size_t bytes)
{
    uint8_t *d = to;
    const uint8_t *s = from;
    if ((uintptr_t)d - (uintptr_t)s >= bytes) {
        return memcpy(to, from, bytes); /* copies upwards, and no source byte is overwritten early */
    }
    while (bytes != 0u) {
        bytes--;
        d[bytes] = s[bytes];
    }
    return to;
}

void *memset(void *to, int value, size_t bytes)
{
    uint8_t *d = to;
    const word pattern = 0x01010101u * (uint8_t)value;
    if (aligned(d, d)) {
        for (; bytes >= 16u; bytes -= 16u, d += 16) {
            ((word *)d)[0] = pattern;
            ((word *)d)[1] = pattern;
            ((word *)d)[2] = pattern;
            ((word *)d)[3] = pattern;
        }
    }
    for (; bytes != 0u; bytes--) {
        *d++ = (uint8_t)value;
    }
    return to;
}
