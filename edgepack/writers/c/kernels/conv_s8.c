/*@ ep_conv_t */
/* weights: [out_c][kernel_h * kernel_w * in_c / groups]. bias: the input's zero point times the sum
   of the weights is taken off already, hence padding holds fill, the input's zero point. scales: one,
   or one for each channel with scale_step 1. */
typedef struct {
    const int8_t *weights;
    const int32_t *bias;
    const ep_scale_t *scales;
    int32_t scale_step;
    int32_t batches, in_h, in_w, in_c, out_h, out_w, out_c, groups;
    int32_t kernel_h, kernel_w, stride_h, stride_w, dilation_h, dilation_w, pad_top, pad_left;
    int32_t fill, zero, low, high;
} ep_conv_t;

/*@ ep_dot_s8 */
/* Sum of the products of n numbers. */
static inline int32_t ep_dot_s8(const int8_t *a, const int8_t *b, int32_t n)
{
    int32_t sum = 0;
    for (int32_t i = 0; i < n; i++) {
        sum += (int32_t)a[i] * b[i];
    }
    return sum;
}

/*@ ep_gather_s8 */
/* The window of x that begins at row top and column left, as one run of channels by tap. */
static inline void ep_gather_s8(const ep_conv_t *p, const int8_t *x, int32_t top, int32_t left,
                                int8_t *window)
{
    const size_t run = (size_t)p->in_c;
    for (int32_t i = 0; i < p->kernel_h; i++) {
        const int32_t row = top + i * p->dilation_h;
        for (int32_t j = 0; j < p->kernel_w; j++) {
            const int32_t column = left + j * p->dilation_w;
            if (row < 0 || row >= p->in_h || column < 0 || column >= p->in_w) {
                memset(window, p->fill, run);
            } else {
                memcpy(window, x + (row * p->in_w + column) * p->in_c, run);
            }
            window += run;
        }
    }
}

/*@ ep_conv_s8 */
/* Convolution; scratch holds one window: kernel_h * kernel_w * in_c bytes. */
void ep_conv_s8(const ep_conv_t *p, const int8_t *x, int8_t *y, int8_t *scratch)
{
    const int32_t taps = p->kernel_h * p->kernel_w * p->in_c;
    for (int32_t n = 0; n < p->batches; n++) {
        for (int32_t i = 0; i < p->out_h; i++) {
            for (int32_t j = 0; j < p->out_w; j++) {
                const int8_t *w = p->weights;
                ep_gather_s8(p, x, i * p->stride_h - p->pad_top, j * p->stride_w - p->pad_left,
                             scratch);
                for (int32_t c = 0; c < p->out_c; c++) {
                    const int32_t sum = p->bias[c] + ep_dot_s8(scratch, w, taps);
                    const int32_t value = ep_scale(sum, p->scales[c * p->scale_step]) + p->zero;
                    *y++ = (int8_t)ep_clamp(value, p->low, p->high);
                    w += taps;
                }
            }
        }
        x += p->in_h * p->in_w * p->in_c;
    }
}

/*@ ep_conv_groups_s8 */
/* Convolution in groups of channels; scratch as for ep_conv_s8. */
void ep_conv_groups_s8(const ep_conv_t *p, const int8_t *x, int8_t *y, int8_t *scratch)
{
    const int32_t taps = p->kernel_h * p->kernel_w;
    const int32_t depth = p->in_c / p->groups;
    const int32_t share = p->out_c / p->groups;
    for (int32_t n = 0; n < p->batches; n++) {
        for (int32_t i = 0; i < p->out_h; i++) {
            for (int32_t j = 0; j < p->out_w; j++) {
                const int8_t *w = p->weights;
                ep_gather_s8(p, x, i * p->stride_h - p->pad_top, j * p->stride_w - p->pad_left,
                             scratch);
                for (int32_t c = 0; c < p->out_c; c++) {
                    int32_t sum = p->bias[c];
                    for (int32_t t = 0; t < taps; t++) {
                        sum += ep_dot_s8(scratch + t * p->in_c + c / share * depth, w, depth);
                        w += depth;
                    }
                    sum = ep_scale(sum, p->scales[c * p->scale_step]) + p->zero;
                    *y++ = (int8_t)ep_clamp(sum, p->low, p->high);
                }
            }
        }
        x += p->in_h * p->in_w * p->in_c;
    }
}
