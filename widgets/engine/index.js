export { ascend, gradientAscent } from "./ascent.js";
export * from "./estimators.js";
export * from "./families.js";
export { entropy, kl } from "./gaussian.js";
export { naturalAscent } from "./natural.js";
export * from "./optimizers.js";
export { generator } from "./random.js";
export { predict, regression } from "./regression.js";
