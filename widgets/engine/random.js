// Seeded noise: { normal(rows, columns), chisquare(freedom) }.

export function generator(seed) {
  const uniform = sfc32(seed);
  let spare = null;
  const gauss = () => {
    if (spare !== null) {
      const value = spare;
      spare = null;
      return value;
    }
    const radius = Math.sqrt(-2 * Math.log(1 - uniform()));
    const angle = 2 * Math.PI * uniform();
    spare = radius * Math.sin(angle);
    return radius * Math.cos(angle);
  };
  return {
    normal: (rows, columns) =>
      Array.from({ length: rows }, () => Array.from({ length: columns }, gauss)),
    chisquare: (freedom) => Array.from({ length: freedom }, gauss).reduce((s, v) => s + v * v, 0),
  };
}

/** Uniform on [0, 1): Chris Doty-Humphrey's sfc32, warmed up. */
function sfc32(seed) {
  let [a, b, c, counter] = [seed | 0, 0x9e3779b9 | 0, 0x243f6a88, 1];
  const next = () => {
    const result = (((a + b) | 0) + counter) | 0;
    counter = (counter + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = ((c << 21) | (c >>> 11)) + result;
    c |= 0;
    return (result >>> 0) / 4294967296;
  };
  for (let i = 0; i < 15; i++) next();
  return next;
}
