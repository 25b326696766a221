import { empty, replace } from '../lib/dom.js';

export const title = 'series';

export async function mount(root) {
  replace(root, empty('not built yet'));
}
