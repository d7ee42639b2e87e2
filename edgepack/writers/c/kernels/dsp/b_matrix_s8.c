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
    const int32_t first = sums[0];
    const int32_t second = sums[1];
    for (int32_t n = 0; n < 4; n++) {
        const int16_t *from = x + 2 * n;
        sums[n] = first;
        sums[4 + n] = second;
        for (int32_t i = 0; i < pairs; i++) {
            sums[n] += from[0] * w[4 * i] + from[1] * w[4 * i + 2];
            sums[4 + n] += from[0] * w[4 * i + 1] + from[1] * w[4 * i + 3];
            from += 8;
        }
    }
#endif
}

/*@ ep_row_s8 */
/* Sums of 2 * couples outputs for one pixel, onto their biases. w: [couples][pairs][2 numbers][2
   outputs]; x: [pairs][2 numbers]. */
void ep_row_s8(const int8_t *w, const int16_t *x, int32_t pairs, const int32_t *bias,
               int32_t couples, int32_t *sums)
{
#if defined(__ARM_FEATURE_DSP)
#define EP_PAIR(weights, numbers)               \
    "sxtb16 lr, " weights ", ror #8 \n"         \
    "sxtb16 " weights ", " weights " \n"        \
    "smlad r3, " weights ", " numbers ", r3 \n" \
    "smlad r12, lr, " numbers ", r12 \n"
    const void *frame[5] = {x, (const void *)(intptr_t)pairs, bias,
                            (const void *)(intptr_t)couples, sums};
    register const int8_t *r0 __asm__("r0") = w;
    register const void **r1 __asm__("r1") = frame;
    __asm__ volatile("push {r1, r4-r11, lr} \n"
                     "mov r4, r1 \n"
                     "1: \n"
                     "ldm r4, {r1, r2, r5} \n"
                     "ldrd r3, r12, [r5], #8 \n"
                     "str r5, [r4, #8] \n"
                     "subs r2, r2, #4 \n"
                     "blt 3f \n"
                     "2: \n"
                     "ldm r0!, {r4-r7} \n"
                     "ldm r1!, {r8-r11} \n" EP_PAIR("r4", "r8") EP_PAIR("r5", "r9")
                         EP_PAIR("r6", "r10") EP_PAIR("r7", "r11")
                     "subs r2, r2, #4 \n"
                     "bge 2b \n"
                     "3: \n"
                     "adds r2, r2, #4 \n"
                     "beq 5f \n"
                     "4: \n"
                     "ldr r4, [r0], #4 \n"
                     "ldr r8, [r1], #4 \n" EP_PAIR("r4", "r8")
                     "subs r2, r2, #1 \n"
                     "bne 4b \n"
                     "5: \n"
                     "ldr r4, [sp] \n"
                     "ldrd r5, r6, [r4, #12] \n"
                     "strd r3, r12, [r6], #8 \n"
                     "subs r5, r5, #1 \n"
                     "strd r5, r6, [r4, #12] \n"
                     "bgt 1b \n"
                     "pop {r1, r4-r11, lr} \n"
                     : "+r"(r0), "+r"(r1)
                     :
                     : "r2", "r3", "r12", "cc", "memory");
#undef EP_PAIR
#else
    for (int32_t c = 0; c < couples; c++) {
        sums[0] = bias[0];
        sums[1] = bias[1];
        for (int32_t i = 0; i < pairs; i++) {
            sums[0] += x[2 * i] * w[0] + x[2 * i + 1] * w[2];
            sums[1] += x[2 * i] * w[1] + x[2 * i + 1] * w[3];
            w += 4;
        }
        sums += 2;
        bias += 2;
    }
#endif
}

/*@ ep_line_s8 */
/* All outputs of one pixel. x: its numbers, one more if their count is odd. */
void ep_line_s8(const ep_matrix_t *p, const int16_t *x, int8_t *y)
{
    const int32_t pairs = (p->depth + 1) >> 1, zero = p->zero, low = p->low, high = p->high;
    const int32_t step = p->scale_step, out = p->out, twice = 2 * zero + 1, swift = p->swift;
    const ep_scale_t *scales = p->scales;
    const int32_t *bias = p->bias;
    const int8_t *w = p->weights;
    uint8_t *to = (uint8_t *)y;
    for (int32_t c = 0; c < out; c += 16) {
        int32_t sums[16];
        const int32_t n = (out - c < 16) ? out - c : 16;
        ep_row_s8(w, x, pairs, bias, (n + 1) >> 1, sums);
        w += 32 * pairs;
        bias += 16;
        for (int32_t k = 0; k < n; k++) {
            if (swift != 0) { /* as in ep_results_s8 */
                const int32_t high_half = ep_twice_high(sums[k], scales->multiplier);
                const int32_t more = twice * (1 << (scales->shift - 1));
                const int32_t sum = (high_half + (high_half >> 31) + more) >> scales->shift;
                *to++ = (uint8_t)ep_clamp(sum, low, high);
            } else {
                *to++ = (uint8_t)ep_clamp(ep_scale(sums[k], *scales) + zero, low, high);
            }
            scales += step;
        }
    }
}

/*@ ep_lanes_s8 */
/* All outputs of up to four pixels, whose numbers lie in pairs in four lanes, one for each pixel:
   patches: [pairs][4][2]. */
void ep_lanes_s8(const ep_matrix_t *p, const int16_t *patches, int32_t pixels, int8_t *y)
{
    const int32_t out = p->out, pairs = (p->depth + 1) >> 1;
    const ep_store_t how = {p->swift, p->zero, p->low, p->high, out};
    const ep_scale_t *scales = p->scales;
    const int32_t *bias = p->bias;
    const int8_t *w = p->weights;
    for (int32_t c = 0; c < out; c += 2) {
        int32_t sums[8];
        sums[0] = bias[c];
        sums[1] = bias[c + 1];
        ep_tile_s8(w, patches, pairs, sums);
        ep_results_s8(sums, pixels, *scales, &how, y);
        scales += p->scale_step;
        if (c + 1 < out) {
            ep_results_s8(sums + 4, pixels, *scales, &how, y + 1);
            scales += p->scale_step;
        }
        w += 4 * pairs;
        y += 2;
    }
}

/*@ ep_fours_s8 */
/* 4n numbers as pairs, which are `step` bytes apart. */
static inline void ep_fours_s8(const int8_t *x, int32_t n, int16_t *to, int32_t step)
{
#if defined(__ARM_FEATURE_DSP)
    uint32_t even, odd;
    __asm__ volatile("1: \n"
                     "ldr %[even], [%[x]], #4 \n"
                     "sxtb16 %[odd], %[even], ror #8 \n"
                     "sxtb16 %[even], %[even] \n"
                     "subs %[n], %[n], #1 \n"
                     "pkhbt r12, %[even], %[odd], lsl #16 \n"
                     "pkhtb %[odd], %[odd], %[even], asr #16 \n"
                     "str r12, [%[to]] \n"
                     "str %[odd], [%[to], %[step]] \n"
                     "add %[to], %[to], %[step], lsl #1 \n"
                     "bgt 1b \n"
                     : [even] "=&r"(even), [odd] "=&r"(odd), [x] "+r"(x), [n] "+r"(n), [to] "+r"(to)
                     : [step] "r"(step)
                     : "r12", "cc", "memory");
#else
    for (int32_t i = 0; i < 2 * n; i++) {
        to[0] = *x++;
        to[1] = *x++;
        to += step >> 1;
    }
#endif
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
    if (n >= 4) {
        ep_fours_s8(x, n >> 2, to, 2 * step);
        x += n & ~3;
        to += (n >> 2) * 2 * step;
        n &= 3;
    }
    for (; n > 0; n -= 2) {
        to[0] = *x++;
        if (n > 1) {
            to[1] = *x++;
        }
        to += step;
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
        if (lanes == 4) {
            ep_lanes_s8(&p->matrix, scratch, rows, y);
        } else {
            ep_line_s8(&p->matrix, scratch, y);
        }
        y += rows * p->matrix.out;
    }
}
