/*@ ep_average_s8 */
/* Mean of each window, halves away from zero. Four channels at a time. */
void ep_average_s8(const ep_pool_t *p, const int8_t *x, int8_t *y)
{
    const int32_t depth = p->in_c, row = p->in_w * depth;
    for (int32_t n = 0; n < p->batches; n++) {
        for (int32_t i = 0; i < p->out_h; i++) {
            const int32_t top = i * p->stride_h - p->pad_top;
            const int32_t first = (top < 0) ? 0 : top;
            const int32_t rows = ep_clamp(top + p->kernel_h, 0, p->in_h) - first;
            for (int32_t j = 0; j < p->out_w; j++) {
                const int32_t left = j * p->stride_w - p->pad_left;
                const int32_t begin = (left < 0) ? 0 : left;
                const int32_t columns = ep_clamp(left + p->kernel_w, 0, p->in_w) - begin;
                const int32_t count = rows * columns, half = count / 2;
                const int8_t *window = x + first * row + begin * depth;
                for (int32_t c = 0; c < depth; c += 4) {
                    const int32_t channels = (depth - c < 4) ? depth - c : 4;
                    int32_t sums[4] = {0, 0, 0, 0};
                    ep_window_sums(window + c, channels, depth, rows, columns, row, sums);
                    for (int32_t k = 0; k < channels; k++) {
                        const int32_t sum = sums[k] + ((sums[k] > 0) ? half : -half);
                        *y++ = (int8_t)ep_clamp(sum / count, p->low, p->high);
                    }
                }
            }
        }
        x += p->in_h * row;
    }
}

/*@ ep_window_sums */
/* Sums of up to four channels of a window of columns > 0. */
static inline void ep_window_sums(const int8_t *x, int32_t channels, int32_t depth, int32_t rows,
                                  int32_t columns, int32_t row, int32_t *sums)
{
#if defined(__ARM_FEATURE_MVE)
    const mve_pred16_t lanes = vctp32q((uint32_t)channels);
    ep_lanes_t sum = vdupq_n_s32(0);
    for (; rows > 0; rows--) {
        const int8_t *from = x;
        for (int32_t j = columns; j > 0; j--) {
            sum = vaddq_s32(sum, vldrbq_z_s32(from, lanes));
            from += depth;
        }
        x += row;
    }
    vstrwq_s32(sums, sum);
#else
    for (int32_t i = 0; i < rows; i++) {
        for (int32_t j = 0; j < columns; j++) {
            for (int32_t k = 0; k < channels; k++) {
                sums[k] += x[i * row + j * depth + k];
            }
        }
    }
#endif
}
