// Vectors of floats as compilers of C++ know them, in whatever width the processor has. ELEMENT is the type of weights,
// keys and values: float, or uint16_t for bfloat16, whose products are rounded where the training forward under
// autocast rounds.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <vector>

#ifdef __AVX512F__
constexpr int LANES = 16, TILE = 8;  // floats in a vector; rows whose sums stay in registers together
#else
constexpr int LANES = 8, TILE = 4;
#endif
constexpr int PANEL = 2 * LANES;  // columns of a matrix that lie together: (panels, inputs, PANEL)

typedef ELEMENT Element;
typedef float Vector __attribute__((vector_size(4 * LANES)));
typedef uint32_t Bits __attribute__((vector_size(4 * LANES)));
typedef uint16_t Halves __attribute__((vector_size(2 * LANES)));
constexpr bool half = std::is_same<Element, uint16_t>::value;

static inline Vector load(const float *from) {
    Vector x;
    memcpy(&x, from, sizeof x);
    return x;
}

static inline Vector load(const uint16_t *from) {
    Halves x;
    memcpy(&x, from, sizeof x);
    return (Vector)(__builtin_convertvector(x, Bits) << 16);
}

static inline Vector rounded(Vector x) {  // to the nearest Element, ties to even
    if (!half) return x;
    Bits bits = (Bits)x;
    return (Vector)((bits + 0x7fff + ((bits >> 16) & 1)) & 0xffff0000u);
}

static inline void store(float *to, Vector x) { memcpy(to, &x, sizeof x); }

static inline void store(uint16_t *to, Vector x) {  // of a rounded x
    Halves halves = __builtin_convertvector((Bits)x >> 16, Halves);
    memcpy(to, &halves, sizeof halves);
}

static inline float sum(Vector x) {  // by halves: a loop over the lanes is five times slower
    typedef float Eight __attribute__((vector_size(32)));
    typedef float Four __attribute__((vector_size(16)));
    Eight eights[LANES / 8];
    memcpy(eights, &x, sizeof x);
    for (int i = 1; i < LANES / 8; i++) eights[0] += eights[i];
    Four fours[2];
    memcpy(fours, eights, sizeof fours);
    fours[0] += fours[1];
    return (fours[0][0] + fours[0][1]) + (fours[0][2] + fours[0][3]);
}

static inline Vector broadcast(float x) { return x - Vector{}; }

// e^x to the last two digits of float32: 2^n times a polynomial in the rest, |rest| <= ln 2 / 2 (as in Cephes).
static inline Vector exponential(Vector x) {
    x = x < -87.0f ? broadcast(-87.0f) : x > 88.0f ? broadcast(88.0f) : x;
    Vector n = (x * 1.44269504f + 12582912.0f) - 12582912.0f;  // rounds to whole numbers
    Vector rest = (x - n * 0.693359375f) + n * 2.12194440e-4f;
    Vector p = 1.9875691500e-4f * rest + 1.3981999507e-3f;
    p = p * rest + 8.3334519073e-3f;
    p = p * rest + 4.1665795894e-2f;
    p = p * rest + 1.6666665459e-1f;
    p = p * rest + 5.0000001201e-1f;
    p = p * rest * rest + rest + 1.0f;
    return p * (Vector)(__builtin_convertvector(n + 127.0f, Bits) << 23);
}

static inline int up_to_panels(int64_t columns) { return (columns + PANEL - 1) / PANEL * PANEL; }

// sums[r] += x[r] w for R rows of x and two vectors of columns of w, over n inputs; a row of x lies `across` from the
// next, its numbers `along` from each other, rows of w `stride`.
template <int R, class Number>
static inline void accumulate(const float *x, int across, int along, const Number *w, int stride, int n,
                              Vector (&sums)[R][2]) {
    for (int i = 0; i < n; i++) {
        const Vector left = load(w + i * stride), right = load(w + i * stride + LANES);
        for (int r = 0; r < R; r++) {
            sums[r][0] += x[r * across + i * along] * left;
            sums[r][1] += x[r * across + i * along] * right;
        }
    }
}

constexpr const char *MISCOUNTED = "the number of arguments is not the one that this code was written for";

extern "C" int lanes() { return LANES; }
