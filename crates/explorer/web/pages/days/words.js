// What is said of a day, and the command to run next.

import { h, replace } from '../../lib/dom.js';
import { number } from '../../lib/format.js';

/** The states, the most urgent first, each with a sign, since colour alone says nothing to everybody. */
export const states = [
  { name: 'failed', sign: '✗' },
  { name: 'stale', sign: '◐' },
  { name: 'unpublished', sign: '◇' },
  { name: 'missing', sign: '○' },
  { name: 'incomplete', sign: '◔' },
  { name: 'held', sign: '▮' },
  { name: 'accepted', sign: '∅' },
  { name: 'open', sign: '·' },
  { name: 'published', sign: '●' },
];

/** Beside its state: files that are late, replaced or gone, who holds it, what failed. */
export function why(one) {
  const parts = [];
  for (const [what, names] of Object.entries(one.stale ?? {})) {
    if (names.count === 1) parts.push(`${what} ${names.first[0]}`);
    else if (names.count > 1) parts.push(`${number(names.count)} ${what}: ${names.first[0]}, …`);
  }
  if (one.held) parts.push(`held by ${one.held.by}`);
  if (one.failed) {
    parts.push(
      `run ${one.failed.run} failed${one.failed.again ? ', other raw files since' : ''}`,
      ...one.failed.failures,
    );
  }
  if (one.accepted) parts.push(`missing files accepted by ${one.accepted.by}`);
  if (one.landing) parts.push(`${number(one.landing)} files not taken in`);
  if (one.quarantined) parts.push(`${number(one.quarantined)} files in quarantine`);
  return parts.join('; ');
}

/** A command with a button that copies it. */
export function command(text) {
  const button = h('button', { type: 'button', class: 'copy', 'aria-label': `Copy ${text}`, onclick: copy }, 'Copy');
  async function copy() {
    try {
      await navigator.clipboard.writeText(text);
      replace(button, 'Copied');
    } catch {
      // Without the permission, it is selected to be copied by hand.
      getSelection().selectAllChildren(button.previousElementSibling);
      replace(button, 'Selected');
    }
  }
  return h('span', { class: 'command' }, h('code', {}, text), ' ', button);
}
