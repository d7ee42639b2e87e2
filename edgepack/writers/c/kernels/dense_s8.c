/*@ ep_dense_t */
/* weights: [out][in]; bias and scales as in a convolution. */
typedef struct {
    const int8_t *weights;
    const int32_t *bias;
    const ep_scale_t *scales;
    int32_t scale_step, rows, in, out, zero, low, high;
} ep_dense_t;

/*@ ep_dense_s8 */
/* Each row of x times the weights. */
void ep_dense_s8(const ep_dense_t *p, const int8_t *x, int8_t *y)
{
    for (int32_t i = 0; i < p->rows; i++) {
        const int8_t *w = p->weights;
        for (int32_t c = 0; c < p->out; c++) {
            const int32_t sum = p->bias[c] + ep_dot_s8(x, w, p->in);
            const int32_t value = ep_scale(sum, p->scales[c * p->scale_step]) + p->zero;
            *y++ = (int8_t)ep_clamp(value, p->low, p->high);
            w += p->in;
        }
        x += p->in;
    }
}
