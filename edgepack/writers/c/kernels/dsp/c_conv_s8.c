/*@ ep_border_s8 */
/* n times the padding into a lane, from its number `at` on. */
static inline void ep_border_s8(int32_t fill, int32_t n, int16_t *lane, int32_t at, int32_t step)
{
    for (int32_t i = at; i < at + n; i++) {
        lane[(i >> 1) * step + (i & 1)] = (int16_t)fill;
    }
}

/*@ ep_window_s8 */
/* The window of x that begins at row top and column left, into a lane. Columns that the filter
   takes one after the other are one run. */
static inline void ep_window_s8(const ep_conv_t *p, const int8_t *x, int32_t top, int32_t left,
                                int16_t *lane, int32_t step)
{
    const int32_t wide = p->kernel_w * p->in_c;
    int32_t at = 0;
    for (int32_t i = 0; i < p->kernel_h; i++) {
        const int32_t row = top + i * p->dilation_h;
        if (row < 0 || row >= p->in_h) {
            ep_border_s8(p->fill, wide, lane, at, step);
            at += wide;
        } else if (p->dilation_w == 1) {
            const int32_t before = ep_clamp(-left, 0, p->kernel_w);
            const int32_t after = ep_clamp(left + p->kernel_w - p->in_w, 0, p->kernel_w - before);
            const int32_t inside = p->kernel_w - before - after;
            const int8_t *from = x + (row * p->in_w + left + before) * p->in_c;
            ep_border_s8(p->fill, before * p->in_c, lane, at, step);
            at += before * p->in_c;
            ep_spread_s8(from, inside * p->in_c, lane, at, step);
            at += inside * p->in_c;
            ep_border_s8(p->fill, after * p->in_c, lane, at, step);
            at += after * p->in_c;
        } else {
            for (int32_t j = 0; j < p->kernel_w; j++) {
                const int32_t column = left + j * p->dilation_w;
                if (column < 0 || column >= p->in_w) {
                    ep_border_s8(p->fill, p->in_c, lane, at, step);
                } else {
                    ep_spread_s8(x + (row * p->in_w + column) * p->in_c, p->in_c, lane, at, step);
                }
                at += p->in_c;
            }
        }
    }
}

/*@ ep_conv_s8 */
/* Convolution. scratch: the windows of four pixels, in lanes, or of one. */
void ep_conv_s8(const ep_conv_t *p, const int8_t *x, int8_t *y, int16_t *scratch)
{
    const int32_t lanes = (p->block < 4) ? 1 : 4;
    int32_t waiting = 0;
    for (int32_t n = 0; n < p->batches; n++) {
        for (int32_t i = 0; i < p->out_h; i++) {
            for (int32_t j = 0; j < p->out_w; j++) {
                ep_window_s8(p, x, i * p->stride_h - p->pad_top, j * p->stride_w - p->pad_left,
                             scratch + 2 * waiting, 2 * lanes);
                waiting++;
                if (lanes == 1) {
                    ep_line_s8(&p->matrix, scratch, y);
                } else if (waiting == 4) {
                    ep_lanes_s8(&p->matrix, scratch, 4, y);
                }
                if (waiting == lanes) {
                    y += waiting * p->matrix.out;
                    waiting = 0;
                }
            }
        }
        x += p->in_h * p->in_w * p->in_c;
    }
    if (waiting > 0) {
        ep_lanes_s8(&p->matrix, scratch, waiting, y);
    }
}
