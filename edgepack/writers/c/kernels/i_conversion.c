/*@ ep_nearest */
/* x rounded, halves away from zero, plus zero, between low and high; what is no number is zero. */
static inline int32_t ep_nearest(float x, int32_t zero, int32_t low, int32_t high)
{
    int32_t whole = 0;
    if (x >= 65536.0F) {
        whole = 65536;
    } else if (x <= -65536.0F) {
        whole = -65536;
    } else if (x == x) {
        whole = (int32_t)x;
        const float rest = x - (float)whole;
        whole += (rest >= 0.5F) ? 1 : (rest <= -0.5F) ? -1 : 0;
    }
    return ep_clamp(whole + zero, low, high);
}

/*@ ep_quantize_s8, s16 */
/* Nearest integers of real numbers. */
void ep_quantize_s8(const float *x, float scale, int32_t zero, int8_t *y, int32_t count)
{
    for (int32_t i = 0; i < count; i++) {
        y[i] = (int8_t)ep_nearest(x[i] / scale, zero, INT8_MIN, INT8_MAX);
    }
}

/*@ ep_quantize_u8 */
/* Nearest integers of real numbers. */
void ep_quantize_u8(const float *x, float scale, int32_t zero, uint8_t *y, int32_t count)
{
    for (int32_t i = 0; i < count; i++) {
        y[i] = (uint8_t)ep_nearest(x[i] / scale, zero, 0, UINT8_MAX);
    }
}

/*@ ep_dequantize_s8, s16 */
/* The real numbers that integers stand for. */
void ep_dequantize_s8(const int8_t *x, float scale, int32_t zero, float *y, int32_t count)
{
    for (int32_t i = 0; i < count; i++) {
        y[i] = (float)(x[i] - zero) * scale;
    }
}

/*@ ep_dequantize_u8 */
/* The real numbers that integers stand for. */
void ep_dequantize_u8(const uint8_t *x, float scale, int32_t zero, float *y, int32_t count)
{
    for (int32_t i = 0; i < count; i++) {
        y[i] = (float)(x[i] - zero) * scale;
    }
}
