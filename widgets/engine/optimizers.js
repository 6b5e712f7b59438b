// { init(params), update(gradient, state) -> { step, state } }, uphill.

export const decay = (rate, time) => (t) => rate / (1 + t / time);

export const sgd = (rate) => ({
  init: () => 0,
  update: (gradient, t) => ({ step: gradient.map((value) => at(rate, t) * value), state: t + 1 }),
});

export const adam = (rate, b1 = 0.9, b2 = 0.999, eps = 1e-8) => ({
  init: (params) => ({ t: 0, first: params.map(() => 0), second: params.map(() => 0) }),
  update(gradient, { t, first, second }) {
    first = first.map((value, i) => b1 * value + (1 - b1) * gradient[i]);
    second = second.map((value, i) => b2 * value + (1 - b2) * gradient[i] ** 2);
    const step = first.map((value, i) => {
      const spread = Math.sqrt(second[i] / (1 - b2 ** (t + 1)));
      return (at(rate, t) * (value / (1 - b1 ** (t + 1)))) / (spread + eps);
    });
    return { step, state: { t: t + 1, first, second } };
  },
});

const at = (rate, t) => (typeof rate === "function" ? rate(t) : rate);
