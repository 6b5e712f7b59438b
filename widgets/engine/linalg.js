// Small dense matrices as arrays of rows.

export const dot = (a, b) => a.reduce((sum, value, i) => sum + value * b[i], 0);
export const sum = (values) => values.reduce((total, value) => total + value, 0);
export const add = (a, b) => a.map((value, i) => value + b[i]);
export const scale = (a, factor) => a.map((value) => value * factor);
export const transpose = (A) => A[0].map((_, j) => A.map((row) => row[j]));
export const times = (A, x) => A.map((row) => dot(row, x));
export const product = (A, B) => {
  const columns = transpose(B);
  return A.map((row) => columns.map((column) => dot(row, column)));
};
export const build = (rows, columns, entry) =>
  Array.from({ length: rows }, (_, i) => Array.from({ length: columns }, (_, j) => entry(i, j)));
export const identity = (n) => build(n, n, (i, j) => +(i === j));
export const diagonal = (A) => A.map((row, i) => row[i]);

/** The lower triangular L with L Lᵀ = A and a positive diagonal. */
export function cholesky(A) {
  const L = build(A.length, A.length, () => 0);
  for (let i = 0; i < A.length; i++) {
    for (let j = 0; j <= i; j++) {
      const rest = A[i][j] - dot(L[i].slice(0, j), L[j]);
      L[i][j] = i === j ? Math.sqrt(rest) : rest / L[j][j];
    }
  }
  return L;
}

/** L⁻¹ b for a lower triangular L. */
export function solveLower(L, b) {
  const x = [];
  L.forEach((row, i) => x.push((b[i] - dot(x, row)) / row[i]));
  return x;
}

/** L⁻ᵀ b for a lower triangular L. */
export function solveLowerTransposed(L, b) {
  const x = b.slice();
  for (let i = L.length - 1; i >= 0; i--) {
    for (let k = i + 1; k < L.length; k++) x[i] -= L[k][i] * x[k];
    x[i] /= L[i][i];
  }
  return x;
}

/** The inverse of a lower triangular matrix. */
export const invertLower = (L) => transpose(identity(L.length).map((e) => solveLower(L, e)));

/** The inverse of a symmetric positive definite matrix. */
export function invert(A) {
  const root = invertLower(cholesky(A));
  return product(transpose(root), root);
}

/** A = Q R with orthonormal columns of Q and no negative number on R's diagonal (Gram-Schmidt, twice). */
export function qr(A) {
  const columns = transpose(A);
  const R = identity(columns.length);
  const Q = columns.map(() => []);
  columns.forEach((column, j) => {
    let rest = column.slice();
    R[j][j] = 0;
    for (let pass = 0; pass < 2; pass++) {
      for (let k = 0; k < j; k++) {
        const along = dot(Q[k], rest);
        R[k][j] += along;
        rest = rest.map((value, i) => value - along * Q[k][i]);
      }
    }
    R[j][j] = Math.sqrt(dot(rest, rest));
    Q[j] = scale(rest, R[j][j] > 0 ? 1 / R[j][j] : 0);
  });
  return { Q: transpose(Q), R };
}
