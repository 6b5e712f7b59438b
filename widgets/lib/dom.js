// Elements, and numbers as text.

/** h("button", { type: "button", onclick }, "Play"): an element; on… are listeners, null is left out. */
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value !== null && value !== false) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null));
  return element;
}

const SUPERSCRIPTS = { "-": "⁻", 0: "⁰", 1: "¹", 2: "²", 3: "³", 4: "⁴", 5: "⁵", 6: "⁶", 7: "⁷", 8: "⁸", 9: "⁹" };
const minus = (text) => text.replace("-", "−");

/** 10⁻⁸ for -8. */
export const powerOfTen = (exponent) => "10" + [...String(exponent)].map((c) => SUPERSCRIPTS[c]).join("");

/** A number of nats as people read it: 123, 0.290, 4.2 × 10⁻⁷. */
export function nats(value) {
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size >= 1e6 || size < 1e-3) {
    const [digits, exponent] = value.toExponential(1).split("e");
    return `${minus(digits)} × ${powerOfTen(+exponent)}`;
  }
  return minus(size >= 100 ? value.toFixed(0) : size >= 10 ? value.toFixed(1) : value.toPrecision(3));
}

export const decimals = (value, digits = 2) => minus(value.toFixed(digits));
