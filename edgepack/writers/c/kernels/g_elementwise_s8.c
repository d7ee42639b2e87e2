/*@ ep_lookup_8 */
/* Each byte of x replaced by the entry of the table that it numbers; y may be x. */
void ep_lookup_8(const uint8_t *table, const uint8_t *x, uint8_t *y, int32_t count)
{
    for (int32_t i = 0; i < count; i++) {
        y[i] = table[x[i]];
    }
}

/*@ ep_add_t */
/* Both inputs are brought to a common scale with `spare` more bits, then their sum to the output's.
   Offsets are zero points with the sign turned. */
typedef struct {
    ep_scale_t a, b, y;
    int32_t a_offset, b_offset, zero, low, high, spare;
} ep_add_t;

/*@ ep_add_s8 */
/* Sums of pairs; a step of 0 repeats one element. y may be a or b. */
void ep_add_s8(const ep_add_t *p, const int8_t *a, int32_t a_step, const int8_t *b, int32_t b_step,
               int8_t *y, int32_t count)
{
    for (int32_t i = 0; i < count; i++) {
        const int32_t left = ep_scale((*a + p->a_offset) * ((int32_t)1 << p->spare), p->a);
        const int32_t right = ep_scale((*b + p->b_offset) * ((int32_t)1 << p->spare), p->b);
        const int32_t sum = ep_scale(left + right, p->y) + p->zero;
        y[i] = (int8_t)ep_clamp(sum, p->low, p->high);
        a += a_step;
        b += b_step;
    }
}
