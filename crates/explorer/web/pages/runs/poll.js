// Asking again and again, and not more than needed.

import { Cancelled } from '../../lib/api.js';

const SLOWEST = 10_000;

/**
 * Calls `look()` until it says `{ over: true }`: soon after it said `{ changed: true }`, ever more slowly while nothing
 * changes, and not while nobody sees the page. When it fails, `failed(error)` is told, and it is called later.
 */
export function poll(look, { shortest, longest, failed }) {
  let pause = shortest;
  let timer = null;
  let stopped = false;

  async function tick() {
    timer = null;
    if (document.hidden) return;
    try {
      const { over, changed } = await look();
      if (over) stop();
      pause = changed ? shortest : Math.min(pause * 1.3, longest);
    } catch (error) {
      if (!(error instanceof Cancelled) && !stopped) failed?.(error);
      pause = Math.min(pause * 2, SLOWEST);
    }
    wait();
  }

  function wait() {
    if (!stopped && timer === null) timer = setTimeout(tick, pause);
  }

  function seen() {
    if (document.hidden || stopped) return;
    pause = shortest;
    wait();
  }

  function stop() {
    stopped = true;
    clearTimeout(timer);
    document.removeEventListener('visibilitychange', seen);
  }

  document.addEventListener('visibilitychange', seen);
  wait();
  return { stop };
}
