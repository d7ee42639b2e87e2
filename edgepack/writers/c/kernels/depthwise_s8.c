/*@ ep_channel_s8 */
/* One channel of x, high by wide with its padding, as 16-bit numbers. */
static inline void ep_channel_s8(const ep_conv_t *p, const int8_t *x, int32_t high, int32_t wide,
                                 int16_t *plane)
{
    for (int32_t i = -p->pad_top; i < high - p->pad_top; i++) {
        for (int32_t j = -p->pad_left; j < wide - p->pad_left; j++) {
            int32_t value = p->fill;
            if (i >= 0 && i < p->in_h && j >= 0 && j < p->in_w) {
                value = x[(i * p->in_w + j) * p->in_c];
            }
            *plane++ = (int16_t)value;
        }
    }
}

/*@ ep_depthwise_s8 */
/* One filter for each channel of the output, out_c / in_c of them for each of the input; weights are
   [out_c][kernel_h][kernel_w]. scratch holds one channel of the input with its padding, 16 bits each:
   a channel is read in full before its results are written, so y may begin where x does when
   in_c == out_c. */
void ep_depthwise_s8(const ep_conv_t *p, const int8_t *x, int8_t *y, int16_t *scratch)
{
    const int32_t high = (p->out_h - 1) * p->stride_h + (p->kernel_h - 1) * p->dilation_h + 1;
    const int32_t wide = (p->out_w - 1) * p->stride_w + (p->kernel_w - 1) * p->dilation_w + 1;
    const int32_t times = p->out_c / p->in_c;
    for (int32_t n = 0; n < p->batches; n++) {
        for (int32_t c = 0; c < p->out_c; c++) {
            const int8_t *filter = p->weights + c * p->kernel_h * p->kernel_w;
            const ep_scale_t scale = p->scales[c * p->scale_step];
            int8_t *out = y + c;
            if (c % times == 0) {
                ep_channel_s8(p, x + c / times, high, wide, scratch);
            }
            for (int32_t i = 0; i < p->out_h; i++) {
                for (int32_t j = 0; j < p->out_w; j++) {
                    const int16_t *from = scratch + i * p->stride_h * wide + j * p->stride_w;
                    const int8_t *w = filter;
                    int32_t sum = p->bias[c];
                    for (int32_t k = 0; k < p->kernel_h; k++) {
                        for (int32_t l = 0; l < p->kernel_w; l++) {
                            sum += (int32_t)from[l * p->dilation_w] * *w++;
                        }
                        from += p->dilation_h * wide;
                    }
                    *out = (int8_t)ep_clamp(ep_scale(sum, scale) + p->zero, p->low, p->high);
                    out += p->out_c;
                }
            }
        }
        x += p->in_h * p->in_w * p->in_c;
        y += p->out_h * p->out_w * p->out_c;
    }
}
