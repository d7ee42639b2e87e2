/*@ ep_matmul_t */
/* Steps from one row and from one column to the next, in elements; offsets are zero points with the
   sign turned. */
typedef struct {
    ep_scale_t scale;
    int32_t rows, depth, columns;
    int32_t a_row, a_column, b_row, b_column;
    int32_t a_offset, b_offset, zero, low, high;
} ep_matmul_t;

/*@ ep_matmul_s8 */
/* The product of two matrices that are both computed. */
void ep_matmul_s8(const ep_matmul_t *p, const int8_t *a, const int8_t *b, int8_t *y)
{
    for (int32_t i = 0; i < p->rows; i++) {
        for (int32_t j = 0; j < p->columns; j++) {
            int32_t sum = 0;
            for (int32_t k = 0; k < p->depth; k++) {
                sum += (a[i * p->a_row + k * p->a_column] + p->a_offset) *
                       (b[k * p->b_row + j * p->b_column] + p->b_offset);
            }
            *y++ = (int8_t)ep_clamp(ep_scale(sum, p->scale) + p->zero, p->low, p->high);
        }
    }
}

/*@ ep_matmul_s16 */
/* As ep_matmul_s8, with sums of 64 bits; `scale` is for ep_wide_scale. */
void ep_matmul_s16(const ep_matmul_t *p, const int16_t *a, const int16_t *b, int16_t *y)
{
    const ep_wide_scale_t scale = {p->scale.multiplier, p->scale.shift};
    for (int32_t i = 0; i < p->rows; i++) {
        for (int32_t j = 0; j < p->columns; j++) {
            int64_t sum = 0;
            for (int32_t k = 0; k < p->depth; k++) {
                sum += (int64_t)a[i * p->a_row + k * p->a_column] * b[k * p->b_row + j * p->b_column];
            }
            *y++ = (int16_t)ep_clamp(ep_wide_scale(sum, scale), p->low, p->high);
        }
    }
}
