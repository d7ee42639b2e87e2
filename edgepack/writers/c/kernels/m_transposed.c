/*@ ep_transposed_t */
/* weights: [out_c][kernel_h][kernel_w][in_c]. The offset is the input's zero point with the sign
   turned. */
typedef struct {
    const int8_t *weights;
    const int32_t *bias;
    const ep_scale_t *scales;
    int32_t scale_step, swift, offset, zero, low, high;
    int32_t batches, in_h, in_w, in_c, out_h, out_w, out_c;
    int32_t kernel_h, kernel_w, stride_h, stride_w, pad_top, pad_left;
} ep_transposed_t;

/*@ ep_transposed_s8 */
/* Transposed convolution: what falls on each output element is gathered. */
void ep_transposed_s8(const ep_transposed_t *p, const int8_t *x, int8_t *y)
{
    const int32_t taps = p->kernel_h * p->kernel_w;
    for (int32_t n = 0; n < p->batches * p->out_h * p->out_w; n++) {
        const int32_t row = n / p->out_w % p->out_h + p->pad_top;
        const int32_t column = n % p->out_w + p->pad_left;
        const int8_t *image = x + n / (p->out_w * p->out_h) * p->in_h * p->in_w * p->in_c;
        for (int32_t c = 0; c < p->out_c; c++) {
            int32_t sum = p->bias[c];
            for (int32_t t = 0; t < taps; t++) {
                const int32_t i = row - t / p->kernel_w;
                const int32_t j = column - t % p->kernel_w;
                if (i >= 0 && i % p->stride_h == 0 && i / p->stride_h < p->in_h && j >= 0 &&
                    j % p->stride_w == 0 && j / p->stride_w < p->in_w) {
                    const int8_t *from =
                        image + (i / p->stride_h * p->in_w + j / p->stride_w) * p->in_c;
                    const int8_t *w = p->weights + (c * taps + t) * p->in_c;
                    for (int32_t k = 0; k < p->in_c; k++) {
                        sum += (from[k] + p->offset) * w[k];
                    }
                }
            }
            sum = ep_scale(sum, p->scales[c * p->scale_step]) + p->zero;
            *y++ = (int8_t)ep_clamp(sum, p->low, p->high);
        }
    }
}

/*@ ep_transposed_s16_t */
/* As ep_transposed_t; zero points are 0. */
typedef struct {
    const int8_t *weights;
    const int64_t *bias;
    const ep_wide_scale_t *scales;
    int32_t scale_step, low, high;
    int32_t batches, in_h, in_w, in_c, out_h, out_w, out_c;
    int32_t kernel_h, kernel_w, stride_h, stride_w, pad_top, pad_left;
} ep_transposed_s16_t;

/*@ ep_transposed_s16 */
/* Transposed convolution of 16-bit numbers. */
void ep_transposed_s16(const ep_transposed_s16_t *p, const int16_t *x, int16_t *y)
{
    const int32_t taps = p->kernel_h * p->kernel_w;
    for (int32_t n = 0; n < p->batches * p->out_h * p->out_w; n++) {
        const int32_t row = n / p->out_w % p->out_h + p->pad_top;
        const int32_t column = n % p->out_w + p->pad_left;
        const int16_t *image = x + n / (p->out_w * p->out_h) * p->in_h * p->in_w * p->in_c;
        for (int32_t c = 0; c < p->out_c; c++) {
            int64_t sum = p->bias[c];
            for (int32_t t = 0; t < taps; t++) {
                const int32_t i = row - t / p->kernel_w;
                const int32_t j = column - t % p->kernel_w;
                if (i >= 0 && i % p->stride_h == 0 && i / p->stride_h < p->in_h && j >= 0 &&
                    j % p->stride_w == 0 && j / p->stride_w < p->in_w) {
                    const int16_t *from =
                        image + (i / p->stride_h * p->in_w + j / p->stride_w) * p->in_c;
                    const int8_t *w = p->weights + (c * taps + t) * p->in_c;
                    for (int32_t k = 0; k < p->in_c; k++) {
                        sum += (int32_t)from[k] * w[k];
                    }
                }
            }
            *y++ = (int16_t)ep_clamp(ep_wide_scale(sum, p->scales[c * p->scale_step]), p->low,
                                     p->high);
        }
    }
}
