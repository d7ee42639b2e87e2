/*@ ep_copy_s8 */
/* n >= 0 numbers; what follows them in `to` is returned. */
static inline int8_t *ep_copy_s8(const int8_t *x, int32_t n, int8_t *to)
{
    int8_t *const end = to + n;
#if defined(__ARM_FEATURE_MVE)
    __asm__ volatile("wlstp.8 lr, %[n], 2f \n"
                     "1: \n"
                     "vldrb.8 q0, [%[x]], #16 \n"
                     "vstrb.8 q0, [%[to]], #16 \n"
                     "letp lr, 1b \n"
                     "2: \n"
                     : [x] "+r"(x), [to] "+r"(to)
                     : [n] "r"(n)
                     : "q0", "lr", "cc", "memory");
#else
    (void)memcpy(to, x, (size_t)n);
#endif
    return end;
}

/*@ ep_quad_t */
/* What four outputs need for each pixel; ep_quad_s8 knows the order. inputs: [bias, a row of weights]
   for each output. ahead: how far x is beyond the next pixel, negative. */
typedef struct {
    int32_t inputs[8];
    int32_t depth, ahead, zero, out;
    const int8_t *end, *x;
    int8_t *y;
} ep_quad_t;

/*@ ep_quad_s8 */
/* The first n <= 4 of four outputs of the pixels from x to end. Scales as in ep_results_s8. */
#if defined(__ARM_FEATURE_MVE)
static inline void ep_quad_s8(const ep_quad_t *p, int32_t n, ep_lanes_t multiplier, ep_lanes_t shift,
                              ep_lanes_t low, ep_lanes_t high)
{
    const ep_lanes_t right = vminq_s32(shift, vdupq_n_s32(0)), left = vsubq_s32(shift, right);
    register const ep_quad_t *r0 __asm__("r0") = p;
    register int32_t r1 __asm__("r1") = n;
    __asm__ volatile("push {r4-r11, lr} \n"
                     "vctp.32 r1 \n"
                     "mov r11, r0 \n"
                     "ldrd r1, r0, [r11, #52] \n"
                     "1: \n"
                     "ldm r11, {r2-r10, r12} \n"
                     "dlstp.8 lr, r10 \n"
                     "2: \n"
                     "vldrb.8 q0, [r1], #16 \n"
                     "vldrb.8 q1, [r3], #16 \n"
                     "vldrb.8 q2, [r5], #16 \n"
                     "vmladava.s8 r2, q0, q1 \n"
                     "vldrb.8 q1, [r7], #16 \n"
                     "vmladava.s8 r4, q0, q2 \n"
                     "vldrb.8 q2, [r9], #16 \n"
                     "vmladava.s8 r6, q0, q1 \n"
                     "vmladava.s8 r8, q0, q2 \n"
                     "letp lr, 2b \n"
                     "vmov q0[2], q0[0], r2, r6 \n"
                     "vmov q0[3], q0[1], r4, r8 \n"
                     "ldrd r2, r3, [r11, #40] \n"
                     "vshl.s32 q0, q0, %q[left] \n"
                     "ldr r4, [r11, #48] \n"
                     "vqrdmulh.s32 q0, q0, %q[multiplier] \n"
                     "add r1, r1, r12 \n"
                     "vand q1, q0, %q[right] \n"
                     "cmp r1, r4 \n"
                     "vshr.s32 q1, q1, #31 \n"
                     "vadd.i32 q0, q0, q1 \n"
                     "vrshl.s32 q0, q0, %q[right] \n"
                     "vadd.i32 q0, q0, r2 \n"
                     "vmax.s32 q0, q0, %q[low] \n"
                     "vmin.s32 q0, q0, %q[high] \n"
                     "vpst \n"
                     "vstrbt.32 q0, [r0] \n"
                     "add r0, r0, r3 \n"
                     "bne 1b \n"
                     "pop {r4-r11, lr} \n"
                     : "+r"(r0), "+r"(r1)
                     : [multiplier] "w"(multiplier), [right] "w"(right), [left] "w"(left),
                       [low] "w"(low), [high] "w"(high)
                     : "r2", "r3", "r12", "q0", "q1", "q2", "cc", "memory");
}
#endif

/*@ ep_pixels_s8 */
/* All outputs of pixels > 0 pixels. x: [pixels][depth]. */
void ep_pixels_s8(const ep_matrix_t *p, const int8_t *x, int32_t pixels, int8_t *y)
{
    const int32_t depth = p->depth, out = p->out;
#if defined(__ARM_FEATURE_MVE)
    const int32_t *bias = p->bias, *scales = &p->scales->multiplier, step = p->scale_step;
    const ep_lanes_t low = vdupq_n_s32(p->low), high = vdupq_n_s32(p->high);
    const uint32x4_t at = ep_offsets(8 * step);
    const uint32_t first = (uint32_t)(uintptr_t)p->weights;
    const uint32x4_t last = vdupq_n_u32(first + (uint32_t)((out - 1) * depth));
    uint32x4_t rows = vaddq_n_u32(ep_offsets(depth), first);
    ep_quad_t quad = {{0}, depth, depth - ((depth + 15) & ~15), p->zero, out, x + pixels * depth,
                      x, y};
    for (int32_t left = out; left > 0; left -= 4) {
        const mve_pred16_t lanes = vctp32q((uint32_t)left);
        const ep_lanes_t multiplier = vldrwq_gather_offset_z_s32(scales, at, lanes);
        const ep_lanes_t shift = vldrwq_gather_offset_z_s32(scales + 1, at, lanes);
        int32x4x2_t inputs;
        inputs.val[0] = vldrwq_z_s32(bias, lanes);
        inputs.val[1] = vreinterpretq_s32_u32(vminq_u32(rows, last));
        vst2q_s32(quad.inputs, inputs);
        ep_quad_s8(&quad, left, multiplier, vnegq_s32(shift), low, high);
        rows = vaddq_n_u32(rows, (uint32_t)(4 * depth));
        bias += 4;
        scales += 8 * step;
        quad.y += 4;
    }
#else
    for (; pixels > 0; pixels--) {
        const int8_t *w = p->weights;
        for (int32_t c = 0; c < out; c++) {
            int32_t sum = p->bias[c];
            for (int32_t i = 0; i < depth; i++) {
                sum += (int32_t)x[i] * *w++;
            }
            sum = ep_scale(sum, p->scales[c * p->scale_step]) + p->zero;
            *y++ = (int8_t)ep_clamp(sum, p->low, p->high);
        }
        x += depth;
    }
#endif
}

/*@ ep_dense_s8 */
/* Each row of x times the weights: dense layers, and 1x1 convolutions with a pixel for a row.
   scratch: numbers stay bytes, so that twice as many rows as a block has are in it. */
void ep_dense_s8(const ep_dense_t *p, const int8_t *x, int8_t *y, int16_t *scratch)
{
    const int32_t block = 2 * p->block, depth = p->matrix.depth;
    for (int32_t row = 0; row < p->rows; row += block) {
        const int32_t left = p->rows - row;
        const int32_t rows = (left < block) ? left : block;
        (void)ep_copy_s8(x, rows * depth, (int8_t *)scratch);
        ep_pixels_s8(&p->matrix, (const int8_t *)scratch, rows, y);
        x += rows * depth;
        y += rows * p->matrix.out;
    }
}
