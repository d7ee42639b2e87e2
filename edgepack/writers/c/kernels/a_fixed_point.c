/*@ ep_scale_t */
/* A real multiplier: multiplier * 2^(-31 - shift); a negative shift goes to the left. */
typedef struct {
    int32_t multiplier;
    int32_t shift;
} ep_scale_t;

/*@ ep_high_mul */
/* Upper half of 2ab, rounded; the product must not be that of two INT32_MIN. */
static inline int32_t ep_high_mul(int32_t a, int32_t b)
{
    return (int32_t)(((int64_t)a * b + ((int64_t)1 << 30)) >> 31);
}

/*@ ep_shift_right */
/* x / 2^shift, halves away from zero; shift is 1 to 31. */
static inline int32_t ep_shift_right(int32_t x, int32_t shift)
{
    return (((x + (x >> 31)) >> (shift - 1)) + 1) >> 1;
}

/*@ ep_scale */
/* x times a real multiplier, rounded twice as TensorFlow Lite Micro does. */
static inline int32_t ep_scale(int32_t x, ep_scale_t by)
{
    if (by.shift > 0) {
        return ep_shift_right(ep_high_mul(x, by.multiplier), by.shift);
    }
    return ep_high_mul((int32_t)((uint32_t)x << -by.shift), by.multiplier);
}

/*@ ep_clamp */
/* x kept between low and high. */
static inline int32_t ep_clamp(int32_t x, int32_t low, int32_t high)
{
    const int32_t bounded = (x < low) ? low : x;
    return (bounded > high) ? high : bounded;
}

/*@ ep_twice_high */
/* Upper half of 2ab, rounded, for |a| < 2^30. */
static inline int32_t ep_twice_high(int32_t a, int32_t b)
{
#if defined(__ARM_FEATURE_DSP)
    int32_t high;
    __asm__("smmulr %0, %1, %2" : "=r"(high) : "r"(a + a), "r"(b));
    return high;
#else
    return (int32_t)(((int64_t)a * b + ((int64_t)1 << 30)) >> 31);
#endif
}

/*@ ep_saturate_s8 */
/* x kept within 8 bits. */
static inline int32_t ep_saturate_s8(int32_t x)
{
#if defined(__ARM_FEATURE_DSP)
    int32_t bounded;
    __asm__("ssat %0, #8, %1" : "=r"(bounded) : "r"(x));
    return bounded;
#else
    x = (x < -128) ? -128 : x;
    return (x > 127) ? 127 : x;
#endif
}

/*@ ep_store_t */
/* How sums become results, `pitch` bytes apart; swift as in ep_matrix_t. */
typedef struct {
    int32_t swift, zero, low, high, pitch;
} ep_store_t;

/*@ ep_results_s8 */
/* Results of n sums of one channel. Swift ones have the zero point in the rounding:
   (x + 2^(shift - 1)) / 2^shift + zero, halves away from zero. */
static inline void ep_results_s8(const int32_t *sums, int32_t n, ep_scale_t by,
                                 const ep_store_t *how, int8_t *y)
{
    const int32_t zero = how->zero, low = how->low, high = how->high, pitch = how->pitch;
    uint8_t *to = (uint8_t *)y;
    if (how->swift == 0) {
        for (; n > 0; n--) {
            *to = (uint8_t)ep_clamp(ep_scale(*sums++, by) + zero, low, high);
            to += pitch;
        }
    } else {
        const int32_t more = (1 << (by.shift - 1)) + zero * (1 << by.shift);
        for (; n > 0; n--) {
            const int32_t x = ep_twice_high(*sums++, by.multiplier);
            *to = (uint8_t)ep_clamp((x + (x >> 31) + more) >> by.shift, low, high);
            to += pitch;
        }
    }
}
