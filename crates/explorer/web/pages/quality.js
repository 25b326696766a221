// The quality of the data: which snapshots there are, what could not be read, and what the audits found.

import { get } from '../lib/api.js';
import { empty, h, replace } from '../lib/dom.js';
import { audits } from './quality/audits.js';
import { calendar } from './quality/calendar.js';
import { dayDetail } from './quality/day.js';
import { rejects } from './quality/rejects.js';

export const title = 'Quality';

/** What is chosen, each with the choices that make sense only within it. */
const WITHIN = {
  from: ['day', 'table', 'column', 'reason', 'page'],
  day: ['table', 'column', 'reason', 'page'],
  reason: ['page'],
};

export async function mount(root, view) {
  const parts = Object.fromEntries(
    ['calendar', 'day', 'rejects', 'audits'].map((id) => [id, h('div', { id: `part-${id}` })]),
  );
  replace(root, parts.calendar, parts.day, parts.rejects, parts.audits);
  const known = new Map();

  /** What the server says to a question: once for each address, so that a choice below asks only for what it changes. */
  async function ask(path, params) {
    const key = JSON.stringify([path, params]);
    if (!known.has(key))
      known.set(
        key,
        get(path, params).catch((error) => {
          known.delete(key);
          throw error;
        }),
      );
    return known.get(key);
  }

  const choose = (choices, within) =>
    view.set({ ...Object.fromEntries((WITHIN[within] ?? []).map((name) => [name, ''])), ...choices });

  async function update() {
    const [from, to, day] = ['from', 'to', 'day'].map((name) => view.get(name));
    const days = await ask('quality/calendar', { from, to });
    if (!days.known && !days.nameless) {
      replace(
        root,
        empty(
          'Nothing has been uploaded yet.',
          'Bring raw files in with: pregao upload DIR. For something to try it with, before that: pregao sample --days 5 --out DIR',
        ),
      );
      return;
    }
    if (!parts.calendar.isConnected) replace(root, parts.calendar, parts.day, parts.rejects, parts.audits);
    replace(parts.calendar, calendar(days, { day, choose }));
    const context = { view, ask, choose, from: isDay(day) ? day : days.from, to: isDay(day) ? day : days.to };
    await Promise.all([dayDetail(parts.day, context), rejects(parts.rejects, context), audits(parts.audits, context)]);
  }

  /** Asks everything again. */
  function renew() {
    known.clear();
    return update();
  }

  await update();
  return { update, renew };
}

/** Those files that belong to no day are chosen as one. */
const isDay = (day) => /^\d/.test(day);
