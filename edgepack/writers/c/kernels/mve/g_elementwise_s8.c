/*@ ep_add_s8 */
/* Sums of pairs; a step of 0 repeats one element. */
void ep_add_s8(const ep_add_t *p, const int8_t *a, int32_t a_step, const int8_t *b, int32_t b_step,
               int8_t *y, int32_t count)
{
#if defined(__ARM_FEATURE_MVE)
/* As in ep_results_s8; `mask` holds the same as `right`. */
#define EP_SCALED(x, left, multiplier, mask, right) \
    "vshl.s32 " x ", " left " \n"                   \
    "vqrdmulh.s32 " x ", " x ", " multiplier " \n"  \
    "vand q2, " x ", " mask " \n"                   \
    "vshr.s32 q2, q2, #31 \n"                       \
    "vadd.i32 " x ", " x ", q2 \n"                  \
    "vrshl.s32 " x ", " right " \n"
    const int8_t one[4] = {*a, *a, *a, *a}, two[4] = {*b, *b, *b, *b};
    const int32_t a_right = (p->a.shift > 0) ? -p->a.shift : 0;
    const int32_t b_right = (p->b.shift > 0) ? -p->b.shift : 0;
    const int32_t y_right = (p->y.shift > 0) ? -p->y.shift : 0;
    const int32_t frame[18] = {
        p->a_offset, p->spare - p->a.shift - a_right, p->a.multiplier, a_right,
        p->b_offset, p->spare - p->b.shift - b_right, p->b.multiplier, b_right,
        -p->y.shift - y_right, p->y.multiplier, y_right, p->zero, 4 * a_step, 4 * b_step,
        p->low, p->high, (int32_t)(intptr_t)y, count};
    register const int8_t *r0 __asm__("r0") = (a_step == 0) ? one : a;
    register const int8_t *r1 __asm__("r1") = (b_step == 0) ? two : b;
    register const int32_t *r2 __asm__("r2") = frame;
    __asm__ volatile("push {r4-r11, lr} \n"
                     "mov r12, r2 \n"
                     "add r11, r12, #32 \n"
                     "ldrd r3, r4, [r12, #56] \n"
                     "vdup.32 q3, r3 \n"
                     "vdup.32 q4, r4 \n"
                     "ldr r3, [r12, #12] \n"
                     "ldr r4, [r12, #28] \n"
                     "ldr r5, [r12, #40] \n"
                     "vdup.32 q5, r3 \n"
                     "vdup.32 q6, r4 \n"
                     "vdup.32 q7, r5 \n"
                     "ldrd r2, lr, [r12, #64] \n"
                     "wlstp.32 lr, lr, 2f \n"
                     "1: \n"
                     "ldm r12, {r3-r10} \n"
                     "vldrb.s32 q0, [r0] \n"
                     "vldrb.s32 q1, [r1] \n"
                     "vadd.i32 q0, q0, r3 \n"
                     "vadd.i32 q1, q1, r7 \n" EP_SCALED("q0", "r4", "r5", "q5", "r6")
                         EP_SCALED("q1", "r8", "r9", "q6", "r10")
                     "ldm r11, {r3-r8} \n"
                     "vadd.i32 q0, q0, q1 \n" EP_SCALED("q0", "r3", "r4", "q7", "r5")
                     "vadd.i32 q0, q0, r6 \n"
                     "add r0, r0, r7 \n"
                     "vmax.s32 q0, q0, q3 \n"
                     "add r1, r1, r8 \n"
                     "vmin.s32 q0, q0, q4 \n"
                     "vstrb.32 q0, [r2], #4 \n"
                     "letp lr, 1b \n"
                     "2: \n"
                     "pop {r4-r11, lr} \n"
                     : "+r"(r0), "+r"(r1), "+r"(r2)
                     :
                     : "r3", "r12", "q0", "q1", "q2", "q3", "q4", "q5", "q6", "q7", "cc", "memory");
#undef EP_SCALED
#else
    for (int32_t i = 0; i < count; i++) {
        const int32_t left = ep_scale((*a + p->a_offset) * ((int32_t)1 << p->spare), p->a);
        const int32_t right = ep_scale((*b + p->b_offset) * ((int32_t)1 << p->spare), p->b);
        const int32_t sum = ep_scale(left + right, p->y) + p->zero;
        y[i] = (int8_t)ep_clamp(sum, p->low, p->high);
        a += a_step;
        b += b_step;
    }
#endif
}
