// The newest published snapshot in the header, and the notice that something new is published.

import { get } from './api.js';
import { ago, instant, intdate } from './format.js';

/** How often the server is asked, while the page is visible. */
const EVERY = 2000;

/**
 * Draws into `place`, and calls `changed` when something new is published since the page was loaded. While it returns false,
 * because the view cannot be drawn again now, it is called once more.
 */
export function follow(place, changed) {
  let version;
  // How often the view is still to be drawn again: twice for each publication, because the tables follow one after the other.
  let due = 0;

  async function look() {
    if (document.hidden) return;
    let answer;
    try {
      answer = await get('fresh');
    } catch {
      // The view says what is wrong.
      return;
    }
    draw(answer.newest);
    if (version !== undefined && version !== answer.version) due = 2;
    version = answer.version;
    if (due > 0 && changed()) due -= 1;
  }

  function draw(newest) {
    place.hidden = !newest;
    if (!newest) return;
    place.textContent = `Newest snapshot ${intdate(newest.intdate)}, ${ago(Date.now() - newest.at)}`;
    place.title = `Published ${instant(Date.parse(newest.published_at))}`;
    place.dataset.intdate = newest.intdate;
  }

  async function loop() {
    await look();
    setTimeout(loop, EVERY);
  }
  document.addEventListener('visibilitychange', look);
  loop();
}
