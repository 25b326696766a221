import { empty, replace } from '../lib/dom.js';

export const title = 'runs';

export async function mount(root) {
  replace(root, empty('not built yet'));
}
