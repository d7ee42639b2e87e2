/*@ ep_reciprocal */
/* 1 / (1 + a) for a in [0, 1]; both without integer bits. */
static inline int32_t ep_reciprocal(int32_t a)
{
    const int64_t sum = (int64_t)a + INT32_MAX;
    const int32_t half = (int32_t)((sum + 1) / 2);
    int32_t x = 1515870810 + ep_high_mul(half, -1010580540);
    for (int32_t i = 0; i < 3; i++) {
        const int32_t error = ((int32_t)1 << 29) - ep_high_mul(half, x);
        x += ep_high_mul(x, error) * 4;
    }
    return (x > INT32_MAX / 2) ? INT32_MAX : x * 2;
}

/*@ ep_softmax_t */
/* exponentials: of 0, -1, -2 … steps of the input, 31 bits; what is further down counts as 0. */
typedef struct {
    const int32_t *exponentials;
    int32_t reach, rows, depth;
} ep_softmax_t;

/*@ ep_softmax_s8 */
/* Softmax of each row; the results have scale 1/256 and zero point -128. */
void ep_softmax_s8(const ep_softmax_t *p, const int8_t *x, int8_t *y)
{
    for (int32_t n = 0; n < p->rows; n++) {
        int32_t largest = -128;
        int32_t sum = 0;
        int32_t headroom = 0;
        for (int32_t i = 0; i < p->depth; i++) {
            largest = (x[i] > largest) ? x[i] : largest;
        }
        for (int32_t i = 0; i < p->depth; i++) {
            if (largest - x[i] < p->reach) {
                sum += ep_shift_right(p->exponentials[largest - x[i]], 12);
            }
        }
        while (((uint32_t)sum << headroom) < 0x80000000U) {
            headroom++;
        }
        const int32_t inverse = ep_reciprocal((int32_t)(((uint32_t)sum << headroom) - 0x80000000U));
        for (int32_t i = 0; i < p->depth; i++) {
            const int32_t steps = largest - x[i];
            int32_t value = -128;
            if (steps < p->reach && headroom > 3) {
                value += ep_shift_right(ep_high_mul(inverse, p->exponentials[steps]), 35 - headroom);
            }
            y[i] = (int8_t)ep_clamp(value, -128, 127);
        }
        x += p->depth;
        y += p->depth;
    }
}
