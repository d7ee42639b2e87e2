/*@ ep_resize_t */
/* For each output row (down) and column (along): the two input places and the distance from the
   first in 1/1024. */
typedef struct {
    const int32_t *down, *along;
    int32_t batches, in_h, in_w, channels, out_h, out_w;
} ep_resize_t;

/*@ ep_bilinear_s8 */
/* Linear between the nearest rows and columns. */
void ep_bilinear_s8(const ep_resize_t *p, const int8_t *x, int8_t *y)
{
    for (int32_t n = 0; n < p->batches; n++) {
        for (int32_t i = 0; i < p->out_h; i++) {
            const int32_t *d = p->down + 3 * i;
            const int8_t *top = x + d[0] * p->in_w * p->channels;
            const int8_t *bottom = x + d[1] * p->in_w * p->channels;
            for (int32_t j = 0; j < p->out_w; j++) {
                const int32_t *a = p->along + 3 * j;
                const int32_t left = a[0] * p->channels;
                const int32_t right = a[1] * p->channels;
                for (int32_t c = 0; c < p->channels; c++) {
                    const int32_t above = top[left + c] * (1024 - a[2]) + top[right + c] * a[2];
                    const int32_t below =
                        bottom[left + c] * (1024 - a[2]) + bottom[right + c] * a[2];
                    const int32_t sum = above * (1024 - d[2]) + below * d[2];
                    *y++ = (int8_t)((sum + ((sum > 0) ? 524288 : -524288)) / 1048576);
                }
            }
        }
        x += p->in_h * p->in_w * p->channels;
    }
}

/*@ ep_bilinear_s16 */
/* As ep_bilinear_s8, with sums of 64 bits. */
void ep_bilinear_s16(const ep_resize_t *p, const int16_t *x, int16_t *y)
{
    for (int32_t n = 0; n < p->batches; n++) {
        for (int32_t i = 0; i < p->out_h; i++) {
            const int32_t *d = p->down + 3 * i;
            const int16_t *top = x + d[0] * p->in_w * p->channels;
            const int16_t *bottom = x + d[1] * p->in_w * p->channels;
            for (int32_t j = 0; j < p->out_w; j++) {
                const int32_t *a = p->along + 3 * j;
                const int32_t left = a[0] * p->channels;
                const int32_t right = a[1] * p->channels;
                for (int32_t c = 0; c < p->channels; c++) {
                    const int32_t above = top[left + c] * (1024 - a[2]) + top[right + c] * a[2];
                    const int32_t below =
                        bottom[left + c] * (1024 - a[2]) + bottom[right + c] * a[2];
                    const int64_t sum = (int64_t)above * (1024 - d[2]) + (int64_t)below * d[2];
                    *y++ = (int16_t)((sum + ((sum > 0) ? 524288 : -524288)) / 1048576);
                }
            }
        }
        x += p->in_h * p->in_w * p->channels;
    }
}
