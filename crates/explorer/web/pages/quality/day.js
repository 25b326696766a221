// One day: its snapshots slot by slot, and the files that were refused, with their reasons.

import { h, replace, table } from '../../lib/dom.js';
import { bytes, day as dayText, number } from '../../lib/format.js';

/** Draws the chosen day into `root`, or nothing where none is. */
export async function dayDetail(root, { view, ask }) {
  const day = view.get('day');
  if (!day) {
    replace(root);
    return;
  }
  const data = await ask('quality/day', { date: day === 'none' ? '' : day });
  if (view.get('day') !== day) return;
  replace(
    root,
    h(
      'section',
      { class: 'panel', id: 'day', 'data-day': day, 'aria-label': 'The chosen day' },
      h('h2', {}, data.date ? dayText(data.date) : 'Refused files that belong to no day'),
      data.date &&
        h(
          'p',
          { class: 'muted' },
          data.business ? '' : 'The exchange is closed on this day. ',
          data.published.length
            ? `Published: ${data.published.join(', ')}.`
            : 'Not published: start create_datalake for it under Runs.',
        ),
      data.feeds.map(feed),
      refused(data.quarantined),
    ),
  );
}

function feed({ feed: name, slots, outside }) {
  const missing = slots.filter(({ files }) => !files.length).length;
  return h(
    'div',
    { class: 'feed', 'data-feed': name },
    h(
      'h3',
      {},
      name,
      h(
        'span',
        { class: 'muted' },
        ` ${number(slots.length - missing)} of ${number(slots.length)} snapshots, ${number(missing)} missing`,
      ),
    ),
    h('ol', { class: 'slots' }, slots.map(slot)),
    outside.length > 0 && h('p', {}, `Outside the session: ${outside.map(({ name: file }) => file).join(', ')}`),
  );
}

function slot({ time, files }) {
  const [file, ...others] = files;
  const state = !file ? 'missing' : others.length ? 'extra' : 'present';
  const told = file ? files.map((one) => `${one.name}, ${bytes(one.bytes)}`).join('; ') : `${time} is missing`;
  // A file of another minute than the slot's is told by its minute.
  const one = file && `● ${file.time === time ? bytes(file.bytes) : file.time}`;
  const text = { missing: '○ missing', present: one, extra: `● and ${number(others.length)} more` }[state];
  return h(
    'li',
    { class: `slot ${state}`, 'data-slot': time, 'data-state': state, title: told },
    h('span', { class: 'time' }, time),
    h('span', {}, text),
  );
}

function refused(files) {
  if (!files.length) return h('p', { class: 'muted', id: 'quarantined' }, 'No file of it was refused.');
  const columns = [
    { name: 'File', cell: ({ name }) => h('span', { class: 'mono' }, name) },
    { name: 'Reason', cell: ({ reason }) => reason?.reason ?? 'no reason is written beside it' },
    { name: 'In words', cell: ({ reason }) => h('span', { class: 'wrap' }, reason?.message ?? '') },
    { name: 'Size', number: true, cell: ({ bytes: size }) => bytes(size) },
    { name: 'Came from', cell: ({ reason }) => h('span', { class: 'mono' }, reason?.source ?? '') },
    { name: 'Lies at', cell: ({ uri }) => h('span', { class: 'mono' }, uri) },
  ];
  return h(
    'div',
    {},
    h('h3', {}, 'Refused files'),
    table(columns, files, { id: 'quarantined' }),
    h('p', { class: 'hint' }, 'Mend a file and upload it again; what lies in quarantine stays as it came.'),
  );
}
