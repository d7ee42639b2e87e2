/*@ ep_wide_scale_t */
/* (x * multiplier + half) >> shift, of sums of up to 48 bits. */
typedef struct {
    int32_t multiplier;
    int32_t shift;
} ep_wide_scale_t;

/*@ ep_wide_scale */
/* A sum in the output's scale, rounded once. */
static inline int32_t ep_wide_scale(int64_t x, ep_wide_scale_t by)
{
    return (int32_t)((x * by.multiplier + ((int64_t)1 << (by.shift - 1))) >> by.shift);
}

/*@ ep_conv_s16_t */
/* weights: [out_c][kernel_h][kernel_w][in_c], the channels of one group; one filter per channel is
   in_c = 1. Zero points are 0. */
typedef struct {
    const int8_t *weights;
    const int64_t *bias;
    const ep_wide_scale_t *scales;
    int32_t scale_step, low, high;
    int32_t batches, in_h, in_w, in_c, out_h, out_w, out_c, groups;
    int32_t kernel_h, kernel_w, stride_h, stride_w, dilation_h, dilation_w, pad_top, pad_left;
} ep_conv_s16_t;

/*@ ep_conv_s16 */
/* Convolution of 16-bit numbers, in groups; also dense layers, a row for a pixel. */
void ep_conv_s16(const ep_conv_s16_t *p, const int16_t *x, int16_t *y)
{
    const int32_t pitch = p->in_c * p->groups;
    const int32_t share = p->out_c / p->groups;
    for (int32_t n = 0; n < p->batches * p->out_h; n++) {
        const int16_t *image = x + n / p->out_h * p->in_h * p->in_w * pitch;
        const int32_t top = n % p->out_h * p->stride_h - p->pad_top;
        for (int32_t j = 0; j < p->out_w; j++) {
            const int32_t left = j * p->stride_w - p->pad_left;
            const int8_t *w = p->weights;
            for (int32_t c = 0; c < p->out_c; c++) {
                const int32_t value = ep_wide_scale(
                    p->bias[c] + ep_window_s16(p, image + c / share * p->in_c, top, left, w),
                    p->scales[c * p->scale_step]);
                *y++ = (int16_t)ep_clamp(value, p->low, p->high);
                w += p->kernel_h * p->kernel_w * p->in_c;
            }
        }
    }
}

/*@ ep_window_s16 */
/* The sum of one filter on the window at row top and column left. */
static inline int64_t ep_window_s16(const ep_conv_s16_t *p, const int16_t *x, int32_t top,
                                    int32_t left, const int8_t *w)
{
    int64_t sum = 0;
    for (int32_t i = 0; i < p->kernel_h; i++) {
        const int32_t row = top + i * p->dilation_h;
        for (int32_t j = 0; j < p->kernel_w; j++) {
            const int32_t column = left + j * p->dilation_w;
            if (row >= 0 && row < p->in_h && column >= 0 && column < p->in_w) {
                const int16_t *from = x + (row * p->in_w + column) * p->in_c * p->groups;
                for (int32_t k = 0; k < p->in_c; k++) {
                    sum += (int32_t)from[k] * w[k];
                }
            }
            w += p->in_c;
        }
    }
    return sum;
}
