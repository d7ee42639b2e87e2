/*@ ep_softmax_s16_t */
/* Tables for ep_interpolate_s16: exp over -10 to 0, and 1 / (1 + x) over 0 to 1. */
typedef struct {
    const int16_t *exponentials, *inverses;
    ep_scale_t scale;
    int32_t rows, depth;
} ep_softmax_s16_t;

/*@ ep_exponential_s16 */
/* exp of a difference to the maximum, 15 bits. */
static inline int32_t ep_exponential_s16(const ep_softmax_s16_t *p, int32_t difference)
{
    const int32_t scaled = ep_scale(difference, p->scale) + 32767;
    return ep_interpolate_s16(p->exponentials, ep_clamp(scaled, -32768, 32767));
}

/*@ ep_softmax_s16 */
/* Softmax of each row, in units of 1/32768. */
void ep_softmax_s16(const ep_softmax_s16_t *p, const int16_t *x, int16_t *y)
{
    for (int32_t n = 0; n < p->rows; n++) {
        int32_t largest = -32768;
        int32_t sum = 0;
        for (int32_t i = 0; i < p->depth; i++) {
            largest = (x[i] > largest) ? x[i] : largest;
        }
        for (int32_t i = 0; i < p->depth; i++) {
            sum += ep_exponential_s16(p, x[i] - largest);
        }
        const int32_t right = ep_bit_length((uint32_t)sum) - 1;
        const int32_t mantissa =
            (int32_t)((((int64_t)sum << (30 - right)) + ((int32_t)1 << 13)) >> 14);
        const int32_t place = ep_clamp(mantissa - 98304, -32768, 32767);
        const int32_t inverse = ep_interpolate_s16(p->inverses, place);
        for (int32_t i = 0; i < p->depth; i++) {
            const int32_t product = ep_exponential_s16(p, x[i] - largest) * inverse;
            const int32_t half = (right > 0) ? (int32_t)1 << (right - 1) : 0;
            y[i] = (int16_t)ep_clamp((product + half) >> right, 0, 32767);
        }
        x += p->depth;
        y += p->depth;
    }
}

/*@ ep_l2norm_t */
/* Rows to be brought to length 1; the offset is the input's zero point with the sign turned. */
typedef struct {
    int32_t rows, depth, offset;
} ep_l2norm_t;

/*@ ep_inverse_root */
/* 1 / sqrt(x) as a multiplier for ep_scale; 0 counts as 1. */
static inline ep_scale_t ep_inverse_root(int32_t x)
{
    ep_scale_t result = {INT32_MAX, 0};
    if (x > 1) {
        int32_t small = x;
        int32_t shift = 11;
        int32_t root = (int32_t)1 << 28;
        while (small >= ((int32_t)1 << 29)) {
            small /= 4;
            shift++;
        }
        const int32_t pairs = (31 - ep_bit_length((uint32_t)small)) / 2 - 1;
        shift -= pairs;
        const int32_t value = (int32_t)(((uint32_t)small << (2 * pairs)) >> 1);
        const int32_t half = ep_shift_right(value, 1);
        for (int32_t i = 0; i < 5; i++) {
            const int32_t cube =
                ep_grow(ep_high_mul(ep_high_mul(root, root), root), 6);
            root = ep_grow(ep_high_mul(402653184, root) - ep_high_mul(half, cube), 3);
        }
        root = ep_high_mul(root, 1518500250);
        if (shift < 0) {
            root = (int32_t)((uint32_t)root << -shift);
            shift = 0;
        }
        result.multiplier = root;
        result.shift = shift;
    }
    return result;
}

/*@ ep_grow */
/* x * 2^bits, saturated. */
static inline int32_t ep_grow(int32_t x, int32_t bits)
{
    const int64_t wide = (int64_t)x * ((int64_t)1 << bits);
    return (wide > INT32_MAX) ? INT32_MAX : (wide < INT32_MIN) ? INT32_MIN : (int32_t)wide;
}

/*@ ep_l2norm_s8 */
/* Each row divided by its length, in units of 1/128. */
void ep_l2norm_s8(const ep_l2norm_t *p, const int8_t *x, int8_t *y)
{
    for (int32_t n = 0; n < p->rows; n++) {
        int32_t sum = 0;
        for (int32_t i = 0; i < p->depth; i++) {
            sum += (x[i] + p->offset) * (x[i] + p->offset);
        }
        ep_scale_t root = ep_inverse_root(sum);
        root.shift -= 7;
        for (int32_t i = 0; i < p->depth; i++) {
            y[i] = (int8_t)ep_clamp(ep_scale(x[i] + p->offset, root), -128, 127);
        }
        x += p->depth;
        y += p->depth;
    }
}

/*@ ep_log_softmax_t */
/* exponentials: of 0, -1, -2 … steps of the input, 19 bits; differences: those steps, 26 bits. */
typedef struct {
    const int32_t *exponentials, *differences;
    ep_scale_t back;
    int32_t reach, rows, depth;
} ep_log_softmax_t;

/*@ ep_log */
/* Natural logarithm of x >= 1 with 12 integer bits; the result has 5. */
static inline int32_t ep_log(int32_t x)
{
    const int32_t room = 31 - ep_bit_length((uint32_t)x);
    const int32_t a = ep_grow(ep_high_mul(ep_grow(x, room), 1518500250), 1);
    const int32_t a_power = ep_grow(11 - room, 25) + 8388608;
    const int32_t b_room = 31 - ep_bit_length((uint32_t)ep_high_mul(x, 1518500250));
    const int32_t b = ep_grow(x, b_room);
    const int32_t b_power = ep_grow(12 - b_room, 25) - 8388608;
    const int32_t r = (a < b) ? a : b;
    const int32_t power = (a_power > b_power) ? a_power : b_power;
    const int32_t p = (int32_t)(((int64_t)r + 1805811301 + 1) / 2);
    const int32_t q = (int32_t)((uint32_t)(r - 1805811301) * 2U);
    const int32_t square = ep_high_mul(q, q);
    const int32_t above = ep_high_mul(q, r) + ep_high_mul(ep_high_mul(q, square), 117049297);
    const int32_t inner =
        (int32_t)(1057819769U + (uint32_t)q + (uint32_t)ep_high_mul(127690142, square));
    const int32_t below = ep_high_mul(p, inner) + ep_high_mul(638450708, q);
    const int32_t ratio = ep_high_mul(ep_shift_right(above, 6), ep_reciprocal(below));
    return ep_grow(ep_high_mul(power, 1488522236) + ratio, 1);
}

/*@ ep_log_softmax_s8 */
/* Logarithm of the softmax of each row; the results have scale 1/16 and zero point 127. */
void ep_log_softmax_s8(const ep_log_softmax_t *p, const int8_t *x, int8_t *y)
{
    for (int32_t n = 0; n < p->rows; n++) {
        int32_t largest = -128;
        int32_t sum = 0;
        for (int32_t i = 0; i < p->depth; i++) {
            largest = (x[i] > largest) ? x[i] : largest;
        }
        for (int32_t i = 0; i < p->depth; i++) {
            sum += (largest - x[i] < p->reach) ? p->exponentials[largest - x[i]] : 0;
        }
        const int32_t log = ep_log(sum);
        const int32_t bound = ep_scale((int32_t)((uint32_t)log + 0x80000000U), p->back);
        const int32_t least = (bound > -p->reach) ? bound : -p->reach;
        for (int32_t i = 0; i < p->depth; i++) {
            const int32_t difference = x[i] - largest;
            int32_t value = -128;
            if (difference > least) {
                value = ep_shift_right(p->differences[-difference] - log, 22) + 127;
            }
            y[i] = (int8_t)ep_clamp(value, -128, 127);
        }
        x += p->depth;
        y += p->depth;
    }
}
