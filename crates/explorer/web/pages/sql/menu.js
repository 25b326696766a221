// A button that opens a list to choose from.

import { h, replace } from '../../lib/dom.js';

/**
 * A list of `{ name, statement }`s, asked for when it is opened; `choose` is called with a statement. `none` is said where
 * there are none.
 */
export function menu(id, label, items, choose, none) {
  const list = h('ul');
  // Not when it has opened, which is told a moment later: a quick Tab would go past what is not there yet.
  const button = h(
    'summary',
    {
      onclick: () => {
        if (!element.open) fill();
      },
    },
    label,
  );
  const element = h(
    'details',
    {
      id,
      class: 'menu',
      onkeydown: (event) => {
        if (event.key !== 'Escape' || !element.open) return;
        element.open = false;
        button.focus();
      },
      // A list that the focus leaves is not wanted any more.
      onfocusout: (event) => {
        if (event.relatedTarget && !element.contains(event.relatedTarget)) element.open = false;
      },
    },
    button,
    list,
  );
  const fill = () => {
    const entries = items().map(({ name, statement }) =>
      h(
        'li',
        {},
        h(
          'button',
          {
            type: 'button',
            title: statement,
            onclick: () => {
              element.open = false;
              choose(statement);
            },
          },
          name,
        ),
      ),
    );
    replace(list, entries.length ? entries : h('li', { class: 'hint' }, none));
  };
  return element;
}
