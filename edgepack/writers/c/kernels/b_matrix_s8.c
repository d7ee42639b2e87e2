/*@ ep_matrix_t */
/* Weights by output and what makes a result of a sum. The layout of weights is the business of
   ep_matrix_s8; the plain one is [out][depth]. bias: the input's zero point times the sum of the
   weights is taken off already; there is an even number of them. scales: one for all, or one for each output with scale_step 1.
   swift: every |sum| < 2^30 and every shift is 1 to 22. */
typedef struct {
    const int8_t *weights;
    const int32_t *bias;
    const ep_scale_t *scales;
    int32_t scale_step, swift, depth, out, zero, low, high;
} ep_matrix_t;

/*@ ep_widen_s8 */
/* n numbers as 16-bit ones; what follows them in `to` is returned. */
static inline int16_t *ep_widen_s8(const int8_t *x, int32_t n, int16_t *to)
{
    for (int32_t i = 0; i < n; i++) {
        to[i] = x[i];
    }
    return to + n;
}

/*@ ep_matrix_s8 */
/* All outputs of some pixels. patches: [pixels][depth]; the results of a pixel follow one another,
   those of the next begin `pitch` bytes further. */
void ep_matrix_s8(const ep_matrix_t *p, const int16_t *patches, int32_t pixels, int8_t *y,
                  int32_t pitch)
{
    for (int32_t n = 0; n < pixels; n++) {
        const int8_t *w = p->weights;
        for (int32_t c = 0; c < p->out; c++) {
            int32_t sum = p->bias[c];
            for (int32_t i = 0; i < p->depth; i++) {
                sum += (int32_t)patches[i] * w[i];
            }
            sum = ep_scale(sum, p->scales[c * p->scale_step]) + p->zero;
            y[c] = (int8_t)ep_clamp(sum, p->low, p->high);
            w += p->depth;
        }
        patches += p->depth;
        y += pitch;
    }
}

/*@ ep_expand_s8 */
/* Numbers from codes of 1, 2 or 4 bits, the first in the lowest bits of a byte. */
void ep_expand_s8(const int8_t *values, const uint8_t *codes, int32_t count, int32_t bits,
                  int8_t *to)
{
    const uint32_t mask = (1U << bits) - 1U;
    uint32_t left = 0;
    for (int32_t i = 0, waiting = 0; i < count; i++) {
        if (waiting == 0) {
            left = *codes++;
            waiting = 8;
        }
        to[i] = values[left & mask];
        left >>= bits;
        waiting -= bits;
    }
}

/*@ ep_dense_t */
/* rows of the input are worked on `block` at a time. */
typedef struct {
    ep_matrix_t matrix;
    int32_t rows, block;
} ep_dense_t;

/*@ ep_dense_s8 */
/* Each row of x times the weights: dense layers, and 1x1 convolutions with a pixel for a row.
   scratch: block * depth numbers; a block of rows is in it before results are written. */
void ep_dense_s8(const ep_dense_t *p, const int8_t *x, int8_t *y, int16_t *scratch)
{
    for (int32_t row = 0; row < p->rows; row += p->block) {
        const int32_t left = p->rows - row;
        const int32_t rows = (left < p->block) ? left : p->block;
        (void)ep_widen_s8(x, rows * p->matrix.depth, scratch);
        ep_matrix_s8(&p->matrix, scratch, rows, y, p->matrix.out);
        x += rows * p->matrix.depth;
        y += rows * p->matrix.out;
    }
}
