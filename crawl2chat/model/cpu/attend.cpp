// Causal attention over rows of packed documents, forward and backward, for training on a CPU. A query reads the keys
// from `first`, where its document begins, to its own place, so that what it may not see costs nothing. Sums are
// float32 whatever the type of inputs and outputs; no two threads add to the same number.
#include "vectors.h"

struct Heads {  // (rows, heads, places, size) in memory; the last dimension lies together
    const Element *data;
    int64_t row, head, place;
    const Element *at(int64_t b, int64_t h, int64_t t) const { return data + b * row + h * head + t * place; }
};

struct Shape {
    int64_t rows, heads, kv_heads, places, size;
    const int64_t *first;  // (rows, places)
};

// Numbers of a call: those of its shape, then those of each input that has heads.
constexpr int SIZES = 5, STRIDES = 3;

static Heads heads_of(const int64_t *numbers, void *const *tensors, int index) {
    const int64_t *strides = numbers + SIZES + STRIDES * index;
    return {(const Element *)tensors[index], strides[0], strides[1], strides[2]};
}

// What is wrong with the first places; null if nothing is.
static const char *refusal(const Shape &s) {
    for (int64_t at = 0; at < s.rows * s.places; at++) {
        const int64_t t = at % s.places;
        if (s.first[at] < (t ? s.first[at - 1] : 0) || s.first[at] > t)
            return "a first place lies before that of the token before it, or after its token";
    }
    return nullptr;
}

// What a thread needs for one head of keys: places filled up to whole panels.
struct Work {
    const int places, size, padded;
    std::vector<float> keys, values, key_grads, value_grads;
    std::vector<float> turned_keys, turned_values;  // (panels, size, PANEL)
    std::vector<float> q, grad, scores, products;   // of TILE queries

    Work(int places, int size)
        : places(places), size(size), padded(up_to_panels(places)), keys(padded * size), values(padded * size),
          key_grads(padded * size), value_grads(padded * size), turned_keys(padded * size),
          turned_values(padded * size), q(TILE * size), grad(TILE * size), scores(TILE * padded),
          products(TILE * padded) {}

    void read(const Heads &from, int64_t b, int64_t h, int begin, int end, float factor, float *to) const {
        for (int t = begin; t < end; t++)
            for (int i = 0; i < size; i += LANES)
                store(to + (t - begin) * size + i, load(from.at(b, h, t) + i) * factor);
    }

    void turn(const std::vector<float> &from, std::vector<float> &to) const {
        for (int t = 0; t < padded; t++)
            for (int i = 0; i < size; i++) to[(t / PANEL * size + i) * PANEL + t % PANEL] = from[t * size + i];
    }

    // TILE queries times the keys (or values) from place `low` to `high`, whole panels.
    void dot(const std::vector<float> &queries, const std::vector<float> &turned, int low, int high,
             std::vector<float> &to) {
        for (int at = low; at < high; at += PANEL) {
            Vector sums[TILE][2] = {};
            accumulate<TILE>(queries.data(), size, 1, &turned[at * size], PANEL, size, sums);
            for (int r = 0; r < TILE; r++) {
                store(&to[r * padded + at], sums[r][0]);
                store(&to[r * padded + at + LANES], sums[r][1]);
            }
        }
    }

    // Sets what query r at place t does not see between low and high.
    void hide(int r, int t, int64_t first, int low, int high, float value) {
        for (int at = low; at < first; at++) scores[r * padded + at] = value;
        for (int at = t + 1; at < high; at++) scores[r * padded + at] = value;
    }

    // Rows of `weights` (TILE of them, places low to high) times rows of `from`; each result goes to `finish`.
    template <class Finish>
    void mix(const std::vector<float> &weights, const std::vector<float> &from, int low, int high,
             const Finish &finish) {
        for (int i = 0; i < size; i += PANEL) {
            Vector sums[TILE][2] = {};
            accumulate<TILE>(&weights[low], padded, 1, &from[low * size + i], size, high - low, sums);
            for (int r = 0; r < TILE; r++) finish(r, i, sums[r][0], sums[r][1]);
        }
    }

    // Adds to each place's gradient what TILE queries with these weights send it.
    void spread(const std::vector<float> &weights, const std::vector<float> &queries, int low, int high,
                std::vector<float> &to) {
        for (int at = low; at < high; at += TILE)
            for (int i = 0; i < size; i += PANEL) {
                Vector sums[TILE][2];
                for (int r = 0; r < TILE; r++) {
                    sums[r][0] = load(&to[(at + r) * size + i]);
                    sums[r][1] = load(&to[(at + r) * size + i + LANES]);
                }
                accumulate<TILE>(&weights[at], 1, padded, &queries[i], size, TILE, sums);
                for (int r = 0; r < TILE; r++) {
                    store(&to[(at + r) * size + i], sums[r][0]);
                    store(&to[(at + r) * size + i + LANES], sums[r][1]);
                }
            }
    }
};

static void put(Element *to, Vector left, Vector right) {
    store(to, rounded(left));
    store(to + LANES, rounded(right));
}

// Every head of keys on some thread: `begin` when its keys and values are read, `tile` for TILE queries of each head
// that reads them, their products with the keys in work.scores, and `end`. `tile` takes its row, head, places from
// `start` to `stop`, the first visible place of every query, and the whole panels from `low` to `high` that hold all
// they see.
template <class Begin, class Tile, class End>
static void walk(const Shape &s, const Heads &q, const Heads &k, const Heads &v, int threads, const Begin &begin,
                 const Tile &tile, const End &end) {
    const int group = s.heads / s.kv_heads, places = s.places;
    const float scale = 1.0f / std::sqrt((float)s.size);
#pragma omp parallel num_threads(threads)
    {
        Work work(places, s.size);
#pragma omp for collapse(2) schedule(dynamic)
        for (int b = 0; b < s.rows; b++)
            for (int kv = 0; kv < s.kv_heads; kv++) {
                work.read(k, b, kv, 0, places, 1.0f, work.keys.data());
                work.read(v, b, kv, 0, places, 1.0f, work.values.data());
                work.turn(work.keys, work.turned_keys);
                begin(work);
                for (int h = kv * group; h < (kv + 1) * group; h++)
                    for (int start = 0; start < places; start += TILE) {
                        const int stop = std::min(start + TILE, places);
                        const int64_t *first = s.first + b * places;
                        const int low = first[start] / PANEL * PANEL, high = up_to_panels(stop);
                        work.read(q, b, h, start, stop, scale, work.q.data());
                        work.dot(work.q, work.turned_keys, low, high, work.scores);
                        tile(work, b, h, start, stop, first, low, high);
                    }
                end(work, b, kv);
            }
    }
}

// tensors: q, k, v, first, then what is written: the logarithm of each softmax's denominator (rows, heads, places) and
// the output (rows, places, heads, size).
extern "C" const char *attend(const int64_t *numbers, int64_t number_count, void *const *tensors, int64_t tensor_count,
                              int threads) {
    if (number_count != SIZES + 3 * STRIDES || tensor_count != 6) return MISCOUNTED;
    const Shape s{numbers[0], numbers[1], numbers[2], numbers[3], numbers[4], (const int64_t *)tensors[3]};
    if (const char *wrong = refusal(s)) return wrong;
    const Heads q = heads_of(numbers, tensors, 0), k = heads_of(numbers, tensors, 1), v = heads_of(numbers, tensors, 2);
    float *log_sums = (float *)tensors[4];
    Element *out = (Element *)tensors[5];
    const auto tile = [&](Work &work, int b, int h, int start, int stop, const int64_t *first, int low, int high) {
        float shares[TILE] = {};
        for (int t = start; t < stop; t++) {
            float *scores = &work.scores[(t - start) * work.padded], most = -INFINITY;
            work.hide(t - start, t, first[t], low, high, -INFINITY);
            for (int at = first[t]; at <= t; at++) most = scores[at] > most ? scores[at] : most;
            Vector total = {};
            for (int at = low; at < high; at += LANES) {
                const Vector weights = exponential(load(scores + at) - most);
                store(scores + at, weights);
                total += weights;
            }
            work.hide(t - start, t, first[t], low, high, 0.0f);
            shares[t - start] = 1.0f / sum(total);
            log_sums[(b * s.heads + h) * s.places + t] = most + std::log(sum(total));
        }
        work.mix(work.scores, work.values, low, stop, [&](int r, int i, Vector left, Vector right) {
            if (start + r < stop)
                put(out + ((b * s.places + start + r) * s.heads + h) * s.size + i, left * shares[r], right * shares[r]);
        });
    };
    walk(s, q, k, v, threads, [](Work &) {}, tile, [](Work &, int, int) {});
    return nullptr;
}

// tensors: q, k, v, the output and its gradient, first, the logarithms of `attend`, then what is written: the gradients
// of q (rows, places, heads, size), k and v (rows, places, kv_heads, size).
extern "C" const char *attend_backward(const int64_t *numbers, int64_t number_count, void *const *tensors,
                                       int64_t tensor_count, int threads) {
    if (number_count != SIZES + 5 * STRIDES || tensor_count != 10) return MISCOUNTED;
    const Shape s{numbers[0], numbers[1], numbers[2], numbers[3], numbers[4], (const int64_t *)tensors[5]};
    if (const char *wrong = refusal(s)) return wrong;
    const Heads q = heads_of(numbers, tensors, 0), k = heads_of(numbers, tensors, 1), v = heads_of(numbers, tensors, 2);
    const Heads out = heads_of(numbers, tensors, 3), grad = heads_of(numbers, tensors, 4);
    const float *log_sums = (const float *)tensors[6];
    Element *q_grad = (Element *)tensors[7], *k_grad = (Element *)tensors[8], *v_grad = (Element *)tensors[9];
    const int size = s.size;
    const float scale = 1.0f / std::sqrt((float)size);
    const auto begin = [&](Work &work) {
        work.turn(work.values, work.turned_values);
        std::fill(work.key_grads.begin(), work.key_grads.end(), 0.0f);
        std::fill(work.value_grads.begin(), work.value_grads.end(), 0.0f);
    };
    const auto tile = [&](Work &work, int b, int h, int start, int stop, const int64_t *first, int low, int high) {
        work.read(grad, b, h, start, stop, 1.0f, work.grad.data());
        work.dot(work.grad, work.turned_values, low, high, work.products);
        for (int r = 0; r < TILE; r++) {
            const int t = start + r;
            float *weights = &work.scores[r * work.padded], *products = &work.products[r * work.padded];
            if (t >= stop) {  // a place past the last
                std::fill(weights + low, weights + high, 0.0f);
                std::fill(products + low, products + high, 0.0f);
                continue;
            }
            Vector shared = {};
            for (int i = 0; i < size; i += LANES) shared += load(&work.grad[r * size + i]) * load(out.at(b, h, t) + i);
            const float mean = sum(shared), most = log_sums[(b * s.heads + h) * s.places + t];
            for (int at = low; at < high; at += LANES)
                store(weights + at, exponential(load(weights + at) - most));
            work.hide(r, t, first[t], low, high, 0.0f);
            for (int at = low; at < high; at += LANES)
                store(products + at, load(weights + at) * (load(products + at) - mean));
        }
        work.spread(work.scores, work.grad, low, high, work.value_grads);
        work.spread(work.products, work.q, low, high, work.key_grads);
        work.mix(work.products, work.keys, low, stop, [&](int r, int i, Vector left, Vector right) {
            if (start + r < stop)
                put(q_grad + ((b * s.places + start + r) * s.heads + h) * size + i, left * scale, right * scale);
        });
    };
    const auto end = [&](Work &work, int b, int kv) {
        for (int t = 0; t < s.places; t++)
            for (int i = 0; i < size; i += PANEL) {
                const int64_t at = ((b * s.places + t) * s.kv_heads + kv) * size + i;
                const float *key = &work.key_grads[t * size + i], *value = &work.value_grads[t * size + i];
                put(k_grad + at, load(key), load(key + LANES));
                put(v_grad + at, load(value), load(value + LANES));
            }
    };
    walk(s, q, k, v, threads, begin, tile, end);
    return nullptr;
}
