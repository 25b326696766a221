// How a workflow is made: its graph, and its states one by one.

import { h } from '../../lib/dom.js';
import { started } from '../../lib/asl.js';
import { drawing } from '../../lib/machine.js';

const HIGH = 600;

/** The workflow that a state starts. */
export const startedBy = (state, workflows) => workflows.find(({ arn }) => arn === started(state));

/** All states of a machine by their names, those of its branches as well. */
export function states(machine) {
  const own = Object.entries(machine.States ?? {});
  const inner = own.flatMap(([, state]) => state.Branches ?? [state.ItemProcessor ?? state.Iterator].filter(Boolean));
  return new Map([...own, ...inner.flatMap((branch) => [...states(branch)])]);
}

/** The definition of a state, to be read. */
export const definition = (state) =>
  h(
    'details',
    { id: 'state-definition' },
    h('summary', {}, 'Definition'),
    h('pre', {}, JSON.stringify(state, null, 2)),
  );

/** A panel with the graph of a workflow that nothing is said of. */
export function plan({ name, definition: machine }, workflows, view) {
  const detail = h('div', {});
  const draw = () => {
    const chosen = view.get('workflow') === name ? view.get('state') : '';
    const about = (_, state) => {
      const other = startedBy(state, workflows);
      return other && { link: view.href({ workflow: other.name }), linkName: other.name };
    };
    const choose = (state) => view.set({ workflow: name, state: state === chosen ? '' : state });
    const state = chosen && states(machine).get(chosen);
    detail.replaceChildren(
      drawing(machine, { title: `${name}, its states`, about, chosen, choose }),
      ...(state ? [h('h2', {}, chosen), h('p', {}, state.Comment ?? ''), definition(state)] : []),
    );
  };
  draw();
  // A high graph stands beside two low ones.
  const high = Number(detail.querySelector('svg').getAttribute('height')) > HIGH;
  return h(
    'section',
    { class: `panel plan${high ? ' high' : ''}`, 'data-workflow': name },
    h('h2', {}, h('a', { href: view.href({ workflow: name }) }, name)),
    h('p', { class: 'muted' }, machine.Comment ?? ''),
    detail,
  );
}
