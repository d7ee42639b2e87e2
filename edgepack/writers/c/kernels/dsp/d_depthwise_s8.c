/*@ ep_three_t */
/* A 3x3 filter: of each row the first two numbers and the last two, the first in the lower half. */
typedef struct {
    uint32_t first[3], last[3];
} ep_three_t;

/*@ ep_three_by_three */
/* Sums of n outputs in a row, two at a time with stride 1 (so that one more may be written), one
   with stride 2. `pitch` is the bytes of an input row. */
void ep_three_by_three(const int16_t *from, const ep_three_t *w, int32_t pitch, int32_t stride,
                       int32_t bias, int32_t n, int32_t *sums)
{
#if defined(__ARM_FEATURE_DSP)
#define EP_TWO(row, first, last)           \
    "ldrd r2, r3, [" row "], #4 \n"        \
    "smlad r12, r2, " first ", r12 \n"     \
    "smlabt r12, r3, " last ", r12 \n"     \
    "smlatb lr, r2, " first ", lr \n"      \
    "smlad lr, r3, " last ", lr \n"
#define EP_ONE(row, first, last)           \
    "ldrd r2, r3, [" row "], #4 \n"        \
    "smlad r12, r2, " first ", r12 \n"     \
    "smlabt r12, r3, " last ", r12 \n"
    const int32_t two = (stride == 1) ? 1 : 0;
    const int32_t steps = (two != 0) ? (n + 1) >> 1 : n;
    const int32_t frame[4] = {(int32_t)(intptr_t)(from + 2 * steps), bias, pitch, two};
    register const int16_t *r0 __asm__("r0") = from;
    register int32_t *r1 __asm__("r1") = sums;
    register const ep_three_t *r2 __asm__("r2") = w;
    register const int32_t *r3 __asm__("r3") = frame;
    __asm__ volatile("push {r4-r11, lr} \n"
                     "ldm r2, {r4-r9} \n"
                     "ldm r3, {r2, r3, r11, r12} \n"
                     "push {r2, r3} \n" /* the end of the first row, and the bias */
                     "add r10, r0, r11 \n"
                     "add r11, r10, r11 \n"
                     "cmp r12, #0 \n"
                     "beq 2f \n"
                     "1: \n"
                     "ldr r12, [sp, #4] \n"
                     "mov lr, r12 \n" EP_TWO("r0", "r4", "r7") EP_TWO("r10", "r5", "r8")
                         EP_TWO("r11", "r6", "r9")
                     "ldr r2, [sp] \n"
                     "strd r12, lr, [r1], #8 \n"
                     "cmp r0, r2 \n"
                     "bne 1b \n"
                     "b 3f \n"
                     "2: \n"
                     "ldr r12, [sp, #4] \n" EP_ONE("r0", "r4", "r7") EP_ONE("r10", "r5", "r8")
                         EP_ONE("r11", "r6", "r9")
                     "ldr r2, [sp] \n"
                     "str r12, [r1], #4 \n"
                     "cmp r0, r2 \n"
                     "bne 2b \n"
                     "3: \n"
                     "add sp, sp, #8 \n"
                     "pop {r4-r11, lr} \n"
                     : "+r"(r0), "+r"(r1), "+r"(r2), "+r"(r3)
                     :
                     : "r12", "cc", "memory");
#undef EP_TWO
#undef EP_ONE
#else
    for (int32_t j = 0; j < n; j++) {
        const int16_t *row = from + j * stride;
        sums[j] = bias;
        for (int32_t k = 0; k < 3; k++) {
            sums[j] += row[0] * (int16_t)w->first[k] + row[1] * (int16_t)w->last[k] +
                       row[2] * (int16_t)(w->last[k] >> 16);
            row += pitch >> 1;
        }
    }
#endif
}

/*@ ep_packed_three */
/* Nine numbers as the pairs of ep_three_t. */
static inline ep_three_t ep_packed_three(const int8_t *filter)
{
    ep_three_t w;
    for (int32_t k = 0; k < 3; k++) {
        const uint32_t middle = (uint32_t)filter[1] & 0xFFFFU;
        w.first[k] = ((uint32_t)filter[0] & 0xFFFFU) | (middle << 16);
        w.last[k] = middle | ((uint32_t)filter[2] << 16);
        filter += 3;
    }
    return w;
}

/*@ ep_threes_s8 */
/* Output rows of a channel with a 3x3 filter. With stride 1 all rows of scratch are one, whose
   outputs between the rows are left out. */
static inline void ep_threes_s8(const ep_depthwise_t *p, const int8_t *filter, int32_t bias,
                                ep_scale_t scale, const int16_t *rows, int32_t count, int8_t *y)
{
    const ep_store_t how = {p->swift, p->zero, p->low, p->high, p->in_c * p->times};
    const ep_three_t w = ep_packed_three(filter);
    const int32_t pitch = p->pitch, wide = p->out_w, stride = p->stride_w;
    const int32_t joined = (stride == 1 && p->stride_h == 1 && pitch < 16) ? 32 / pitch : 1;
    for (; count > 0; count -= joined) {
        const int32_t lines = (count < joined) ? count : joined;
        const int16_t *from = rows;
        for (int32_t left = wide; left > 0; left -= 32) {
            int32_t sums[34];
            const int32_t n = (left < 32) ? left : 32;
            ep_three_by_three(from, &w, 2 * pitch, stride, bias, n + (lines - 1) * pitch, sums);
            for (int32_t i = 0; i < lines; i++) {
                ep_results_s8(sums + i * pitch, n, scale, &how, y);
                y += n * how.pitch;
            }
            from += n * stride;
        }
        rows += lines * p->stride_h * pitch;
    }
}

/*@ ep_filter_s8 */
/* Output rows of channel c: `count` of them, from input rows in scratch. */
static inline void ep_filter_s8(const ep_depthwise_t *p, int32_t c, const int16_t *rows,
                                int32_t count, int8_t *y)
{
    const ep_scale_t scale = p->scales[c * p->scale_step];
    const int8_t *filter = p->weights + c * p->kernel_h * p->kernel_w;
    if (p->kernel_h == 3 && p->kernel_w == 3 && p->dilation_h == 1 && p->dilation_w == 1 &&
        p->stride_w <= 2) {
        ep_threes_s8(p, filter, p->bias[c], scale, rows, count, y);
    } else {
        ep_filter_any_s8(p, filter, p->bias[c], scale, rows, count, y);
    }
}
