/*@ ep_clamp_f32 */
/* x kept between low and high. */
static inline float ep_clamp_f32(float x, float low, float high)
{
    const float bounded = (x < low) ? low : x;
    return (bounded > high) ? high : bounded;
}

/*@ ep_bits_f32 */
/* The number with these bits. */
static inline float ep_bits_f32(int32_t bits)
{
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/*@ ep_exp_f32 */
/* e to the x: 2^n times a polynomial of the rest, which is at most ln 2 / 2. */
static inline float ep_exp_f32(float x)
{
    const float bounded = ep_clamp_f32(x, -87.3F, 88.7F);
    const int32_t n = (int32_t)(bounded * 1.44269504F + ((bounded < 0.0F) ? -0.5F : 0.5F));
    const float r = (bounded - (float)n * 0.693359375F) + (float)n * 2.12194440e-4F;
    float y = 1.38888889e-3F;
    y = y * r + 8.33333333e-3F;
    y = y * r + 4.16666667e-2F;
    y = y * r + 1.66666667e-1F;
    y = y * r + 0.5F;
    y = y * r + 1.0F;
    y = y * r + 1.0F;
    if (x < -87.3F) {
        return 0.0F;
    }
    return (n > 127) ? y * 2.0F * ep_bits_f32(254 * 8388608) : y * ep_bits_f32((n + 127) * 8388608);
}

/*@ ep_log_f32 */
/* Natural logarithm of x > 0: of the mantissa in [sqrt(1/2), sqrt(2)) by the series of atanh. */
static inline float ep_log_f32(float x)
{
    int32_t bits;
    memcpy(&bits, &x, sizeof bits);
    int32_t exponent = (bits >> 23) - 127;
    float m = ep_bits_f32((bits & 0x7FFFFF) | (127 * 8388608));
    if (m > 1.41421356F) {
        m *= 0.5F;
        exponent++;
    }
    const float t = (m - 1.0F) / (m + 1.0F);
    const float s = t * t;
    const float tail = s * (0.333333333F + s * (0.2F + s * (0.142857143F + s * 0.111111111F)));
    return (float)exponent * 0.693147181F + 2.0F * (t + t * tail);
}

/*@ ep_root_f32 */
/* Square root of x, by Newton's method; 0 of what is not above 0. */
static inline float ep_root_f32(float x)
{
    int32_t bits;
    float y;
    if (!(x > 0.0F)) {
        return 0.0F;
    }
    memcpy(&bits, &x, sizeof bits);
    y = ep_bits_f32((bits >> 1) + 532676608);
    y = 0.5F * (y + x / y);
    y = 0.5F * (y + x / y);
    return 0.5F * (y + x / y);
}

/*@ ep_tanh_f32 */
/* Hyperbolic tangent; a polynomial near 0, where the quotient would lose digits. */
static inline float ep_tanh_f32(float x)
{
    const float size = (x < 0.0F) ? -x : x;
    const float s = x * x;
    if (size < 0.3F) {
        return x + x * s * (-0.333333333F + s * (0.133333333F + s * (-0.0539682540F +
                                                                     s * 0.0218694885F)));
    }
    const float y = 1.0F - 2.0F / (ep_exp_f32(2.0F * size) + 1.0F);
    return (x < 0.0F) ? -y : y;
}

/*@ ep_sigmoid_f32 */
/* 1 / (1 + exp(-x)). */
static inline float ep_sigmoid_f32(float x)
{
    const float e = ep_exp_f32((x < 0.0F) ? x : -x);
    return ((x < 0.0F) ? e : 1.0F) / (1.0F + e);
}

/*@ ep_erf_f32 */
/* Gauss error function: its series near 0, else Abramowitz and Stegun 7.1.26. */
static inline float ep_erf_f32(float x)
{
    const float size = (x < 0.0F) ? -x : x;
    const float s = x * x;
    if (size < 0.5F) {
        return 1.12837917F * x *
               (1.0F + s * (-0.333333333F + s * (0.1F + s * (-0.0238095238F + s * 4.62962963e-3F))));
    }
    const float t = 1.0F / (1.0F + 0.3275911F * size);
    const float p =
        t * (0.254829592F +
             t * (-0.284496736F + t * (1.421413741F + t * (-1.453152027F + t * 1.061405429F))));
    const float y = 1.0F - p * ep_exp_f32(-s);
    return (x < 0.0F) ? -y : y;
}
