/*@ ep_lanes_t */
/* Four numbers at once. */
#if defined(__ARM_FEATURE_MVE)
#include <arm_mve.h>
typedef int32x4_t ep_lanes_t;
#endif

/*@ ep_offsets */
/* 0, step, 2 * step and 3 * step. */
#if defined(__ARM_FEATURE_MVE)
static inline uint32x4_t ep_offsets(int32_t step)
{
    const ep_lanes_t lanes = vreinterpretq_s32_u32(vidupq_n_u32(0U, 1));
    return vreinterpretq_u32_s32(vmulq_n_s32(lanes, step));
}
#endif

/*@ ep_results_s8 */
/* Results of n > 0 sums of one channel: ep_scale in lanes. VRSHL rounds halves up, so negative
   numbers are first made one less where there is a shift to the right. */
static inline void ep_results_s8(const int32_t *sums, int32_t n, ep_scale_t by,
                                 const ep_store_t *how, int8_t *y)
{
#if defined(__ARM_FEATURE_MVE)
    const int32_t right = (by.shift > 0) ? -by.shift : 0, left = -by.shift - right;
    const ep_lanes_t low = vdupq_n_s32(how->low), high = vdupq_n_s32(how->high);
    const ep_lanes_t mask = vdupq_n_s32(right);
    const uint32x4_t at = ep_offsets(how->pitch);
    __asm__ volatile("dlstp.32 lr, %[n] \n"
                     "1: \n"
                     "vldrw.32 q0, [%[sums]], #16 \n"
                     "vshl.s32 q0, %[left] \n"
                     "vqrdmulh.s32 q0, q0, %[multiplier] \n"
                     "vand q1, q0, %q[mask] \n"
                     "vshr.s32 q1, q1, #31 \n"
                     "vadd.i32 q0, q0, q1 \n"
                     "vrshl.s32 q0, %[right] \n"
                     "vadd.i32 q0, q0, %[zero] \n"
                     "vmax.s32 q0, q0, %q[low] \n"
                     "vmin.s32 q0, q0, %q[high] \n"
                     "vstrb.32 q0, [%[y], %q[at]] \n"
                     "add %[y], %[y], %[step] \n"
                     "letp lr, 1b \n"
                     : [sums] "+r"(sums), [y] "+r"(y)
                     : [n] "r"(n), [multiplier] "r"(by.multiplier), [left] "r"(left),
                       [right] "r"(right), [zero] "r"(how->zero), [step] "r"(4 * how->pitch),
                       [mask] "w"(mask), [low] "w"(low), [high] "w"(high), [at] "w"(at)
                     : "q0", "q1", "lr", "cc", "memory");
#else
    for (; n > 0; n--) {
        *y = (int8_t)ep_clamp(ep_scale(*sums++, by) + how->zero, how->low, how->high);
        y += how->pitch;
    }
#endif
}
