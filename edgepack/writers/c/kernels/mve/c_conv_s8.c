/*@ ep_border_s8 */
/* n >= 0 times the padding; what follows in `to` is returned. */
static inline int8_t *ep_border_s8(int32_t fill, int32_t n, int8_t *to)
{
    int8_t *const end = to + n;
#if defined(__ARM_FEATURE_MVE)
    __asm__ volatile("vdup.8 q0, %[fill] \n"
                     "wlstp.8 lr, %[n], 2f \n"
                     "1: \n"
                     "vstrb.8 q0, [%[to]], #16 \n"
                     "letp lr, 1b \n"
                     "2: \n"
                     : [to] "+r"(to)
                     : [n] "r"(n), [fill] "r"(fill)
                     : "q0", "lr", "cc", "memory");
#else
    (void)memset(to, (int)fill, (size_t)n);
#endif
    return end;
}

/*@ ep_block_s8 */
/* rows > 0 runs of n > 0 numbers, `step` apart; what follows them in `to` is returned. */
static inline int8_t *ep_block_s8(const int8_t *x, int32_t step, int32_t n, int32_t rows, int8_t *to)
{
#if defined(__ARM_FEATURE_MVE)
    const int32_t ahead = n - ((n + 15) & ~15); /* from where a run's loop ends */
    const int32_t next = step - n + ahead;
    __asm__ volatile("1: \n"
                     "dlstp.8 lr, %[n] \n"
                     "2: \n"
                     "vldrb.8 q0, [%[x]], #16 \n"
                     "vstrb.8 q0, [%[to]], #16 \n"
                     "letp lr, 2b \n"
                     "subs %[rows], %[rows], #1 \n"
                     "add %[x], %[x], %[next] \n"
                     "add %[to], %[to], %[ahead] \n"
                     "bne 1b \n"
                     : [x] "+r"(x), [to] "+r"(to), [rows] "+r"(rows)
                     : [n] "r"(n), [next] "r"(next), [ahead] "r"(ahead)
                     : "q0", "lr", "cc", "memory");
#else
    for (; rows > 0; rows--) {
        (void)memcpy(to, x, (size_t)n);
        x += step;
        to += n;
    }
#endif
    return to;
}

/*@ ep_window_s8 */
/* The window of x that begins at row top and column left; what follows it in `to` is returned. A
   pixel of x has `pitch` channels. */
static inline int8_t *ep_window_s8(const ep_conv_t *p, const int8_t *x, int32_t pitch, int32_t top,
                                   int32_t left, int8_t *to)
{
    const int32_t depth = p->in_c, high = p->kernel_h, wide = p->kernel_w;
    const int32_t height = p->in_h, width = p->in_w, fill = p->fill;
    if (p->dilation_h == 1 && p->dilation_w == 1 && pitch == depth) {
        const int8_t *from = x + (top * width + left) * depth;
        const int32_t step = width * depth, run = wide * depth;
        if (top >= 0 && left >= 0 && top <= height - high && left <= width - wide) {
            to = ep_block_s8(from, step, run, high, to);
        } else {
            const int32_t before = ep_clamp(-left, 0, wide) * depth;
            const int32_t after = ep_clamp(left + wide - width, 0, wide) * depth;
            for (int32_t row = top; row < top + high; row++) {
                if (row < 0 || row >= height || before + after >= run) {
                    to = ep_border_s8(fill, run, to);
                } else {
                    to = ep_border_s8(fill, before, to);
                    to = ep_copy_s8(from + before, run - before - after, to);
                    to = ep_border_s8(fill, after, to);
                }
                from += step;
            }
        }
        return to;
    }
    for (int32_t i = 0; i < high; i++) {
        const int32_t row = top + i * p->dilation_h;
        for (int32_t j = 0; j < wide; j++) {
            const int32_t column = left + j * p->dilation_w;
            if (row < 0 || row >= height || column < 0 || column >= width) {
                to = ep_border_s8(fill, depth, to);
            } else {
                to = ep_copy_s8(x + (row * width + column) * pitch, depth, to);
            }
        }
    }
    return to;
}

/*@ ep_conv_s8 */
/* Convolution. scratch: the windows of twice as many pixels as a block has, as bytes. */
void ep_conv_s8(const ep_conv_t *p, const int8_t *x, int8_t *y, int16_t *scratch)
{
    const int32_t block = 2 * p->block;
    int8_t *to = (int8_t *)scratch;
    int32_t waiting = 0;
    for (int32_t n = 0; n < p->batches; n++) {
        for (int32_t i = 0; i < p->out_h; i++) {
            for (int32_t j = 0; j < p->out_w; j++) {
                to = ep_window_s8(p, x, p->in_c, i * p->stride_h - p->pad_top,
                                  j * p->stride_w - p->pad_left, to);
                waiting++;
                if (waiting == block) {
                    to = (int8_t *)scratch;
                    ep_pixels_s8(&p->matrix, to, waiting, y);
                    y += waiting * p->matrix.out;
                    waiting = 0;
                }
            }
        }
        x += p->in_h * p->in_w * p->in_c;
    }
    if (waiting > 0) {
        ep_pixels_s8(&p->matrix, (const int8_t *)scratch, waiting, y);
    }
}

/*@ ep_conv_groups_s8 */
/* Convolution in groups of channels, a window of one group at a time in scratch. */
void ep_conv_groups_s8(const ep_conv_t *p, const int8_t *x, int8_t *y, int16_t *scratch)
{
    const int32_t pitch = p->in_c * p->groups;
    int8_t *const patch = (int8_t *)scratch;
    for (int32_t n = 0; n < p->batches; n++) {
        for (int32_t i = 0; i < p->out_h; i++) {
            for (int32_t j = 0; j < p->out_w; j++) {
                ep_matrix_t part = p->matrix;
                for (int32_t g = 0; g < p->groups; g++) {
                    (void)ep_window_s8(p, x + g * p->in_c, pitch, i * p->stride_h - p->pad_top,
                                       j * p->stride_w - p->pad_left, patch);
                    ep_pixels_s8(&part, patch, 1, y);
                    part.weights += part.out * part.depth;
                    part.bias += part.out;
                    part.scales += part.out * part.scale_step;
                    y += part.out;
                }
            }
        }
        x += p->in_h * p->in_w * pitch;
    }
}
