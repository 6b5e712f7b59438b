// The widgets of the book, one module for all: an AFM render that looks at the model's kind.

import { mount } from "./lib/mount.js";
import { elboExplorer } from "./elbo_explorer/index.js";
import { estimatorRace } from "./estimator_race/index.js";
import { regressionLab } from "./regression_lab/index.js";
import { reparameterizationExplorer } from "./reparameterization_explorer/index.js";

const kinds = {
  ElboExplorer: elboExplorer,
  EstimatorRace: estimatorRace,
  RegressionLab: regressionLab,
  ReparameterizationExplorer: reparameterizationExplorer,
};

export default {
  render: ({ model, el }) => mount(kinds[model.get("kind")], model.get("kind"), model, el),
};
