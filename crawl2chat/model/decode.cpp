// Tokens of a batch of texts through the network of network.py, on a CPU: a whole step in one parallel region,
// since at such sizes calling a kernel costs more than running it. Products are rounded where the training forward under
// autocast rounds them. A row's numbers do not depend on the other rows, nor on the number of threads.
#include "vectors.h"

constexpr int AHEAD = 24;  // places of a cache that are fetched before they are wanted: a fifth faster on a large batch

struct Layer {
    const Element *qkv, *o, *gate_up, *down;  // panels; those of gate_up hold LANES of the gate, then LANES of up
    const float *input_norm, *post_norm, *q_norm, *k_norm;  // the last two are null without QK-norm
};

struct Model {
    int64_t hidden, heads, kv_heads, head_dim, intermediate, vocabulary, layers;
    float eps;
    const float *embedding, *norm, *cos, *sin;
    const Element *head;
    const Layer *layer;
};

static inline float inverse_rms(const float *x, int size, float eps) {
    Vector squares = {};
    for (int i = 0; i < size; i += LANES) squares += load(x + i) * load(x + i);
    return 1.0f / std::sqrt(sum(squares) / size + eps);
}

static void normalise(const Model &model, const float *x, const float *weight, float *to) {
    const float scale = inverse_rms(x, model.hidden, model.eps);
    for (int i = 0; i < model.hidden; i += LANES) store(to + i, rounded(load(x + i) * scale * load(weight + i)));
}

// x times one panel for R rows; `finish` takes a row's two vectors of sums.
template <int R, class Finish>
static inline void tile(const float *x, int inputs, const Element *panel, const Finish &finish) {
    Vector sums[R][2] = {};
    accumulate<R>(x, inputs, 1, panel, PANEL, inputs, sums);
    for (int r = 0; r < R; r++) finish(r, rounded(sums[r][0]), rounded(sums[r][1]));
}

template <class Finish>
static void multiply(const float *x, int rows, int inputs, const Element *weight, int outputs, const Finish &finish) {
    const int panels = up_to_panels(outputs) / PANEL, block = 8 * TILE;
#pragma omp for collapse(2) schedule(static)
    for (int panel = 0; panel < panels; panel++)
        for (int first = 0; first < rows; first += block) {
            const Element *columns = weight + (int64_t)panel * inputs * PANEL;
            const int end = first + block < rows ? first + block : rows;
            int row = first;
            const auto place = [&](int r, Vector left, Vector right) { finish(row + r, panel, left, right); };
            for (; row + TILE <= end; row += TILE) tile<TILE>(x + row * inputs, inputs, columns, place);
            for (; row < end; row++) tile<1>(x + row * inputs, inputs, columns, place);
        }
}

// Rotary positions on a head that was normalised before, if the network does that.
static void turn(const Model &model, float *head, const float *weight, int64_t position) {
    const int size = model.head_dim;
    const float scale = weight ? inverse_rms(head, size, model.eps) : 1.0f;
    const float *cos = model.cos + position * size / 2, *sin = model.sin + position * size / 2;
    for (int i = 0; i < size / 2; i++) {
        const float left = weight ? head[i] * scale * weight[i] : head[i];
        const float right = weight ? head[i + size / 2] * scale * weight[i + size / 2] : head[i + size / 2];
        head[i] = left * cos[i] - right * sin[i];
        head[i + size / 2] = right * cos[i] + left * sin[i];
    }
    for (int i = 0; i < size; i += LANES) store(head + i, rounded(load(head + i)));
}

// N vectors of the values' mean under `weights`, times `share`.
template <int N>
static inline void mix(const Element *values, int size, const float *weights, int64_t position, float share, float *out) {
    Vector sums[N] = {};
    for (int64_t at = 0; at <= position; at++)
        for (int n = 0; n < N; n++) {
            __builtin_prefetch(values + (at + AHEAD) * size + n * LANES);
            sums[n] += weights[at] * load(values + at * size + n * LANES);
        }
    for (int n = 0; n < N; n++) store(out + n * LANES, rounded(sums[n] * share));
}

// softmax(q K / sqrt(head_dim)) V over places 0 ... position; `scores` has room for them and a vector more.
static void attend(const Model &model, const float *q, const Element *keys, const Element *values, int64_t position,
                   float *scores, float *out) {
    const int size = model.head_dim;
    const float scale = 1.0f / std::sqrt((float)size);
    float most = -INFINITY;
    for (int64_t at = 0; at <= position; at++) {
        Vector products = {};
        for (int i = 0; i < size; i += LANES) {
            __builtin_prefetch(keys + (at + AHEAD) * size + i);
            products += load(q + i) * load(keys + at * size + i);
        }
        scores[at] = sum(products);
        most = scores[at] > most ? scores[at] : most;
    }
    for (int lane = 1; lane < LANES; lane++) scores[position + lane] = -INFINITY;
    Vector total = {};  // at least about 1, so that what stands after the last place, 1e-38, adds nothing
    most *= scale;
    for (int64_t at = 0; at <= position; at += LANES) {
        const Vector weights = exponential(load(scores + at) * scale - most);
        store(scores + at, weights);
        total += weights;
    }
    const float share = 1.0f / sum(total);
    int i = 0;
    for (; i + 4 * LANES <= size; i += 4 * LANES) mix<4>(values + i, size, scores, position, share, out + i);
    for (; i < size; i += LANES) mix<1>(values + i, size, scores, position, share, out + i);
}

// Reads `rows` tokens, each at its position in its slot of the cache; tokens of one slot may come together, in order.
// ids, positions, slots: (rows); keys, values: (layers, slot_count, kv_heads, room, head_dim), written to; wanted: (count)
// rows whose logits (count, vocabulary rounded up to whole panels) are worked out.
extern "C" void decode(const Model *shape, int64_t rows, int64_t slot_count, int64_t room, int64_t count,
                       const int64_t *ids, const int64_t *positions, const int64_t *slots, const int64_t *wanted,
                       Element *keys, Element *values, float *logits, int threads) {
    const Model &model = *shape;
    const int hidden = model.hidden, size = model.head_dim, inner = model.intermediate;
    const int group = model.heads / model.kv_heads, q_width = model.heads * size, kv_width = model.kv_heads * size;
    const int width = up_to_panels(q_width + 2 * kv_width), padded = up_to_panels(model.vocabulary);
    std::vector<float> stream(rows * hidden), normal(rows * hidden), qkv(rows * width), mixed(rows * q_width),
        gated(rows * inner);
    const auto add = [&](int row, int panel, Vector left, Vector right) {
        float *at = &stream[row * hidden + panel * PANEL];
        store(at, load(at) + left);
        if (panel * PANEL + LANES < hidden) store(at + LANES, load(at + LANES) + right);
    };
    const auto place = [&](int layer, int row, int head) {  // of the row's first key or value
        return ((layer * slot_count + slots[row]) * model.kv_heads + head) * room * size;
    };
#pragma omp parallel num_threads(threads)
    {
        std::vector<float> scores(room + LANES);
#pragma omp for schedule(static)
        for (int row = 0; row < rows; row++)
            memcpy(&stream[row * hidden], model.embedding + ids[row] * hidden, hidden * sizeof(float));
        for (int l = 0; l < model.layers; l++) {
            const Layer &layer = model.layer[l];
#pragma omp for schedule(static)
            for (int row = 0; row < rows; row++)
                normalise(model, &stream[row * hidden], layer.input_norm, &normal[row * hidden]);
            multiply(normal.data(), rows, hidden, layer.qkv, width, [&](int row, int panel, Vector left, Vector right) {
                store(&qkv[row * width + panel * PANEL], left);
                store(&qkv[row * width + panel * PANEL + LANES], right);
            });
#pragma omp for collapse(2) schedule(static)
            for (int row = 0; row < rows; row++)
                for (int head = 0; head < model.kv_heads; head++) {
                    float *k = &qkv[row * width + q_width + head * size], *v = k + kv_width;
                    const int64_t at = place(l, row, head) + positions[row] * size;
                    turn(model, k, layer.k_norm, positions[row]);
                    for (int i = 0; i < size; i += LANES) {
                        store(keys + at + i, load(k + i));
                        store(values + at + i, load(v + i));
                    }
                }
#pragma omp for collapse(2) schedule(static, 1)  // later places have more to read
            for (int row = 0; row < rows; row++)
                for (int head = 0; head < model.heads; head++) {
                    float *q = &qkv[row * width + head * size];
                    const int64_t at = place(l, row, head / group);
                    turn(model, q, layer.q_norm, positions[row]);
                    attend(model, q, keys + at, values + at, positions[row], scores.data(),
                           &mixed[row * q_width + head * size]);
                }
            multiply(mixed.data(), rows, q_width, layer.o, hidden, add);
#pragma omp for schedule(static)
            for (int row = 0; row < rows; row++)
                normalise(model, &stream[row * hidden], layer.post_norm, &normal[row * hidden]);
            multiply(normal.data(), rows, hidden, layer.gate_up, 2 * inner,
                     [&](int row, int panel, Vector gate, Vector up) {
                         const Vector silu = rounded(gate / (1.0f + exponential(-gate)));
                         store(&gated[row * inner + panel * LANES], rounded(silu * up));
                     });
            multiply(gated.data(), rows, inner, layer.down, hidden, add);
        }
#pragma omp for schedule(static)
        for (int row = 0; row < count; row++)
            normalise(model, &stream[wanted[row] * hidden], model.norm, &normal[row * hidden]);
        multiply(normal.data(), count, hidden, model.head, padded, [&](int row, int panel, Vector left, Vector right) {
            store(logits + row * (int64_t)padded + panel * PANEL, left);
            store(logits + row * (int64_t)padded + panel * PANEL + LANES, right);
        });
    }
}

extern "C" int lanes() { return LANES; }
