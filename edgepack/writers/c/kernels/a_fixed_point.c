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
