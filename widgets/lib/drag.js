// Marks that move: by mouse, by finger, by the arrow keys.

const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };

/**
 * Make the d3 selection `mark`, drawn in `plot`, draggable. `place()` is where it is in data
 * coordinates, `move([x, y])` is called with where it should go, `done()` when it is let go.
 * An arrow key goes a fiftieth of the axis, with Shift a two-hundredth.
 */
export function draggable(mark, plot, { place, move, done = () => {} }) {
  const node = mark.node();
  let offset = null;
  let moved = false;
  node.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    event.preventDefault();
    event.stopPropagation();
    const [at, [x, y]] = [plot.at(event), place()];
    offset = [x - at[0], y - at[1]];
    moved = false;
    node.focus({ preventScroll: true });
    node.setPointerCapture(event.pointerId);
  });
  node.addEventListener("pointermove", (event) => {
    if (!offset) return;
    const at = plot.at(event);
    moved = true;
    move(within(plot, [at[0] + offset[0], at[1] + offset[1]]));
  });
  for (const end of ["pointerup", "pointercancel"]) {
    node.addEventListener(end, () => {
      if (!offset) return;
      offset = null;
      if (moved) done();
    });
  }
  node.addEventListener("click", (event) => event.stopPropagation());
  node.addEventListener("keydown", (event) => {
    const arrow = ARROWS[event.key];
    if (!arrow || event.ctrlKey || event.altKey || event.metaKey) return;
    event.preventDefault();
    const share = event.shiftKey ? 1 / 200 : 1 / 50;
    const spans = [plot.x, plot.y].map((scale) => scale.domain()[1] - scale.domain()[0]);
    const now = place();
    move(within(plot, now.map((value, i) => value + arrow[i] * share * spans[i])));
    done();
  });
}

/** The nearest place inside the axes. */
const within = (plot, at) =>
  [plot.x, plot.y].map((scale, i) => {
    const [low, high] = scale.domain();
    return Math.min(Math.max(at[i], low), high);
  });
