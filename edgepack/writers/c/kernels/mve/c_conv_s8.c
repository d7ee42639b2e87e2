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

/*@ ep_window_s8 */
/* The window of x that begins at row top and column left; what follows it in `to` is returned. A
   pixel of x has `pitch` channels. Columns that the filter takes one after the other are one run. */
static inline int8_t *ep_window_s8(const ep_conv_t *p, const int8_t *x, int32_t pitch, int32_t top,
                                   int32_t left, int8_t *to)
{
    const int32_t depth = p->in_c, wide = p->kernel_w, width = p->in_w, height = p->in_h;
    const int32_t run = (p->dilation_w == 1 && pitch == depth) ? wide : 1;
    for (int32_t i = p->kernel_h; i > 0; i--) {
        if (top < 0 || top >= height) {
            to = ep_border_s8(p->fill, wide * depth, to);
        } else {
            const int8_t *from = x + (top * width + left) * pitch;
            int32_t column = left;
            for (int32_t j = wide; j > 0; j -= run) {
                if (column >= 0 && column + run <= width) {
                    to = ep_copy_s8(from, run * depth, to);
                } else {
                    const int32_t before = ep_clamp(-column, 0, run);
                    const int32_t after = ep_clamp(column + run - width, 0, run - before);
                    to = ep_border_s8(p->fill, before * depth, to);
                    to = ep_copy_s8(from + before * pitch, (run - before - after) * depth, to);
                    to = ep_border_s8(p->fill, after * depth, to);
                }
                column += p->dilation_w;
                from += p->dilation_w * pitch;
            }
        }
        top += p->dilation_h;
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
