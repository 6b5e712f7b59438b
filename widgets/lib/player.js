// Play, step, reset and a scrub bar over the frames 0 … last.

import { button, slider } from "./controls.js";
import { h } from "./dom.js";

const stillness = matchMedia("(prefers-reduced-motion: reduce)");
const STILL_FRAME = 400;

/**
 * `show(position)` draws; between two frames position is a fraction, for the eye. Readers who want
 * no motion get whole frames. `duration(frame)` says how long one takes, in milliseconds.
 * `onreset` is called before frame 0 is shown again, `onplay` when the
 * reader presses Play, `onpause` when it comes to rest.
 */
export function player({ show, duration, caption, onreset = () => {}, onplay = () => {}, onpause = () => {} }) {
  let [position, last, playing, before, request] = [0, 0, false, 0, 0];

  const play = button("Play", () => (playing ? pause() : begin()), { class: "vt-primary vt-play" });
  const step = button("Step", () => {
    pause();
    seek(Math.min(Math.floor(position) + 1, last));
  });
  const reset = button("Reset", () => {
    pause();
    onreset();
    seek(0);
  });
  const bar = slider("step", { min: 0, max: 1, step: 1, text: (t) => caption(t) }, (t) => {
    pause();
    seek(t);
  });
  bar.element.classList.add("vt-scrub");
  const range = bar.element.querySelector("input");

  function seek(to) {
    position = to;
    bar.set(Math.floor(position));
    show(position);
  }

  function begin() {
    onplay();
    start();
  }

  function start() {
    if (position >= last) position = 0;
    playing = true;
    label();
    before = performance.now();
    request = requestAnimationFrame(tick);
  }

  function tick(now) {
    const whole = Math.floor(position);
    if (stillness.matches) {
      if (now - before >= STILL_FRAME) {
        const frames = Math.max(1, Math.round(STILL_FRAME / duration(whole)));
        seek(Math.min(whole + frames, last));
        before = now;
      }
    } else {
      let left = Math.min(Math.max(now - before, 0), 100);
      before = now;
      while (position < last) {
        const whole = Math.floor(position);
        const rest = (whole + 1 - position) * duration(whole);
        if (left < rest) {
          position += left / duration(whole);
          break;
        }
        position = whole + 1;
        left -= rest;
      }
      seek(Math.min(position, last));
    }
    if (position >= last) pause();
    else if (playing) request = requestAnimationFrame(tick);
  }

  function pause() {
    cancelAnimationFrame(request);
    if (!playing) return;
    playing = false;
    label();
    onpause();
  }

  function label() {
    play.textContent = playing ? "Pause" : "Play";
    play.classList.toggle("vt-playing", playing);
  }

  return {
    element: h("div", { class: "vt-row vt-player" }, play, step, reset, bar.element),
    play: start,
    pause,
    seek,
    get playing() {
      return playing;
    },
    get position() {
      return position;
    },
    /** New frames: 0 … frames. Stays where it is unless it must not. */
    setLast(frames) {
      last = frames;
      range.max = frames;
      seek(Math.min(position, last));
    },
  };
}
