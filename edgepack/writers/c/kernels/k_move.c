/*@ ep_copy */
/* n bytes from the first to the last; what is not read yet may lie behind y. */
static inline void ep_copy(void *y, const void *x, size_t n)
{
    uint8_t *to = (uint8_t *)y;
    const uint8_t *from = (const uint8_t *)x;
    const uintptr_t apart = (uintptr_t)from - (uintptr_t)to;
    if (apart >= n && (uintptr_t)to - (uintptr_t)from >= n) {
        memcpy(to, from, n);
    } else if (apart != 0U) {
        for (size_t i = 0; i < n; i++) {
            to[i] = from[i];
        }
    } else {
        /* in its place already */
    }
}

/*@ ep_move_t */
/* Nested loops, outer first, over runs of bytes; y is written front to back. */
typedef struct {
    int32_t count[6];
    int32_t step[6];
    int32_t first, run;
} ep_move_t;

/*@ ep_move */
/* Runs of x one after another in another order. */
void ep_move(const ep_move_t *p, const uint8_t *x, uint8_t *y)
{
    int32_t at[6] = {0, 0, 0, 0, 0, 0};
    const uint8_t *from = x + p->first;
    int32_t level = 0;
    while (level >= 0) {
        if (p->run == 1) {
            *y = *from;
        } else {
            ep_copy(y, from, (size_t)p->run);
        }
        y += p->run;
        for (level = 5; level >= 0; level--) {
            at[level]++;
            from += p->step[level];
            if (at[level] < p->count[level]) {
                break;
            }
            from -= p->step[level] * p->count[level];
            at[level] = 0;
        }
    }
}

/*@ ep_pick */
/* Runs of x one after another, each from the run that the table says; -1: bytes of `fill`. */
void ep_pick(const int32_t *table, int32_t count, int32_t run, int32_t fill, const uint8_t *x,
             uint8_t *y)
{
    for (int32_t i = 0; i < count; i++) {
        if (table[i] < 0) {
            memset(y, fill, (size_t)run);
        } else {
            ep_copy(y, x + table[i] * run, (size_t)run);
        }
        y += run;
    }
}

/*@ ep_pad_t */
/* Sizes of the input and what stands before and after in each of four dimensions. The innermost
   counts elements. */
typedef struct {
    int32_t size[4], before[4], after[4];
} ep_pad_t;

/*@ ep_pad_8 */
/* x with a border of `fill`, written front to back. */
void ep_pad_8(const ep_pad_t *p, int32_t fill, const int8_t *x, int8_t *y)
{
    const int32_t wide = p->before[3] + p->size[3] + p->after[3];
    const int32_t plane = (p->before[2] + p->size[2] + p->after[2]) * wide;
    const int32_t block = (p->before[1] + p->size[1] + p->after[1]) * plane;
    ep_border_8(&y, fill, p->before[0] * block);
    for (int32_t i = 0; i < p->size[0]; i++) {
        ep_border_8(&y, fill, p->before[1] * plane);
        for (int32_t j = 0; j < p->size[1]; j++) {
            ep_border_8(&y, fill, p->before[2] * wide);
            for (int32_t k = 0; k < p->size[2]; k++) {
                ep_border_8(&y, fill, p->before[3]);
                ep_copy(y, x, (size_t)p->size[3]);
                x += p->size[3];
                y += p->size[3];
                ep_border_8(&y, fill, p->after[3]);
            }
            ep_border_8(&y, fill, p->after[2] * wide);
        }
        ep_border_8(&y, fill, p->after[1] * plane);
    }
    ep_border_8(&y, fill, p->after[0] * block);
}

/*@ ep_border_8 */
/* count times the byte `fill`, and on behind it. */
static inline void ep_border_8(int8_t **y, int32_t fill, int32_t count)
{
    memset(*y, fill, (size_t)count);
    *y += count;
}
