/*@ ep_rescale_t */
/* From one scale to another; the offset is the input's zero point with the sign turned. */
typedef struct {
    ep_scale_t above, below;
    int32_t offset, zero, low, high;
} ep_rescale_t;

/*@ ep_rescale_s16 */
/* Other scales for what stands for 0 or more, and for what is below. */
void ep_rescale_s16(const ep_rescale_t *p, const int16_t *x, int16_t *y, int32_t count)
{
    for (int32_t i = 0; i < count; i++) {
        const int32_t value = x[i] + p->offset;
        const int32_t scaled = ep_scale(value, (value >= 0) ? p->above : p->below);
        y[i] = (int16_t)ep_clamp(scaled + p->zero, p->low, p->high);
    }
}

/*@ ep_rescale_s16_s8 */
/* As ep_rescale_s16, to 8 bits. */
void ep_rescale_s16_s8(const ep_rescale_t *p, const int16_t *x, int8_t *y, int32_t count)
{
    for (int32_t i = 0; i < count; i++) {
        const int32_t value = ep_scale(x[i] + p->offset, p->above);
        y[i] = (int8_t)ep_clamp(value + p->zero, p->low, p->high);
    }
}

/*@ ep_fold_s16 */
/* As ep_rescale_s16, but below 0 the size is scaled by `below` and its sign turned by `turn`:
   1 or -1. */
void ep_fold_s16(const ep_rescale_t *p, int32_t turn, const int16_t *x, int16_t *y, int32_t count)
{
    for (int32_t i = 0; i < count; i++) {
        const int32_t value = x[i] + p->offset;
        const int32_t scaled =
            (value >= 0) ? ep_scale(value, p->above) : turn * ep_scale(value, p->below);
        y[i] = (int16_t)ep_clamp(scaled + p->zero, p->low, p->high);
    }
}

/*@ ep_absolute_s16 */
/* The size of each number, scaled by `above`. */
void ep_absolute_s16(const ep_rescale_t *p, const int16_t *x, int16_t *y, int32_t count)
{
    for (int32_t i = 0; i < count; i++) {
        const int32_t value = x[i] + p->offset;
        const int32_t scaled = ep_scale((value < 0) ? -value : value, p->above);
        y[i] = (int16_t)ep_clamp(scaled + p->zero, p->low, p->high);
    }
}

/*@ ep_interpolate_s16 */
/* A function by 513 samples: the upper 9 bits choose, the lower 7 lie between. */
static inline int16_t ep_interpolate_s16(const int16_t *table, int32_t x)
{
    const int16_t *at = table + 256 + (x >> 7);
    return (int16_t)(at[0] + (((at[1] - at[0]) * (x & 127) + 64) >> 7));
}

/*@ ep_curve_s16 */
/* Each number through a table for ep_interpolate_s16. */
void ep_curve_s16(const int16_t *table, const int16_t *x, int16_t *y, int32_t count)
{
    for (int32_t i = 0; i < count; i++) {
        y[i] = ep_interpolate_s16(table, x[i]);
    }
}

/*@ ep_sigmoid_between */
/* 65536 times the sigmoid of size / 2^bits / 24, with `bits` more bits; table: of 256 places. */
static inline int32_t ep_sigmoid_between(const uint16_t *table, int32_t size, int32_t bits)
{
    const int32_t place = size >> bits;
    if (place >= 255) {
        return INT32_MAX;
    }
    return ((int32_t)table[place] << bits) +
           (size & (((int32_t)1 << bits) - 1)) * ((int32_t)table[place + 1] - table[place]);
}

/*@ ep_scaled_s16 */
/* x * multiplier / 2^shift, halves up. */
static inline int32_t ep_scaled_s16(int32_t x, int32_t multiplier, int32_t shift)
{
    const int32_t half = (shift > 0) ? (int32_t)1 << (shift - 1) : 0;
    return (int32_t)((uint32_t)x * (uint32_t)multiplier + (uint32_t)half) >> shift;
}

/*@ ep_sigmoid16 */
/* Sigmoid of x * multiplier / 2^shift / 12288, in units of 1/32768. */
static inline int16_t ep_sigmoid16(const uint16_t *table, int32_t x, int32_t multiplier,
                                   int32_t shift)
{
    const int32_t scaled = ep_scaled_s16(x, multiplier, shift);
    const int32_t between = ep_sigmoid_between(table, (scaled < 0) ? -scaled : scaled, 9);
    const int32_t size = (between == INT32_MAX) ? 0x7FFF * 1024 : between;
    const int32_t value = (scaled >= 0) ? size + 512 : ((int32_t)1 << 25) - size + 511;
    return (int16_t)(value >> 10);
}

/*@ ep_tanh16 */
/* Tanh of x * multiplier / 2^shift / 12288, in units of 1/32768. */
static inline int16_t ep_tanh16(const uint16_t *table, int32_t x, int32_t multiplier,
                                int32_t shift)
{
    const int32_t scaled = ep_scaled_s16(x, multiplier, shift);
    const int32_t between = ep_sigmoid_between(table, (scaled < 0) ? -scaled : scaled, 8);
    const int32_t size = (between == INT32_MAX) ? 0xFFFF * 256 : between;
    const int32_t half = (int32_t)1 << 23;
    const int32_t value = (scaled >= 0) ? size - half + 128 : half - size + 127;
    return (int16_t)(value >> 8);
}

/*@ ep_sigmoid_s16 */
/* Sigmoid of each number. */
void ep_sigmoid_s16(const uint16_t *table, int32_t multiplier, int32_t shift, const int16_t *x,
                    int16_t *y, int32_t count)
{
    for (int32_t i = 0; i < count; i++) {
        y[i] = ep_sigmoid16(table, x[i], multiplier, shift);
    }
}

/*@ ep_tanh_s16 */
/* Hyperbolic tangent of each number. */
void ep_tanh_s16(const uint16_t *table, int32_t multiplier, int32_t shift, const int16_t *x,
                 int16_t *y, int32_t count)
{
    for (int32_t i = 0; i < count; i++) {
        y[i] = ep_tanh16(table, x[i], multiplier, shift);
    }
}
