/*@ ep_depthwise_t */
/* weights: [out_c][kernel_h][kernel_w]. A band of `lines` output rows is worked on at a time; its
   input rows have `pitch` numbers in scratch. */
typedef struct {
    const int8_t *weights;
    const int32_t *bias;
    const ep_scale_t *scales;
    int32_t scale_step, swift, zero, low, high;
    int32_t batches, in_h, in_w, in_c, out_h, out_w, times;
    int32_t kernel_h, kernel_w, stride_h, stride_w, dilation_h, dilation_w, pad_top, pad_left;
    int32_t fill, lines, pitch;
} ep_depthwise_t;

/*@ ep_fill_s16 */
/* n times the same number; what follows is returned. */
static inline int16_t *ep_fill_s16(int32_t value, int32_t n, int16_t *to)
{
    for (; n > 0; n--) {
        *to++ = (int16_t)value;
    }
    return to;
}

/*@ ep_rows_s8 */
/* `count` rows of one channel of x from `row` on, with their padding, as 16-bit numbers. */
static inline void ep_rows_s8(const ep_depthwise_t *p, const int8_t *x, int32_t row, int32_t count,
                              int16_t *to)
{
    for (int32_t i = row; i < row + count; i++) {
        if (i < 0 || i >= p->in_h) {
            to = ep_fill_s16(p->fill, p->pitch, to);
        } else {
            const int8_t *from = x + i * p->in_w * p->in_c;
            to = ep_fill_s16(p->fill, p->pad_left, to);
            for (int32_t j = p->in_w; j > 0; j--) {
                *to++ = *from;
                from += p->in_c;
            }
            to = ep_fill_s16(p->fill, p->pitch - p->pad_left - p->in_w, to);
        }
    }
}

/*@ ep_filter_any_s8 */
/* Output rows of a channel. */
static inline void ep_filter_any_s8(const ep_depthwise_t *p, const int8_t *filter, int32_t bias,
                                    ep_scale_t scale, const int16_t *rows, int32_t count, int8_t *y)
{
    const ep_store_t how = {p->swift, p->zero, p->low, p->high, p->in_c * p->times};
    for (int32_t i = 0; i < count; i++) {
        for (int32_t j = 0; j < p->out_w; j++) {
            const int16_t *from = rows + i * p->stride_h * p->pitch + j * p->stride_w;
            const int8_t *w = filter;
            int32_t sum = bias;
            for (int32_t k = 0; k < p->kernel_h; k++) {
                for (int32_t l = 0; l < p->kernel_w; l++) {
                    sum += (int32_t)from[l * p->dilation_w] * *w++;
                }
                from += p->dilation_h * p->pitch;
            }
            ep_results_s8(&sum, 1, scale, &how, y);
            y += how.pitch;
        }
    }
}

/*@ ep_filter_s8 */
/* Output rows of channel c: `count` of them, from input rows in scratch. */
static inline void ep_filter_s8(const ep_depthwise_t *p, int32_t c, const int16_t *rows,
                                int32_t count, int8_t *y)
{
    ep_filter_any_s8(p, p->weights + c * p->kernel_h * p->kernel_w, p->bias[c],
                     p->scales[c * p->scale_step], rows, count, y);
}

/*@ ep_channel_s8 */
/* All outputs of channel c of the input. A band's input rows are in scratch before its results are
   written; rows that two bands share are moved there, not read again. */
static inline void ep_channel_s8(const ep_depthwise_t *p, int32_t c, const int8_t *x, int8_t *y,
                                 int16_t *scratch)
{
    const int32_t extent = (p->kernel_h - 1) * p->dilation_h + 1;
    const int32_t shared = (extent > p->stride_h) ? extent - p->stride_h : 0;
    const int32_t step = p->lines * p->stride_h;
    for (int32_t i = 0; i < p->out_h; i += p->lines) {
        const int32_t lines = (p->out_h - i < p->lines) ? p->out_h - i : p->lines;
        const int32_t need = (lines - 1) * p->stride_h + extent;
        const int32_t kept = (i == 0) ? 0 : shared;
        for (int32_t k = 0; k < kept; k++) {
            memcpy(scratch + k * p->pitch, scratch + (k + step) * p->pitch,
                   (size_t)p->pitch * sizeof *scratch);
        }
        ep_rows_s8(p, x + c, i * p->stride_h - p->pad_top + kept, need - kept,
                   scratch + kept * p->pitch);
        for (int32_t m = 0; m < p->times; m++) {
            const int32_t channel = c * p->times + m;
            ep_filter_s8(p, channel, scratch, lines,
                         y + i * p->out_w * p->in_c * p->times + channel);
        }
    }
}

/*@ ep_depthwise_s8 */
/* `times` filters for each channel of the input, one channel after the other. */
void ep_depthwise_s8(const ep_depthwise_t *p, const int8_t *x, int8_t *y, int16_t *scratch)
{
    for (int32_t n = 0; n < p->batches; n++) {
        for (int32_t c = 0; c < p->in_c; c++) {
            ep_channel_s8(p, c, x, y, scratch);
        }
        x += p->in_h * p->in_w * p->in_c;
        y += p->out_h * p->out_w * p->in_c * p->times;
    }
}
