/*@ ep_lookup_8 */
/* Each byte of x replaced by the entry of the table that it numbers. */
void ep_lookup_8(const uint8_t *table, const uint8_t *x, uint8_t *y, int32_t count)
{
    for (int32_t i = 0; i < count; i++) {
        y[i] = table[x[i]];
    }
}

/*@ ep_lookup_16 */
/* As ep_lookup_8, with entries of 16 bits. */
void ep_lookup_16(const int16_t *table, const uint8_t *x, int16_t *y, int32_t count)
{
    for (int32_t i = 0; i < count; i++) {
        y[i] = table[x[i]];
    }
}

/*@ ep_add_t */
/* Both inputs are brought to a common scale with `spare` more bits, then their sum to the output's.
   Offsets are zero points with the sign turned. */
typedef struct {
    ep_scale_t a, b, y;
    int32_t a_offset, b_offset, zero, low, high, spare;
} ep_add_t;

/*@ ep_add_s8, s16 */
/* Sums of pairs; a step of 0 repeats one element. */
void ep_add_s8(const ep_add_t *p, const int8_t *a, int32_t a_step, const int8_t *b, int32_t b_step,
               int8_t *y, int32_t count)
{
    for (int32_t i = 0; i < count; i++) {
        const int32_t left = ep_scale((*a + p->a_offset) * ((int32_t)1 << p->spare), p->a);
        const int32_t right = ep_scale((*b + p->b_offset) * ((int32_t)1 << p->spare), p->b);
        const int32_t sum = ep_scale(left + right, p->y) + p->zero;
        y[i] = (int8_t)ep_clamp(sum, p->low, p->high);
        a += a_step;
        b += b_step;
    }
}

/*@ ep_sub_s8, s16 */
/* Differences of pairs; a step of 0 repeats one element. */
void ep_sub_s8(const ep_add_t *p, const int8_t *a, int32_t a_step, const int8_t *b, int32_t b_step,
               int8_t *y, int32_t count)
{
    for (int32_t i = 0; i < count; i++) {
        const int32_t left = ep_scale((*a + p->a_offset) * ((int32_t)1 << p->spare), p->a);
        const int32_t right = ep_scale((*b + p->b_offset) * ((int32_t)1 << p->spare), p->b);
        const int32_t difference = ep_scale(left - right, p->y) + p->zero;
        y[i] = (int8_t)ep_clamp(difference, p->low, p->high);
        a += a_step;
        b += b_step;
    }
}

/*@ ep_squared_difference_s8, s16 */
/* Squares of differences of pairs; a step of 0 repeats one element. */
void ep_squared_difference_s8(const ep_add_t *p, const int8_t *a, int32_t a_step, const int8_t *b,
                              int32_t b_step, int8_t *y, int32_t count)
{
    for (int32_t i = 0; i < count; i++) {
        const int32_t left = ep_scale((*a + p->a_offset) * ((int32_t)1 << p->spare), p->a);
        const int32_t right = ep_scale((*b + p->b_offset) * ((int32_t)1 << p->spare), p->b);
        const uint32_t difference = (uint32_t)(left - right);
        const int32_t square = ep_scale((int32_t)(difference * difference), p->y) + p->zero;
        y[i] = (int8_t)ep_clamp(square, p->low, p->high);
        a += a_step;
        b += b_step;
    }
}

/*@ ep_mul_t */
/* Offsets are zero points with the sign turned. */
typedef struct {
    ep_scale_t y;
    int32_t a_offset, b_offset, zero, low, high;
} ep_mul_t;

/*@ ep_mul_s8, s16 */
/* Products of pairs; a step of 0 repeats one element. */
void ep_mul_s8(const ep_mul_t *p, const int8_t *a, int32_t a_step, const int8_t *b, int32_t b_step,
               int8_t *y, int32_t count)
{
    for (int32_t i = 0; i < count; i++) {
        const int32_t product = (*a + p->a_offset) * (*b + p->b_offset);
        y[i] = (int8_t)ep_clamp(ep_scale(product, p->y) + p->zero, p->low, p->high);
        a += a_step;
        b += b_step;
    }
}

/*@ ep_bit_length */
/* The bits of x without leading zeros. */
static inline int32_t ep_bit_length(uint32_t x)
{
    int32_t bits = 0;
    while (bits < 32 && (x >> bits) != 0U) {
        bits++;
    }
    return bits;
}

/*@ ep_div_s8 */
/* Quotients of pairs, by a reciprocal; one by 0 is 0. A step of 0 repeats one element. */
void ep_div_s8(const ep_mul_t *p, const int8_t *a, int32_t a_step, const int8_t *b, int32_t b_step,
               int8_t *y, int32_t count)
{
    for (int32_t i = 0; i < count; i++) {
        const int32_t below = *b + p->b_offset;
        const int32_t size = (below < 0) ? -below : below;
        const int32_t above = (below < 0) ? -(*a + p->a_offset) : *a + p->a_offset;
        int32_t value = 0;
        if (size != 0) {
            const int32_t zeros = 32 - ep_bit_length((uint32_t)size);
            const int32_t inverse =
                ep_reciprocal((int32_t)(((uint32_t)size << zeros) - 0x80000000U));
            const int32_t room = 31 - ep_bit_length((uint32_t)((above < 0) ? ~above : above));
            const int32_t wide = (int32_t)((uint32_t)above << room);
            const int32_t shift = 31 - zeros + room + p->y.shift;
            value = ep_high_mul(ep_high_mul(wide, inverse), p->y.multiplier);
            value = (shift > 31) ? 0 : (shift > 0) ? ep_shift_right(value, shift) : value;
        }
        y[i] = (int8_t)ep_clamp(value + p->zero, p->low, p->high);
        a += a_step;
        b += b_step;
    }
}

/*@ ep_maximum_s8, s16 */
/* The larger of each pair; a step of 0 repeats one element. */
void ep_maximum_s8(const int8_t *a, int32_t a_step, const int8_t *b, int32_t b_step, int8_t *y,
                   int32_t count)
{
    for (int32_t i = 0; i < count; i++) {
        y[i] = (*a > *b) ? *a : *b;
        a += a_step;
        b += b_step;
    }
}

/*@ ep_minimum_s8, s16 */
/* The smaller of each pair; a step of 0 repeats one element. */
void ep_minimum_s8(const int8_t *a, int32_t a_step, const int8_t *b, int32_t b_step, int8_t *y,
                   int32_t count)
{
    for (int32_t i = 0; i < count; i++) {
        y[i] = (*a < *b) ? *a : *b;
        a += a_step;
        b += b_step;
    }
}

/*@ ep_compare_t */
/* Whether a is less than b, equal, greater: 1 where that makes the result true. */
typedef struct {
    ep_scale_t a, b;
    int32_t a_offset, b_offset;
    uint8_t less, equal, greater;
} ep_compare_t;

/*@ ep_compare_s8 */
/* Comparisons of pairs as 0 or 1; a step of 0 repeats one element. */
void ep_compare_s8(const ep_compare_t *p, const int8_t *a, int32_t a_step, const int8_t *b,
                   int32_t b_step, uint8_t *y, int32_t count)
{
    for (int32_t i = 0; i < count; i++) {
        const int32_t left = ep_scale((*a + p->a_offset) * 256, p->a);
        const int32_t right = ep_scale((*b + p->b_offset) * 256, p->b);
        y[i] = (left < right) ? p->less : (left > right) ? p->greater : p->equal;
        a += a_step;
        b += b_step;
    }
}

/*@ ep_where_s8, s16, s32 */
/* a where the condition is not 0, else b; a step of 0 repeats one element. */
void ep_where_s8(const uint8_t *condition, int32_t condition_step, const int8_t *a, int32_t a_step,
                 const int8_t *b, int32_t b_step, int8_t *y, int32_t count)
{
    for (int32_t i = 0; i < count; i++) {
        y[i] = (*condition != 0U) ? *a : *b;
        condition += condition_step;
        a += a_step;
        b += b_step;
    }
}

/*@ ep_prelu_t */
/* Multipliers of what is above 0, and of the products below. */
typedef struct {
    ep_scale_t above, below;
    int32_t a_offset, b_offset, zero;
} ep_prelu_t;

/*@ ep_prelu_s8 */
/* a where it stands for 0 or more, else its product with b; a step of 0 repeats one element. */
void ep_prelu_s8(const ep_prelu_t *p, const int8_t *a, int32_t a_step, const int8_t *b,
                 int32_t b_step, int8_t *y, int32_t count)
{
    for (int32_t i = 0; i < count; i++) {
        const int32_t x = *a + p->a_offset;
        const int32_t value = (x >= 0) ? ep_scale(x, p->above)
                                       : ep_scale(x * (*b + p->b_offset), p->below);
        y[i] = (int8_t)ep_clamp(value + p->zero, INT8_MIN, INT8_MAX);
        a += a_step;
        b += b_step;
    }
}
