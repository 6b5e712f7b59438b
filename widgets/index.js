// The widgets of the book, one module for all: an AFM render that looks at the model's kind.

import { mount } from "./lib/mount.js";
import { estimatorRace } from "./estimator_race/index.js";
import { regressionLab } from "./regression_lab/index.js";

const kinds = { EstimatorRace: estimatorRace, RegressionLab: regressionLab };

export default {
  render: ({ model, el }) => mount(kinds[model.get("kind")], model.get("kind"), model, el),
};
