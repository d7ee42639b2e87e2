/*@ ep_requantize_s8 */
/* n > 0 swift results that only 8 bits limit: see ep_results_s8. */
static inline void ep_requantize_s8(const int32_t *sums, int32_t n, ep_scale_t by, int32_t more,
                                    uint8_t *to, int32_t pitch)
{
#if defined(__ARM_FEATURE_DSP)
    int32_t x;
    __asm__ volatile("1: \n"
                     "ldr %[x], [%[sums]], #4 \n"
                     "subs %[n], %[n], #1 \n"
                     "lsl %[x], %[x], #1 \n"
                     "smmulr %[x], %[x], %[multiplier] \n"
                     "add %[x], %[x], %[x], asr #31 \n"
                     "add %[x], %[x], %[more] \n"
                     "asr %[x], %[x], %[shift] \n"
                     "ssat %[x], #8, %[x] \n"
                     "strb %[x], [%[to]] \n"
                     "add %[to], %[to], %[pitch] \n"
                     "bgt 1b \n"
                     : [x] "=&r"(x), [sums] "+r"(sums), [n] "+r"(n), [to] "+r"(to)
                     : [multiplier] "r"(by.multiplier), [shift] "r"(by.shift), [more] "r"(more),
                       [pitch] "r"(pitch)
                     : "cc", "memory");
#else
    for (; n > 0; n--) {
        const int32_t x = ep_twice_high(*sums++, by.multiplier);
        *to = (uint8_t)ep_saturate_s8((x + (x >> 31) + more) >> by.shift);
        to += pitch;
    }
#endif
}

/*@ ep_results_s8 */
/* Results of n > 0 sums of one channel. Swift ones have the zero point in the rounding:
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
        if (low == -128 && high == 127) {
            ep_requantize_s8(sums, n, by, more, to, pitch);
        } else {
            for (; n > 0; n--) {
                const int32_t x = ep_twice_high(*sums++, by.multiplier);
                *to = (uint8_t)ep_clamp((x + (x >> 31) + more) >> by.shift, low, high);
                to += pitch;
            }
        }
    }
}
