/*@ ep_pool_t */
/* Windows of a pooling layer; padding does not count. */
typedef struct {
    int32_t batches, in_h, in_w, in_c, out_h, out_w;
    int32_t kernel_h, kernel_w, stride_h, stride_w, pad_top, pad_left, low, high;
} ep_pool_t;

/*@ ep_average_s8, s16 */
/* Mean of each window, halves away from zero. */
void ep_average_s8(const ep_pool_t *p, const int8_t *x, int8_t *y)
{
    for (int32_t n = 0; n < p->batches; n++) {
        for (int32_t i = 0; i < p->out_h; i++) {
            const int32_t top = i * p->stride_h - p->pad_top;
            const int32_t first = (top < 0) ? 0 : top;
            const int32_t last = ep_clamp(top + p->kernel_h, 0, p->in_h);
            for (int32_t j = 0; j < p->out_w; j++) {
                const int32_t left = j * p->stride_w - p->pad_left;
                const int32_t begin = (left < 0) ? 0 : left;
                const int32_t end = ep_clamp(left + p->kernel_w, 0, p->in_w);
                const int32_t count = (last - first) * (end - begin);
                for (int32_t c = 0; c < p->in_c; c++) {
                    int32_t sum = 0;
                    for (int32_t k = first; k < last; k++) {
                        for (int32_t l = begin; l < end; l++) {
                            sum += x[(k * p->in_w + l) * p->in_c + c];
                        }
                    }
                    sum = (sum + ((sum > 0) ? count / 2 : -(count / 2))) / count;
                    *y++ = (int8_t)ep_clamp(sum, p->low, p->high);
                }
            }
        }
        x += p->in_h * p->in_w * p->in_c;
    }
}

/*@ ep_max_s8, s16 */
/* Maximum of each window. */
void ep_max_s8(const ep_pool_t *p, const int8_t *x, int8_t *y)
{
    for (int32_t n = 0; n < p->batches; n++) {
        for (int32_t i = 0; i < p->out_h; i++) {
            const int32_t top = i * p->stride_h - p->pad_top;
            const int32_t first = (top < 0) ? 0 : top;
            const int32_t last = ep_clamp(top + p->kernel_h, 0, p->in_h);
            for (int32_t j = 0; j < p->out_w; j++) {
                const int32_t left = j * p->stride_w - p->pad_left;
                const int32_t begin = (left < 0) ? 0 : left;
                const int32_t end = ep_clamp(left + p->kernel_w, 0, p->in_w);
                for (int32_t c = 0; c < p->in_c; c++) {
                    int32_t best = INT8_MIN;
                    for (int32_t k = first; k < last; k++) {
                        for (int32_t l = begin; l < end; l++) {
                            const int32_t value = x[(k * p->in_w + l) * p->in_c + c];
                            best = (value > best) ? value : best;
                        }
                    }
                    *y++ = (int8_t)ep_clamp(best, p->low, p->high);
                }
            }
        }
        x += p->in_h * p->in_w * p->in_c;
    }
}
