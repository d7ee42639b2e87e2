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

/*@ ep_results_s8 */
/* Results of n sums of one channel, `pitch` apart in y. `swift` (see ep_matrix_t) folds the zero
   point into the rounding: (x + 2^(shift - 1)) / 2^shift + zero, halves away from zero. */
static inline void ep_results_s8(const int32_t *sums, int32_t n, ep_scale_t by, int32_t swift,
                                 int32_t zero, int32_t low, int32_t high, int8_t *y, int32_t pitch)
{
    if (swift == 0) {
        for (; n > 0; n--) {
            *y = (int8_t)ep_clamp(ep_scale(*sums++, by) + zero, low, high);
            y += pitch;
        }
    } else {
        const int32_t more = (1 << (by.shift - 1)) + zero * (1 << by.shift);
        const int32_t all = (low == -128) && (high == 127);
        for (; n > 0; n--) {
            int32_t x = ep_twice_high(*sums++, by.multiplier);
            x = ep_saturate_s8((x + (x >> 31) + more) >> by.shift);
            *y = (int8_t)((all != 0) ? x : ep_clamp(x, low, high));
            y += pitch;
        }
    }
}

/*@ ep_tile_s8 */
/* Sums of two outputs for four pixels, which begin as sums[0] and sums[1] and come back as
   sums[0..3] and sums[4..7]. w: [pairs][2 numbers][2 outputs]; x: [pairs][4 pixels][2 numbers]. */
void ep_tile_s8(const int8_t *w, const int16_t *x, int32_t pairs, int32_t *sums)
{
#if defined(__ARM_FEATURE_DSP)
#define EP_PAIR                         \
    "ldr r12, [r0], #4 \n"              \
    "ldrd r2, r3, [r1], #8 \n"          \
    "sxtb16 lr, r12, ror #8 \n"         \
    "sxtb16 r12, r12 \n"                \
    "smlad r4, r12, r2, r4 \n"          \
    "smlad r5, r12, r3, r5 \n"          \
    "smlad r8, lr, r2, r8 \n"           \
    "smlad r9, lr, r3, r9 \n"           \
    "ldrd r2, r3, [r1], #8 \n"          \
    "smlad r6, r12, r2, r6 \n"          \
    "smlad r7, r12, r3, r7 \n"          \
    "smlad r10, lr, r2, r10 \n"         \
    "smlad r11, lr, r3, r11 \n"
    register const int8_t *r0 __asm__("r0") = w;
    register const int16_t *r1 __asm__("r1") = x;
    register int32_t r2 __asm__("r2") = pairs;
    register int32_t *r3 __asm__("r3") = sums;
    __asm__ volatile("push {r3-r11, lr} \n"
                     "ldrd r4, r8, [r3] \n"
                     "mov r5, r4 \n"
                     "mov r6, r4 \n"
                     "mov r7, r4 \n"
                     "mov r9, r8 \n"
                     "mov r10, r8 \n"
                     "mov r11, r8 \n"
                     "add r3, r1, r2, lsl #4 \n" /* the end of x */
                     "bic r2, r2, #3 \n"
                     "add r2, r1, r2, lsl #4 \n" /* the end of its fours of pairs */
                     "push {r2, r3} \n"
                     "b 2f \n"
                     "1: \n" EP_PAIR EP_PAIR EP_PAIR EP_PAIR
                     "ldr r2, [sp] \n"
                     "2: \n"
                     "cmp r1, r2 \n"
                     "bne 1b \n"
                     "ldr r2, [sp, #4] \n"
                     "b 4f \n"
                     "3: \n" EP_PAIR
                     "ldr r2, [sp, #4] \n"
                     "4: \n"
                     "cmp r1, r2 \n"
                     "bne 3b \n"
                     "add sp, sp, #8 \n"
                     "pop {r3} \n"
                     "stm r3, {r4-r11} \n"
                     "pop {r4-r11, lr} \n"
                     : "+r"(r0), "+r"(r1), "+r"(r2), "+r"(r3)
                     :
                     : "r12", "cc", "memory");
#undef EP_PAIR
#else
    for (int32_t n = 3; n >= 0; n--) {
        int32_t a = sums[0];
        int32_t b = sums[1];
        for (int32_t i = 0; i < pairs; i++) {
            const int16_t *from = x + 8 * i + 2 * n;
            a += from[0] * w[4 * i] + from[1] * w[4 * i + 2];
            b += from[0] * w[4 * i + 1] + from[1] * w[4 * i + 3];
        }
        sums[4 + n] = b;
        sums[8 + n] = a;
    }
    (void)memmove(sums, sums + 8, 4 * sizeof(int32_t));
#endif
}

/*@ ep_row_s8 */
/* Sums of two outputs for one pixel, onto sums[0] and sums[1]. w: [pairs][2 numbers][2 outputs];
   x: [pairs][2 numbers]. */
void ep_row_s8(const int8_t *w, const int16_t *x, int32_t pairs, int32_t *sums)
{
#if defined(__ARM_FEATURE_DSP)
#define EP_PAIR(weights, numbers)              \
    "sxtb16 lr, " weights ", ror #8 \n"        \
    "sxtb16 " weights ", " weights " \n"       \
    "smlad r3, " weights ", " numbers ", r3 \n" \
    "smlad r12, lr, " numbers ", r12 \n"
    register const int8_t *r0 __asm__("r0") = w;
    register const int16_t *r1 __asm__("r1") = x;
    register int32_t r2 __asm__("r2") = pairs;
    register int32_t *r3 __asm__("r3") = sums;
    __asm__ volatile("push {r3-r11, lr} \n"
                     "ldrd r3, r12, [r3] \n"
                     "subs r2, r2, #4 \n"
                     "blt 2f \n"
                     "1: \n"
                     "ldm r0!, {r4-r7} \n"
                     "ldm r1!, {r8-r11} \n" EP_PAIR("r4", "r8") EP_PAIR("r5", "r9")
                         EP_PAIR("r6", "r10") EP_PAIR("r7", "r11")
                     "subs r2, r2, #4 \n"
                     "bge 1b \n"
                     "2: \n"
                     "adds r2, r2, #4 \n"
                     "beq 4f \n"
                     "3: \n"
                     "ldr r4, [r0], #4 \n"
                     "ldr r8, [r1], #4 \n" EP_PAIR("r4", "r8")
                     "subs r2, r2, #1 \n"
                     "bne 3b \n"
                     "4: \n"
                     "pop {r4} \n"
                     "strd r3, r12, [r4] \n"
                     "pop {r4-r11, lr} \n"
                     : "+r"(r0), "+r"(r1), "+r"(r2), "+r"(r3)
                     :
                     : "r12", "cc", "memory");
#undef EP_PAIR
#else
    for (int32_t i = 0; i < pairs; i++) {
        sums[0] += x[2 * i] * w[4 * i] + x[2 * i + 1] * w[4 * i + 2];
        sums[1] += x[2 * i] * w[4 * i + 1] + x[2 * i + 1] * w[4 * i + 3];
    }
#endif
}

/*@ ep_lanes_s8 */
/* All outputs of `pixels` pixels, whose numbers lie in pairs in `lanes` lanes (1 or 4), one for
   each pixel: patches: [pairs][lanes][2]. */
void ep_lanes_s8(const ep_matrix_t *p, const int16_t *patches, int32_t lanes, int32_t pixels,
                 int8_t *y)
{
    const int32_t pairs = (p->depth + 1) >> 1;
    const int8_t *w = p->weights;
    for (int32_t c = 0; c < p->out; c += 2) {
        int32_t sums[12];
        const int32_t second = (c + 1 < p->out) ? c + 1 : c;
        sums[0] = p->bias[c];
        sums[1] = p->bias[second];
        if (lanes == 4) {
            ep_tile_s8(w, patches, pairs, sums);
        } else {
            ep_row_s8(w, patches, pairs, sums);
        }
        for (int32_t k = c; k <= second; k++) {
            ep_results_s8(&sums[(k - c) * lanes], pixels, p->scales[k * p->scale_step], p->swift,
                          p->zero, p->low, p->high, y + k, p->out);
        }
        w += 4 * pairs;
    }
}

/*@ ep_spread_s8 */
/* n numbers into a lane, from its number `at` on; pairs of the lane are `step` numbers apart. */
void ep_spread_s8(const int8_t *x, int32_t n, int16_t *lane, int32_t at, int32_t step)
{
    int16_t *to = lane + (at >> 1) * step;
    if ((at & 1) != 0 && n > 0) {
        to[1] = *x++;
        to += step;
        n--;
    }
    for (; n >= 4; n -= 4) {
#if defined(__ARM_FEATURE_DSP)
        uint32_t four, even, odd, pair;
        (void)memcpy(&four, x, sizeof four);
        __asm__("sxtb16 %0, %1" : "=r"(even) : "r"(four));
        __asm__("sxtb16 %0, %1, ror #8" : "=r"(odd) : "r"(four));
        __asm__("pkhbt %0, %1, %2, lsl #16" : "=r"(pair) : "r"(even), "r"(odd));
        (void)memcpy(to, &pair, sizeof pair);
        to += step;
        __asm__("pkhtb %0, %1, %2, asr #16" : "=r"(pair) : "r"(odd), "r"(even));
        (void)memcpy(to, &pair, sizeof pair);
#else
        to[0] = x[0];
        to[1] = x[1];
        to += step;
        to[0] = x[2];
        to[1] = x[3];
#endif
        to += step;
        x += 4;
    }
    for (; n >= 2; n -= 2) {
        to[0] = x[0];
        to[1] = x[1];
        to += step;
        x += 2;
    }
    if (n > 0) {
        to[0] = *x;
    }
}

/*@ ep_dense_s8 */
/* Each row of x times the weights: dense layers, and 1x1 convolutions with a pixel for a row.
   scratch: four rows of numbers, in lanes, or one. */
void ep_dense_s8(const ep_dense_t *p, const int8_t *x, int8_t *y, int16_t *scratch)
{
    const int32_t lanes = (p->block < 4) ? 1 : 4;
    for (int32_t row = 0; row < p->rows; row += lanes) {
        const int32_t left = p->rows - row;
        const int32_t rows = (left < lanes) ? left : lanes;
        for (int32_t n = 0; n < rows; n++) {
            ep_spread_s8(x, p->matrix.depth, scratch + 2 * n, 0, 2 * lanes);
            x += p->matrix.depth;
        }
        ep_lanes_s8(&p->matrix, scratch, lanes, rows, y);
        y += rows * p->matrix.out;
    }
}
