/*@ ep_conv_t */
/* groups: in_c and matrix.out are those of one group. fill, the input's zero point, stands in the
   padding. Output pixels are worked on `block` at a time. */
typedef struct {
    ep_matrix_t matrix;
    int32_t batches, in_h, in_w, in_c, out_h, out_w, groups;
    int32_t kernel_h, kernel_w, stride_h, stride_w, dilation_h, dilation_w, pad_top, pad_left;
    int32_t fill, block;
} ep_conv_t;

/*@ ep_gather_s8 */
/* The window of x that begins at row top and column left, as one run of channels by tap; what
   follows it in `to` is returned. A pixel of x has `pitch` channels. */
static inline int16_t *ep_gather_s8(const ep_conv_t *p, const int8_t *x, int32_t pitch, int32_t top,
                                    int32_t left, int16_t *to)
{
    for (int32_t i = 0; i < p->kernel_h; i++) {
        const int32_t row = top + i * p->dilation_h;
        for (int32_t j = 0; j < p->kernel_w; j++) {
            const int32_t column = left + j * p->dilation_w;
            if (row < 0 || row >= p->in_h || column < 0 || column >= p->in_w) {
                for (int32_t k = 0; k < p->in_c; k++) {
                    *to++ = (int16_t)p->fill;
                }
            } else {
                to = ep_widen_s8(x + (row * p->in_w + column) * pitch, p->in_c, to);
            }
        }
    }
    return to;
}

/*@ ep_conv_s8 */
/* Convolution. scratch: block * depth numbers; the windows of a block are in it before its results
   are written. */
void ep_conv_s8(const ep_conv_t *p, const int8_t *x, int8_t *y, int16_t *scratch)
{
    int16_t *to = scratch;
    int32_t waiting = 0;
    for (int32_t n = 0; n < p->batches; n++) {
        for (int32_t i = 0; i < p->out_h; i++) {
            for (int32_t j = 0; j < p->out_w; j++) {
                to = ep_gather_s8(p, x, p->in_c, i * p->stride_h - p->pad_top,
                                  j * p->stride_w - p->pad_left, to);
                waiting++;
                if (waiting == p->block) {
                    ep_matrix_s8(&p->matrix, scratch, waiting, y, p->matrix.out);
                    y += waiting * p->matrix.out;
                    to = scratch;
                    waiting = 0;
                }
            }
        }
        x += p->in_h * p->in_w * p->in_c;
    }
    ep_matrix_s8(&p->matrix, scratch, waiting, y, p->matrix.out);
}

/*@ ep_conv_groups_s8 */
/* Convolution in groups of channels, a window of one group at a time in scratch. */
void ep_conv_groups_s8(const ep_conv_t *p, const int8_t *x, int8_t *y, int16_t *scratch)
{
    const int32_t pitch = p->in_c * p->groups;
    for (int32_t n = 0; n < p->batches; n++) {
        for (int32_t i = 0; i < p->out_h; i++) {
            for (int32_t j = 0; j < p->out_w; j++) {
                ep_matrix_t part = p->matrix;
                for (int32_t g = 0; g < p->groups; g++) {
                    (void)ep_gather_s8(p, x + g * p->in_c, pitch, i * p->stride_h - p->pad_top,
                                       j * p->stride_w - p->pad_left, scratch);
                    ep_matrix_s8(&part, scratch, 1, y, 0);
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
