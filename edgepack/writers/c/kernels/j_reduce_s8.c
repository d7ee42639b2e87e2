/*@ ep_reduce_t */
/* Dimensions that stay, outer first, and those that are reduced; steps are in elements. */
typedef struct {
    int32_t kept[3], kept_step[3], reduced[2], reduced_step[2];
    ep_scale_t scale;
    int32_t offset, zero;
} ep_reduce_t;

/*@ ep_sum_s8, s16 */
/* Scaled sums, also means. */
void ep_sum_s8(const ep_reduce_t *p, const int8_t *x, int8_t *y)
{
    for (int32_t i = 0; i < p->kept[0]; i++) {
        for (int32_t j = 0; j < p->kept[1]; j++) {
            for (int32_t k = 0; k < p->kept[2]; k++) {
                const int8_t *row =
                    x + i * p->kept_step[0] + j * p->kept_step[1] + k * p->kept_step[2];
                int32_t sum = p->offset;
                for (int32_t l = 0; l < p->reduced[0]; l++) {
                    for (int32_t m = 0; m < p->reduced[1]; m++) {
                        sum += row[l * p->reduced_step[0] + m * p->reduced_step[1]];
                    }
                }
                *y++ = (int8_t)ep_clamp(ep_scale(sum, p->scale) + p->zero, INT8_MIN, INT8_MAX);
            }
        }
    }
}

/*@ ep_largest_s8, s16 */
/* Maxima, or minima where offset is 1. */
void ep_largest_s8(const ep_reduce_t *p, const int8_t *x, int8_t *y)
{
    for (int32_t i = 0; i < p->kept[0]; i++) {
        for (int32_t j = 0; j < p->kept[1]; j++) {
            for (int32_t k = 0; k < p->kept[2]; k++) {
                const int8_t *row =
                    x + i * p->kept_step[0] + j * p->kept_step[1] + k * p->kept_step[2];
                int8_t best = *row;
                for (int32_t l = 0; l < p->reduced[0]; l++) {
                    for (int32_t m = 0; m < p->reduced[1]; m++) {
                        const int8_t value = row[l * p->reduced_step[0] + m * p->reduced_step[1]];
                        if ((p->offset == 0) ? value > best : value < best) {
                            best = value;
                        }
                    }
                }
                *y++ = best;
            }
        }
    }
}

/*@ ep_place_s8, s16 */
/* The index of the first maximum (minimum with offset 1) along one dimension. */
void ep_place_s8(const ep_reduce_t *p, const int8_t *x, int32_t *y)
{
    for (int32_t i = 0; i < p->kept[0]; i++) {
        for (int32_t k = 0; k < p->kept[2]; k++) {
            const int8_t *row = x + i * p->kept_step[0] + k * p->kept_step[2];
            int32_t best = 0;
            for (int32_t l = 1; l < p->reduced[0]; l++) {
                const int8_t value = row[l * p->reduced_step[0]];
                const int8_t known = row[best * p->reduced_step[0]];
                if ((p->offset == 0) ? value > known : value < known) {
                    best = l;
                }
            }
            *y++ = best;
        }
    }
}
