/*@ ep_rows_s8 */
/* `count` rows of one channel of x from `row` on, with their padding, as 16-bit numbers. */
static inline void ep_rows_s8(const ep_depthwise_t *p, const int8_t *x, int32_t row, int32_t count,
                              int16_t *to)
{
    const int32_t pitch = p->pitch, wide = p->in_w, step = p->in_c;
    const int32_t above = ep_clamp(-row, 0, count);
    const int32_t rows = ep_clamp(p->in_h - row, above, count) - above;
    const int8_t *from = x + (row + above) * wide * step;
#if defined(__ARM_FEATURE_MVE)
    const uint32x4_t at = ep_offsets(step);
    int16_t *start = to;
    __asm__ volatile("vdup.16 q0, %[fill] \n"
                     "wlstp.16 lr, %[n], 2f \n"
                     "1: \n"
                     "vstrh.16 q0, [%[to]], #16 \n"
                     "letp lr, 1b \n"
                     "2: \n"
                     : [to] "+r"(start)
                     : [n] "r"(count * pitch), [fill] "r"(p->fill)
                     : "q0", "lr", "cc", "memory");
    to += above * pitch + p->pad_left;
    for (int32_t i = 0; i < rows; i++) {
        const int8_t *pixel = from;
        int16_t *number = to;
        __asm__ volatile("dlstp.32 lr, %[n] \n"
                         "1: \n"
                         "vldrb.s32 q0, [%[x], %q[at]] \n"
                         "add %[x], %[x], %[step] \n"
                         "vstrh.32 q0, [%[to]], #8 \n"
                         "letp lr, 1b \n"
                         : [x] "+r"(pixel), [to] "+l"(number)
                         : [n] "r"(wide), [step] "r"(4 * step), [at] "w"(at)
                         : "q0", "lr", "cc", "memory");
        from += wide * step;
        to += pitch;
    }
#else
    for (int32_t i = 0; i < count * pitch; i++) {
        to[i] = (int16_t)p->fill;
    }
    to += above * pitch + p->pad_left;
    for (int32_t i = 0; i < rows; i++) {
        for (int32_t j = 0; j < wide; j++) {
            to[j] = *from;
            from += step;
        }
        to += pitch;
    }
#endif
}

/*@ ep_band_t */
/* A part of an output channel, and of the scratch where its input is: `pitch` numbers in a row. */
typedef struct {
    int32_t rows, columns, pitch, stride_h, stride_w, bias;
} ep_band_t;

/*@ ep_vector_three_s8 */
/* Sums of a 3x3 filter with a stride_w of 1 or 2, row by row. */
void ep_vector_three_s8(const ep_band_t *p, const int16_t *from, const int8_t *filter, int32_t *sums)
{
#if defined(__ARM_FEATURE_MVE)
#define EP_BY_ONE(row, first, middle, last) \
    "vldrh.s32 q1, [" row ", #2] \n"        \
    "vldrh.s32 q2, [" row ", #4] \n"        \
    "vmla.s32 q0, q1, " middle " \n"        \
    "vldrh.s32 q1, [" row "], #8 \n"        \
    "vmla.s32 q0, q2, " last " \n"          \
    "vmla.s32 q0, q1, " first " \n"
#define EP_BY_TWO(row, first, middle, last) \
    "vldrh.s32 q1, [" row ", q4] \n"        \
    "vldrh.s32 q2, [" row ", q5] \n"        \
    "vmla.s32 q0, q1, " first " \n"         \
    "vldrh.s32 q1, [" row ", q6] \n"        \
    "vmla.s32 q0, q2, " middle " \n"        \
    "add " row ", " row ", #16 \n"          \
    "vmla.s32 q0, q1, " last " \n"
#define EP_NEXT_ROW                         \
    "ldr lr, [sp, #4] \n"                   \
    "add r0, r0, lr \n"                     \
    "add r1, r1, lr \n"                     \
    "add r2, r2, lr \n"                     \
    "ldr lr, [sp, #8] \n"                   \
    "add r12, r12, lr \n"                   \
    "ldr lr, [sp, #12] \n"                  \
    "cmp r12, lr \n"
    const int32_t fours = (p->columns + 3) >> 2;
    const int32_t frame[7] = {
        2 * p->pitch,
        p->bias,
        p->stride_w,
        p->columns, /* from here on it is copied: */
        2 * p->stride_h * p->pitch - 8 * p->stride_w * fours, /* to the next row of input */
        4 * p->columns - 16 * fours,                          /* and of sums, in bytes */
        (int32_t)(intptr_t)(sums + p->rows * p->columns)};
    register const int16_t *r0 __asm__("r0") = from;
    register int32_t *r1 __asm__("r1") = sums;
    register const int8_t *r2 __asm__("r2") = filter;
    register const int32_t *r3 __asm__("r3") = frame;
    __asm__ volatile("push {r4-r11, lr} \n"
                     "mov r12, r1 \n"
                     "ldm r3, {r1, r4-r9} \n"
                     "push {r6-r9} \n"
                     "vdup.32 q3, r4 \n"
                     "cmp r5, #1 \n"
                     "ldrsb r3, [r2] \n"
                     "ldrsb r4, [r2, #1] \n"
                     "ldrsb r5, [r2, #2] \n"
                     "ldrsb r6, [r2, #3] \n"
                     "ldrsb r7, [r2, #4] \n"
                     "ldrsb r8, [r2, #5] \n"
                     "ldrsb r9, [r2, #6] \n"
                     "ldrsb r10, [r2, #7] \n"
                     "ldrsb r11, [r2, #8] \n"
                     "add r2, r1, r0 \n" /* the third row is in r1, the second in r2 */
                     "add r1, r1, r2 \n"
                     "bne 3f \n"
                     "1: \n"
                     "ldr lr, [sp] \n"
                     "dlstp.32 lr, lr \n"
                     "2: \n"
                     "vmov q0, q3 \n" EP_BY_ONE("r0", "r3", "r4", "r5")
                         EP_BY_ONE("r2", "r6", "r7", "r8") EP_BY_ONE("r1", "r9", "r10", "r11")
                     "vstrw.32 q0, [r12], #16 \n"
                     "letp lr, 2b \n" EP_NEXT_ROW
                     "bne 1b \n"
                     "b 6f \n"
                     "3: \n"
                     "mov lr, #0 \n"
                     "vidup.u32 q4, lr, #4 \n" /* bytes of every other number */
                     "mov lr, #2 \n"
                     "vidup.u32 q5, lr, #4 \n"
                     "mov lr, #4 \n"
                     "vidup.u32 q6, lr, #4 \n"
                     "4: \n"
                     "ldr lr, [sp] \n"
                     "dlstp.32 lr, lr \n"
                     "5: \n"
                     "vmov q0, q3 \n" EP_BY_TWO("r0", "r3", "r4", "r5")
                         EP_BY_TWO("r2", "r6", "r7", "r8") EP_BY_TWO("r1", "r9", "r10", "r11")
                     "vstrw.32 q0, [r12], #16 \n"
                     "letp lr, 5b \n" EP_NEXT_ROW
                     "bne 4b \n"
                     "6: \n"
                     "add sp, sp, #16 \n"
                     "pop {r4-r11, lr} \n"
                     : "+r"(r0), "+r"(r1), "+r"(r2), "+r"(r3)
                     :
                     : "r12", "q0", "q1", "q2", "q3", "q4", "q5", "q6", "cc", "memory");
#undef EP_BY_ONE
#undef EP_BY_TWO
#undef EP_NEXT_ROW
#else
    for (int32_t i = 0; i < p->rows; i++) {
        for (int32_t j = 0; j < p->columns; j++) {
            const int16_t *row = from + i * p->stride_h * p->pitch + j * p->stride_w;
            int32_t sum = p->bias;
            for (int32_t k = 0; k < 3; k++) {
                sum += row[0] * filter[3 * k] + row[1] * filter[3 * k + 1];
                sum += row[2] * filter[3 * k + 2];
                row += p->pitch;
            }
            *sums++ = sum;
        }
    }
#endif
}

/*@ ep_tap */
/* One weight's products with n > 0 numbers, `step` apart, are added to sums. */
static inline void ep_tap(int32_t weight, const int16_t *from, int32_t step, int32_t n,
                          int32_t *sums)
{
#if defined(__ARM_FEATURE_MVE)
    const uint32x4_t at = ep_offsets(2 * step);
    __asm__ volatile("dlstp.32 lr, %[n] \n"
                     "1: \n"
                     "vldrw.32 q0, [%[sums]] \n"
                     "vldrh.s32 q1, [%[from], %q[at]] \n"
                     "add %[from], %[from], %[bytes] \n"
                     "vmla.s32 q0, q1, %[weight] \n"
                     "vstrw.32 q0, [%[sums]], #16 \n"
                     "letp lr, 1b \n"
                     : [from] "+r"(from), [sums] "+r"(sums)
                     : [n] "r"(n), [weight] "r"(weight), [bytes] "r"(8 * step), [at] "w"(at)
                     : "q0", "q1", "lr", "cc", "memory");
#else
    for (; n > 0; n--) {
        *sums++ += weight * *from;
        from += step;
    }
#endif
}

/*@ ep_taps */
/* Sums of any filter, row by row. */
static inline void ep_taps(const ep_depthwise_t *p, const ep_band_t *part, const int16_t *from,
                           const int8_t *filter, int32_t *sums)
{
    const int32_t columns = part->columns;
    for (int32_t i = 0; i < part->rows; i++) {
        const int16_t *row = from;
        const int8_t *w = filter;
        for (int32_t j = 0; j < columns; j++) {
            sums[j] = part->bias;
        }
        for (int32_t k = 0; k < p->kernel_h; k++) {
            for (int32_t l = 0; l < p->kernel_w; l++) {
                ep_tap(*w++, row + l * p->dilation_w, p->stride_w, columns, sums);
            }
            row += p->dilation_h * p->pitch;
        }
        sums += columns;
        from += p->stride_h * p->pitch;
    }
}

/*@ ep_filter_s8 */
/* Output rows of channel c: `count` of them, from input rows in scratch. As many rows at a time as
   there is room for their sums, or parts of one. */
static inline void ep_filter_s8(const ep_depthwise_t *p, int32_t c, const int16_t *rows,
                                int32_t count, int8_t *y)
{
    const int32_t most = 64, pitch = p->pitch, wide = p->out_w;
    const ep_store_t how = {p->swift, p->zero, p->low, p->high, p->in_c * p->times};
    const ep_scale_t scale = p->scales[c * p->scale_step];
    const int8_t *filter = p->weights + c * p->kernel_h * p->kernel_w;
    const int32_t three = (p->kernel_h == 3 && p->kernel_w == 3 && p->dilation_h == 1 &&
                           p->dilation_w == 1 && p->stride_w <= 2) ? 1 : 0;
    const int32_t full = (wide < most) ? most / wide : 1;
    for (int32_t i = 0; i < count; i += full) {
        for (int32_t j = 0; j < wide; j += most) {
            int32_t sums[64];
            const ep_band_t part = {(count - i < full) ? count - i : full,
                                    (wide - j < most) ? wide - j : most,
                                    pitch, p->stride_h, p->stride_w, p->bias[c]};
            const int16_t *from = rows + i * p->stride_h * pitch + j * p->stride_w;
            if (three != 0) {
                ep_vector_three_s8(&part, from, filter, sums);
            } else {
                ep_taps(p, &part, from, filter, sums);
            }
            ep_results_s8(sums, part.rows * part.columns, scale, &how, y);
            y += part.rows * part.columns * how.pitch;
        }
    }
}
